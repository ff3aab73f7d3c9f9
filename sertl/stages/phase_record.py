# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""run.json of a phase: what it saw, what was selected, and what it cost."""

import logging
from pathlib import Path

import torch

from sertl import fingerprint, provenance
from sertl.atomic import write_json
from sertl.data.datadir import DataDir
from sertl.data.frame_labels import FrameLabels
from sertl.models.base import SERModel
from sertl.peft.tuning import trained_by_group
from sertl.stages.phase import OpenPhase
from sertl.stages.selecting import Budget
from sertl.train import checkpoint
from sertl.train.loop import Trainer
from sertl.train.saved_state import State
from sertl.train.trained import BEST

logger = logging.getLogger(__name__)


def write_record(
    opened: OpenPhase,
    trainer: Trainer,
    state: State,
    select: str,
    budget: Budget | None,
    found: dict,
) -> None:
    """Write run.json, with the facts of the selected model and those found, and diagnostics."""
    model, device, out = trainer.model, trainer.device, trainer.out
    checkpoint.load_trained(model, checkpoint.load(out / BEST, "model")["model"], str(out / BEST))
    cost = costs(trainer, state, device)
    logger.info("%s: %s", out, cost_line(cost))
    if model.num_clusters:
        from sertl.stages.cluster_diagnostics import write_diagnostics  # slow to import

        found["clusters"] = write_diagnostics(out, model, opened, device)
    selected = {"epoch": state.best_epoch, "update": state.best_update, "share": state.share}
    selected |= {"metric": select, "value": state.best}
    if trainer.started:
        found["start"] = trainer.started
    if budget is not None:
        selected |= {"epoch": budget.epoch, "value": budget.value}
    write_json(out / "run.json", {**record_of(opened, model, selected, out), **cost, **found})


def record_of(opened: OpenPhase, model: SERModel, selected: dict, out: Path) -> dict:
    """What run.json says of any phase, trained or solved."""
    phase = opened.phase
    return {
        "phase": phase["name"],
        "method": opened.conf["method"],
        "input": opened.conf["input"],
        "upstream": opened.inputs.encoder,
        "layers": opened.inputs.layers,
        "selected": selected,
        "params": count_parameters(model),
        "trained_by_group": trained_by_group(model),
        "seen_ids": seen_ids(opened.train, opened.dev, opened.inputs.pseudo),
        "transductive": opened.conf["transductive"],
        "speaker_norm": phase["data_conf"]["speaker_norm"]["mode"],
        "class_weights": phase["data_conf"]["class_weights"],
        "crop_sec": phase["data_conf"]["crop_sec"],
        "config_hash": fingerprint.text_hash(str(phase)),
        "commit": provenance.commit(),
        "environment": provenance.environment(),
        "checkpoint_mib": round((out / BEST).stat().st_size / 2**20, 3),
        **model.facts(),
    }


def count_parameters(model: torch.nn.Module) -> dict[str, int]:
    """Numbers of trained and frozen parameters."""
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    total = sum(p.numel() for p in model.parameters())
    return {"trained": trained, "frozen": total - trained, "total": total}


def seen_ids(
    train: DataDir, dev: DataDir | None, pseudo: FrameLabels | None = None
) -> dict[str, dict]:
    """Number and hash of the ids that training, model selection and clustering saw."""
    parts = {"train": train, "dev": dev}
    seen = {
        name: {"n": len(data.utts), "hash": fingerprint.ids_hash(data.utts)}
        for name, data in parts.items()
        if data is not None
    }
    return seen if pseudo is None else {**seen, "clustering": pseudo.clustered}


def costs(trainer: Trainer, state: State, device: torch.device) -> dict[str, float]:
    """Time per epoch and per update, and peak memory, of the process that wrote them."""
    seconds = trainer.record.seconds("train")
    found = {
        "epochs": state.epoch if state.update else 0,
        "updates": state.update,
        "seconds_per_update": round(sum(seconds) / max(1, state.update), 4),
        "seconds_per_epoch": round(sum(seconds) / max(1, len(seconds)), 3),
        "peak_rss_gib": provenance.peak_rss_gib(),
    }
    if device.type == "cuda":
        found["peak_gpu_gib"] = round(torch.cuda.max_memory_allocated(device) / 2**30, 3)
    return found


def cost_line(found: dict[str, float]) -> str:
    """What costs() found, for the log."""
    line = (
        f"{found['epochs']} epochs, {found['updates']} updates of "
        f"{found['seconds_per_update']:.3f} s, peak memory {found['peak_rss_gib']:.2f} GiB"
    )
    gpu = found.get("peak_gpu_gib")
    return line if gpu is None else f"{line}, of the GPU {gpu:.2f} GiB"
