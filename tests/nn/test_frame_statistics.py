# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Statistics of frames: values by hand, and those of the poolings that have the same names."""

import pytest
import torch

from sertl.errors import SertlError
from sertl.nn.frame_statistics import parse_statistics, pool_frames
from sertl.nn.pooling import POOLINGS


def test_values_by_hand():
    frames = torch.tensor([[1.0, 0.0], [3.0, 0.0], [8.0, 0.0]])
    # mean 4, variance (9 + 1 + 16) / 3 = 26 / 3, median 3; the other dimension does not vary
    found = pool_frames(frames, ["mean", "std", "max", "min", "q50"])
    expected = [4.0, 0.0, (26 / 3) ** 0.5, 1e-5**0.5, 8.0, 0.0, 1.0, 0.0, 3.0, 0.0]
    assert found.tolist() == pytest.approx(expected, abs=1e-6)
    assert pool_frames(frames[:1], ["std", "q90"]).tolist() == pytest.approx(
        [1e-5**0.5, 1e-5**0.5, 1.0, 0.0]
    )


@pytest.mark.parametrize("name", ["mean", "stat"])
def test_they_are_what_the_pooling_of_a_padded_batch_gives(name):
    pooling = POOLINGS.get(name)
    frames, lens = torch.randn(3, 9, 5) * 4 + 2, torch.tensor([9, 1, 4])
    expected = pooling(5)(frames, lens)
    found = [pool_frames(f[:n], pooling.statistics) for f, n in zip(frames, lens, strict=True)]
    assert torch.allclose(torch.stack(found), expected, atol=1e-6)


def test_names():
    assert parse_statistics("mean,std") == ["mean", "std"] and parse_statistics("") == []
    for text, word in (("mean,sdt", "std"), ("mean mean", "twice"), ("q100", "q10")):
        with pytest.raises(SertlError, match=word):
            parse_statistics(text)
