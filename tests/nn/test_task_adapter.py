# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Task adapter: by hand, size, no residual."""

import torch

from sertl.nn.task_adapter import TaskAdapter


def test_by_hand():
    adapter = TaskAdapter(2, width=2)
    with torch.no_grad():
        adapter.down.weight.copy_(torch.tensor([[1.0, 0.0], [0.0, -1.0]]))
        adapter.down.bias.copy_(torch.tensor([1.0, 0.0]))
        adapter.out.weight.copy_(torch.tensor([[2.0, 5.0], [0.0, 1.0]]))
        adapter.out.bias.copy_(torch.tensor([0.0, 3.0]))
    # down: (2 + 1, -4); ReLU: (3, 0); out: (6, 3)
    assert adapter(torch.tensor([[2.0, 4.0]])).tolist() == [[6.0, 3.0]]
    # no residual: what the first layer holds back does not reach the output
    assert adapter(torch.tensor([[-9.0, 9.0]])).tolist() == [[0.0, 3.0]]


def test_size():
    adapter = TaskAdapter(1024)
    # 1024 * 256 + 256 + 256 * 256 + 256
    assert sum(p.numel() for p in adapter.parameters()) == 328192
    assert adapter(torch.zeros(3, 1024)).shape == (3, 256)
