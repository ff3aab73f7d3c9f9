# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""What a phase trains on: the fold's training set, other data directories, or both.

Nothing that the fold holds out gets in. Speech for a phase without labels may come from any
directory: what is there of the fold's dev and test speakers is left out and counted.
"""

import logging
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from sertl.atomic import write_text
from sertl.data.datadir import DataDir, Utterance, read_data_dir
from sertl.errors import SertlError
from sertl.train.place import Place

logger = logging.getLogger(__name__)

FOLD = "fold"  # in data_conf.train: the fold's own training set
IDS_FILE = "train_ids"  # in a phase's folder: what it was trained on


def training_data(
    sources: Sequence[str], place: Place, labelled: bool, transductive: bool
) -> DataDir:
    """Read and join the directories that a phase trains on.

    Args:
        sources: data_conf.train: FOLD and paths of data directories.
        place: Of the run.
        labelled: Whether the phase reads labels. If not, they are removed here, so that none can
            leak, and `transductive` adds the fold's dev and test audio.
        transductive: As configured.

    Raises:
        SertlError: Nothing to train on; one id in two directories; labelled held-out utterances.
    """
    own = place.part("train")
    held_out = held_out_parts(place)
    utts: dict[str, Utterance] = {}
    for source in sources:
        if source == FOLD:
            found = dict(own.utts)
            if transductive and not labelled:
                found |= {utt: u for part in held_out for utt, u in part.utts.items()}
        else:
            found = read_data_dir(source).utts
            if not transductive or labelled:
                found = without(found, held_out, source, labelled)
        twice = sorted(utts.keys() & found.keys())
        if twice:
            raise SertlError(f"data_conf.train: {source} repeats {len(twice)} ids, e.g. {twice[0]}")
        utts |= found
    if not utts:
        raise SertlError(f"data_conf.train: {list(sources)} leave nothing to train on")
    if not labelled:
        utts = {utt: unlabelled(u) for utt, u in utts.items()}
    return DataDir(own.path, dict(sorted(utts.items())), own.labels, own.vad_range)


def held_out_parts(place: Place) -> list[DataDir]:
    """The fold's dev, if there is one, and test."""
    names = [name for name in ("dev", "test") if (place.fold_dir / name).is_dir()]
    return [place.part(name) for name in names]


def without(
    utts: dict[str, Utterance], held_out: Sequence[DataDir], source: str, labelled: bool
) -> dict[str, Utterance]:
    """Leave out, or refuse where labels are read, what the fold holds out: its ids and speakers."""
    ids = {utt for part in held_out for utt in part.utts}
    speakers = {u.spk for part in held_out for u in part.utts.values()}
    out = [utt for utt, u in utts.items() if utt in ids or u.spk in speakers]
    if out and labelled:
        raise SertlError(
            f"data_conf.train: {source} holds {len(out)} utterances of the fold's dev or test "
            f"speakers, e.g. {out[0]}; train on 'fold' or on another corpus"
        )
    if out:
        logger.info("%s: %d utts of held-out speakers left out of training", source, len(out))
    return {utt: u for utt, u in utts.items() if utt not in set(out)}


def unlabelled(utt: Utterance) -> Utterance:
    """The utterance with its audio and speaker only."""
    return replace(utt, emo=None, gender=None, style=None, text=None, vad=None)


def dump_of(source: str, dump: Path) -> Path:
    """Where stage 3 puts the hidden states of a data directory that is not the recipe's own.

    Args:
        source: Path of the directory, as in data_conf.train.
        dump: The recipe's own dump, `dump/<upstream>`.
    """
    word = re.sub(r"[^A-Za-z0-9]+", "-", source).strip("-")
    return dump.with_name(f"{dump.name}_{word}")


def save_ids(folder: Path, data: DataDir) -> None:
    """Write down what a phase is trained on, one id a line."""
    write_text(folder / IDS_FILE, "".join(f"{utt}\n" for utt in data.utts))
