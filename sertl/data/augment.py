# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Augmentation of training audio: speed, level, noise and reverberation, all of them generated.

What is drawn follows from the seed of utterance and epoch alone.
"""

from collections.abc import Mapping, Sequence

import torch
from torchaudio import functional as AF

SAMPLE_RATE = 16000


def is_on(conf: Mapping) -> bool:
    """Whether anything is changed at all."""
    return bool(conf["speed"] or conf["level_db"] or conf["noise"] or conf["reverb"])


def change_speed(wav: torch.Tensor, speeds: Sequence[float], rng: torch.Generator) -> torch.Tensor:
    """Play (N,) samples at one of the speeds, pitch included: (N / speed,).

    Source:
        Ko et al., "Audio augmentation for speech recognition", Interspeech 2015.
    """
    if not speeds:
        return wav
    speed = speeds[int(torch.randint(len(speeds), (), generator=rng))]
    if speed == 1.0:
        return wav
    return AF.resample(wav, round(100 * speed), 100)


def change_sound(wav: torch.Tensor, conf: Mapping, rng: torch.Generator) -> torch.Tensor:
    """Reverberation, noise and level, in this order: (N,) -> (N,).

    Args:
        wav: Samples.
        conf: data_conf.augment.
        rng: Of the utterance and epoch.
    """
    if _happens(conf["reverb"], rng):
        wav = reverberated(wav, _between(conf["rt60_sec"], rng), rng)
    if _happens(conf["noise"], rng):
        noise = coloured_noise(len(wav), _between([0.0, 2.0], rng), rng)
        wav = AF.add_noise(wav[None], noise[None], torch.tensor([_between(conf["snr_db"], rng)]))[0]
    if conf["level_db"]:
        level = _between([-conf["level_db"], conf["level_db"]], rng)
        wav = wav * 10 ** (level / 20)
    return wav


def _happens(share: float, rng: torch.Generator) -> bool:
    return share > 0 and float(torch.rand((), generator=rng)) < share


def _between(limits: Sequence[float], rng: torch.Generator) -> float:
    return limits[0] + (limits[1] - limits[0]) * float(torch.rand((), generator=rng))


def coloured_noise(length: int, exponent: float, rng: torch.Generator) -> torch.Tensor:
    """(N,) noise whose power falls with frequency to the exponent: 0 white, 1 pink, 2 brown."""
    spectrum = torch.fft.rfft(torch.randn(max(length, 2), generator=rng))
    frequency = torch.arange(len(spectrum)).clamp_min(1)
    noise = torch.fft.irfft(spectrum * frequency ** (-exponent / 2), n=max(length, 2))[:length]
    return noise / noise.square().mean().sqrt().clamp_min(1e-8)


def reverberated(wav: torch.Tensor, rt60_sec: float, rng: torch.Generator) -> torch.Tensor:
    """Convolve (N,) with a generated room: the direct sound, then noise that decays by 60 dB.

    Delay and level stay: the direct sound comes first, and the energy is that of wav.

    Source:
        The exponentially decaying noise of Polack's model of late reverberation, 1988.
    """
    length = max(2, round(rt60_sec * SAMPLE_RATE))
    time = torch.arange(length) / SAMPLE_RATE
    response = torch.randn(length, generator=rng) * 10 ** (-3 * time / rt60_sec)
    ratio = _between([0.0, 15.0], rng)  # of the direct to the reverberant sound, dB
    response = response / response.square().sum().sqrt() * 10 ** (-ratio / 20)
    response[0] = 1.0
    wet = AF.fftconvolve(wav, response)[: len(wav)]
    before, after = wav.square().mean().sqrt(), wet.square().mean().sqrt()
    return wet * (before / after.clamp_min(1e-8))
