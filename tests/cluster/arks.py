# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Features in arks, for the tests of clustering."""

import numpy as np

from sertl.data.ark import ArkWriter


def write_feats(prefix, matrices):
    """Write {utt: (T, D)} to <prefix>.ark and .scp, not compressed; return the scp."""
    with ArkWriter(prefix, compress=False) as writer:
        for utt, matrix in matrices.items():
            writer.write(utt, np.asarray(matrix, dtype=np.float32))
    return f"{prefix}.scp"


def clouds(number=12, size=6, centres=5, seed=0):
    """{utt: (T, D)} of frames around a few centres, utterances of 5 to 40 frames."""
    rng = np.random.default_rng(seed)
    means = 4.0 * rng.normal(size=(centres, size))
    return {
        f"s{i % 4}-u{i:02d}": means[rng.integers(centres, size=n)] + rng.normal(size=(n, size))
        for i, n in enumerate(rng.integers(5, 41, size=number))
    }
