# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""One phase of one run, opened: its data, what its model sees, and what the model is built from."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from sertl.data.augment import is_on
from sertl.data.datadir import DataDir
from sertl.data.dataset import UttDataset, class_index
from sertl.data.fields import field_of
from sertl.data.folds import FoldDir
from sertl.data.speaker_norm import SpeakerNorm, fit_speaker_norm
from sertl.data.tokenizer import Tokenizer
from sertl.models.base import MODELS, SERModel, Spec
from sertl.runs import Run
from sertl.stages.inputs import Inputs
from sertl.stages.training_data import training_data, without_group, without_long


@dataclass(frozen=True)
class OpenPhase:
    """A phase of a run with all that it reads.

    Attributes:
        conf: The run's configuration.
        phase: The phase's.
        run: Experiment, seed and fold.
        inputs: What the model sees.
        train: Training utterances.
        dev: What chooses the checkpoint; None where the protocol has none.
        tokenizer: Where the training data have text.
        spec: What the model is built for.
    """

    conf: dict
    phase: dict
    run: Run
    inputs: Inputs
    train: DataDir
    dev: DataDir | None
    tokenizer: Tokenizer | None
    spec: Spec

    def dataset(self, data: DataDir, training: bool = False) -> UttDataset:
        """The utterances of a data directory as this phase reads them; cropped in training."""
        conf = self.phase["data_conf"]
        return UttDataset(
            data,
            self.spec.all_classes,
            feats=self.inputs.store,
            normalise=conf["normalise"] and not self.inputs.live,
            resumed=bool(self.inputs.lower),
            augment=conf["augment"] if training and is_on(conf["augment"]) else None,
            crop_sec=conf["crop_sec"] if training else 0.0,
            seed=self.run.seed if training else 0,
            cache_gib=conf["cache_gib"],
            hidden_size=self.spec.hidden_size,
            statistics=self.inputs.statistics,
            tokenizer=self.tokenizer if "text" in MODELS.get(self.phase["model"]).needs else None,
            pseudo=self.inputs.pseudo,
        )

    def fit_speaker_norm(self, data: DataDir) -> SpeakerNorm | None:
        """Statistics of speaker normalisation from training utterances.

        None for mode none, and where the vectors are normalised that the model pools itself, of
        audio or of frames: train/live_norm.py looks after them.
        """
        conf, inputs = self.phase["data_conf"]["speaker_norm"], self.inputs
        inside = inputs.live or (conf["where"] == "vectors" and not inputs.statistics)
        if conf["mode"] == "none" or inside:
            return None
        rows = self.dataset(data)
        return fit_speaker_norm(rows.clip_vectors(), [u.spk for u in rows.utts], conf)

    def build(self) -> SERModel:
        """The model with its random weights, on the encoder if that is live."""
        upstream = self.inputs.build_upstream(self.phase["upstream_conf"])
        name, conf = self.phase["model"], self.phase["model_conf"]
        return MODELS.build(name, self.spec, upstream, conf=conf)


def open_phase(conf: dict, phase: dict, run: Run) -> OpenPhase:
    """Open a phase of a run.

    Raises:
        SertlError: Data, features or labels that are not there, or do not fit the phase.
    """
    fold = FoldDir(Path(conf["data"]), run.fold)
    train, dev = phase_data(conf, phase, fold), dev_data(phase, fold)
    inputs = Inputs(conf, phase, run)
    if inputs.pseudo is not None:
        clustered = training_data(["fold"], fold, False, conf["transductive"])
        inputs.pseudo.check_clustered(clustered.utts)
    tokenizer = fold.tokenizer() if any(u.text for u in train.utts.values()) else None
    spec = spec_of(phase, inputs, train, tokenizer)
    return OpenPhase(conf, phase, run, inputs, train, dev, tokenizer, spec)


def phase_data(conf: dict, phase: dict, fold: FoldDir) -> DataDir:
    """What the phase trains on."""
    labelled = bool({*MODELS.get(phase["model"]).needs} - {"pseudo"})
    data = phase["data_conf"]
    found = training_data(data["train"], fold, labelled, conf["transductive"], data["share"])
    return without_long(without_group(found, data["leave_out"], fold), data["max_sec"])


def dev_data(phase: dict, fold: FoldDir) -> DataDir | None:
    """The part of the fold that chooses the checkpoint; None where the protocol has none."""
    name = phase["data_conf"]["dev"]
    return fold.part(name) if fold.has(name) else None


def spec_of(phase: dict, inputs: Inputs, data: DataDir, tokenizer: Tokenizer | None) -> Spec:
    """What a phase's model is built for, from its training data."""
    conf, utts = phase["data_conf"], data.utts.values()
    counted = class_index(utts, "emo", data.labels)
    return Spec(
        labels=data.labels,
        hidden_size=inputs.upstream_conf["hidden_size"],
        layers=inputs.layers,
        normalise=conf["normalise"],
        class_weights=class_weights(conf["class_weights"], counted, len(data.labels)),
        vad_range=data.vad_range,
        vocab_size=tokenizer.size if tokenizer else 0,
        time_mask=conf["time_mask"],
        time_mask_span=conf["time_mask_span"],
        clusters=tuple(s.clusters for s in inputs.pseudo.sets) if inputs.pseudo else (),
        classes={name: classes_of(name, data) for name in class_needs(phase)},
        lower=inputs.lower,
    )


def class_needs(phase: dict) -> list[str]:
    """The class fields beside emo that a phase's model can read."""
    needs = [n for n in MODELS.get(phase["model"]).needs if n not in ("emo", "pseudo")]
    return [n for n in needs if field_of(n).kind == "class"]


def classes_of(name: str, data: DataDir) -> tuple[str, ...]:
    """The classes of a field that occur in training data: in the order of the table, or sorted."""
    found = {u.value(name) for u in data.utts.values()} - {None}
    known = field_of(name).values
    return tuple(value for value in known if value in found) if known else tuple(sorted(found))


def class_weights(kind: str, classes: list[int], num_classes: int) -> list[float] | None:
    """Weights of the emotion loss: None, or N / (C n_c), the mean over utterances being 1."""
    if kind == "none":
        return None
    counts = Counter(c for c in classes if c >= 0)
    total = sum(counts.values())
    return [total / (num_classes * counts[c]) if counts[c] else 0.0 for c in range(num_classes)]
