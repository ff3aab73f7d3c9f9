# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Change of sample rate by a polyphase filter: SciPy's, or where that is missing the same in NumPy.

An installation that only runs ONNX files has no SciPy, which is a third of its size.
"""

import numpy as np

HALF_TAPS = 10  # of the filter, in samples of the lower rate
KAISER = 5.0  # shape of its window, as scipy.signal.resample_poly's


def resample(wav: np.ndarray, up: int, down: int) -> np.ndarray:
    """(N,) -> (ceil(N * up / down),) float32; up and down have no common divisor."""
    try:
        # Imported where it is needed: scipy.signal takes longer to import than all the rest.
        from scipy.signal import resample_poly
    except ImportError:
        return polyphase(wav, up, down)
    return resample_poly(wav, up, down)


def reach(up: int, down: int) -> int:
    """Samples of the input, on either side, that an output depends on."""
    return 0 if up == down else HALF_TAPS * max(up, down) // up + 1


def polyphase(wav: np.ndarray, up: int, down: int) -> np.ndarray:
    """As resample, without SciPy."""
    half = HALF_TAPS * max(up, down)
    place = np.arange(-half, half + 1)
    taps = np.sinc(place / max(up, down)) * np.kaiser(2 * half + 1, KAISER)
    taps *= up / taps.sum()
    count = -(-len(wav) * up // down)
    # Output n lies at n * down of the input with up - 1 zeros between its samples; of the filter
    # around it, the taps of one phase meet samples.
    at = np.arange(count) * down + half
    phase, last = at % up, at // up
    width = -(-len(taps) // up)
    taps = np.pad(taps, (0, width * up - len(taps))).reshape(width, up)
    padded = np.pad(wav.astype(np.float64), (width - 1, int(last[-1]) + 1))
    windows = np.lib.stride_tricks.sliding_window_view(padded, width)[:, ::-1]
    out = np.empty(count, np.float32)
    for one in np.unique(phase):
        rows = phase == one
        out[rows] = windows[last[rows]] @ taps[:, one]
    return out
