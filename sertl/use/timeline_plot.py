# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""A timeline as a picture: waveform with its segments, spectrogram, emotions over time."""

import os
from collections.abc import Sequence

import numpy as np

from sertl.atomic import replacing
from sertl.data.audio import SAMPLE_RATE
from sertl.use.long_audio import LongAudio
from sertl.use.timeline import Segment, Timeline

COLUMNS = 1400
WINDOW = 512  # samples of a column of the spectrogram
RANGE_DB = 80


def plot_timeline(
    audio_path: str | os.PathLike,
    found: Timeline,
    labels: Sequence[str],
    out: str | os.PathLike,
    title: str = "",
) -> None:
    """Draw a recording and what is said of it, in bounded memory.

    Args:
        audio_path: The recording.
        found: Its timeline.
        labels: Emotions, in the order of their colours.
        out: .png, .svg or .pdf.
        title: Above the picture.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    with LongAudio(audio_path) as audio:
        low, high = envelope(audio)
        power = spectrogram(audio)
    colours = {label: plt.get_cmap("tab10")(n % 10) for n, label in enumerate(labels)}
    times = np.linspace(0, found.dur_sec, len(low))
    figure, (wave, image, curve) = plt.subplots(
        3, 1, figsize=(12, 6.5), sharex=True, height_ratios=[1, 1.2, 1.4], layout="constrained"
    )
    wave.fill_between(times, low, high, color="#41506a", linewidth=0)
    for one in found.segments:
        colour = colours.get(one.said.emo, "grey")
        wave.axvspan(one.start, one.end, color=colour, alpha=0.25, linewidth=0)
    wave.set_ylabel("amplitude")
    extent = (0, found.dur_sec, 0, SAMPLE_RATE / 2000)
    image.imshow(power, origin="lower", aspect="auto", extent=extent, cmap="magma_r")
    image.set_ylabel("kHz")
    for label in labels:
        x, y = points(found.segments, label)
        curve.plot(x, y, color=colours[label], label=label, linewidth=1.6)
    curve.set_ylim(-0.02, 1.02)
    curve.set_ylabel("probability")
    curve.set_xlabel("s")
    curve.set_xlim(0, found.dur_sec)
    figure.legend(ncols=min(8, len(labels)), fontsize=8, loc="outside lower center")
    wave.set_title(title, fontsize=10)
    with replacing(out) as temporary:
        kind = os.fspath(out).rpartition(".")[2].lower()
        figure.savefig(temporary, dpi=110, format=kind if kind in ("png", "svg", "pdf") else "png")
    plt.close(figure)


def envelope(audio: LongAudio, columns: int = COLUMNS) -> tuple[np.ndarray, np.ndarray]:
    """Least and greatest sample of each of at most `columns` stretches."""
    count = min(columns, audio.num_samples)
    low, high = np.zeros(count), np.zeros(count)
    place = 0
    for block in audio.blocks():
        column = (place + np.arange(len(block))) * count // audio.num_samples
        np.minimum.at(low, column, block)
        np.maximum.at(high, column, block)
        place += len(block)
    return low, high


def spectrogram(audio: LongAudio, columns: int = COLUMNS) -> np.ndarray:
    """(257, at most columns) level in dB, 0 the greatest, RANGE_DB below it the least."""
    count = max(1, min(columns, audio.num_samples // 64))
    window = np.hanning(WINDOW)
    frames = np.zeros((count, WINDOW))
    for column in range(count):
        middle = (2 * column + 1) * audio.num_samples // (2 * count)
        start = max(0, middle - WINDOW // 2)
        samples = audio.read(start, min(start + WINDOW, audio.num_samples))
        frames[column, : len(samples)] = samples
    power = np.abs(np.fft.rfft(frames * window, axis=1)) ** 2
    level = 10 * np.log10(power.T + 1e-12)
    return np.maximum(level - level.max(), -RANGE_DB)


def points(segments: Sequence[Segment], label: str) -> tuple[list[float], list[float]]:
    """An emotion's curve, with gaps (NaN) between segments."""
    x: list[float] = []
    y: list[float] = []
    for one in segments:
        probs = one.said.probs.get("emo", {})
        if label not in probs:
            continue
        windows = one.curve if len(one.curve) > 1 else ()
        first = windows[0].probs[label] if windows else probs[label]
        last = windows[-1].probs[label] if windows else probs[label]
        x += [one.start, *((w.start + w.end) / 2 for w in windows), one.end, one.end]
        y += [first, *(w.probs[label] for w in windows), last, float("nan")]
    return x, y
