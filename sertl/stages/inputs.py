# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""What a phase's model sees: a dump or a live encoder, which layers, which pseudo-labels."""

from pathlib import Path

import torch

from sertl import fingerprint
from sertl.data.augment import is_on
from sertl.data.feats import FeatsStore, encoder_differences
from sertl.data.frame_labels import FrameLabels
from sertl.errors import SertlError
from sertl.models.base import MODELS
from sertl.peft.tuning import is_frozen, tune
from sertl.runs import PSEUDO_LABELS, Run
from sertl.stages.training_data import dump_of, of_fold
from sertl.upstream.build import build_upstream, describe


class Inputs:
    """What the model sees: dumped features or a live upstream, and the layers chosen.

    Args:
        conf: The run's configuration (exp/<tag>/config.yaml).
        phase: One phase of it.
        run: For the frame pseudo-labels.

    Attributes:
        encoder: Fingerprint of the encoder; of `feats`, that of the dump.
        layers: Hidden states that the model reads.
        lower: Hidden states that a live upstream reads from a dump, and goes on from the last.
        store: Dumped features; None for an upstream that reads audio.
        statistics: What the model reads of a pooled dump; empty where it reads frames.
        pseudo: Frame pseudo-labels, if the model needs them.
        other_feats: Data directory of another corpus -> what identifies its dump.

    Raises:
        SertlError: Layers that were not dumped or do not exist.
    """

    def __init__(self, conf: dict, phase: dict, run: Run):
        self.upstream_conf, data = conf["upstream"], phase["data_conf"]
        self.live = conf["input"] == "wav"
        self.store, self.other_feats = None, {}
        if self.live:
            self.encoder = describe(self.upstream_conf)
            available = list(range(self.upstream_conf["num_layers"]))
        else:
            self.encoder = fingerprint.require_done(conf["dump"], "stage 3 (dump_feats)")
            available = self.encoder["layers"]
        self.layers = choose_layers(data["layers"], self.upstream_conf["num_layers"], available)
        self.statistics: tuple[str, ...] = ()
        self.lower: list[int] = []
        if self.live:
            self.lower = lower_of(phase, self.upstream_conf["num_layers"])
        if self.lower:
            self.store = open_lower(conf["dump"], self.lower, self.encoder)
            self._add_other_feats(Path(conf["dump"]), data["train"])
        if not self.live:
            self.store = FeatsStore(conf["dump"], self.layers)
            self.statistics = read_from(self.store, phase, len(self.layers))
            self._add_other_feats(Path(conf["dump"]), data["train"])
        check_inputs(phase, self.live, bool(self.lower))
        self.pseudo = None
        if "pseudo" in MODELS.get(phase["model"]).needs:
            self.pseudo = FrameLabels(run.phase(PSEUDO_LABELS))

    def _add_other_feats(self, dump: Path, sources: list[str]) -> None:
        for source in sources:
            if not of_fold(source):
                other = dump_of(source, dump)
                self.store.add(other)
                made_from = fingerprint.require_done(other, "stage 3 (dump_feats)")
                self.other_feats[source] = {k: made_from[k] for k in ("ids", "audio")}

    def build_upstream(self, conf: dict) -> torch.nn.Module | None:
        """The live upstream, with what upstream_conf trains of it; None with dumped features."""
        if not self.live:
            return None
        upstream = build_upstream(self.upstream_conf)
        tune(upstream, conf, self.layers)
        return upstream


def statistics_of(phase: dict, num_layers: int) -> tuple[str, ...]:
    """Statistics of the frames that are all a phase needs of dumped features; () for frames.

    Args:
        phase: Its configuration.
        num_layers: Hidden states that it reads.
    """
    if phase["data_conf"]["crop_sec"]:
        return ()
    return MODELS.get(phase["model"]).statistics(phase["model_conf"], num_layers)


def read_from(store: FeatsStore, phase: dict, num_layers: int) -> tuple[str, ...]:
    """What a phase reads of a pooled dump; () if the dump holds frames.

    Raises:
        SertlError: A pooled dump, but the phase needs frames, or frames pooled otherwise.
    """
    if not store.pool:
        return ()
    wanted, normalise = statistics_of(phase, num_layers), phase["data_conf"]["normalise"]
    if not wanted:
        raise SertlError(
            f"phase {phase['name']} needs frames, and {store.dump} holds their "
            f"{', '.join(store.pool)}; run with --pool none"
        )
    if normalise is not store.inputs["normalise"]:
        raise SertlError(
            f"{store.dump} was pooled with normalise={store.inputs['normalise']}, the phase has "
            f"data_conf.normalise={normalise}: run stage 3 again"
        )
    return wanted


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


def lower_of(phase: dict, num_layers: int) -> list[int]:
    """Hidden states that a phase with upstream_conf.from_layer reads from a dump, ascending.

    That one, from which its encoder goes on, and those below it that the model reads; [] for a
    phase whose encoder hears audio.

    Raises:
        SertlError: If it is no hidden state below the top.
    """
    first = phase["upstream_conf"]["from_layer"]
    if first is None:
        return []
    if type(first) is not int or not 0 <= first < num_layers - 1:
        raise SertlError(
            f"upstream_conf.from_layer is {first!r}, expected null or a hidden state that blocks "
            f"follow, 0 to {num_layers - 2}"
        )
    layers = choose_layers(phase["data_conf"]["layers"], num_layers, list(range(num_layers)))
    return sorted({first, *(n for n in layers if n < first)})


def open_lower(dump: str, layers: list[int], encoder: dict) -> FeatsStore:
    """The dump that an encoder goes on from, if that encoder made it.

    Raises:
        SertlError: No dump, or another encoder's.
    """
    store = FeatsStore(dump, layers)
    lines = encoder_differences(encoder, store.inputs)
    if lines:
        raise SertlError(f"{dump} is not of this encoder: " + "; ".join(lines))
    return store


def check_inputs(phase: dict, live: bool, resumed: bool) -> None:
    """Refuse settings of what an encoder hears, or learns, where none does.

    Args:
        phase: Its configuration.
        live: Whether an encoder is there.
        resumed: Whether it goes on from a dumped hidden state.

    Raises:
        SertlError: Naming the key.
    """
    data, conf = phase["data_conf"], phase["upstream_conf"]
    if not live and not is_frozen(conf):
        raise SertlError(
            f"upstream_conf.tune: {conf['tune']}, peft: {conf['peft'] or 'none'} needs the "
            "audio: --set input=wav"
        )
    norm = data["speaker_norm"]
    if live and norm["mode"] != "none" and norm["where"] == "frames":
        raise SertlError(
            "data_conf.speaker_norm.where=frames is of dumped frames: --set input=feats, or "
            "data_conf.speaker_norm.where=vectors"
        )
    if data["time_mask"] and not live:
        raise SertlError("data_conf.time_mask masks what enters the encoder: --set input=wav")
    if is_on(data["augment"]) and (resumed or not live):
        raise SertlError(
            "data_conf.augment changes the audio that an encoder hears: --set input=wav, "
            "without upstream_conf.from_layer"
        )
