# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Augmentation: what each change does to a sound, seeds, refusals."""

import math

import pytest
import soundfile
import torch

from sertl.data.augment import (
    change_sound,
    change_speed,
    coloured_noise,
    is_on,
    reverberated,
)
from sertl.data.datadir import DataDir, Utterance
from sertl.data.dataset import UttDataset
from sertl.schema.strict import defaults
from sertl.schema.training_keys import Augment

OFF = defaults(Augment)


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def tone(hertz=440, seconds=1.0):
    return 0.1 * torch.sin(2 * math.pi * hertz * torch.arange(int(16000 * seconds)) / 16000)


def peak(wav):
    spectrum = torch.fft.rfft(wav).abs()
    return float(spectrum.argmax()) * 16000 / len(wav)


def test_nothing_happens_unless_asked():
    assert not is_on(OFF)
    wav = tone()
    assert torch.equal(change_sound(change_speed(wav, [], rng()), OFF, rng()), wav)


@pytest.mark.parametrize("speed", [0.9, 1.1])
def test_speed_moves_length_and_pitch(speed):
    fast = change_speed(tone(440), [speed], rng())
    assert len(fast) == pytest.approx(16000 / speed, abs=2)
    assert peak(fast) == pytest.approx(440 * speed, rel=0.01)


def test_all_speeds_are_drawn():
    lengths = {len(change_speed(tone(), [0.9, 1.0, 1.1], rng(s))) for s in range(20)}
    assert len(lengths) == 3


def test_noise_has_the_level_asked_for():
    conf = {**OFF, "noise": 1.0, "snr_db": [10.0, 10.0]}
    wav = tone()
    noise = change_sound(wav, conf, rng()) - wav
    snr = 10 * math.log10(wav.square().mean() / noise.square().mean())
    assert snr == pytest.approx(10.0, abs=0.01)


def test_noise_happens_to_its_share():
    conf = {**OFF, "noise": 0.3}
    changed = sum(not torch.equal(change_sound(tone(), conf, rng(s)), tone()) for s in range(200))
    assert 40 <= changed <= 80


def test_colour_of_noise():
    """White is level; brown falls by a factor of 4 in power an octave."""
    for exponent in (0.0, 2.0):
        power = torch.fft.rfft(coloured_noise(1 << 16, exponent, rng())).abs().square()
        low, high = power[1000:2000].mean(), power[2000:4000].mean()
        assert float(low / high) == pytest.approx(2**exponent, rel=0.1)


def test_level_stays_within_its_limits():
    conf = {**OFF, "level_db": 6.0}
    gains = [float(change_sound(tone(), conf, rng(s))[100] / tone()[100]) for s in range(50)]
    assert 10 ** (-6 / 20) <= min(gains) < 0.8 and 1.25 < max(gains) <= 10 ** (6 / 20)


def test_a_room_keeps_onset_and_energy_and_adds_a_tail():
    wav = torch.zeros(16000)
    wav[4000:6000] = torch.randn(2000, generator=rng())
    wet = reverberated(wav, 0.5, rng())
    assert wet[:4000].abs().max() < 1e-5 and wet[6000:].abs().max() > 1e-3
    assert float(wet.square().mean()) == pytest.approx(float(wav.square().mean()), rel=1e-3)
    early, late = wet[6000:7600].square().mean(), wet[12400:14000].square().mean()
    # 6,400 samples later, 0.4 s of 0.5 s: 48 dB down, by a generous margin
    assert 10 * math.log10(early / late) > 35


def test_the_seed_decides_everything():
    conf = {**OFF, "noise": 1.0, "reverb": 1.0, "level_db": 6.0}
    assert torch.equal(change_sound(tone(), conf, rng(3)), change_sound(tone(), conf, rng(3)))
    assert not torch.equal(change_sound(tone(), conf, rng(3)), change_sound(tone(), conf, rng(4)))


def test_training_clips_change_with_the_epoch_and_dev_clips_never(tmp_path):
    """Through the data set: drawn per utterance and epoch, the same in any batch."""
    utts = {}
    for name in ("a-1", "b-2"):
        soundfile.write(tmp_path / f"{name}.wav", 0.1 * torch.randn(8000).numpy(), 16000)
        utts[name] = Utterance(name, name[0], str(tmp_path / f"{name}.wav"), 0.5, emo="x")
    data = DataDir(tmp_path, utts, ["x"], None)
    conf = {**OFF, "noise": 1.0, "speed": [0.9, 1.1]}
    train = UttDataset(data, {"emo": ["x"]}, augment=conf, seed=3)
    plain = UttDataset(data, {"emo": ["x"]})
    first, again = train.batch([0, 1], epoch=1), train.batch([1], epoch=1)
    length = int(again.wav_lens[0])
    assert torch.equal(first.wav[1, :length], again.wav[0])
    assert not torch.equal(train.batch([1], epoch=2).wav[0, :4000], again.wav[0, :4000])
    assert {*first.wav_lens.tolist()} <= {8889, 7273}
    for whole in (train.batch([0, 1]), plain.batch([0, 1], epoch=1)):
        assert torch.equal(whole.wav, plain.batch([0, 1]).wav)
