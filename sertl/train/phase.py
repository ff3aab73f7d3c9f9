# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""One phase of one fold and seed: from a configuration and folders to a model, and its training."""

import logging
from collections import Counter

import torch

from sertl import fingerprint, provenance
from sertl.atomic import write_json
from sertl.data.audio import SAMPLE_RATE
from sertl.data.datadir import DataDir
from sertl.data.dataset import UttDataset
from sertl.data.feats import FeatsStore
from sertl.data.folds import read_protocol
from sertl.data.frame_labels import FrameLabels
from sertl.data.tokenizer import load_tokenizer
from sertl.errors import SertlError, unknown_name
from sertl.models.base import SERModel, Spec, build_model, model_needs
from sertl.seed import derive_seed, seed_everything
from sertl.train import checkpoint, distributed
from sertl.train.loop import State, Trainer
from sertl.train.place import Place
from sertl.train.start import UPSTREAM, init_path, start_from_upstream
from sertl.train.training_data import FOLD, dump_of, save_ids, training_data
from sertl.upstream.build import build_upstream, describe
from sertl.upstream.tuning import is_frozen, trained_by_group, trained_line, tune

logger = logging.getLogger(__name__)


class Inputs:
    """What the model sees: dumped features or a live upstream, and the layers chosen.

    Args:
        conf: The run's configuration (exp/<tag>/config.yaml).
        phase: One phase of it.
        place: For the dump.

    Raises:
        SertlError: Layers that were not dumped or do not exist.
    """

    def __init__(self, conf: dict, phase: dict, place: Place):
        upstream = conf["upstream"]
        self.live = conf["input"] == "wav"
        self.hidden_size = upstream["hidden_size"]
        available = list(range(upstream["num_layers"]))
        if self.live:
            self.store = None
            self.description = describe(upstream)
        else:
            self.description = fingerprint.require_done(place.dump, "stage 3 (dump_feats)")
            available = self.description["layers"]
        self.layers = choose_layers(phase["data_conf"]["layers"], upstream["num_layers"], available)
        if not self.live:
            self.store = FeatsStore(place.dump, self.layers)
            for source in phase["data_conf"]["train"]:
                if source != FOLD:
                    self.store.add(dump_of(source, place.dump))
        self._conf = upstream
        self.pseudo = None
        if "pseudo" in model_needs(phase["model"]):
            self.pseudo = FrameLabels(place.folder / "pseudo_labels")

    def build_upstream(self, conf: dict) -> torch.nn.Module | None:
        """The live upstream, with what upstream_conf trains of it; None with dumped features."""
        if not self.live:
            if not is_frozen(conf):
                raise SertlError(
                    f"upstream_conf.tune: {conf['tune']}, parts: {conf['parts'] or 'none'} needs "
                    "the audio: --set input=wav"
                )
            return None
        upstream = build_upstream(self._conf)
        tune(upstream, conf, self.layers)
        return upstream

    def dataset(self, data: DataDir, labels: list[str], phase: dict, **options) -> UttDataset:
        """The utterances of one data directory as this phase reads them."""
        return UttDataset(
            data,
            labels,
            feats=self.store,
            normalise=phase["data_conf"]["normalise"],
            cache_gib=phase["data_conf"]["cache_gib"],
            hidden_size=self.hidden_size,
            pseudo=self.pseudo,
            **options,
        )


def choose_layers(choice: object, num_layers: int, available: list[int]) -> list[int]:
    """Resolve data_conf.layers: all (that are available), last, or a list of indices."""
    if choice == "all":
        return list(available)
    layers = [num_layers - 1] if choice == "last" else choice
    if isinstance(layers, int):
        layers = [layers]
    if not isinstance(layers, list) or not all(isinstance(n, int) for n in layers) or not layers:
        raise SertlError(f"data_conf.layers must be all, last or a list of numbers, got {choice!r}")
    missing = [n for n in layers if n not in available]
    if missing:
        raise SertlError(f"data_conf.layers: {missing} not among the available {available}")
    return layers


def class_weights(kind: str, classes: list[int], num_classes: int) -> list[float] | None:
    """Weights of the emotion loss: None, or N / (C n_c), the mean over utterances being 1."""
    if kind == "none":
        return None
    if kind != "inverse":
        raise unknown_name("class_weights", kind, ["none", "inverse"])
    counts = Counter(c for c in classes if c >= 0)
    total = sum(counts.values())
    return [total / (num_classes * counts[c]) if counts[c] else 0.0 for c in range(num_classes)]


def build(
    phase: dict, inputs: Inputs, data: DataDir, classes: list[int], vocab_size: int
) -> SERModel:
    """Build a phase's model for the labels and classes of its training data."""
    spec = Spec(
        labels=data.labels,
        hidden_size=inputs.hidden_size,
        layers=inputs.layers,
        normalise=phase["data_conf"]["normalise"],
        class_weights=class_weights(phase["data_conf"]["class_weights"], classes, len(data.labels)),
        vad_range=data.vad_range,
        vocab_size=vocab_size,
        clusters=tuple(s.clusters for s in inputs.pseudo.sets) if inputs.pseudo else (),
    )
    upstream = inputs.build_upstream(phase["upstream_conf"])
    return build_model(phase["model"], spec, upstream, phase["model_conf"])


def train_phase(conf: dict, phase: dict, place: Place, use_gpu: bool, redo: bool) -> None:
    """Train a phase unless it is done already; write best.pt and run.json to its folder."""
    out = place.folder / phase["name"]
    protocol = read_protocol(place.fold_dir)
    labelled = bool({*model_needs(phase["model"])} - {"pseudo"})
    train = training_data(phase["data_conf"]["train"], place, labelled, conf["transductive"])
    dev = place.part("dev") if (place.fold_dir / "dev").is_dir() else None
    inputs = Inputs(conf, phase, place)
    select = protocol["select"] if phase["select"] == "auto" else phase["select"]
    init = init_path(phase, place, inputs.description, conf["transductive"])
    made_from = {
        "phase": phase,
        "input": conf["input"],
        "upstream": inputs.description,
        "fold": protocol["fold_hash"],
        "labels": fingerprint.ids_hash(
            f"{u.utt} {u.emo}" for d in (train, dev) if d for u in d.utts.values()
        ),
        "seed": place.seed,
        "init": None if init is None else fingerprint.file_hash(init),
    }
    if inputs.pseudo is not None:
        clustered = training_data([FOLD], place, False, conf["transductive"])
        inputs.pseudo.check_clustered(clustered.utts)
        made_from["pseudo_labels"] = inputs.pseudo.inputs
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
    if phase["init"] == UPSTREAM:
        start_from_upstream(model, phase, conf)
    elif init is not None:
        checkpoint.init_from(model, checkpoint.load(init)["model"], str(init), phase["init_map"])
    model.to(device)
    if rank > 0:  # the same weights everywhere, other dropout
        seed_everything(derive_seed(place.seed, phase["name"], place.fold, "rank", rank))
    params = count_parameters(model)
    logger.info("%s: %d utts, layers %s, parameters %s", out, len(train_set), inputs.layers, params)
    logger.info("trained: %s", trained_line(model))
    if rank == 0:
        save_ids(out, train)
    trainer = Trainer(model, phase, train_set, dev_set, out, place.seed, select, device)
    state = trainer.run()
    if rank == 0:
        best = checkpoint.load(out / "best.pt")
        checkpoint.load_trained(model, best["model"], str(out / "best.pt"))
        found = {}
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
                **costs(trainer, state, device),
                **model.insight(),
                **found,
            },
        )
        fingerprint.finish(out)
    distributed.barrier()


def phase_tokenizer(place: Place, data: DataDir):
    """The fold's tokenizer, or None where the corpus has no text."""
    folder = place.fold_dir / "tokenizer"
    has_text = any(u.text for u in data.utts.values())
    return load_tokenizer(folder) if has_text and folder.is_dir() else None


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
    """Time per epoch and peak memory of the process that wrote them."""
    seconds = trainer.record.seconds("train")
    found = {
        "epochs": state.epoch - 1,
        "seconds_per_epoch": round(sum(seconds) / max(1, len(seconds)), 3),
        "peak_rss_gib": provenance.peak_rss_gib(),
    }
    if device.type == "cuda":
        found["peak_gpu_gib"] = round(torch.cuda.max_memory_allocated(device) / 2**30, 3)
    return found
