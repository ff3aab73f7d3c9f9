# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""SpecAugment's time masks: what is masked, when, with what, and where they are refused."""

import numpy as np
import soundfile
import torch

from sertl.data.batch import Batch
from sertl.data.datadir import DataDir, Utterance
from sertl.data.dataset import UttDataset
from sertl.models.base import Spec
from sertl.models.probe import Probe
from sertl.upstream.padding import frame_padding

SIZE, STRIDE = 4, 320


class Listener(torch.nn.Module):
    """An upstream of ones that keeps the masks it was given."""

    stride = STRIDE

    def __init__(self, vector=None):
        super().__init__()
        self.vector, self.masks = vector, []

    def mask_embedding(self):
        return self.vector

    def forward(self, wavs, wav_lens, layers=None, mask=None):
        self.masks.append(mask)
        frames = -(-wav_lens // STRIDE)
        return [torch.ones(len(wavs), int(frames.max()), SIZE) for _ in layers], frames


def model(share=0.3, span=3, vector=None):
    spec = Spec(list("ab"), SIZE, [0], time_mask=share, time_mask_span=span)
    return Probe(spec, Listener(vector), hidden=0)


def batch(frames, seeds):
    lens = torch.tensor(frames) * STRIDE
    wav = torch.zeros(len(frames), int(lens.max()))
    emo = torch.zeros(len(frames), dtype=torch.long)
    return Batch([f"u{s}" for s in seeds], wav=wav, wav_lens=lens, labels={"emo": emo}, seeds=seeds)


def masks(net, data):
    net(data)
    return net.upstream.masks[-1]


def test_only_training_masks_and_only_where_asked():
    net = model().train()
    assert masks(net, batch([20], [1]))[0].any()
    assert masks(net.eval(), batch([20], [1])) is None
    assert masks(model(share=0.0).train(), batch([20], [1])) is None


def test_what_masked_frames_become():
    own = torch.arange(4.0)
    assert masks(model(vector=own).train(), batch([20], [1]))[1] is own
    assert masks(model().train(), batch([20], [1]))[1].tolist() == [0.0] * SIZE


def test_share_spans_and_padding():
    """0.3 * 20 / 3 = 2 spans of 3 frames that may overlap; of 2 frames, none fits."""
    chosen = masks(model().train(), batch([20, 2, 50], [1, 2, 3]))[0]
    assert chosen.shape == (3, 50)
    assert 3 <= chosen[0].sum() <= 6 and not chosen[1].any()
    padding = frame_padding([20, 2, 50], "cpu")
    assert not (chosen & padding).any()


def test_a_mask_is_of_its_utterance_and_epoch_alone():
    together = masks(model().train(), batch([20, 30], [1, 2]))[0]
    alone = masks(model().train(), batch([20], [1]))[0]
    assert torch.equal(together[0, :20], alone[0])
    drawn = {tuple(masks(model().train(), batch([40], [s]))[0][0].tolist()) for s in range(8)}
    assert len(drawn) > 4


def test_seeds_of_the_data_set(tmp_path):
    utts = {}
    for name in ("a", "b"):
        soundfile.write(tmp_path / f"{name}.wav", np.zeros(1600), 16000)
        utts[name] = Utterance(name, name, str(tmp_path / f"{name}.wav"), 0.1, emo="x")
    data = UttDataset(DataDir(tmp_path, utts, ["x"], None), {"emo": ["x"]}, seed=3)
    assert data.batch([0, 1]).seeds is None  # dev, test
    first, again = data.batch([0, 1], epoch=1).seeds, data.batch([1, 0], epoch=1).seeds
    assert first == again[::-1] and first[0] != first[1]
    assert data.batch([0, 1], epoch=2).seeds != first
