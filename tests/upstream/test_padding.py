# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""The small pieces behind exact batches, on numbers that can be checked by eye."""

import torch

from sertl.upstream.padding import each_alone, frame_padding, repeat_last, stack_frames


def test_frame_padding():
    expected = [[False, True, True], [False, False, False]]
    assert frame_padding([1, 3], "cpu").tolist() == expected


def test_repeat_last_copies_each_row_s_own_last_frame_or_cuts():
    states = torch.tensor([[1.0, 2.0, 9.0], [3.0, 4.0, 5.0]])[:, :, None]  # frames 2 and 3
    out = repeat_last(states, [2, 3], [4, 1])[:, :, 0]
    assert out[0].tolist() == [1.0, 2.0, 2.0, 2.0]
    assert out[1, :1].tolist() == [3.0]


def test_each_alone_never_pads_and_keeps_the_order():
    seen = []

    def front_end(wavs):
        seen.append(tuple(wavs.shape))
        return wavs[:, :, None] * 10

    clips = [torch.tensor([1.0, 2.0]), torch.tensor([3.0]), torch.tensor([4.0, 5.0])]
    features = each_alone(clips, front_end)
    assert sorted(seen) == [(1, 1), (2, 2)]
    assert [f[:, 0].tolist() for f in features] == [[10.0, 20.0], [30.0], [40.0, 50.0]]
    stacked, frames = stack_frames(features)
    assert frames == [2, 1, 2] and stacked[1, :, 0].tolist() == [30.0, 0.0]
