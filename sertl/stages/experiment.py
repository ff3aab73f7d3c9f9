# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""An experiment: its resolved configuration, its tag, and the folder exp/<tag> that keeps both."""

import re
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path

from sertl.config import load_method, load_yaml, parse_overrides, save_config
from sertl.errors import SertlError
from sertl.fingerprint import differences
from sertl.stages.training_data import of_fold
from sertl.upstream.build import load_conf


def resolve(
    conf_dir: str | Path,
    upstream: str,
    method: str,
    settings: Sequence[str] = (),
    ckpt: str | None = None,
    data: str = "data",
    dump: str = "",
) -> dict:
    """Resolve everything a run depends on into one dictionary.

    Args:
        conf_dir: Holds train.yaml, upstream/ and method/.
        upstream: Name of a file in conf/upstream.
        method: Name of a file in conf/method.
        settings: "key=value" overrides; keys that start with `upstream.` change the upstream.
        ckpt: Local weights of the upstream, if not the conf's own.
        data: Folder of the folds: `data`, or `data/<policy>/<protocol>`.
        dump: Folder of the hidden states, for input `feats`; empty: dump/<upstream>.
    """
    overrides = parse_overrides(settings)
    changes = overrides.pop("upstream", {})
    if not isinstance(changes, dict):
        raise SertlError("--set upstream=… is not a key; use --upstream, or --set upstream.dtype=…")
    if ckpt:
        changes["ckpt"] = ckpt
    encoder = load_conf(upstream, Path(conf_dir) / "upstream", changes)
    return {
        "data": data,
        "dump": dump or f"dump/{dump_name(upstream, settings)}",
        "upstream_name": upstream,
        "upstream": encoder,
        **load_method(conf_dir, method, overrides),
    }


def shorthands(unlabelled: str, init_wap: str, phases: Sequence[str]) -> list[str]:
    """The settings that two options of run.sh stand for.

    Args:
        unlabelled: Data directories for the phase `pretrain`, in one string.
        init_wap: Phase folder or experiment whose trained WAP adapter is taken.
        phases: Names of the method's phases.

    Raises:
        SertlError: If the method has no use for the option.
    """
    settings = []
    if unlabelled:
        if "pretrain" not in phases:
            raise SertlError(f"--unlabelled feeds a phase 'pretrain'; the method has {phases}")
        settings.append(f"pretrain.data_conf.train=[{','.join(unlabelled.split())}]")
    if init_wap:
        if "pretrain" in phases:
            raise SertlError(
                "--init-wap brings a trained adapter, but this method trains its own; "
                "use --method wap"
            )
        settings += [f"init.from={init_wap}", "init.map.wap=teacher"]
    return settings


def other_data(conf: dict) -> list[str]:
    """Data directories that phases train on beside the fold's, in order."""
    sources = [s for phase in conf["phases"] for s in phase["data_conf"]["train"]]
    return list(dict.fromkeys(s for s in sources if not of_fold(s)))


def dump_name(upstream: str, settings: Sequence[str]) -> str:
    """Folder of the dump: the upstream, and what was set of it, so that variants live apart."""
    return "_".join([upstream, *(_word(s) for s in settings if s.startswith("upstream."))])


def make_tag(upstream: str, method: str, settings: Sequence[str], variant: str = "") -> str:
    """Name of an experiment: upstream, method, data variant and settings."""
    words = [upstream, method.replace("/", "-")]
    words += [variant.replace("/", "_")] if variant else []
    return "_".join([*words, *(_word(s) for s in settings)])


def _word(setting: str) -> str:
    key, _, value = setting.partition("=")
    words = [key.split(".")[-1]] + [value] * (value != "true")
    words = [re.sub(r"[^A-Za-z0-9.+-]+", "-", word).strip("-") for word in words]
    return "-".join(words)


def save_experiment(exp: str | Path, conf: dict, command: str, redo: bool) -> None:
    """Write exp/<tag>/config.yaml, or check that the one there is the same.

    Raises:
        SertlError: If the folder belongs to another configuration, naming the differences.
    """
    exp = Path(exp)
    path = exp / "config.yaml"
    if path.is_file() and not redo:
        lines = differences(_flat(load_yaml(path)), _flat(conf))
        if lines:
            raise SertlError(
                f"{path} is another experiment:\n  " + "\n  ".join(lines) + "\n"
                "Give this one a name of its own (--tag), or --redo to replace it"
            )
    else:
        save_config(path, conf)
    with open(exp / "command.txt", "a", encoding="utf-8") as stream:
        stream.write(f"{datetime.now(timezone.utc):%Y-%m-%d %H:%M:%S}Z {command}\n")


def load_experiment(exp: str | Path) -> dict:
    """Read exp/<tag>/config.yaml."""
    path = Path(exp) / "config.yaml"
    if not path.is_file():
        raise SertlError(f"{path}: no such experiment; run.sh writes it before stage 3")
    conf = load_yaml(path)
    missing = [key for key in ("data", "dump", "upstream", "input", "phases") if key not in conf]
    if missing:
        raise SertlError(f"{path} lacks {', '.join(missing)}; give a new --tag, or --redo")
    return conf


def _flat(conf: dict) -> dict:
    """Phases by name, so that a difference is named by phase and key."""
    return {**conf, "phases": {phase["name"]: phase for phase in conf["phases"]}}
