# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Corpus norm: statistics of all frames by moving averages; the utterance's own mean stays."""

import torch

from sertl.models.local_attributes.target_norms import CorpusNorm


def frames_and_mask():
    frames = torch.tensor([[[1.0], [3.0], [99.0]], [[5.0], [7.0], [9.0]]])
    return frames, torch.tensor([[True, True, False], [True, True, True]])


def test_by_hand():
    """1, 3, 5, 7, 9: mean 5, variance 8; padding counts for nothing and comes out zero."""
    norm, (frames, mask) = CorpusNorm(1), frames_and_mask()
    got = norm(frames, mask)
    expected = (frames - 5.0) / (8.0 + 1e-5) ** 0.5
    torch.testing.assert_close(got, expected.masked_fill(~mask[:, :, None], 0.0))
    assert got[0].sum() < 0 < got[1].sum()  # what sets utterances apart is not removed


def test_averages_move_after_an_update_and_only_in_training():
    norm, (frames, mask) = CorpusNorm(1, decay=0.75), frames_and_mask()
    norm(frames, mask)
    norm.after_step()
    assert (norm.mean.item(), norm.known.item()) == (5.0, 1.0)
    norm(frames + 4.0, mask)
    assert norm.mean.item() == 5.0  # not before the update
    norm.after_step()
    assert norm.mean.item() == 6.0  # 5 + (9 - 5) / 4
    norm.eval()
    norm(frames + 100.0, mask)
    norm.after_step()
    assert norm.mean.item() == 6.0
    other = CorpusNorm(1)
    other.load_state_dict(norm.state_dict())
    torch.testing.assert_close(other.eval()(frames, mask), norm(frames, mask))
