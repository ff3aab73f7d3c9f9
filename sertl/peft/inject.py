# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Put small trainable modules into the blocks of a frozen encoder, and fold LoRA in again.

Blocks are changed in place, so that `encoder.layers[i]` and everything bound to it keep working,
and the encoder's own tensors keep their names. Order in a block: attention, feed-forward, norm,
adapter, gate.

Source: Lashkarashvili et al., "Parameter Efficient Finetuning for Speech Emotion Recognition and
Domain Adaptation", ICASSP 2024, for all but prefix and IA3.
"""

import torch

from sertl.errors import SertlError
from sertl.peft.derived_linear import DerivedLinear, fold
from sertl.peft.slots import PEFT, peft_of
from sertl.registry import check_keys
from sertl.upstream.encoder import Upstream


def inject(
    upstream: Upstream, peft: dict[str, dict | None], top: int | None = None, first: int = 0
) -> None:
    """Put PEFT modules into the blocks and let only them train; gradient flows, dropout stays off.

    Args:
        upstream: Without any so far.
        peft: Name -> its options (those of its put function) and `layers`: all, or block numbers;
            block i makes hidden state i. None instead of options leaves it out.
        top: Highest hidden state that will be used; modules above would never train.
        first: Hidden state from which the encoder goes on; blocks below are not run.

    Raises:
        SertlError: An encoder whose blocks are not known, an unknown module or option (with the
            nearest), a missing option, a wrong value, or modules already there.
    """
    blocks = upstream.blocks()
    plan = read_peft(peft, len(blocks) if top is None else top, first)
    if any(peft_of(name) for name, _ in upstream.named_parameters()):
        raise SertlError("this upstream has PEFT modules already; put all of them in at once")
    upstream.freeze()
    for name, (layers, options) in plan.items():
        for layer in layers:
            try:
                PEFT.get(name)(blocks[layer - 1], **options)
            except (ValueError, TypeError) as error:
                raise SertlError(f"upstream_conf.peft.{name} {options}: {error}") from error
    for block in blocks:
        block.module.to(block.ffn_out._parameters["weight"].device)
    upstream.frozen = False


def read_peft(
    peft: dict[str, dict | None], top: int, first: int = 0
) -> dict[str, tuple[list[int], dict]]:
    """Check names, options and layers: name -> (block numbers, other options), in their order.

    Raises:
        SertlError: As inject.
    """
    plan = {}
    for name, options in peft.items():
        where = f"upstream_conf.peft.{name}"
        put = PEFT.get(name)
        if options is None:
            continue
        if not isinstance(options, dict):
            raise SertlError(f"{where} is {options!r}, expected its options, e.g. {{layers: all}}")
        rest = {key: value for key, value in options.items() if key != "layers"}
        check_keys(put, rest, 1, where)
        plan[name] = (read_layers(options.get("layers", "all"), top, where, first), rest)
    if not plan:
        raise SertlError("upstream_conf.peft names no module to put in")
    return {name: plan[name] for name in sorted(plan, key=lambda name: PEFT.get(name).order)}


def read_layers(choice: object, top: int, where: str, first: int = 0) -> list[int]:
    """Block numbers from all or a list; those above hidden state first.

    Raises:
        SertlError: If there is no block below the hidden states used, or a number is out of range.
    """
    if top < 1:
        raise SertlError(f"{where}: no block is used; hidden state 0 is the input of the first")
    if choice == "all":
        return list(range(first + 1, top + 1))
    good = isinstance(choice, list) and choice and all(type(i) is int for i in choice)
    if not good or len(set(choice)) < len(choice) or not first < min(choice) <= max(choice) <= top:
        raise SertlError(
            f"{where}.layers is {choice!r}, expected all or a list of different block numbers out "
            f"of {first + 1}..{top} (blocks above the highest hidden state used are not computed)"
        )
    return sorted(choice)


@torch.no_grad()
def fold_lora(upstream: Upstream) -> int:
    """Write every LoRA into the weights it updates and remove it: the same output, for inference.

    Returns:
        Number of weights that had one.
    """
    found = [m for m in upstream.modules() if isinstance(m, DerivedLinear) and "lora" in m.peft]
    for linear in found:
        fold(linear, "lora")
    return len(found)
