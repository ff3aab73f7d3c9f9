# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""A loss of logits that their scale does not change: what tells models of different heads apart."""

import numpy as np
from scipy.special import log_softmax, softmax

STEEPEST = 15.0  # the logarithm of the factor on logits of deviation 1 is sought within ± this


def calibrated_loss(logits: np.ndarray, ref: np.ndarray) -> float:
    """Cross-entropy at the temperature that suits the logits best, every class alike.

    Training makes heads ever surer, which loss alone takes for worse though they err less; and the
    scores of a margin loss are no logits of probabilities at all.

    The cross-entropy is convex in the factor on the logits, so its slope has one zero. (With a
    bound on the loss of an utterance, as in balanced_loss, it would not be; nor does it need one.)

    Args:
        logits: (N, C), -inf for a class that is out of the question, never that of the utterance.
        ref: (N,) class index of each.

    Returns:
        Nats; at most ln C. NaN if a logit is NaN or +inf.

    Source:
        Guo et al., "On Calibration of Modern Neural Networks", ICML 2017.
    """
    from scipy.optimize import brentq  # 0.4 s of import, for which not every training waits

    logits = np.asarray(logits, np.float64)
    logits = logits - logits.max(axis=1, keepdims=True)
    if np.isnan(logits).any():
        return float("nan")
    finite = np.where(np.isfinite(logits), logits, 0.0)
    spread = finite.std()
    if spread > 0:
        logits, finite = logits / spread, finite / spread
    _, which, counts = np.unique(ref, return_inverse=True, return_counts=True)
    share = 1.0 / (len(counts) * counts[which])  # (N,) every class alike
    rows = np.arange(len(ref))

    def slope(log_factor: float) -> float:
        expected = (softmax(np.exp(log_factor) * logits, axis=1) * finite).sum(axis=1)
        return float(share @ (expected - finite[rows, ref]))

    if slope(-STEEPEST) >= 0:  # no better than chance
        best = -STEEPEST
    elif slope(STEEPEST) <= 0:  # no error at all
        best = STEEPEST
    else:
        best = brentq(slope, -STEEPEST, STEEPEST, xtol=1e-10)
    return float(-share @ log_softmax(np.exp(best) * logits, axis=1)[rows, ref])
