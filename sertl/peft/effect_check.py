# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Proof that every injected tensor acts.

Some public code wraps projections whose weights go straight to a fused attention function: the
wrapper never runs, the head still learns, and "LoRA" is the name of a frozen probe. So each run
checks its own injection before it trains.

Two tests cover every injected tensor, at a cost linear in the size of the encoder:

- one backward pass from a random projection of the hidden states in use reaches all of them, and
  all tensors of the encoder that are tuned, from end to end;
- each injected tensor alone is changed, and its block, called again with the input it had, must
  give something else. Running the whole encoder for each would be quadratic in its depth, and
  would tell nothing that the gradient has not told.

Before, zero-initialised partners are set off zero: at B = 0 neither A nor its gradient acts.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import nn

from sertl.errors import SertlError
from sertl.peft.gate import Gate
from sertl.peft.prefix import Prefix
from sertl.peft.slots import peft_of
from sertl.upstream.encoder import Upstream

SAMPLES = 8000  # half a second of noise: 25 frames
ATTEMPTS = 4
# Rounding and 30 s of padding would hide effects or cost time; they change nothing in what acts.
OFF = ("bf16", "pad_to_30s", "grad_checkpoint")
SAME = 1e-5  # relative error of the start against the encoder before injection


def effect_check(
    upstream: Upstream, layers: Sequence[int], before: list[torch.Tensor] | None = None
) -> None:
    """Check an upstream with PEFT modules; it is afterwards what it was, bit for bit.

    Args:
        upstream: As it is going to be trained, at its initial values.
        layers: Hidden states in use.
        before: From states_before, called before the injection.

    Raises:
        SertlError: Naming tensor and layer of what has no effect or no gradient; of an encoder's
            tensor that trains unasked; other hidden states in number, shape or, where all of them
            start as the identity, in value.
    """
    where = layer_names(upstream)
    trained = {n: p for n, p in upstream.named_parameters() if p.requires_grad}
    injected = {n: p for n, p in upstream.named_parameters() if peft_of(n)}
    asleep = sorted(injected.keys() - trained.keys())
    if asleep:
        raise SertlError(f"effect check: {where(asleep[0])} was put in but does not train")
    if not upstream.tuned and trained.keys() != injected.keys():
        awake = sorted(trained.keys() - injected.keys())
        raise SertlError(f"effect check: {where(awake[0])} trains, though the encoder is frozen")
    exempt = {id(b.linears["k"]._parameters["bias"]) for b in upstream.blocks()}  # softmax cancels
    checked = {n: p for n, p in trained.items() if id(p) not in exempt}
    with as_for_inference(upstream), put_back(injected.values()):
        if before is not None:
            compare_start(upstream, before)
        generator = torch.Generator().manual_seed(0)
        no_gradient, no_effect = set(checked), set(injected)
        for attempt in range(ATTEMPTS):
            for parameter in injected.values():
                if attempt % 2 == 0:
                    parameter.data += noise_like(parameter, generator)
                else:  # a narrow adapter that lay in the flat half of its ReLU leaves it
                    parameter.data.neg_()
            no_gradient &= without_gradient(upstream, checked, layers, generator)
            no_effect &= without_effect(upstream, injected, layers, generator)
            if not no_gradient | no_effect:
                return
    dead = sorted(no_gradient | no_effect)
    named = "; ".join(
        f"{where(n)} {'does not change its block' if n in no_effect else 'gets no gradient'}"
        for n in dead[:5]
    )
    raise SertlError(
        f"effect check: {len(dead)} of {len(checked)} tensors are dead: {named}. Training would "
        "leave them as they are"
    )


@torch.no_grad()
def states_before(upstream: Upstream, top: int) -> list[torch.Tensor]:
    """Hidden states 0..top of the encoder as it was released, for the comparison of the start."""
    with as_for_inference(upstream):
        return noise_states(upstream, range(top + 1))


def noise_states(upstream: Upstream, layers: Sequence[int]) -> list[torch.Tensor]:
    """Hidden states (1, T, D) of a clip of seeded noise."""
    noise = torch.randn(1, SAMPLES, generator=torch.Generator().manual_seed(0))
    device = next((p.device for p in upstream.parameters()), "cpu")
    return upstream(noise.to(device), torch.tensor([SAMPLES]), layers)[0]


def noise_like(parameter: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Noise of a size that neither drowns nor is drowned by what the tensor multiplies."""
    fan_in = parameter.shape[-1] if parameter.ndim > 1 else 1
    noise = torch.randn(parameter.shape, generator=generator) * 0.5 / fan_in**0.5
    return noise.to(parameter)


def layer_names(upstream: Upstream):
    """A function: parameter name -> "layer 3: adapter.up.weight"."""
    blocks = upstream.blocks()
    inside = {
        id(p): (i, name)
        for i, block in enumerate(blocks, start=1)
        for name, p in block.module.named_parameters()
    }
    by_name = {name: inside.get(id(p)) for name, p in upstream.named_parameters()}

    def describe(name: str) -> str:
        found = by_name[name]
        return name if found is None else f"layer {found[0]}: {found[1]}"

    return describe


def compare_start(upstream: Upstream, before: list[torch.Tensor]) -> None:
    """Same number and shape of hidden states; same values where every module starts as identity."""
    with torch.no_grad():
        after = noise_states(upstream, range(len(before)))
    shapes = [tuple(h.shape) for h in before], [tuple(h.shape) for h in after]
    if upstream.num_layers != len(upstream.blocks()) + 1 or shapes[0] != shapes[1]:
        raise SertlError(f"effect check: hidden states were {shapes[0]}, now {shapes[1]}")
    if any(_starts_elsewhere(module) for module in upstream.modules()):
        return
    for layer, (a, b) in enumerate(zip(after, before, strict=True)):
        if not (a - b).norm() <= SAME * b.norm():
            error = float((a - b).norm() / b.norm())
            raise SertlError(
                f"effect check: hidden state {layer} differs from the pretrained encoder's by "
                f"{error:.1e} (relative) at the start; expected at most {SAME}"
            )


def _starts_elsewhere(module: nn.Module) -> bool:
    if isinstance(module, Prefix):
        return module.gate is None
    return isinstance(module, Gate) and module.init == "ones"


def without_gradient(
    upstream: Upstream, trained: dict, layers: Sequence[int], generator: torch.Generator
) -> set[str]:
    """Names of the tensors that a random projection of the hidden states has no gradient for."""
    with torch.enable_grad():
        hidden = noise_states(upstream, layers)
        weights = [torch.randn(h.shape, generator=generator).to(h) for h in hidden]
        target = sum((h * w).sum() for h, w in zip(hidden, weights, strict=True))
        if not target.requires_grad:
            return set(trained)
        gradients = torch.autograd.grad(target, list(trained.values()), allow_unused=True)
    return {
        name
        for name, gradient in zip(trained, gradients, strict=True)
        if gradient is None or not gradient.isfinite().all() or not gradient.any()
    }


@torch.no_grad()
def without_effect(
    upstream: Upstream, injected: dict, layers: Sequence[int], generator: torch.Generator
) -> set[str]:
    """Names of the injected tensors that can change without a change of their block's output."""
    blocks, calls, hooks = upstream.blocks(), {}, []
    for block in blocks:
        hooks.append(
            block.module.register_forward_pre_hook(
                lambda module, args, kwargs: calls.update({module: (args, kwargs)}),
                with_kwargs=True,
            )
        )
    noise_states(upstream, layers)
    for hook in hooks:
        hook.remove()
    names = {id(p): name for name, p in injected.items()}
    still = set(injected)  # what sits in no block that was called stays
    for module, (args, kwargs) in calls.items():
        plain = _first(module(*args, **kwargs))
        for parameter in module.parameters():
            if id(parameter) not in names:
                continue
            kept = parameter.clone()
            parameter.add_(noise_like(parameter, generator))
            if not torch.equal(_first(module(*args, **kwargs)), plain):
                still.discard(names[id(parameter)])
            parameter.copy_(kept)
    return still


def _first(output) -> torch.Tensor:
    return output[0] if isinstance(output, tuple) else output


@contextmanager
def as_for_inference(upstream: Upstream) -> Iterator[None]:
    """Evaluation mode, full precision, without what only costs time; undone afterwards."""
    modes = {module: module.training for module in upstream.modules()}
    switches = {name: getattr(upstream, name) for name in OFF if hasattr(upstream, name)}
    upstream.eval()
    for name in switches:
        setattr(upstream, name, False)
    try:
        yield
    finally:
        for name, value in switches.items():
            setattr(upstream, name, value)
        for module, mode in modes.items():
            module.training = mode


@contextmanager
def put_back(parameters) -> Iterator[None]:
    """Restore the parameters' values."""
    kept = [(p, p.detach().clone()) for p in parameters]
    try:
        yield
    finally:
        for parameter, value in kept:
            parameter.data.copy_(value)
