# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Stages 4 and 6: train one phase of one run."""

import logging
from collections.abc import Iterable
from functools import partial
from pathlib import Path

import torch

from sertl import fingerprint, provenance
from sertl.atomic import write_json
from sertl.data.audio import audio_hash
from sertl.data.datadir import DataDir, Utterance
from sertl.data.folds import FoldDir
from sertl.data.frame_labels import FrameLabels
from sertl.data.speaker_norm import SpeakerNorm
from sertl.models.base import MODELS, SERModel
from sertl.peft.tuning import trained_by_group, trained_line
from sertl.runs import Run
from sertl.seed import derive_seed, seed_everything
from sertl.stages.frozen_head import frozen_head
from sertl.stages.phase import OpenPhase, open_phase
from sertl.stages.selecting import (
    ALL_GIVEN,
    Budget,
    find_budget,
    joined,
    nothing_to_choose,
    splits_of,
)
from sertl.stages.start import start_model, start_of
from sertl.stages.training_data import save_ids
from sertl.train import checkpoint, distributed
from sertl.train.loop import Trainer
from sertl.train.saved_state import State
from sertl.train.trained import BEST, to_rebuild

logger = logging.getLogger(__name__)


def train_phase(conf: dict, phase: dict, run: Run, use_gpu: bool, redo: bool) -> None:
    """Train a phase unless it is done already; write best.pt and run.json to its folder."""
    opened = open_phase(conf, phase, run)
    fold, out = FoldDir(Path(conf["data"]), run.fold), run.phase(phase["name"])
    protocol = fold.protocol()
    select = select_of(phase, protocol)
    start = start_of(phase, run, fold, opened.inputs.encoder, conf["transductive"])
    device = distributed.init(use_gpu)
    if claim(out, inputs_of(opened, fold, protocol, start), redo) is fingerprint.Progress.DONE:
        logger.info("%s: already trained", out)
        return
    splits = splits_of(opened, protocol)
    seen = joined(opened) if splits else opened.train
    norm = opened.fit_speaker_norm(seen)
    # A protocol that takes the last update chooses nothing by dev, lambda neither.
    share = 1.0 if select == "last" and phase["select"] != "last" else None
    make = partial(make_trainer, opened, norm, start, device, share=share)
    budget = None
    if splits and not nothing_to_choose(phase, select):
        budget = find_budget(
            splits,
            lambda s: make(out / s.name, s.train, s.held_out, select, all_epochs=True),
            out,
            select,
        )
    rule, dev = ("last", None) if splits else (select, opened.dev)
    trainer = make(out, seen, dev, rule, budget=budget)
    trainer.head = frozen_head(opened, trainer.model)
    rank, _ = distributed.rank_and_world()
    if rank == 0:
        save_ids(out, seen, start)
    state = trainer.run()
    if rank == 0:
        found = {"selection": budget.words if budget else ALL_GIVEN} if splits else {}
        write_record(opened, trainer, state, select, budget, found)
        fingerprint.finish(out)
    distributed.barrier()


def select_of(phase: dict, protocol: dict) -> str:
    """What chooses the checkpoint: the phase's word, or for auto the protocol's.

    auto_wer leaves a protocol that takes the last update its rule, and else looks at dev WER.
    """
    if phase["select"] == "auto_wer":
        return "last" if protocol["select"] == "last" else "dev_wer"
    return protocol["select"] if phase["select"] == "auto" else phase["select"]


def make_trainer(
    opened: OpenPhase,
    norm: SpeakerNorm | None,
    start: Path | None,
    device: torch.device,
    out: Path,
    train: DataDir,
    dev: DataDir | None,
    select: str,
    budget: Budget | None = None,
    all_epochs: bool = False,
    share: float | None = None,
) -> Trainer:
    """A trainer of a new model.

    Args:
        opened: The phase.
        norm: How speakers are normalised.
        start: Folder of the phase that its weights come from.
        device: Where it trains.
        out: Folder of last.pt, best.pt and the log.
        train: Training utterances.
        dev: What judges every epoch, if anything does.
        select: A key of settings.SELECT.
        budget: Updates to make, if they are known; else the phase's epochs.
        all_epochs: Whether to judge them all, whatever the phase's patience.
        share: Of the way from the start to the result, where dev does not choose it.
    """
    phase, conf = opened.phase, opened.conf
    if all_epochs:
        phase = {**phase, "optim_conf": {**phase["optim_conf"], "patience": 0}}
    model = build_model(opened, start, device)
    sets = [opened.dataset(train, training=True), opened.dataset(dev) if dev else None]
    for data in sets:
        if data is not None:
            data.normalise_speakers(norm, opened.run.seed)
    rebuild = to_rebuild(conf, phase, opened.spec, opened.inputs.encoder, opened.tokenizer, norm)
    out.mkdir(parents=True, exist_ok=True)
    length = None
    if budget is not None:
        length, share = (budget.updates, budget.total), budget.share
    seed = opened.run.seed
    return Trainer(model, phase, *sets, out, seed, select, device, rebuild, length, share)


def inputs_of(opened: OpenPhase, fold: FoldDir, protocol: dict, start: Path | None) -> dict:
    """Everything that the result of a phase depends on, for its fingerprint."""
    phase, inputs, sets = opened.phase, opened.inputs, [d for d in (opened.train, opened.dev) if d]
    utts = [u for data in sets for u in data.utts.values()]
    needs = MODELS.get(phase["model"]).needs
    made_from = {
        "phase": phase,
        "input": opened.conf["input"],
        "upstream": inputs.encoder,
        "fold": protocol["fold_hash"],
        "labels": fingerprint.ids_hash(" ".join([u.utt, *label_words(u, needs)]) for u in utts),
        "classes": [opened.train.labels, opened.train.vad_range],
        "seed": opened.run.seed,
        "init": None if start is None else fingerprint.file_hash(start / BEST),
    }
    if inputs.live:
        made_from["audio"] = audio_hash(utts)
        made_from["dropout"] = opened.conf["upstream"]["dropout"]
    if inputs.lower:
        made_from["lower"] = [inputs.lower, inputs.store.inputs["format"]]
    if phase["data_conf"]["speaker_norm"]["mode"] != "none":
        made_from["speakers"] = speakers_hash(utts)
    if inputs.other_feats:
        made_from["other_feats"] = inputs.other_feats
    if inputs.pseudo is not None:
        made_from["pseudo_labels"] = inputs.pseudo.inputs
    if "text" in needs:
        made_from["tokenizer"] = fold.tokenizer_hash()
    return made_from


def speakers_hash(utts: Iterable[Utterance]) -> str:
    """Hash of who says what when, on which speaker normalisation depends."""
    return fingerprint.ids_hash(f"{u.utt} {u.spk} {u.order}" for u in utts)


def label_words(utt: Utterance, needs: tuple[str, ...]) -> list[str]:
    """The labels of an utterance that a model reads; that of emotion always."""
    names = ["emo", *(n for n in needs if n not in ("emo", "pseudo"))]
    if utt.votes is not None:
        names.append("votes")
    return [str(utt.value(name)) for name in names]


def claim(out: Path, made_from: dict, redo: bool) -> fingerprint.Progress:
    """Begin work in out, by the first process; every process learns how far it came before."""
    rank, _ = distributed.rank_and_world()
    found = fingerprint.begin(out, made_from, redo) if rank == 0 else None
    return distributed.gather(found)[0]


def build_model(opened: OpenPhase, start: Path | None, device: torch.device) -> SERModel:
    """The phase's model with the weights that it starts from, the same in every process."""
    run, phase = opened.run, opened.phase
    rank, _ = distributed.rank_and_world()
    seed_everything(derive_seed(run.seed, phase["name"], run.fold))
    model = opened.build()
    start_model(model, opened.conf, phase, start)
    model.to(device)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    # The same weights everywhere, other dropout. Building S3PRL's encoders seeds GPUs with 0.
    if rank > 0 or device.type == "cuda":
        seed_everything(derive_seed(run.seed, phase["name"], run.fold, "rank", rank))
    counts = (len(opened.train.utts), opened.inputs.layers, count_parameters(model))
    logger.info("%s: %d utts, layers %s, parameters %s", run.phase(phase["name"]), *counts)
    logger.info("trained: %s", trained_line(model))
    return model


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
