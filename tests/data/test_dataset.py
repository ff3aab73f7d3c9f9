# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Batches of tensors: labels and masks, crops that depend on seed, epoch and utterance alone."""

import math
from dataclasses import replace

import numpy as np
import pytest
import soundfile
import torch
from fakes import FakeVectors, fake_dataset

from sertl.data.batch import prefetch
from sertl.data.datadir import DataDir, Utterance
from sertl.data.dataset import UttDataset
from sertl.data.speaker_norm import SpeakerNorm
from sertl.errors import SertlError

CLASSES = {"emo": ["ang", "sad"], "gender": ["f", "m"], "style": ["acted"]}


@pytest.fixture
def audio(tmp_path):
    """Two clips of 0.5 and 2 s whose samples count up, the second without labels."""
    utts = {}
    for name, seconds, emo in (("a", 0.5, "sad"), ("b", 2.0, None)):
        wave = np.arange(int(16000 * seconds)) / 65536
        soundfile.write(tmp_path / f"{name}.wav", wave, 16000, subtype="FLOAT")
        known = {"gender": "f", "style": "acted", "vad": (1.0, 2.0, 3.0)} if emo else {}
        utts[f"s-{name}"] = Utterance(
            f"s-{name}", "s", str(tmp_path / f"{name}.wav"), seconds, emo=emo, **known
        )
    return DataDir(tmp_path, utts, ["ang", "sad"], (1.0, 5.0))


def test_audio_is_padded_and_missing_labels_are_marked(audio):
    batch = UttDataset(audio, CLASSES).batch([0, 1])
    assert batch.utt == ["s-a", "s-b"]
    assert batch.wav.shape == (2, 32000) and batch.wav_lens.tolist() == [8000, 32000]
    assert batch.wav[0, 8000:].abs().sum() == 0
    assert (batch.emo.tolist(), batch.gender.tolist(), batch.style.tolist()) == (
        [1, -1],
        [0, -1],
        [0, -1],
    )
    assert batch.vad[0].tolist() == [1.0, 2.0, 3.0]
    assert all(math.isnan(v) for v in batch.vad[1].tolist())


def test_votes_become_shares_of_the_classes(audio):
    first, _ = audio.utts.values()
    voted = replace(
        audio, utts={**audio.utts, first.utt: replace(first, votes={"sad": 3.0, "ang": 1.0})}
    )
    batch = UttDataset(voted, CLASSES).batch([0, 1])
    assert batch.votes[0].tolist() == [0.25, 0.75] and batch.votes[1].isnan().all()
    assert UttDataset(voted, CLASSES).batch([1]).votes is None


def test_crops_start_on_frames_and_repeat(audio):
    data = UttDataset(audio, CLASSES, crop_sec=1.0, seed=3)
    first = data.batch([1], epoch=1)
    assert first.wav_lens.tolist() == [16000]
    assert round(first.wav[0, 0].item() * 65536) % 320 == 0
    assert torch.equal(first.wav, data.batch([1, 0], epoch=1).wav[:1])  # whatever else is read
    starts = {data.batch([1], epoch=e).wav[0, 0].item() for e in range(8)}
    assert len(starts) > 3
    assert data.batch([1]).wav_lens.tolist() == [32000]  # evaluation reads whole clips


def test_features_are_cropped_in_training_only():
    """fake_dataset: half of 4 s is half of the frames, others in each epoch."""
    data = fake_dataset(number=6, crop_sec=2.0, seed=1)
    index = [u.dur_sec for u in data.utts].index(4.0)
    whole = data.batch([index])
    frames = int(whole.lens)
    starts = set()
    for epoch in range(12):
        batch = data.batch([index], epoch=epoch)
        length = round(frames / 2)
        assert batch.lens.tolist() == [length]
        found = [
            i
            for i in range(frames - length + 1)
            if torch.equal(batch.feats, whole.feats[:, :, i : i + length])
        ]
        starts.update(found)
        assert len(found) == 1
        again = data.batch([0, index], epoch=epoch).feats[1:, :, :length]
        assert torch.equal(again, batch.feats)  # whatever else is read
    assert len(starts) > 1
    short = [u.dur_sec for u in data.utts].index(1.0)
    assert torch.equal(data.batch([short], epoch=0).feats, data.batch([short]).feats)


def test_unknown_label_is_refused(audio):
    with pytest.raises(SertlError, match=r"labels \['sad'\], not among \['ang', 'hap'\]"):
        UttDataset(audio, {"emo": ["ang", "hap"]})


def test_features_are_padded_and_normalised():
    data = fake_dataset(number=6, normalise=True, cache_gib=1.0)
    for _ in range(2):  # the second time from the cache
        batch = data.batch([0, 1, 2])
        assert batch.feats.shape == (3, 2, int(batch.lens.max()), 6)
        real = batch.feats[0, :, : batch.lens[0]]
        torch.testing.assert_close(real.mean(-1), torch.zeros(real.shape[:2]), atol=1e-5, rtol=0)
        assert batch.feats[0, :, batch.lens[0] :].abs().sum() == 0


def test_prefetch_keeps_order_raises_and_stops():
    assert list(prefetch(iter(range(10)))) == list(range(10))

    def broken():
        yield 1
        raise SertlError("file x is broken")

    with pytest.raises(SertlError, match="file x is broken"):
        list(prefetch(broken()))
    endless = prefetch(iter(int, 1))
    assert next(endless) == 0
    endless.close()  # returns, so the thread has ended


def test_vectors_of_a_pooled_dump():
    frames, pooled = fake_dataset(number=8), fake_dataset(
        number=8, kind=FakeVectors, statistics=("std", "mean")
    )  # fmt: skip
    batch, vectors = frames.batch([5, 2]), pooled.batch([5, 2]).vectors
    assert pooled.batch([5, 2]).feats is None and vectors.shape == (2, 2, 12)
    for row, n in enumerate(batch.lens.tolist()):
        mean = batch.feats[row, :, :n].mean(dim=1)
        assert torch.allclose(vectors[row, :, 6:], mean, atol=1e-6)


def test_speakers_are_normalised_alike_in_frames_and_vectors():
    frames = fake_dataset(number=16)
    vectors = fake_dataset(number=16, kind=FakeVectors, statistics=("mean",))
    assert torch.allclose(frames.clip_vectors(), vectors.clip_vectors(), atol=1e-6)
    before = vectors.batch(range(16)).vectors
    norm = SpeakerNorm("offline", 0.0, torch.zeros(2, 6))
    for data in (frames, vectors):
        data.normalise_speakers(norm)
    after, batch = vectors.batch(range(16)).vectors, frames.batch(range(16))
    spks = [u.spk for u in vectors.utts]
    for spk in set(spks):
        rows = [i for i, s in enumerate(spks) if s == spk]
        assert after[rows].mean(dim=0).abs().max() < 1e-5  # centred
        assert torch.allclose(after[rows] - before[rows], -before[rows].mean(dim=0), atol=1e-5)
    for row, n in enumerate(batch.lens.tolist()):
        assert torch.allclose(batch.feats[row, :, :n].mean(dim=1), after[row], atol=1e-5)
        assert not batch.feats[row, :, n:].any()  # padding stays zero
    vectors.normalise_speakers(None)
    assert torch.equal(vectors.batch(range(16)).vectors, before)
