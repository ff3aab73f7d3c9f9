# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""The encoder's checkpoint inside a packed model: put in without pickle, laid out as it was."""

import json
from pathlib import Path

import safetensors.torch

from sertl.errors import SertlError
from sertl.train import checkpoint
from sertl.upstream.build import SHAPE_FILES
from sertl.upstream.whisper import encoder_weights
from sertl.use.packed import Packed
from sertl.use.plain_tree import join_tensors, split_tensors

FOLDER = "upstream"  # in the packed model
COMPUTED = ("fbank", "mfcc", "fbank_no_cmvn")  # S3PRL's encoders without weights
# What a folder holds instead of safetensors: Hugging Face's older form, FunASR's, fairseq's.
PICKLED = ("pytorch_model*.bin", "model.pt", "emotion2vec*.pt")


def carry(conf: dict) -> tuple[dict | None, dict[str, bytes]]:
    """The checkpoint of an encoder, as files of a packed model.

    Args:
        conf: The upstream's configuration, with its ckpt.

    Returns:
        What the manifest keeps of it, None for an encoder that has no weights; and the files.

    Raises:
        SertlError: No path of a checkpoint; no weights there, or none that can do without pickle.
    """
    if conf["ckpt"] is None:
        of_s3prl = conf["backend"] == "s3prl" and conf["name"] in COMPUTED
        if of_s3prl or conf["backend"] == "opensmile":
            return None, {}
        raise SertlError(
            f"the encoder '{conf['name']}' was loaded by name; give its checkpoint with --ckpt to "
            "pack it, or pack without --with-upstream"
        )
    path = Path(conf["ckpt"])
    if path.is_file():
        return {"kind": "file", "name": path.name}, _without_pickle(path, "checkpoint")
    shape = [path / name for name in SHAPE_FILES if (path / name).is_file()]
    kept = {"kind": "folder", "name": path.name}
    if conf["backend"] == "whisper":
        tensors = {f"encoder.{k}": t.contiguous() for k, t in encoder_weights(path).items()}
        content = safetensors.torch.save(tensors)
        return kept, {**_as_they_are(shape), f"{FOLDER}/model.safetensors": content}
    weights = sorted(path.glob("*.safetensors*"))
    if any(file.name.startswith("model.safetensors") for file in weights):
        return kept, _as_they_are([*shape, *weights])
    pickled = sorted({file for pattern in PICKLED for file in path.glob(pattern)})
    if not pickled:
        raise SertlError(
            f"{path}: no weights in it: none of model.safetensors, {', '.join(PICKLED)}"
        )
    indices = sorted(path.glob("*.bin.index.json"))
    files = _as_they_are([*shape, *weights, *indices])
    for file in pickled:
        files |= _without_pickle(file, file.name)
    return {**kept, "pickled": [file.name for file in pickled]}, files


def lay_out(packed: Packed, carried: dict, folder: Path) -> str:
    """Write the checkpoint as its backend reads it, and say where it is.

    Raises:
        SertlError: Damaged.
    """
    if carried["kind"] == "file":
        return _with_pickle(packed, "checkpoint", folder / "checkpoint.pt")
    pickled = carried.get("pickled", [])
    apart = {f"{FOLDER}/{name}{end}" for name in pickled for end in (".json", ".safetensors")}
    names = [n for n in packed.manifest["files"] if n.startswith(f"{FOLDER}/") and n not in apart]
    packed.unpack(names, folder)
    for name in pickled:
        _with_pickle(packed, name, folder / Path(name).name)
    return str(folder)


def _as_they_are(paths: list[Path]) -> dict[str, bytes]:
    return {f"{FOLDER}/{path.name}": path.read_bytes() for path in paths}


def _without_pickle(path: Path, name: str) -> dict[str, bytes]:
    plain, tensors = split_tensors(checkpoint.load(path))
    return {
        f"{FOLDER}/{name}.json": (json.dumps(plain, ensure_ascii=False) + "\n").encode(),
        f"{FOLDER}/{name}.safetensors": safetensors.torch.save(tensors),
    }


def _with_pickle(packed: Packed, name: str, path: Path) -> str:
    plain = json.loads(packed.read(f"{FOLDER}/{name}.json"))
    tensors = packed.tensors(f"{FOLDER}/{name}.safetensors")
    try:
        value = join_tensors(plain, tensors)
    except KeyError as error:
        raise SertlError(f"{packed.path}: the encoder's checkpoint lacks {error}") from error
    checkpoint.save(path, value)
    return str(path)
