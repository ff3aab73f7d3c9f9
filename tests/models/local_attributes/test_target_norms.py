# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Corpus norm: over all utterances, in training the batch's; what sets one apart stays."""

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


def test_in_training_a_batch_that_has_moved_is_normed_by_itself():
    """What all frames share, such as the way of a teacher since the averages, is in no target."""
    norm, (frames, mask) = CorpusNorm(1), frames_and_mask()
    first = norm(frames, mask)
    norm.after_step()
    torch.testing.assert_close(norm(frames * 3.0 + 50.0, mask), first, rtol=1e-5, atol=1e-5)
    shown = norm.eval()(frames + 50.0, mask)  # by the averages: the same speech, the same labels
    torch.testing.assert_close(shown[mask], first[mask] + 50.0 / (8.0 + 1e-5) ** 0.5)


def test_a_lone_utterance_keeps_what_sets_it_apart():
    """By the averages; an utterance without frames that count is no company."""
    norm, (frames, mask) = CorpusNorm(1), frames_and_mask()
    first = norm(frames, mask)
    norm.after_step()
    torch.testing.assert_close(norm(frames[1:], mask[1:]), first[1:])
    mask[0] = False
    torch.testing.assert_close(norm(frames, mask)[1], first[1])


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
