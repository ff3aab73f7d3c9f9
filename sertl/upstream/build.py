# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""conf/upstream/<name>.yaml -> an Upstream, and what of it belongs in a fingerprint."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Protocol

from sertl.errors import SertlError, unknown_name
from sertl.fingerprint import file_hash, text_hash
from sertl.registry import Registry
from sertl.schema.strict import checked, merged
from sertl.schema.upstream_keys import Encoder
from sertl.upstream.encoder import Upstream
from sertl.yaml_text import load_yaml

# To be raised when the same checkpoint would give other features. 2: the last hidden state of a
# pre-norm Hugging Face model is taken after its final norm.
CODE_VERSIONS = {"hf_hubert_custom": 2, "hf_wav2vec2_custom": 2}

BACKENDS: Registry[type["Backend"]] = Registry("backend", "sertl.upstream")
# Of a folder with a checkpoint: what its features follow from. Hugging Face's and FunASR's forms.
SHAPE_FILES = ("config.json", "preprocessor_config.json", "config.yaml")
WEIGHT_FILES = ("*.safetensors", "*.bin", "*.pt")


def load_conf(
    name_or_path: str | Path, conf_dir: str | Path, overrides: dict | None = None
) -> dict:
    """Read and check an upstream's configuration.

    Args:
        name_or_path: A file name in conf_dir without .yaml, or the path of a .yaml file.
        conf_dir: conf/upstream.
        overrides: Keys to replace, e.g. {"ckpt": "hubert.pt", "dtype": "bf16"}.

    Returns:
        All keys of schema.upstream_keys.Encoder.

    Raises:
        SertlError: Unknown upstream or key (with the nearest valid one), or a wrong value.
    """
    path = Path(name_or_path)
    if path.suffix not in (".yaml", ".yml"):
        path = Path(conf_dir) / f"{name_or_path}.yaml"
        if not path.is_file():
            known = [p.stem for p in Path(conf_dir).glob("*.yaml")]
            raise unknown_name("upstream", name_or_path, known)
    conf = _read_conf(path, Path(conf_dir), ())
    where = str(path)
    if overrides:
        where = f"--set upstream of {path}"
        conf = merged(Encoder, conf, overrides, where)
    if not BACKENDS.knows(conf["backend"]):
        raise SertlError(f"{where}: {unknown_name('backend', conf['backend'], BACKENDS.names())}")
    dump_layers(conf, where)
    return conf


def _read_conf(path: Path, conf_dir: Path, seen: tuple[Path, ...]) -> dict:
    """A file with all that it is `like`."""
    if path in seen:
        raise SertlError(f"{path}: like goes round in a circle: {' -> '.join(map(str, seen))}")
    written = load_yaml(path)
    like = written.pop("like", None)
    if like is None:
        return checked(Encoder, written, str(path))
    base = conf_dir / f"{like}.yaml"
    if not base.is_file():
        known = [p.stem for p in conf_dir.glob("*.yaml")]
        raise SertlError(f"{path}, like: {unknown_name('upstream', like, known)}")
    return merged(Encoder, _read_conf(base, conf_dir, (*seen, path)), written, str(path))


def dump_layers(conf: dict, where: str = "upstream conf") -> list[int]:
    """The hidden states that `layers` means, in ascending order.

    Raises:
        SertlError: If one is not below num_layers.
    """
    layers, count = conf["layers"], conf["num_layers"]
    if layers == "all":
        return list(range(count))
    if max(layers) >= count:
        raise SertlError(
            f"{where}: layers is {layers!r}, but the encoder has the hidden states 0..{count - 1}"
        )
    return sorted(layers)


class Backend(Protocol):
    """A way to build encoders, registered under the name that a conf's `backend` gives.

    It stands in sertl/upstream/<name>.py and is imported when a conf asks for it.
    """

    @staticmethod
    def entry(conf: dict) -> str:
        """What the configuration loads, for fingerprints and messages.

        Raises:
            SertlError: No checkpoint where one is needed, or of a kind that it does not read.
        """

    @staticmethod
    def build(conf: dict) -> Upstream:
        """The encoder, frozen, in evaluation mode; SertlError for a broken checkpoint."""


def build_upstream(conf: dict) -> Upstream:
    """Build the encoder of a configuration from load_conf; frozen, in evaluation mode.

    Raises:
        SertlError: No or a broken checkpoint, a failed download, or an encoder of another size
            than the configuration declares.
    """
    name = entry(conf)
    with readable(name, conf["ckpt"]):
        upstream = BACKENDS.get(conf["backend"]).build(conf)
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


@contextmanager
def readable(name: str, ckpt: str | None) -> Iterator[None]:
    """Around what libraries make of a checkpoint: they raise whatever a damaged one leads them to.

    Raises:
        SertlError: Naming the checkpoint. The cause stays attached.
    """
    try:
        yield
    except (SertlError, MemoryError):
        raise
    except Exception as error:
        if ckpt is None:
            raise
        first = next(iter(str(error).splitlines()), "")[:200]
        raise SertlError(
            f"{ckpt}: not a checkpoint that '{name}' can load, or damaged "
            f"({type(error).__name__}: {first})"
        ) from error


def entry(conf: dict) -> str:
    """What of the backend the configuration loads, e.g. an S3PRL name.

    Raises:
        SertlError: If the checkpoint does not exist, or what the backend's entry raises.
    """
    ckpt = conf["ckpt"]
    if ckpt is not None and not Path(ckpt).exists():
        raise SertlError(
            f"checkpoint {ckpt}: no such file or folder (looked from {Path.cwd()}); "
            "give its path with --ckpt"
        )
    return BACKENDS.get(conf["backend"]).entry(conf)


def note_of(conf: dict) -> str:
    """What the encoder is and how to get its weights, for messages; empty without either."""
    words = [conf["note"].strip().rstrip(".")] if conf["note"] else []
    if conf["source"]:
        words.append(get_command(conf))
    return f" ({'; '.join(words)})" if words else ""


def get_command(conf: dict) -> str:
    """The command that downloads the weights into a folder for --ckpt."""
    return f"hf download {conf['source']} --local-dir {Path(conf['source']).name}"


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
        "code_version": CODE_VERSIONS.get(name, 1),
    }


def checkpoint_hash(ckpt: str) -> str:
    """Hash of a checkpoint file, or of the configuration and weight files of a folder."""
    path = Path(ckpt)
    files = [path]
    if path.is_dir():
        weights = [f for end in WEIGHT_FILES for f in path.glob(end)]
        files = sorted([path / f for f in SHAPE_FILES if (path / f).is_file()] + weights)
    parts = []
    for file in files:
        stat = file.stat()
        parts.append(f"{file.name} {_hash(str(file), stat.st_size, stat.st_mtime_ns)}")
    return text_hash("\n".join(parts)) if path.is_dir() else parts[0].split()[-1]


@lru_cache
def _hash(file: str, _size: int, _mtime_ns: int) -> str:
    return file_hash(file)
