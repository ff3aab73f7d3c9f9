# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Which parameters of an encoder its hidden states really depend on."""

from collections.abc import Sequence

import torch
from torch import nn


def parameters_of(upstream: nn.Module, layers: Sequence[int] | None, first: int | None) -> set[int]:
    """Ids of the parameters that hidden states depend on; what trains is not touched.

    Args:
        upstream: An encoder (upstream/encoder.py).
        layers: Hidden states; None for all.
        first: Leave out what they depend on through this one alone.
    """
    layers = list(range(upstream.num_layers)) if layers is None else list(layers)
    opened = {id(p) for p in upstream.parameters() if p.requires_grad}
    frozen, tuned = upstream.frozen, upstream.tuned
    upstream.requires_grad_(True)
    upstream.frozen, upstream.tuned = False, []
    upstream.eval()  # no dropout in this pass, so it draws no random number
    device = next((p.device for p in upstream.parameters()), "cpu")
    generator = torch.Generator().manual_seed(0)
    with torch.enable_grad():
        if first is None:
            noise = torch.randn(1, 8000, generator=generator).to(device)
            hidden, _ = upstream(noise, torch.tensor([8000]), layers)
        else:
            noise = torch.randn(1, 25, upstream.hidden_size, generator=generator).to(device)
            above = [layer for layer in layers if layer > first]
            hidden, _ = upstream.resume(noise, torch.tensor([25]), [None], first, above)
    for parameter in upstream.parameters():
        parameter.requires_grad_(id(parameter) in opened)
    upstream.frozen, upstream.tuned = frozen, tuned
    upstream.train()
    return leaves(hidden)


def leaves(tensors: Sequence[torch.Tensor]) -> set[int]:
    """Ids of the parameters that the tensors were computed from, read off the autograd graph."""
    found, seen = set(), set()
    queue = [t.grad_fn for t in tensors if t.grad_fn is not None]
    while queue:
        node = queue.pop()
        if node in seen:
            continue
        seen.add(node)
        if hasattr(node, "variable"):  # the node that adds to a parameter's .grad
            found.add(id(node.variable))
        queue += [parent for parent, _ in node.next_functions if parent is not None]
    return found
