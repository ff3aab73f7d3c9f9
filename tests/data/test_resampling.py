# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""The filter without SciPy is SciPy's."""

from math import gcd

import numpy as np
import pytest
from scipy.signal import resample_poly

from sertl.data.resampling import polyphase, resample


@pytest.mark.parametrize("rate", [8000, 11025, 22050, 24000, 32000, 44100, 48000, 96000])
@pytest.mark.parametrize("length", [1, 2, 100, 7919])
def test_as_scipy_has_it(rate, length):
    wav = np.random.default_rng(0).standard_normal(length).astype(np.float32)
    common = gcd(rate, 16000)
    up, down = 16000 // common, rate // common
    expected = resample_poly(wav, up, down)
    found = polyphase(wav, up, down)
    assert found.shape == expected.shape and found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=2e-6)
    assert np.array_equal(resample(wav, up, down), expected)
