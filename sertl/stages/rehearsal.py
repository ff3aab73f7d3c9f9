# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""A configuration tried out before any work: what stage 6 would refuse, refused before stage 3.

Dumps, teachers and earlier phases take hours or days; a misspelt key of the last phase's model is
not to be found after them. Every phase's model is built as for data that say all there is to know.
What data, weights and sizes inside the encoder decide is left to the stages.
"""

from sertl.data.fields import field_of
from sertl.errors import SertlError
from sertl.models.base import MODELS, Spec
from sertl.peft.tuning import check_tuning, is_frozen
from sertl.stages.experiment import every_phase
from sertl.stages.inputs import check_inputs, choose_layers, lower_of
from sertl.stages.phase import class_needs
from sertl.train.solved_start import check_startable
from sertl.upstream.encoder import Upstream

LABELS = ("a", "b", "c", "d")  # of a corpus
SCALE = (1.0, 5.0)
VOCABULARY = 30


def rehearse(conf: dict) -> None:
    """Build the model of every phase, on an encoder that is none.

    Args:
        conf: From resolve.

    Raises:
        SertlError: Naming the phase, and what is wrong with it.
    """
    for phase in every_phase(conf):
        try:
            _rehearse(conf, phase)
        except SertlError as error:
            raise SertlError(f"phase {phase['name']}: {error}") from error


def _rehearse(conf: dict, phase: dict) -> None:
    encoder, live = conf["upstream"], conf["input"] == "wav"
    count = encoder["num_layers"]
    layers = choose_layers(phase["data_conf"]["layers"], count, list(range(count)))
    lower = lower_of(phase, count) if live else []
    check_inputs(phase, live, bool(lower))
    if not is_frozen(phase["upstream_conf"]):
        check_tuning(phase["upstream_conf"], layers)
    upstream = Upstream(count, encoder["hidden_size"], encoder["stride"]) if live else None
    spec = _spec(conf, phase, layers, lower)
    model = MODELS.build(phase["model"], spec, upstream, conf=phase["model_conf"])
    if phase["start"] == "solved" and not model.solved:
        check_startable(model)


def _spec(conf: dict, phase: dict, layers: list[int], lower: list[int]) -> Spec:
    """Of a corpus that has every label, its speakers' and its own."""
    pseudo = conf.get("pseudo_labels")
    return Spec(
        labels=list(LABELS),
        hidden_size=conf["upstream"]["hidden_size"],
        layers=layers,
        normalise=phase["data_conf"]["normalise"],
        vad_range=SCALE,
        vocab_size=VOCABULARY,
        time_mask=phase["data_conf"]["time_mask"],
        time_mask_span=phase["data_conf"]["time_mask_span"],
        clusters=tuple(pseudo["clusters"]) if pseudo else (),
        classes={name: field_of(name).values or LABELS for name in class_needs(phase)},
        lower=lower,
    )
