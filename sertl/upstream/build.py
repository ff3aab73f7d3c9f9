# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""conf/upstream/<name>.yaml -> an Upstream, and what of it belongs in a fingerprint."""

from functools import lru_cache
from pathlib import Path

from sertl.config import load_yaml, merge
from sertl.errors import SertlError, unknown_name
from sertl.fingerprint import file_hash, text_hash
from sertl.upstream.base import DTYPES, Upstream

CODE_VERSION = 1  # raise it when the same checkpoint would give other features

DEFAULTS = {
    "backend": "",  # s3prl | whisper
    "name": "",  # S3PRL entry that downloads its checkpoint, used without ckpt
    "name_local": "",  # S3PRL entry used when ckpt is a file
    "name_hf": "",  # S3PRL entry used when ckpt is a Hugging Face folder
    "ckpt": None,  # path of a checkpoint file or folder
    "extra_conf": None,  # mapping: further arguments of the S3PRL entry
    "layers": "all",  # hidden states to dump: all | [i, ...]
    "num_layers": 0,  # expected number of hidden states
    "hidden_size": 0,  # expected D
    "stride": 0,  # expected samples per frame
    "dtype": "float32",  # float32 | bf16 (autocast; outputs are float32)
    "pad_to_30s": False,  # Whisper: 30 s of padded input, as transformers does
    "dropout": 0.0,  # in the Transformer blocks, when fine-tuned
    "note": "",  # what the encoder is, where its weights come from, their licence
}
BACKENDS = ("s3prl", "whisper")
HF_FILES = ("config.json", "preprocessor_config.json")  # of a folder; and its weights


def load_conf(
    name_or_path: str | Path, conf_dir: str | Path, overrides: dict | None = None
) -> dict:
    """Read and check an upstream's configuration.

    Args:
        name_or_path: A file name in conf_dir without .yaml, or the path of a .yaml file.
        conf_dir: conf/upstream.
        overrides: Keys to replace, e.g. {"ckpt": "hubert.pt", "dtype": "bf16"}.

    Returns:
        All keys of DEFAULTS.

    Raises:
        SertlError: Unknown upstream or key (with the nearest valid one), or a wrong value.
    """
    path = Path(name_or_path)
    if path.suffix not in (".yaml", ".yml"):
        path = Path(conf_dir) / f"{name_or_path}.yaml"
        if not path.is_file():
            known = [p.stem for p in Path(conf_dir).glob("*.yaml")]
            raise unknown_name("upstream", name_or_path, known)
    where = f"{path} with {overrides}" if overrides else str(path)
    conf = merge(DEFAULTS, {**load_yaml(path), **(overrides or {})}, where)
    conf["extra_conf"] = conf["extra_conf"] or {}
    if not isinstance(conf["extra_conf"], dict):
        raise SertlError(f"{where}: extra_conf must be a mapping, got {conf['extra_conf']!r}")
    for key, choices in (("backend", BACKENDS), ("dtype", DTYPES)):
        if conf[key] not in choices:
            raise SertlError(f"{where}: {unknown_name(key, conf[key], choices)}")
    for key in ("num_layers", "hidden_size", "stride"):
        if conf[key] <= 0:
            raise SertlError(f"{where}: {key} is {conf[key]}; declare what the encoder has")
    dump_layers(conf, where)
    return conf


def dump_layers(conf: dict, where: str = "upstream conf") -> list[int]:
    """The hidden states that `layers` means, in ascending order.

    Raises:
        SertlError: If it is neither `all` nor a list of indices below num_layers.
    """
    layers, count = conf["layers"], conf["num_layers"]
    if layers == "all":
        return list(range(count))
    good = isinstance(layers, list) and layers and all(type(i) is int for i in layers)
    if not good or len(set(layers)) < len(layers) or not 0 <= min(layers) <= max(layers) < count:
        raise SertlError(
            f"{where}: layers is {layers!r}, expected 'all' or a list of different indices out of "
            f"0..{count - 1}"
        )
    return sorted(layers)


def build_upstream(conf: dict) -> Upstream:
    """Build the encoder of a configuration from load_conf; frozen, in evaluation mode.

    Raises:
        SertlError: No or a broken checkpoint, a failed download, or an encoder of another size
            than the configuration declares.
    """
    name = entry(conf)
    if conf["backend"] == "whisper":
        from sertl.upstream.whisper import build_whisper

        upstream = build_whisper(conf["ckpt"], conf["dtype"], conf["pad_to_30s"], conf["dropout"])
    else:
        from sertl.upstream.s3prl import build_s3prl

        upstream = build_s3prl(
            name, conf["ckpt"], conf["extra_conf"], conf["dtype"], conf["dropout"]
        )
    wrong = [
        f"{key}: declared {conf[key]}, built {getattr(upstream, key)}"
        for key in ("num_layers", "hidden_size", "stride")
        if conf[key] != getattr(upstream, key)
    ]
    if wrong:
        raise SertlError(
            f"upstream '{name}' with checkpoint {conf['ckpt'] or '(downloaded)'} is not what its "
            f"conf declares: {'; '.join(wrong)}. Wrong checkpoint, or a conf to correct"
        )
    return upstream


def entry(conf: dict) -> str:
    """The S3PRL name that fits the checkpoint ("whisper" for that backend).

    Raises:
        SertlError: If the checkpoint does not exist, is missing where it is needed, or is a file
            where only a folder can be read, or the reverse.
    """
    ckpt, note = conf["ckpt"], f" ({conf['note'].strip()})" if conf["note"] else ""
    if ckpt is not None and not Path(ckpt).exists():
        raise SertlError(
            f"checkpoint {ckpt}: no such file or folder (looked from {Path.cwd()}); "
            "give its path with --ckpt"
        )
    if conf["backend"] == "whisper":
        if ckpt is None:
            raise SertlError(
                "a Whisper upstream needs a local folder saved by transformers; give --ckpt FOLDER"
                + note
            )
        return "whisper"
    if ckpt is None:
        if not conf["name"]:
            raise SertlError(f"this upstream has no download; give its --ckpt PATH{note}")
        return conf["name"]
    key = "name_hf" if Path(ckpt).is_dir() else "name_local"
    if not conf[key]:
        kind = "folder" if key == "name_hf" else "file"
        raise SertlError(
            f"checkpoint {ckpt} is a {kind}, and no {key} in this upstream's conf loads one{note}"
        )
    return conf[key]


def describe(conf: dict) -> dict:
    """What features depend on beside the audio and the layers, for fingerprints.

    Raises:
        SertlError: As entry.
    """
    name = entry(conf)
    ckpt = "by name" if conf["ckpt"] is None else checkpoint_hash(str(conf["ckpt"]))
    return {
        "name": name,
        "backend": conf["backend"],
        "checkpoint": ckpt,
        "extra_conf": conf["extra_conf"],
        "dtype": conf["dtype"],
        "pad_to_30s": conf["pad_to_30s"],
        "code_version": CODE_VERSION,
    }


def checkpoint_hash(ckpt: str) -> str:
    """Hash of a checkpoint file, or of the configuration and weight files of a folder."""
    path = Path(ckpt)
    files = [path]
    if path.is_dir():
        weights = [f for end in ("*.safetensors", "*.bin") for f in path.glob(end)]
        files = sorted([path / f for f in HF_FILES if (path / f).is_file()] + weights)
    parts = []
    for file in files:
        stat = file.stat()
        parts.append(f"{file.name} {_hash(str(file), stat.st_size, stat.st_mtime_ns)}")
    return text_hash("\n".join(parts)) if path.is_dir() else parts[0].split()[-1]


@lru_cache
def _hash(file: str, _size: int, _mtime_ns: int) -> str:
    return file_hash(file)
