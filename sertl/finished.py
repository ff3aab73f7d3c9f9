# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Whether a whole run of run.sh was finished before, from the same inputs, seen without torch.

Every stage recognises finished work by itself, but has to import and open things for it. A run that
has ended writes down what it was asked for and how every file that it read or wrote looked (size
and time of change). The same command then ends at once, as long as all of these look the same.
"""

import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from sertl.atomic import write_json
from sertl.data.table import read_table
from sertl.errors import SertlError
from sertl.fingerprint import text_hash
from sertl.run_file import read_run_json
from sertl.schema.run_records import FinishedFile

FOLDER = ".finished"  # in exp/: a file for each command line
UNSEEN = {"tb", "__pycache__", FOLDER}  # folders whose files decide nothing
UNSEEN_FILES = {"command.txt"}  # grows with every call


def record(exp_root: Path, asked: str, code: Iterable[Path], folders: Iterable[Path]) -> None:
    """Write down a run that has just ended.

    Args:
        exp_root: exp/.
        asked: Everything the run was asked for, in one text.
        code: Folders and files that it was computed by: sertl/, conf/, the recipe's own.
        folders: Folders that it read or wrote: data, dumps, exp/<tag>; the encoder's checkpoint.
    """
    folders = [str(f) for f in folders]
    content = {"asked": asked, "folders": folders, **_seen(code, map(Path, folders))}
    write_json(_file(exp_root, asked), content)


def is_finished(exp_root: Path, asked: str, code: Iterable[Path]) -> bool:
    """Whether record saw the same run end, and nothing looks different."""
    path = _file(exp_root, asked)
    if not path.is_file():
        return False
    try:
        then = read_run_json(path, FinishedFile, "it is written anew")
        now = _seen(code, map(Path, then["folders"]))
    except (SertlError, OSError):
        return False
    return then["asked"] == asked and all(then[key] == now[key] for key in now)


def _file(exp_root: Path, asked: str) -> Path:
    return exp_root / FOLDER / f"{text_hash(asked)}.json"


def _seen(code: Iterable[Path], folders: Iterable[Path]) -> dict[str, str]:
    folders = list(folders)
    return {
        "code": _looks(code),
        "files": _looks(folders),
        "audio": _looks(_audio(folders)),
    }


def _audio(folders: Iterable[Path]) -> Iterator[Path]:
    """The recordings that the data directories among the folders name."""
    for folder in folders:
        if (folder / "wav.scp").is_file():
            yield from (Path(wav) for wav in read_table(folder / "wav.scp").values())


def _looks(paths: Iterable[Path]) -> str:
    """Hash of path, size and time of change of every file."""
    return text_hash(json.dumps([line for path in paths for line in sorted(_lines(path))]))


def _lines(path: Path) -> Iterator[str]:
    if path.is_dir():
        for entry in os.scandir(path):
            if entry.is_dir() and entry.name not in UNSEEN:
                yield from _lines(Path(entry.path))
            elif entry.name not in UNSEEN_FILES and entry.is_file():
                yield _line(entry.path, entry.stat())
    else:
        yield _line(str(path), path.stat())


def _line(path: str, stat: os.stat_result) -> str:
    return f"{path} {stat.st_size} {stat.st_mtime_ns}"
