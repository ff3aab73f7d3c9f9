# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Masked frames inside an encoder: a vector takes the place of the first block's input."""

import pytest
import torch
from awkward_clips import CONF_DIR, NAMES, build

from sertl.errors import SertlError
from sertl.upstream.build import build_upstream, load_conf
from sertl.upstream.emotion2vec import Emotion2vecUpstream
from sertl.upstream.padding import replace_frames
from sertl.upstream.s3prl import build_s3prl
from sertl.upstream.whisper import WhisperUpstream, build_whisper


@pytest.fixture(params=[name for name in NAMES if name != "eat"])
def upstream(request, tiny):
    return build(tiny, request.param)


def random_mask(lens):
    generator = torch.Generator().manual_seed(2)
    return torch.rand(len(lens), int(lens.max()), generator=generator) < 0.4


def test_by_hand():
    x = torch.arange(6.0).reshape(1, 3, 2)
    vector = torch.tensor([9.0, 8.0])
    short, long = torch.tensor([[False, True]]), torch.tensor([[True, False, False, True, True]])
    assert replace_frames(x, (short, vector))[0].tolist() == [[0, 1], [9, 8], [4, 5]]
    assert replace_frames(x, (long, vector))[0].tolist() == [[9, 8], [2, 3], [4, 5]]
    assert replace_frames(x, None) is x


def test_batch_equals_single_with_a_mask(upstream, clips):
    wavs, wav_lens = clips
    _, lens = upstream(wavs, wav_lens, [0])
    mask, vector = random_mask(lens), torch.randn(upstream.hidden_size)
    batch, found = upstream(wavs, wav_lens, None, (mask, vector))
    assert torch.equal(found, lens)  # a mask changes no length
    for row, (n, frames) in enumerate(zip(wav_lens.tolist(), lens.tolist(), strict=True)):
        own = (mask[row : row + 1, :frames], vector)
        single, _ = upstream(wavs[row : row + 1, :n], torch.tensor([n]), None, own)
        for a, b in zip(batch, single, strict=True):
            torch.testing.assert_close(a[row, :frames], b[0], rtol=1e-4, atol=1e-4)


def test_all_masked_forgets_the_audio_and_none_changes_nothing(upstream, clips):
    """Only positions tell frames apart then; so two clips of one length give the same."""
    wavs = clips[0][:2, :8000]
    lens = torch.tensor([8000, 8000])
    layers = [upstream.num_layers - 1]
    vector = torch.randn(upstream.hidden_size)
    _, frames = upstream(wavs, lens, layers)
    mask = torch.ones(2, int(frames[0]), dtype=torch.bool)
    (masked,), _ = upstream(wavs, lens, layers, (mask, vector))
    torch.testing.assert_close(masked[0], masked[1], rtol=1e-4, atol=1e-4)
    (none,), _ = upstream(wavs, lens, layers, (~mask, vector))
    (plain,), _ = upstream(wavs, lens, layers)
    assert torch.equal(none, plain) and not torch.allclose(none, masked)


def test_the_vector_learns(upstream, clips):
    upstream.trainable()
    vector = torch.nn.Parameter(torch.randn(upstream.hidden_size))
    mask = torch.zeros(len(clips[0]), 80, dtype=torch.bool)
    mask[:, :3] = True
    hidden, _ = upstream(*clips, [upstream.num_layers - 1], (mask, vector))
    (hidden[0] * torch.randn_like(hidden[0])).sum().backward()
    assert vector.grad.abs().sum() > 0
    own = upstream.mask_embedding()
    # Whisper was trained without a mask; emotion2vec's left the masked frames out.
    assert (own is None) == isinstance(upstream, (WhisperUpstream, Emotion2vecUpstream))
    if own is not None:
        assert own.shape == vector.shape and own.grad is None


def test_which_encoders_were_trained_with_a_mask(tiny):
    found = build_s3prl("hubert_local", tiny / "hubert_base.pt", {})
    assert torch.equal(found.mask_embedding(), found.model.mask_emb)
    assert build_whisper(tiny / "whisper").mask_embedding() is None


def test_windows_of_a_long_whisper_clip(tiny):
    """61 s are three windows; each gets its own part of the mask."""
    upstream = build_whisper(tiny / "whisper")
    wav = torch.randn(1, 61 * 16000, generator=torch.Generator().manual_seed(0)) * 0.1
    lens = torch.tensor([wav.shape[1]])
    (plain,), frames = upstream(wav, lens, [0])
    mask = random_mask(frames)
    (masked,), _ = upstream(wav, lens, [0], (mask, torch.full((upstream.hidden_size,), 5.0)))
    changed = (plain != masked).any(dim=2)
    assert torch.equal(changed, mask)


def test_patches_cannot_be_masked(tiny, clips):
    mask = (torch.ones(len(clips[0]), 10, dtype=torch.bool), torch.zeros(32))
    with pytest.raises(SertlError, match="EAT's patches cannot be masked"):
        build(tiny, "eat")(*clips, None, mask)


def test_filter_banks_cannot_be_masked():
    upstream = build_upstream(load_conf("fbank", CONF_DIR))
    mask = (torch.ones(1, 50, dtype=torch.bool), torch.zeros(upstream.hidden_size))
    with pytest.raises(SertlError, match="frames inside S3PRL's 'fbank' cannot be masked"):
        upstream(torch.randn(1, 8000), torch.tensor([8000]), None, mask)
