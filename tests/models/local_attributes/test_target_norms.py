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


def test_looking_at_dev_before_the_first_update_leaves_nothing_behind():
    norm, (frames, mask) = CorpusNorm(1).eval(), frames_and_mask()
    norm(frames + 50.0, mask)
    norm.train()
    norm(frames, mask)
    norm.after_step()
    assert norm.mean.item() == 5.0


def test_fitted_on_a_sample():
    norm = CorpusNorm(2)
    frames = torch.tensor([[1.0, 0.0], [3.0, 0.0], [5.0, 6.0]])
    normed = norm.fit(frames)
    torch.testing.assert_close(normed.mean(dim=0), torch.zeros(2), atol=1e-6, rtol=0)
    assert norm.known == 1 and norm.mean.tolist() == [3.0, 2.0]
    shown = norm.eval()(frames[None], torch.ones(1, 3, dtype=torch.bool))
    torch.testing.assert_close(shown[0], normed)


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
