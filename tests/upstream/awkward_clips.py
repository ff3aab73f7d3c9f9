# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""What the tests of upstreams share beside fixtures."""

from pathlib import Path

CONF_DIR = Path(__file__).resolve().parents[2] / "conf" / "upstream"

# 300 and 700: shorter than the 800 samples that S3PRL pads to. 1121: three convolution frames and
# an odd number of mel frames. 16001: two frames more by the frame rule than the convolutions give.
# Two clips are equally long.
LENGTHS = [16000, 24123, 300, 16001, 700, 1121, 16000]


def relative(a, b):
    """Relative error of a against b."""
    return float((a - b).norm() / b.norm())
