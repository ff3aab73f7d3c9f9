# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Read what stage 7 wrote for one fold and seed, beside the references it belongs to."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from sertl.data.datadir import DataDir, read_data_dir
from sertl.data.folds import read_protocol
from sertl.errors import SertlError
from sertl.fingerprint import require_done
from sertl.run_file import read_run_json, read_run_text
from sertl.schema.run_records import DecodeFile, FullProtocol

INFO = "decode.json"
REMEDY = "run stage 7 (decode) with --redo"
_SHOWN = 5  # ids named in an error


@dataclass(frozen=True)
class Decoded:
    """Hypotheses and references of one set of one fold and seed.

    Attributes:
        folder: decode_<set>/.
        info: Content of decode.json: data_dir, fold, seed, set, classes.
        data: The data directory named there, with the references.
        protocol: protocol.json of its fold.
        labels: Emotion classes in index order; [] if the model has no emotion output.
        hyps: Field (data/fields.py) -> utterance -> value, for those that the model tells.
        orders: Utterance -> emotion, of each further order of the speakers' clips.
        inputs: Hash of every file read, by its part: "decode", "references", "protocol".
    """

    folder: Path
    info: dict
    data: DataDir
    protocol: dict
    labels: list[str]
    hyps: dict[str, dict[str, str]]
    inputs: dict[str, str]
    orders: tuple[dict[str, str], ...] = ()


def read_decoded(folder: str | Path) -> Decoded:
    """Read decode_<set>/ and the data directory it was decoded from.

    Raises:
        SertlError: If decoding is unfinished, a file is malformed, or the utterances or labels are
            not exactly those of the data directory.
    """
    folder = Path(folder)
    require_done(folder, "stage 7 (decode)")
    info = read_info(folder)
    data_dir = data_dir_of(folder)
    if not data_dir.is_dir():
        raise SertlError(
            f"{folder / INFO} names the data directory {info['data_dir']}, but there is no "
            f"{data_dir}; run stage 2, or copy the recipe's data/ along with its exp/"
        )
    data = read_data_dir(data_dir)
    if info.get("predictions", predictions_hash(folder)) != predictions_hash(folder):
        raise SertlError(f"{folder}: predictions were changed after decoding; {REMEDY}")
    hyps = {path.name.removeprefix("hyp_"): read_hyp(path) for path in hyp_files(folder)}
    if not hyps:
        raise SertlError(f"{folder} holds no hyp_* file; run stage 7 (decode) with --redo")
    for kind, hyp in hyps.items():
        _check_ids(folder / f"hyp_{kind}", hyp, data)
    labels = _read_labels(folder, data, hyps["emo"]) if "emo" in hyps else []
    orders = tuple(read_hyp(path) for path in order_files(folder))
    for path, hyp in zip(order_files(folder), orders, strict=True):
        _check_ids(path, hyp, data)
    protocol = read_protocol(data_dir.parent, FullProtocol)
    return Decoded(folder, info, data, protocol, labels, hyps, hashes(folder), orders)


def hyp_files(folder: Path) -> list[Path]:
    """hyp_emo and so on, as far as the model tells them."""
    return sorted(path for path in folder.glob("hyp_*") if path.is_file())


def order_files(folder: Path) -> list[Path]:
    """hyp_emo of every further order of the speakers' clips (mode online), by number."""
    numbered = [(int(p.parent.name[5:]), p) for p in folder.glob("order[0-9]*/hyp_emo")]
    return [path for _, path in sorted(numbered)]


def read_info(folder: Path) -> dict:
    """Read decode.json and check its keys."""
    path = folder / INFO
    return read_run_json(path, DecodeFile, REMEDY)


def data_dir_of(folder: Path) -> Path:
    """The data directory of a decode_<set>, whose path decode.json gives from the recipe's folder.

    The recipe's is the one that exp/<tag>/seed<s>/fold<k>/decode_<set> lies in, not the current
    one: experiments of several recipes are compared.
    """
    if len(folder.parents) < 5:
        folder = folder.absolute()
    return folder.parents[4] / read_info(folder)["data_dir"]


def read_hyp(path: Path) -> dict[str, str]:
    """Read "utt value" lines; unlike in other tables, a value may be empty (nothing recognised)."""
    table: dict[str, str] = {}
    lines = read_run_text(path, REMEDY).removesuffix("\n").split("\n")
    for number, line in enumerate(lines, start=1):
        utt, _, value = line.partition(" ")
        if not utt:
            raise SertlError(f"{path}:{number}: expected 'utt value', found {line!r}")
        if utt in table:
            raise SertlError(f"{path}:{number}: repeated utterance '{utt}'")
        table[utt] = value.strip()
    return table


def hashes(folder: Path) -> dict[str, str]:
    """Hash of what a score is made from, to tell later whether it still belongs to it."""
    data_dir = data_dir_of(folder)
    return {
        "decode": predictions_hash(folder),
        "references": _hash(sorted(path for path in data_dir.iterdir() if path.is_file())),
        "protocol": _hash([data_dir.parent / "protocol.json"]),
    }


def predictions_hash(folder: Path) -> str:
    """Hash of labels and predictions; decode.json says it, so that a changed file is noticed."""
    labels = folder / "labels"
    return _hash(
        [*([labels] if labels.is_file() else []), *hyp_files(folder), *order_files(folder)]
    )


def _hash(paths: list[Path]) -> str:
    digest = hashlib.sha256()
    for path in paths:
        content = path.read_bytes()
        digest.update(f"{path.name} {len(content)}\n".encode())
        digest.update(content)
    return digest.hexdigest()[:16]


def _check_ids(path: Path, hyp: dict[str, str], data: DataDir) -> None:
    missing = [utt for utt in data.utts if utt not in hyp]
    extra = [utt for utt in hyp if utt not in data.utts]
    if missing or extra:
        lines = [
            f"\n  {what} ({len(ids)}): {' '.join(ids[:_SHOWN])}{' …' if len(ids) > _SHOWN else ''}"
            for what, ids in (("missing", missing), ("extra", extra))
            if ids
        ]
        raise SertlError(
            f"{path} and {data.path} do not hold the same utterances:{''.join(lines)}\n"
            "The data changed after decoding; run stage 7 (decode) with --redo"
        )


def _read_labels(folder: Path, data: DataDir, hyp: dict[str, str]) -> list[str]:
    path = folder / "labels"
    labels = read_run_text(path, REMEDY).split()
    if labels != data.labels:
        raise SertlError(
            f"{path} lists the classes {' '.join(labels)}, but {data.path / 'labels'} "
            f"{' '.join(data.labels) or '(none)'}; model and references are of different tasks"
        )
    for utt, label in hyp.items():
        if label not in labels:
            raise SertlError(
                f"{folder / 'hyp_emo'}: '{utt}' has the unknown label '{label}', "
                f"expected one of {' '.join(labels)}"
            )
    return labels
