# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""An experiment: its resolved configuration, its tag, and the folder exp/<tag> that keeps both."""

import re
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path

from sertl.atomic import sweep
from sertl.config import load_method, parse_overrides, read_config
from sertl.errors import SertlError
from sertl.fingerprint import differences
from sertl.nn.frame_statistics import parse_statistics
from sertl.stages.inputs import choose_layers, lower_of, statistics_of
from sertl.stages.training_data import of_fold
from sertl.upstream.build import load_conf
from sertl.upstream.precision import chosen_dtype
from sertl.yaml_text import save_yaml


def resolve(
    conf_dir: str | Path,
    upstream: str,
    method: str,
    settings: Sequence[str] = (),
    ckpt: str | None = None,
    data: str = "data",
    dump: str = "",
    pool: str = "",
    before: str = "",
) -> dict:
    """Resolve everything a run depends on into one dictionary.

    Args:
        conf_dir: Holds upstream/ and method/.
        upstream: Name of a file in conf/upstream.
        method: Name of a file in conf/method.
        settings: "key=value" overrides; keys that start with `upstream.` change the upstream.
        ckpt: Local weights of the upstream, if not the conf's own.
        data: Folder of the folds: `data`, or `data/<policy>/<protocol>`.
        dump: Folder of the hidden states, for input `feats`; empty: dump/<upstream>.
        pool: Statistics of frames to dump instead of them; empty: what the method needs; "none":
            frames.
        before: What the encoder's dtype `auto` was found to mean when the experiment began; empty:
            this machine is asked.

    Returns:
        The method's configuration with data, upstream, and dump: where its features are; `pool`
        says what they are: statistics of the frames, or [] for frames; `dump_layers` names the
        hidden states that encoders go on from (upstream_conf.from_layer), or [].
    """
    overrides = parse_overrides(settings)
    changes = overrides.pop("upstream", {})
    if not isinstance(changes, dict):
        raise SertlError("--set upstream=… is not a key; use --upstream, or --set upstream.dtype=…")
    if ckpt:
        changes["ckpt"] = ckpt
    encoder = load_conf(upstream, Path(conf_dir) / "upstream", changes)
    if encoder["dtype"] == "auto":
        encoder["dtype"] = before or chosen_dtype("auto")
    conf = load_method(conf_dir, method, overrides)
    statistics, normalise = pooled_of(conf, encoder, pool)
    folder = pooled_dump(dump or f"dump/{dump_name(upstream, settings)}", statistics, normalise)
    lower = lower_dump(conf, encoder["num_layers"])
    if lower:
        folder += f".layers{'-'.join(map(str, lower))}"
    return {
        "data": data,
        "dump": folder,
        "dump_layers": lower,
        "pool": statistics,
        "upstream_name": upstream,
        "upstream": encoder,
        **conf,
    }


def every_phase(conf: dict) -> list[dict]:
    """Of a method, in the order of the stages: the teacher first."""
    return ([conf["teacher"]] if "teacher" in conf else []) + conf["phases"]


def lower_dump(conf: dict, num_layers: int) -> list[int]:
    """Hidden states that stage 3 dumps for the phases of a method that go on from one."""
    if conf["input"] != "wav":
        return []
    return sorted({n for phase in every_phase(conf) for n in lower_of(phase, num_layers)})


def pooled_of(conf: dict, encoder: dict, pool: str) -> tuple[list[str], bool]:
    """Statistics of frames that stage 3 stores for a method, and whether frames are normalised.

    Args:
        conf: Of the method.
        encoder: Of the upstream.
        pool: As in resolve.

    Returns:
        ([], False) where some phase needs frames.

    Raises:
        SertlError: A pool that the method cannot work from.
    """
    asked = [] if pool == "none" else parse_statistics(pool)
    if pool == "none" or conf["input"] != "feats":
        if asked:
            raise SertlError(f"--pool {pool}: {conf['method']} reads audio, nothing is dumped")
        return [], False
    wanted: list[str] = []
    normalised = set()
    for phase in every_phase(conf):
        count = encoder["num_layers"]
        layers = choose_layers(phase["data_conf"]["layers"], count, list(range(count)))
        found = () if "pseudo_labels" in conf else statistics_of(phase, len(layers))
        if not found:
            if asked:
                raise SertlError(
                    f"--pool {pool}: phase {phase['name']} of {conf['method']} needs frames"
                )
            return [], False
        wanted += [name for name in found if name not in wanted]
        normalised.add(phase["data_conf"]["normalise"])
    if len(normalised) > 1:
        return [], False
    if missing := [name for name in wanted if asked and name not in asked]:
        raise SertlError(f"--pool {pool} lacks {', '.join(missing)}, which the method reads")
    return asked or wanted, normalised.pop()


def pooled_dump(dump: str, statistics: Sequence[str], normalise: bool) -> str:
    """Where the vectors of a dump are; the dump itself where there are no statistics."""
    if not statistics:
        return dump
    return f"{dump}.{'-'.join(statistics)}{'.normalised' if normalise else ''}"


def shorthands(
    unlabelled: str, init_wap: str, phases: Sequence[str], speaker_norm: str = ""
) -> list[str]:
    """The settings that options of run.sh stand for.

    Args:
        unlabelled: Data directories for the phase `pretrain`, in one string.
        init_wap: Phase folder or experiment whose trained WAP adapter is taken.
        phases: Names of the method's phases.
        speaker_norm: none, offline or online; empty: as the method says.

    Raises:
        SertlError: If the method has no use for the option.
    """
    settings = [f"data_conf.speaker_norm.mode={speaker_norm}"] if speaker_norm else []
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


def paths_read(conf: dict) -> list[str]:
    """What a run reads beside data and dumps: the encoder's checkpoint, where phases start."""
    starts = [phase["init"]["from"] for phase in conf["phases"]]
    found = [conf["upstream"]["ckpt"], *(s for s in starts if s and "/" in s)]
    return [path for path in dict.fromkeys(found) if path]


def dump_name(upstream: str, settings: Sequence[str]) -> str:
    """Folder of the dump: the upstream, and what was set of it, so that variants live apart."""
    return "_".join([upstream, *(_word(s) for s in settings if s.startswith("upstream."))])


def make_tag(upstream: str, method: str, settings: Sequence[str], variant: str = "") -> str:
    """Name of an experiment: upstream, method, data variant and settings."""
    words = [upstream, method.replace("/", "-")]
    words += [variant.replace("/", "_")] if variant else []
    return "_".join([*words, *(_word(s) for s in settings)])


def check_tag(tag: str) -> str:
    """The name of an experiment, given by hand.

    Raises:
        SertlError: It leads out of the folder of experiments, or is no name.
    """
    path = Path(tag)
    if path.is_absolute() or ".." in path.parts or not path.parts or not tag.isprintable():
        raise SertlError(f"--tag {tag!r}: expected a name below the folder of experiments")
    return tag


def _word(setting: str) -> str:
    key, _, value = setting.partition("=")
    key = key.removesuffix(".mode")
    words = [key.split(".")[-1]] + [value] * (value != "true")
    words = [re.sub(r"[^A-Za-z0-9.+-]+", "-", word).strip("-") for word in words]
    return "-".join(words)


def dtype_of(exp: str | Path) -> str:
    """The encoder's dtype in the configuration of an experiment; empty if there is none yet."""
    there = (Path(exp) / "config.yaml").is_file()
    return read_config(exp)["upstream"]["dtype"] if there else ""


def save_experiment(exp: str | Path, conf: dict, command: str, redo: bool) -> None:
    """Write exp/<tag>/config.yaml, or check that the one there is the same.

    Raises:
        SertlError: If the folder belongs to another configuration, naming the differences.
    """
    exp = Path(exp)
    path = exp / "config.yaml"
    sweep(exp)
    if path.is_file() and not redo:
        lines = differences(_flat(read_config(exp)), _flat(conf))
        if lines:
            raise SertlError(
                f"{path} is another experiment:\n  " + "\n  ".join(lines) + "\n"
                "Give this one a name of its own (--tag), or --redo to replace it"
            )
    else:
        save_yaml(path, conf)
    with open(exp / "command.txt", "a", encoding="utf-8") as stream:
        stream.write(f"{datetime.now(timezone.utc):%Y-%m-%d %H:%M:%S}Z {command}\n")


def _flat(conf: dict) -> dict:
    """Phases by name, so that a difference is named by phase and key."""
    return {**conf, "phases": {phase["name"]: phase for phase in conf["phases"]}}
