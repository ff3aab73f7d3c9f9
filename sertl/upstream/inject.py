# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Small trainable parts inside the blocks of a frozen encoder: adapter, LoRA, gate, prefix, IA3.

Blocks are changed in place, so that `encoder.layers[i]` and everything bound to it keep working,
and the encoder's own tensors keep their names. Order in a block: attention, feed-forward, norm,
adapter, gate.

Source: Lashkarashvili et al., "Parameter Efficient Finetuning for Speech Emotion Recognition and
Domain Adaptation", ICASSP 2024, for all but prefix and IA3.
"""

import inspect
from collections.abc import Sequence
from functools import partial
from types import MethodType

import torch
from torch import nn

from sertl.errors import SertlError, unknown_name
from sertl.nn.bottleneck import Bottleneck
from sertl.nn.derived_linear import DerivedLinear, derive, fold
from sertl.nn.gate import Gate
from sertl.nn.ia3 import Factors
from sertl.nn.lora import LoRA
from sertl.nn.prefix import Prefix
from sertl.upstream.base import Upstream
from sertl.upstream.blocks import Block

NORMS = ("auto", "layer", "none")
TARGETS = {name: (name,) for name in ("q", "k", "v", "out")} | {"ffn": ("ffn_in", "ffn_out")}


def put_lora(
    block: Block, *, alpha: float, rank: int = 8, targets: Sequence[str] = ("q", "k", "v")
) -> None:
    """A low-rank update of the weights of targets: any of q, k, v, out, ffn (both its layers)."""
    if isinstance(targets, str) or not targets:
        raise ValueError(f"targets is {targets!r}, expected a list of {', '.join(TARGETS)}")
    for target in targets:
        if target not in TARGETS:
            raise unknown_name("target of lora", target, TARGETS)
        for name in TARGETS[target]:
            linear = block.linears[name]
            derive(linear, "lora", LoRA(linear.in_features, linear.out_features, rank, alpha))


def put_ia3(block: Block) -> None:
    """Factors on keys, values and the hidden units of the feed-forward part."""
    for linear, size, inputs in (
        (block.linears["k"], block.linears["k"].out_features, False),
        (block.linears["v"], block.linears["v"].out_features, False),
        (block.ffn_out, block.ffn_out.in_features, True),
    ):
        derive(linear, "ia3", Factors(size, inputs))


def put_prefix(block: Block, *, length: int = 5) -> None:
    """Keys and values that every frame attends to."""
    keep(block.attention, "prefix", Prefix(block.size, length))
    block.attention.forward = MethodType(block.attend, block.attention)


def put_adapter(block: Block, *, width: int = 64, place: str = "block", norm: str = "auto") -> None:
    """A bottleneck on the block's output (place: block), or on its feed-forward part's (ffn).

    It reads that layer-normalised or plain; auto: normalised on the residual stream of pre-norm
    blocks, else plain.
    """
    places = {"block": block.module, "ffn": block.ffn_out}
    if place not in places:
        raise unknown_name("place of adapter", place, places)
    if norm not in NORMS:
        raise unknown_name("norm of adapter", norm, NORMS)
    normed = norm == "layer" or (norm == "auto" and place == "block" and block.pre_norm)
    adapter = keep(block.module, "adapter", Bottleneck(block.size, width, normed))
    # A partial, not a closure: deepcopy then points the copy's hook at the copy's adapter.
    places[place].register_forward_hook(partial(on_output, adapter))


def put_gate(block: Block, *, init: str = "auto") -> None:
    """A factor per dimension of the block's output; auto: identity in pre-norm blocks.

    There a factor of 0.73 would shrink the residual stream anew in every block.
    """
    if init == "auto":
        init = "identity" if block.pre_norm else "ones"
    gate = keep(block.module, "gate", Gate(block.size, init))
    block.module.register_forward_hook(partial(on_output, gate))


# In the order they are put in: LoRA before IA3, which scales what it gives; adapter before gate.
PARTS = {
    "lora": put_lora,
    "ia3": put_ia3,
    "prefix": put_prefix,
    "adapter": put_adapter,
    "gate": put_gate,
}


def keep(module: nn.Module, name: str, part: nn.Module) -> nn.Module:
    """Make part a child of module, where derive() would have put it: `parts.<name>`."""
    if not hasattr(module, "parts"):
        module.parts = nn.ModuleDict()
    module.parts[name] = part
    return part


def on_output(part: nn.Module, _module: nn.Module, _args: tuple, output):
    """Forward hook: apply part to the output, or to the first of several."""
    if isinstance(output, tuple):
        return part(output[0]), *output[1:]
    return part(output)


def part_of(name: str) -> str | None:
    """The part that a parameter of this name belongs to; None for the encoder's own."""
    words = name.split(".")
    return words[words.index("parts") + 1] if "parts" in words else None


def inject(upstream: Upstream, parts: dict[str, dict | None], top: int | None = None) -> None:
    """Put parts into the blocks and let only them train; gradient flows, dropout stays off.

    Args:
        upstream: Without parts so far.
        parts: Part -> its options (see put_*) and `layers`: all, or block numbers; block i makes
            hidden state i. None instead of options leaves a part out.
        top: Highest hidden state that will be used; parts above would never train.

    Raises:
        SertlError: An encoder whose blocks are not known, an unknown part or option (with the
            nearest), a missing option, a wrong value, or parts already there.
    """
    blocks = upstream.blocks()
    plan = read_parts(parts, len(blocks) if top is None else top)
    if any(part_of(name) for name, _ in upstream.named_parameters()):
        raise SertlError("this upstream has parts already; put all of them in at once")
    upstream.freeze()
    for part, (layers, options) in plan.items():
        for layer in layers:
            try:
                PARTS[part](blocks[layer - 1], **options)
            except (ValueError, TypeError) as error:
                raise SertlError(f"upstream_conf.parts.{part} {options}: {error}") from error
    for block in blocks:
        block.module.to(block.ffn_out._parameters["weight"].device)
    upstream.frozen = False


def read_parts(parts: dict[str, dict | None], top: int) -> dict[str, tuple[list[int], dict]]:
    """Check names and layers: part -> (block numbers, other options), in the order of PARTS.

    Raises:
        SertlError: As inject.
    """
    plan = {}
    for part, options in parts.items():
        where = f"upstream_conf.parts.{part}"
        if part not in PARTS:
            raise unknown_name("part in upstream_conf.parts:", part, PARTS)
        if options is None:
            continue
        if not isinstance(options, dict):
            raise SertlError(f"{where} is {options!r}, expected its options, e.g. {{layers: all}}")
        known = list(inspect.signature(PARTS[part]).parameters.values())[1:]
        for key in options.keys() - {p.name for p in known} - {"layers"}:
            raise unknown_name(f"key in {where}:", key, ["layers", *(p.name for p in known)])
        for option in known:
            if option.default is option.empty and option.name not in options:
                raise SertlError(f"{where} needs {option.name}; it has no default")
        rest = {key: value for key, value in options.items() if key != "layers"}
        plan[part] = (read_layers(options.get("layers", "all"), top, where), rest)
    if not plan:
        raise SertlError("upstream_conf.parts names no part to put in")
    return {part: plan[part] for part in PARTS if part in plan}


def read_layers(choice: object, top: int, where: str) -> list[int]:
    """Block numbers from all or a list.

    Raises:
        SertlError: If there is no block below the hidden states used, or a number is out of range.
    """
    if top < 1:
        raise SertlError(f"{where}: no block is used; hidden state 0 is the input of the first")
    if choice == "all":
        return list(range(1, top + 1))
    good = isinstance(choice, list) and choice and all(type(i) is int for i in choice)
    if not good or len(set(choice)) < len(choice) or not 1 <= min(choice) <= max(choice) <= top:
        raise SertlError(
            f"{where}.layers is {choice!r}, expected all or a list of different block numbers out "
            f"of 1..{top} (blocks above the highest hidden state used are not computed)"
        )
    return sorted(choice)


@torch.no_grad()
def merge_lora(upstream: Upstream) -> None:
    """Write every LoRA into the weights it updates and remove it: the same output, for inference.

    Raises:
        SertlError: If there is none.
    """
    merged = [m for m in upstream.modules() if isinstance(m, DerivedLinear) and "lora" in m.parts]
    if not merged:
        raise SertlError("no LoRA to merge in this upstream")
    for linear in merged:
        fold(linear, "lora")
