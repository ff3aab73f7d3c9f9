# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""A loss of logits that their scale does not change: what tells models of different heads apart."""

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

STEEPEST = 15.0  # the logarithm of the factor on logits is sought within ± this
LEAST_LOG_PROB = -9.2  # ln 1e-4, as in solve/selection.py: one utterance must not decide alone


def calibrated_loss(logits: np.ndarray, ref: np.ndarray) -> float:
    """Cross-entropy at the temperature that suits the logits best, every class alike.

    Training makes heads ever surer, which loss alone takes for worse though they err less; and the
    scores of a margin loss are no logits of probabilities at all.

    Args:
        logits: (N, C), -inf for a class that is out of the question.
        ref: (N,) class index of each.

    Returns:
        Nats; at most ln C.

    Source:
        Guo et al., "On Calibration of Modern Neural Networks", ICML 2017.
    """
    logits = np.asarray(logits, np.float64)
    classes, index, counts = np.unique(ref, return_inverse=True, return_counts=True)
    weights = 1.0 / (counts[index] * len(classes))

    def loss(log_factor: float) -> float:
        own = log_softmax(logits * np.exp(log_factor), axis=1)[np.arange(len(ref)), ref]
        return float(-(weights * np.maximum(own, LEAST_LOG_PROB)).sum())

    return float(minimize_scalar(loss, bounds=(-STEEPEST, STEEPEST), method="bounded").fun)
