# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""EmoBox's metadata of a corpus: its rows, classes and folds, read from a checkout of the user's.

Layout: data/<corpus>/fold_<k>/<corpus>_{train,valid,test}_fold_<k>.jsonl and label_map.json; a line
is JSON with key, wav (below downloads/), emo and more.
"""

import argparse
import json
import logging
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from sertl.data.datadir import Utterance
from sertl.data.described import describe
from sertl.data.named_files import AUDIO
from sertl.data.prepare import groups_of
from sertl.data.split import Fold
from sertl.data.table import listing
from sertl.errors import SertlError, unknown_name

logger = logging.getLogger(__name__)

PARTS = {"train": "train", "valid": "dev", "test": "test"}
FEWEST_SPEAKERS = 3  # below, there are no folds that leave speakers out
FOLD = re.compile(r"fold_(\d+)")
# Where a file's name says its speaker; other corpora need --prepare spk=…, or their rows a speaker.
SPEAKERS = {
    "cremad": r"(\d{4})_",
    "cafe": r"(\d\d)-",
    "emodb": r"(\d\d)[ab]\d\d",
    "emovo": r"[a-z]{3}-([fm]\d)-",
    "esd": r"(\d{4})_",
    "iemocap": r"(Ses\d\d)[FM]_\w+?_([FM])\d+$",
    "ravdess": r"(?:\d\d-){6}(\d\d)",
    "savee": r"([A-Z]{2})_",
    "shemo": r"([FM]\d\d)[A-Z]",
    "tess": r"(OAF|YAF|OA)_",
}
OPTIONS = {
    "wavs": "folder of the audio that EmoBox calls downloads/ (default: downloads in --corpus-dir)",
    "spk": "regular expression on the file's name whose groups, joined, are the speaker",
    "groups": "protocol loso leaves out so many groups of speakers instead of one speaker each",
}


@dataclass(frozen=True)
class Row:
    """A line of the metadata."""

    key: str
    wav: str
    emo: str
    spk: str | None


def corpus_folder(root: Path, name: str) -> Path:
    """data/<name> of a checkout.

    Raises:
        SertlError: No checkout, or no such corpus (with the nearest).
    """
    data = root / "data" if (root / "data").is_dir() else root
    known = sorted(p.parent.name for p in data.glob("*/fold_1"))
    if not known:
        raise SertlError(f"{root}: no data/<corpus>/fold_1 in it; give a checkout of EmoBox")
    if not name:
        raise SertlError(f"--policy chooses the corpus: {', '.join(known)}")
    if name not in known:
        raise unknown_name("corpus of EmoBox (--policy)", name, known)
    return data / name


def read_lines(path: Path, pattern: re.Pattern | None) -> list[Row]:
    """The rows of a file.

    Raises:
        SertlError: All lines that are not such rows.
    """
    rows, problems = [], []
    for number, line in enumerate(path.read_text(encoding="utf-8").split("\n"), start=1):
        if not line.strip():
            continue
        try:
            said = json.loads(line)
            row = Row(str(said["key"]), str(said["wav"]), str(said["emo"]).lower(), None)
        except (ValueError, KeyError, TypeError) as error:
            problems.append(f"{path}:{number}: {type(error).__name__} {error}")
            continue
        spk = said.get("speaker") or said.get("spk")
        if pattern is not None and (match := pattern.match(Path(row.wav).stem)):
            spk = "".join(g for g in match.groups() if g)
        rows.append(Row(row.key, row.wav, row.emo, None if spk is None else str(spk)))
    if problems:
        raise SertlError(listing("lines that are not EmoBox's", problems))
    return rows


def read_folds(folder: Path, options: dict[str, str]) -> dict[int, dict[str, list[Row]]]:
    """Fold -> part -> rows, parts under sertl's names.

    Raises:
        SertlError: A fold without training or test file; a bad expression for speakers.
    """
    words = options.get("spk", SPEAKERS.get(folder.name, ""))
    try:
        pattern = re.compile(words) if words else None
    except re.error as error:
        raise SertlError(f"--prepare spk={words}: {error}") from error
    folds: dict[int, dict[str, list[Row]]] = {}
    for place in sorted(folder.iterdir()):
        match = FOLD.fullmatch(place.name)
        if match is None:
            continue
        parts = {}
        for theirs, ours in PARTS.items():
            files = sorted(place.glob(f"*_{theirs}_*.jsonl"))
            if len(files) > 1:  # two spellings of one list
                logger.warning("%s: %d lists of %s; the first is read", place, len(files), theirs)
            if files:
                parts[ours] = read_lines(files[0], pattern)
        if "train" not in parts or "test" not in parts:
            raise SertlError(f"{place}: no *_train_*.jsonl or no *_test_*.jsonl")
        folds[int(match[1])] = parts
    return dict(sorted(folds.items()))


def label_map(folder: Path) -> dict[str, str]:
    """Label -> class, all in lower case, as rows and map of one corpus differ in it."""
    path = folder / "label_map.json"
    if not path.is_file():
        return {}
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return {str(k).lower(): str(v).lower() for k, v in found.items()}
    except (ValueError, AttributeError) as error:
        raise SertlError(f"{path}: not a map of labels: {error}") from error


class Audio:
    """Where the audio of rows is: below a folder as the row says, else by the file's name.

    Args:
        root: What EmoBox calls downloads/.
    """

    def __init__(self, root: Path):
        self.root = root
        self._by_name: dict[str, list[Path]] | None = None

    def find(self, wav: str) -> str:
        """The path of a row's file; where there is none, the one that stage 1 will miss."""
        inside = wav.removeprefix("downloads/")
        for path in (self.root / inside, self.root / Path(inside).name):
            if path.is_file():
                return str(path)
        if self._by_name is None:
            self._by_name = {}
            for path in sorted(self.root.rglob("*")) if self.root.is_dir() else ():
                if path.suffix.lower() in AUDIO:
                    self._by_name.setdefault(path.stem, []).append(path)
        found = self._by_name.get(Path(inside).stem, [])
        return str(found[0] if len(found) == 1 else self.root / inside)


def utterance(row: Row, classes: dict[str, str], audio: Audio) -> Utterance:
    """A row as an utterance; a row without speaker is its own."""
    key = "_".join(row.key.split())
    return Utterance(
        utt=f"{row.spk or key}-{key}",
        spk=row.spk or key,
        wav=audio.find(row.wav),
        dur_sec=0.0,
        emo=classes.get(row.emo, row.emo),
        own={"key": key},
    )


def read_corpus(args: argparse.Namespace) -> tuple[dict, list[Utterance]]:
    """Description and utterances of the corpus that --policy names."""
    folder = corpus_folder(args.corpus_dir, args.policy)
    folds = read_folds(folder, args.prepare)
    audio = Audio(Path(args.prepare.get("wavs", args.corpus_dir / "downloads")))
    classes = label_map(folder)
    rows = {row.key: row for parts in folds.values() for rows in parts.values() for row in rows}
    utts = [utterance(row, classes, audio) for row in rows.values()]
    if len({u.spk for u in utts}) < FEWEST_SPEAKERS:
        utts = [replace(u, session=u.spk) for u in utts]
    shared = shared_speakers(folds)
    unknown = sum(row.spk is None for row in rows.values())
    notes = [f"metadata of EmoBox, {len(folds)} folds"]
    if unknown:
        notes.append(f"speakers of {unknown} of {len(rows)} utterances not known")
    elif shared:
        notes.append(f"up to {shared} speakers are in training and test of a fold of EmoBox's")
        logger.warning("%s: up to %d speakers are in training and test of a fold", folder, shared)
    groups = groups_of(args.prepare, 0)
    release = f"EmoBox, {len(rows)} rows"
    conf, utts = describe(utts, f"emobox-{folder.name}", release, groups=groups, notes=notes)
    shares = bool(shared or unknown)
    return {**conf, "protocol": "official", "shared_speakers": shares}, utts


def shared_speakers(folds: dict[int, dict[str, list[Row]]]) -> int:
    """The most speakers that training (or dev) and test of one fold have in common."""

    def speakers(rows: Iterable[Row]) -> set[str]:
        return {row.spk for row in rows if row.spk is not None}

    return max(
        len(speakers(p["test"]) & (speakers(p["train"]) | speakers(p.get("dev", []))))
        for p in folds.values()
    )


def as_folds(folds: dict[int, dict[str, list[Row]]], utts: dict[str, Utterance]) -> list[Fold]:
    """EmoBox's folds by utterance id; without a dev list every tenth training speaker is dev.

    Where speakers are not known, or there are fewer than ten in training, every tenth utterance is.

    Args:
        folds: From read_folds.
        utts: Of the data directory, which lacks those that a policy drops.
    """
    by_key = {u.own["key"]: u for u in utts.values()}
    made = []
    for number, parts in folds.items():
        ids = {
            name: [by_key[key].utt for row in rows if (key := "_".join(row.key.split())) in by_key]
            for name, rows in parts.items()
        }
        if "dev" not in ids:
            train = sorted(ids["train"])
            speakers = sorted({utts[u].spk for u in train})
            by = speakers if len(speakers) >= 10 else train
            chosen = set(by[::10])
            dev = [u for u in train if (utts[u].spk if by is speakers else u) in chosen]
            ids |= {"dev": dev, "train": sorted({*train} - {*dev})}
        lists = [sorted(ids[part]) for part in ("train", "dev", "test")]
        made.append(Fold(number, f"fold {number}", *lists))
    return made
