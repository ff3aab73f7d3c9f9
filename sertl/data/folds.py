# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Fold directories on disk: three data directories, `protocol.json`, a tokenizer.

Which utterance goes where is decided in `split.py`.
"""

import logging
import os
import re
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from sertl.atomic import write_json, write_text
from sertl.data.corpus import Corpus
from sertl.data.datadir import DataDir, read_data_dir, write_data_dir
from sertl.data.split import DEV_RULES, SELECT, Fold, make_folds, per_class, shared_speakers
from sertl.data.tokenizer import Tokenizer, learn_tokenizer, load_tokenizer
from sertl.errors import SertlError
from sertl.fingerprint import Progress, begin, file_hash, finish, ids_hash, lines_hash, text_hash
from sertl.run_file import read_run_json
from sertl.schema.run_records import ProtocolFile, Record

__all__ = ["Fold", "FoldDir", "fold_hash", "make_folds", "read_protocol", "write_folds"]

logger = logging.getLogger(__name__)

PROTOCOL = "protocol.json"
RECORD = ".folds"  # folder of the fingerprint; the data directories themselves stay plain
FOLD_NAME = re.compile(r"\.?fold\d+(\.tmp)?")
HELD_OUT = ("dev", "test", "source_dev", "source_test")  # nothing is trained on them


@dataclass(frozen=True)
class FoldDir:
    """A fold as stage 2 made it.

    Attributes:
        data: Folder of the folds: `data`, or `data/<policy>/<protocol>`.
        number: From 1.
    """

    data: Path
    number: int

    @property
    def path(self) -> Path:
        """data/fold<k>."""
        return self.data / f"fold{self.number}"

    def has(self, part: str) -> bool:
        """Whether there is such a part; some protocols use no dev set."""
        return (self.path / part).is_dir()

    def part(self, name: str) -> DataDir:
        """Read train, dev, test or another part.

        Raises:
            SertlError: If it is not there or not valid.
        """
        if not self.has(name):
            raise SertlError(f"{self.path / name}: no such folder; run stage 2 first")
        return read_data_dir(self.path / name)

    def held_out(self) -> list[DataDir]:
        """Test and, if there are any, dev and the same of the source."""
        return [self.part(name) for name in HELD_OUT if self.has(name)]

    def protocol(self) -> dict:
        """Content of protocol.json."""
        return read_protocol(self.path)

    def tokenizer(self) -> Tokenizer | None:
        """The tokenizer learned on the training text; None where there is none."""
        folder = self.path / "tokenizer"
        return load_tokenizer(folder) if folder.is_dir() else None

    def tokenizer_hash(self) -> str | None:
        """Hash of it: its ids mean something only to models trained with it."""
        folder = self.path / "tokenizer"
        return file_hash(folder) if folder.is_dir() else None


def write_folds(
    folds: Sequence[Fold],
    data: DataDir,
    corpus: Corpus,
    protocol: str,
    out: str | os.PathLike,
    redo: bool = False,
    token_type: str = "char",
    bpe_size: int = 200,
    seed: int = 0,
) -> None:
    """Write `out/fold<k>/{train,dev,test}`, `protocol.json`, a tokenizer, and `out/num_folds`.

    Folders that were written whole from the same inputs are left alone; those of an interrupted run
    are made again. A fold folder appears only when all of it is written.

    Args:
        folds: From make_folds.
        data: What they split.
        corpus: Its description.
        protocol: Name of the protocol.
        out: Folder for the folds.
        redo: Delete the folds that are there.
        token_type: "char", "bpe", "unigram" or "none"; used if there is `text`.
        bpe_size: Number of subword tokens.
        seed: Seed given to make_folds.

    Raises:
        SertlError: If folds from other inputs are there, naming each difference.
    """
    out = Path(out)
    inputs = {
        "corpus": asdict(corpus),
        "protocol": protocol,
        "seed": seed,
        "num_utts": len(data.utts),
        "utterances": lines_hash(map(repr, data.utts.values())),
        "folds": text_hash("".join(map(fold_hash, folds))),
        "token_type": token_type,
        "bpe_size": bpe_size if token_type in ("bpe", "unigram") else None,
    }
    progress = begin(out / RECORD, inputs, redo)
    if progress is Progress.DONE and _complete(out, folds):
        logger.info("%s: %d folds made before from the same inputs, skipped", out, len(folds))
        return
    _clear(out)
    for fold in folds:
        temporary = out / f".fold{fold.index}.tmp"
        card = protocol_card(fold, folds, data, corpus, protocol, seed)
        _write_fold(temporary, fold, data, corpus, card)
        _write_tokenizer(temporary, fold, data, token_type, bpe_size)
        temporary.rename(out / f"fold{fold.index}")
        logger.info(
            "fold %d of %d, test %s: train %d, dev %d, test %d utterances",
            *(fold.index, len(folds), fold.group),
            *(len(fold.train), len(fold.dev), len(fold.test)),
        )
    write_text(out / "num_folds", f"{len(folds)}\n")
    finish(out / RECORD)


def _clear(out: Path) -> None:
    """Delete the folds that are there, and first what says that they are complete."""
    (out / "num_folds").unlink(missing_ok=True)
    for folder in out.iterdir():
        if folder.is_dir() and FOLD_NAME.fullmatch(folder.name):
            shutil.rmtree(folder)


def fold_hash(fold: Fold) -> str:
    """Hash of which utterance is in which part."""
    return text_hash(" ".join(f"{name}:{ids_hash(ids)}" for name, ids in fold.parts().items()))


def protocol_card(
    fold: Fold, folds: Sequence[Fold], data: DataDir, corpus: Corpus, protocol: str, seed: int
) -> dict:
    """Describe under which rules a fold's numbers are obtained."""
    return {
        "corpus": corpus.name,
        "release": corpus.release,
        "language": corpus.language,
        "policy": corpus.policy,
        "labels": corpus.labels,
        "merge": corpus.merge,
        "n_per_class": per_class(data, list(data.utts)),
        "protocol": protocol,
        "fold": fold.index,
        "num_folds": len(folds),
        "group_by": {"loso10": "spk", "official": "part"}.get(protocol, corpus.group_by),
        "test_group": fold.group,
        "num_utts": {name: len(ids) for name, ids in fold.parts().items()},
        "dev_rule": DEV_RULES[protocol].format(seed=seed),
        "select": SELECT[protocol],
        "fold_hash": fold_hash(fold),
        "shared_speakers": len(shared_speakers(fold, data, protocol)),
        "licence": corpus.licence,
        "cite": corpus.cite,
        "notes": corpus.notes,
    }


def _complete(out: Path, folds: Sequence[Fold]) -> bool:
    """Whether nothing was deleted since the folds were made."""
    wanted = [out / "num_folds"]
    for fold in folds:
        folder = out / f"fold{fold.index}"
        wanted += [folder / PROTOCOL, *(folder / name for name, ids in fold.parts().items() if ids)]
    missing = [str(path) for path in wanted if not path.exists()]
    if missing:
        logger.warning("%s: gone since the folds were made; made again", ", ".join(missing[:3]))
    return not missing


def _write_fold(folder: Path, fold: Fold, data: DataDir, corpus: Corpus, card: dict) -> None:
    for name, ids in fold.parts().items():
        if ids:
            utts = [data.utts[utt] for utt in ids]
            write_data_dir(folder / name, utts, corpus.labels, data.vad_range)
    write_json(folder / PROTOCOL, card)


def _write_tokenizer(
    folder: Path, fold: Fold, data: DataDir, token_type: str, bpe_size: int
) -> None:
    """Learn a tokenizer on the training text alone: dev and test may hold unseen characters."""
    texts = [text for utt in fold.train if (text := data.utts[utt].text)]
    if token_type == "none" or not texts:
        return
    learn_tokenizer(texts, token_type, bpe_size).save(folder / "tokenizer")


def read_protocol(fold_dir: str | os.PathLike, kind: type[Record] = ProtocolFile) -> dict:
    """Read `protocol.json` of a fold.

    Args:
        fold_dir: Of the fold.
        kind: What it must hold.

    Raises:
        SertlError: If the fold was not made, or the file is damaged.
    """
    return read_run_json(Path(fold_dir) / PROTOCOL, kind, "run stage 2 (make_folds) with --redo")
