# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Parts that a phase keeps as an earlier phase left them: its key `freeze`."""

from torch import nn

from sertl.errors import SertlError, unknown_name
from sertl.upstream.inject import part_of


def freeze(model: nn.Module, phase: dict) -> None:
    """Stop the training of what the words of `freeze` name, once the model has its weights.

    Args:
        model: With everything that its conf opens for training still open.
        phase: `freeze` holds beginnings of names: of what is in the encoder's blocks (lora, lora.a,
            adapter, gate) or of the model's own tensors (heads, mix). The encoder's own tensors are
            a matter of upstream_conf.

    Raises:
        SertlError: For a word that names nothing that trains, or what did not come from `init`; if
            nothing is left to train.
    """
    words = phase["freeze"]
    trained = {
        name: parameter
        for name, parameter in model.named_parameters()
        if parameter.requires_grad and (part_of(name) or not name.startswith("upstream."))
    }
    for word in words:
        named = [name for name in trained if word and short_name(name).startswith(word)]
        if not named:
            raise unknown_name("part in freeze:", word, map(short_name, trained))
        # A checkpoint holds of the encoder what trains or was loaded, see checkpoint.trained_state.
        fresh = [n for n in named if part_of(n) and n not in getattr(model, "kept", ())]
        if phase["init"] is None or fresh:
            raise SertlError(
                f"phase {phase['name']}: freeze keeps '{word}' as `init` left it, but init "
                f"({phase['init']}) gave no {', '.join((fresh or named)[:3])}"
            )
        for name in named:
            trained[name].requires_grad_(False)
    if words and not any(p.requires_grad for p in model.parameters()):
        raise SertlError(f"phase {phase['name']}: freeze {words} leaves nothing to train")


def short_name(name: str) -> str:
    """Of what was put into a block the name there, such as lora.a; else the name itself."""
    return name.rsplit(".parts.", 1)[-1] if part_of(name) else name
