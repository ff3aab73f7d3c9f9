# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""What a phase reads and the model it builds: data, features or a live upstream, layers."""

from collections import Counter

import torch

from sertl import fingerprint
from sertl.data.datadir import DataDir
from sertl.data.dataset import GENDERS, STYLES, UttDataset
from sertl.data.feats import FeatsStore
from sertl.data.frame_labels import FrameLabels
from sertl.errors import SertlError, unknown_name
from sertl.models.base import SERModel, Spec, build_model, model_needs
from sertl.train.place import Place
from sertl.train.training_data import dump_of, of_fold, training_data, without_long
from sertl.upstream.build import build_upstream, describe
from sertl.upstream.tuning import is_frozen, tune


def phase_data(conf: dict, phase: dict, place: Place) -> DataDir:
    """What the phase trains on, and what its model is built for."""
    labelled = bool({*model_needs(phase["model"])} - {"pseudo"})
    data = phase["data_conf"]
    found = training_data(data["train"], place, labelled, conf["transductive"], data["share"])
    return without_long(found, data["max_sec"])


def dev_data(phase: dict, place: Place) -> DataDir | None:
    """The part of the fold that chooses the checkpoint; None where the protocol has none.

    Raises:
        SertlError: For another part than dev and source_dev.
    """
    name = phase["data_conf"]["dev"]
    if name not in ("dev", "source_dev"):
        raise unknown_name("data_conf.dev", name, ["dev", "source_dev"])
    return place.part(name) if (place.fold_dir / name).is_dir() else None


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
        self.other_feats = {}  # of other corpora: what identifies their dumps
        if not self.live:
            self.store = FeatsStore(place.dump, self.layers)
            for source in phase["data_conf"]["train"]:
                if not of_fold(source):
                    dump = dump_of(source, place.dump)
                    self.store.add(dump)
                    made_from = fingerprint.require_done(dump, "stage 3 (dump_feats)")
                    self.other_feats[source] = {k: made_from[k] for k in ("ids", "audio")}
        check_time_mask(phase["data_conf"], self.live)
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


def choose_layers(
    choice: object, num_layers: int, available: list[int], key: str = "data_conf.layers"
) -> list[int]:
    """Resolve a choice of layers: all (that are available), last, or a list of indices.

    Raises:
        SertlError: Naming the key, if it is none of these, or a layer is not available.
    """
    if choice == "all":
        return list(available)
    layers = [num_layers - 1] if choice == "last" else choice
    if isinstance(layers, int):
        layers = [layers]
    if not isinstance(layers, list) or not all(isinstance(n, int) for n in layers) or not layers:
        raise SertlError(f"{key} must be all, last or a list of numbers, got {choice!r}")
    missing = [n for n in layers if n not in available]
    if missing:
        raise SertlError(f"{key}: {missing} not among the available {available}")
    return layers


def check_time_mask(data: dict, live: bool) -> None:
    """Refuse a mask that cannot be drawn, or that dumped features would not see.

    Raises:
        SertlError: Naming the key.
    """
    share, span = data["time_mask"], data["time_mask_span"]
    if not 0.0 <= share <= 1.0 or span < 1:
        raise SertlError(
            f"data_conf.time_mask is {share}, time_mask_span {span}: expected a share of the "
            "frames, 0 to 1, and at least one frame"
        )
    if share and not live:
        raise SertlError("data_conf.time_mask masks what enters the encoder: --set input=wav")


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
    utts = data.utts.values()
    spec = Spec(
        labels=data.labels,
        hidden_size=inputs.hidden_size,
        layers=inputs.layers,
        normalise=phase["data_conf"]["normalise"],
        class_weights=class_weights(phase["data_conf"]["class_weights"], classes, len(data.labels)),
        vad_range=data.vad_range,
        vocab_size=vocab_size,
        time_mask=phase["data_conf"]["time_mask"],
        time_mask_span=phase["data_conf"]["time_mask_span"],
        clusters=tuple(s.clusters for s in inputs.pseudo.sets) if inputs.pseudo else (),
        genders=tuple(sorted({GENDERS.index(u.gender) for u in utts if u.gender})),
        styles=tuple(sorted({STYLES.index(u.style) for u in utts if u.style})),
    )
    upstream = inputs.build_upstream(phase["upstream_conf"])
    return build_model(phase["model"], spec, upstream, phase["model_conf"])
