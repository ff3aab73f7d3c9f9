# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""One phase of one fold and seed: from a configuration and folders to a model, and its training."""

import logging

import torch

from sertl import fingerprint, provenance
from sertl.atomic import write_json
from sertl.data.audio import SAMPLE_RATE
from sertl.data.audio_hash import audio_hash
from sertl.data.datadir import DataDir, Utterance
from sertl.data.folds import read_protocol
from sertl.data.frame_labels import FrameLabels
from sertl.models.base import model_needs
from sertl.seed import derive_seed, seed_everything
from sertl.train import checkpoint, distributed
from sertl.train.freeze import freeze
from sertl.train.inputs import Inputs, build, dev_data, phase_data
from sertl.train.loop import State, Trainer
from sertl.train.place import Place
from sertl.train.start import UPSTREAM, init_path, start_from_upstream
from sertl.train.training_data import FOLD, save_ids, training_data
from sertl.train.transcripts import check_whole_clips, phase_tokenizer, tokenizer_hash
from sertl.upstream.tuning import trained_by_group, trained_line

logger = logging.getLogger(__name__)


def train_phase(conf: dict, phase: dict, place: Place, use_gpu: bool, redo: bool) -> None:
    """Train a phase unless it is done already; write best.pt and run.json to its folder."""
    out = place.folder / phase["name"]
    protocol = read_protocol(place.fold_dir)
    train = phase_data(conf, phase, place)
    dev = dev_data(phase, place)
    inputs = Inputs(conf, phase, place)
    select = protocol["select"] if phase["select"] == "auto" else phase["select"]
    init = init_path(phase, place, inputs.description, conf["transductive"])
    made_from = {
        "phase": phase,
        "input": conf["input"],
        "upstream": inputs.description,
        "fold": protocol["fold_hash"],
        "labels": fingerprint.ids_hash(
            " ".join([u.utt, *label_words(u, phase["model"])])
            for d in (train, dev)
            if d
            for u in d.utts.values()
        ),
        "classes": [train.labels, train.vad_range],
        "seed": place.seed,
        "init": None if init is None else fingerprint.file_hash(init),
    }
    if inputs.live:
        made_from["audio"] = audio_hash(u for d in (train, dev) if d for u in d.utts.values())
        made_from["dropout"] = conf["upstream"]["dropout"]
    if inputs.other_feats:
        made_from["other_feats"] = inputs.other_feats
    if inputs.pseudo is not None:
        clustered = training_data([FOLD], place, False, conf["transductive"])
        inputs.pseudo.check_clustered(clustered.utts)
        made_from["pseudo_labels"] = inputs.pseudo.inputs
    if "tokens" in model_needs(phase["model"]):
        made_from["tokenizer"] = tokenizer_hash(place)
    device = distributed.init(use_gpu)
    rank, _ = distributed.rank_and_world()
    progress = None
    if rank == 0:
        progress = fingerprint.begin(out, made_from, redo)
    progress = distributed.gather(progress)[0]
    if progress is fingerprint.Progress.DONE:
        logger.info("%s: already trained", out)
        return

    seed_everything(derive_seed(place.seed, phase["name"], place.fold))
    tokenizer = phase_tokenizer(place, train)
    train_set = inputs.dataset(
        train,
        train.labels,
        phase,
        crop_sec=phase["data_conf"]["crop_sec"],
        seed=place.seed,
        tokenizer=tokenizer,
    )
    dev_set = inputs.dataset(dev, train.labels, phase, tokenizer=tokenizer) if dev else None
    vocab_size = tokenizer.size if tokenizer else 0
    model = build(phase, inputs, train, train_set.classes, vocab_size)
    check_whole_clips(model, phase)
    if phase["init"] == UPSTREAM:
        start_from_upstream(model, phase, conf)
    elif init is not None:
        weights = checkpoint.load(init)["model"]
        checkpoint.init_from(model, weights, str(init), phase["init_map"], phase["init_parts"])
    freeze(model, phase)
    model.to(device)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    # The same weights everywhere, other dropout. Building S3PRL's encoders seeds GPUs with 0.
    if rank > 0 or device.type == "cuda":
        seed_everything(derive_seed(place.seed, phase["name"], place.fold, "rank", rank))
    params = count_parameters(model)
    logger.info("%s: %d utts, layers %s, parameters %s", out, len(train_set), inputs.layers, params)
    logger.info("trained: %s", trained_line(model))
    if rank == 0:
        save_ids(out, train, None if init is None else init.parent)
    trainer = Trainer(model, phase, train_set, dev_set, out, place.seed, select, device)
    state = trainer.run()
    if rank == 0:
        best = checkpoint.load(out / "best.pt")
        checkpoint.load_trained(model, best["model"], str(out / "best.pt"))
        cost, found = costs(trainer, state, device), {}
        logger.info("%s: %s", out, cost_line(cost))
        if model.num_attributes:
            # Figures need libraries that take longer to import than a small phase to train.
            from sertl.train import attributes

            data = attributes.shown(place)
            found["attributes"] = attributes.write_insight(
                out,
                model,
                data,
                inputs.dataset(data, train.labels, phase),
                phase["data_conf"],
                conf["upstream"]["stride"] / SAMPLE_RATE,
                device,
            )
        write_json(
            out / "run.json",
            {
                "phase": phase["name"],
                "method": conf["method"],
                "input": conf["input"],
                "upstream": inputs.description,
                "layers": inputs.layers,
                "selected": {"epoch": state.best_epoch, "metric": select, "value": state.best},
                "params": params,
                "trained_by_group": trained_by_group(model),
                "seen_ids": seen_ids(train, dev, inputs.pseudo),
                "transductive": conf["transductive"],
                "class_weights": phase["data_conf"]["class_weights"],
                "crop_sec": phase["data_conf"]["crop_sec"],
                "config_hash": fingerprint.text_hash(str(phase)),
                "commit": provenance.commit(),
                "environment": provenance.environment(),
                **cost,
                "checkpoint_mib": round((out / "best.pt").stat().st_size / 2**20, 3),
                **model.insight(),
                **found,
            },
        )
        fingerprint.finish(out)
    distributed.barrier()


def label_words(utt: Utterance, model: str) -> list[str]:
    """The labels of an utterance that a model reads, for the fingerprint."""
    read = {"gender": utt.gender, "style": utt.style, "tokens": utt.text, "vad": utt.vad}
    return [str(utt.emo), *(str(read[name]) for name in model_needs(model) if name in read)]


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
        "epochs": state.epoch - 1,
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
