# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""A loss of logits that their scale does not change: what tells models of different heads apart."""

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

from sertl.score.metrics import balanced_loss

STEEPEST = 15.0  # the logarithm of the factor on logits is sought within ± this


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

    def loss(log_factor: float) -> float:
        return balanced_loss(log_softmax(logits * np.exp(log_factor), axis=1), ref)

    return float(minimize_scalar(loss, bounds=(-STEEPEST, STEEPEST), method="bounded").fun)
