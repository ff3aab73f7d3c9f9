# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Pack what an experiment has trained: to be used, and published, without its recipe."""

import json
import shutil
import zipfile
from collections.abc import Sequence
from pathlib import Path

import safetensors.torch
import yaml

from sertl import __version__
from sertl.atomic import replacing
from sertl.config import read_config
from sertl.data.audio import SAMPLE_RATE
from sertl.errors import SertlError
from sertl.run_file import read_run_json
from sertl.schema.run_records import Record
from sertl.train import checkpoint
from sertl.train.trained import BEST, check_encoder, load_model
from sertl.upstream.build import describe
from sertl.use.carried import carry
from sertl.use.members import experiment_of, find_members
from sertl.use.model_card import model_card
from sertl.use.packed import FORMAT, MANIFEST, SUFFIX, file_entry
from sertl.use.plain_tree import split_tensors

Files = dict[str, bytes]


def pack(
    path: str | Path,
    out: str | Path,
    seeds: Sequence[int] = (),
    folds: Sequence[int] = (),
    with_upstream: bool = False,
    ckpt: str | None = None,
) -> Path:
    """Write a packed model.

    Args:
        path: Experiment, fold or phase, as find_members takes it.
        out: NAME.sertl for one file, anything else for a folder, which must not be there yet.
        seeds, folds: Only these.
        with_upstream: The encoder's checkpoint too, so that nothing else is needed.
        ckpt: Where it lies now.

    Raises:
        SertlError: Nothing trained; another encoder; a checkpoint that cannot be stored without
            pickle; a folder that is there.
    """
    out = Path(out)
    if out.suffix != SUFFIX and out.exists():
        raise SertlError(f"{out} is there already; choose another name, or delete it")
    members = find_members(path, seeds, folds)
    trained = load_model(members[0], ckpt)
    check_encoder(trained.encoder, trained.upstream, str(path))
    files: Files = {}
    listed = [_member(folder, number, files) for number, folder in enumerate(members)]
    carried = None
    if with_upstream:
        carried, of_encoder = carry(trained.upstream)
        files |= of_encoder
    exp = experiment_of(path)
    results = _results(exp)
    if results:
        files["scores.json"] = _json({k: results[k] for k in ("headline", "test", "card")})
    files["config.yaml"] = _configuration(exp)
    manifest = {
        "format": FORMAT,
        "sertl": __version__,
        "name": exp.name,
        "labels": list(trained.spec.labels),
        "sample_rate": SAMPLE_RATE,
        "members": listed,
        "encoder": describe(trained.upstream),
        "upstream": carried,
    }
    card = model_card(manifest, results, trained.upstream, trained.phase)
    files["README.md"] = card.encode()
    manifest["files"] = {name: file_entry(content) for name, content in files.items()}
    _write(out, {MANIFEST: _json(manifest), **files})
    return out


def _member(folder: Path, number: int, files: Files) -> dict:
    """Add a model's tensors to the files; what the manifest keeps of it."""
    saved = checkpoint.load(folder / BEST)
    saved["upstream"] = {**saved["upstream"], "ckpt": None}  # a path of this machine
    plain, tensors = split_tensors(saved)
    name = f"member{number}.safetensors"
    files[name] = safetensors.torch.save(tensors)
    seed, fold = folder.parent.parent.name, folder.parent.name
    return {"seed": seed, "fold": fold, "weights": name, "saved": plain}


def _configuration(exp: Path) -> bytes:
    """The experiment's, without the paths of this machine."""
    conf = read_config(exp)
    for key in ("data", "dump"):
        conf[key] = Path(str(conf.get(key, ""))).name
    conf["upstream"] = {**conf["upstream"], "ckpt": None}
    return yaml.safe_dump(conf, sort_keys=False, allow_unicode=True).encode()


def _results(exp: Path) -> dict:
    file = exp / "results.json"
    if not file.is_file():
        return {}
    found = read_run_json(file, Record, "run stage 9 with --redo, or delete it")
    return found if {"headline", "test", "card"} <= set(found) else {}


def _json(value: object) -> bytes:
    return (json.dumps(value, ensure_ascii=False, indent=1) + "\n").encode()


def _write(out: Path, files: Files) -> None:
    if out.suffix == SUFFIX:
        with replacing(out) as temporary, zipfile.ZipFile(temporary, "w") as archive:
            for name, content in files.items():
                # A fixed date, so that the same model packs to the same bytes.
                archive.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), content)
        return
    temporary = out.with_name(f".{out.name}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    for name, content in files.items():
        (temporary / name).parent.mkdir(parents=True, exist_ok=True)
        (temporary / name).write_bytes(content)
    temporary.rename(out)
