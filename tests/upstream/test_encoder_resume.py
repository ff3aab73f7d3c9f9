# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Going on from a dumped hidden state gives what the whole encoder gives from audio."""

import pytest
import torch
from awkward_clips import LENGTHS, build

from sertl.errors import SertlError
from sertl.upstream.s3prl import build_s3prl
from sertl.upstream.whisper import WhisperUpstream, build_whisper

FAMILIES = {
    "hubert_base.pt": "hubert_local",
    "hubert_large.pt": "hubert_local",
    "wav2vec2_base.pt": "wav2vec2_local",
    "data2vec_large.pt": "data2vec_local",
    "wavlm_base.pt": "wavlm_local",
    "wavlm_large.pt": "wavlm_local",
    "hf_hubert_base": "hf_hubert_custom",
    "hf_wav2vec2_large": "hf_wav2vec2_custom",
    "hf_wavlm_large": "hf_wavlm_custom",
    "hf_data2vec-audio_base": "hf_data2vec-audio_custom",
    "hf_sew_base": "hf_sew_custom",
    "hf_wav2vec2-conformer_base": "hf_wav2vec2-conformer_custom",
    "hf_wav2vec2-conformer_large": "hf_wav2vec2-conformer_custom",
    "hf_wav2vec2-bert_base": "hf_wav2vec2-bert_custom",
    "whisper": "",
}
WHOLE = [i for i, n in enumerate(LENGTHS) if n >= 640]  # below, a frame is cut off in the dump


@pytest.fixture(scope="module", params=FAMILIES)
def upstream(request, tiny):
    entry = FAMILIES[request.param]
    folder = tiny / request.param
    return build_s3prl(entry, folder, {}) if entry else build_whisper(folder)


@pytest.mark.parametrize("first", [0, 1, 2])
def test_equals_the_encoder_from_audio(upstream, clips, first):
    wavs, lens = (x[WHOLE] for x in clips)
    top = upstream.num_layers - 1
    layers = [top, first + 1]
    (state, *expected), frames = upstream(wavs, lens, [first, *layers])
    found, found_frames = upstream.resume(state, frames, lens.tolist(), first, layers)
    assert torch.equal(found_frames, frames)
    for layer, one, other in zip(layers, found, expected, strict=True):
        gap = (one - other).abs().max() / other.abs().max()
        assert gap < 1e-5, f"layer {layer}"


def test_gradient_reaches_the_upper_blocks_alone(upstream, clips):
    wavs, lens = (x[WHOLE] for x in clips)
    (state,), frames = upstream(wavs, lens, [1])
    blocks = [b.module for b in upstream.blocks()]
    blocks[-1].requires_grad_(True)
    upstream.frozen = False
    try:
        top = upstream.num_layers - 1
        found, _ = upstream.resume(state, frames, lens.tolist(), 1, [top])
        found[0].square().sum().backward()
        trained = {n for n, p in upstream.named_parameters() if p.grad is not None}
        assert trained == {n for n, p in upstream.named_parameters() if p.requires_grad}
    finally:
        upstream.freeze()
        upstream.zero_grad()


def test_masked_frames_become_the_mean(upstream):
    torch.manual_seed(0)
    state, lens = torch.randn(2, 9, upstream.hidden_size), torch.tensor([9, 6])
    mask = torch.zeros(2, 9, dtype=torch.bool)
    mask[0, 2:5] = mask[1, 5] = True
    filled = state.clone()
    for row, length in enumerate(lens.tolist()):
        filled[row, mask[row]] = state[row, :length].mean(0)
    for one, other in zip(
        upstream.resume(state, lens, [None, None], 1, [2], mask)[0],
        upstream.resume(filled, lens, [None, None], 1, [2])[0],
        strict=True,
    ):
        torch.testing.assert_close(one, other)


def test_windows_of_a_long_clip(tiny):
    upstream = build_whisper(tiny / "whisper")
    assert isinstance(upstream, WhisperUpstream)
    wav = 0.1 * torch.randn(1, upstream.max_samples * 2 + 5000)
    lens = torch.tensor([wav.shape[1]])
    (state, expected), frames = upstream(wav, lens, [1, 3])
    assert len(upstream.windows(wav.shape[1])) == 3
    (found,), _ = upstream.resume(state, frames, lens.tolist(), 1, [3])
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_what_cannot_go_on(tiny):
    padded = build_whisper(tiny / "whisper", pad_to_30s=True)
    with pytest.raises(SertlError, match="pad_to_30s"):
        padded.check_resume(1)
    with pytest.raises(SertlError, match="from_layer"):
        build_s3prl("fbank", None, {}).check_resume(1)


def test_emotion2vec_goes_on_from_its_convolutions_alone(tiny, clips):
    """Above the first block there are states of tokens, which no dump of frames has."""
    upstream = build(tiny, "emotion2vec")
    wavs, lens = (x[WHOLE] for x in clips)
    (state, *expected), frames = upstream(wavs, lens, [0, 1, 3])
    found, _ = upstream.resume(state, frames, lens.tolist(), 0, [1, 3])
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)
    upstream.check_resume(0)
    with pytest.raises(SertlError, match="from_layer is 1: emotion2vec's blocks see tokens"):
        upstream.resume(state, frames, lens.tolist(), 1, [3])
