# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""The one exception whose message is meant for the user, and its "did you mean"."""

import difflib
from collections.abc import Iterable


class SertlError(Exception):
    """Something a user can mend; the message names the file, line or id, and what to do.

    Command-line scripts print the message alone and exit with status 1. Any other exception is a
    bug in sertl and keeps its traceback.
    """


# Words of earlier versions: old -> (what kind of name it was, new). Kind: a part of `what` below.
RENAMED = {
    "init_map": ("key", "init.map"),
    "init_parts": ("key", "init.only"),
    "freeze": ("key", "init.freeze"),
    "parts": ("key", "peft"),
    "changes": ("key", "written beside `like` itself"),
    "stage1": ("key", "phase1"),
    "stage2": ("key", "phase2"),
    "adapter": ("key of model", "wap"),
    "tune_adapter": ("key of model", "init.freeze=[wap] of the phase"),
    "codebook_decay": ("key of model", "cluster_decay"),
    "task_adapters": ("key of model", "task_mlp"),
    "scale": ("key of model", "loss_conf.scale"),
    "margin": ("key of model", "loss_conf.margin"),
    "margin_warmup": ("key of model", "loss_conf.margin_warmup"),
    "frame_labels": ("model", "frame_prediction"),
}


def unknown_name(what: str, name: object, known: Iterable[str]) -> SertlError:
    """Build the error for a name that is not among the known ones, with the nearest valid one.

    Args:
        what: The kind of thing, e.g. "upstream".
        name: What was asked for.
        known: Every valid name.
    """
    names = sorted(str(k) for k in known)
    near = difflib.get_close_matches(str(name), names, n=1, cutoff=0.5)
    hint = f"; did you mean '{near[0]}'?" if near else "."
    kind, new = RENAMED.get(str(name), ("", ""))
    if new and kind in what:
        hint = f"; it is now {new}."
    return SertlError(f"unknown {what} '{name}'{hint} Known: {', '.join(names) or '(none)'}")


def check_count(name: str, value: object, least: int = 1) -> None:
    """Refuse a setting that is not a whole number, or too small a one.

    Raises:
        SertlError: Naming the setting.
    """
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise SertlError(f"{name}: {value!r} is not a whole number of at least {least}")
