# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Self-contrastive loss between the task features of one utterance."""

from collections.abc import Sequence

import torch
from torch.nn import functional as F

FORMS = ("norm", "cos")
SIGNS = ("corrected", "printed")


def self_contrastive(
    features: Sequence[torch.Tensor], form: str = "cos", sign: str = "corrected"
) -> tuple[torch.Tensor, torch.Tensor]:
    """Bring the features of an utterance together: a sum over their pairs, mean over utterances.

    The paper says that the loss brings the features together, but as printed `norm` drives them
    apart without bound, and the cosine in `cos` is one of a difference, which is no number. So the
    printed forms are taken for errata; `sign: printed` keeps them for comparison:

    | form | corrected | printed |
    | --- | --- | --- |
    | norm | +|x_i - x_j| | -|x_i - x_j| |
    | cos | -<x_i, x_j> / (|x_i| |x_j|) | -cos(x_i - x_j), element-wise, mean over dimensions |

    Args:
        features: Tensors (B, n), one per task; each pair of them counts.
        form: norm | cos.
        sign: corrected | printed.

    Returns:
        The loss and B. With fewer than two tasks the loss is 0.

    Raises:
        ValueError: For another form or sign.

    Source:
        Gao et al., ICASSP 2024, pp. 11316-11320.
    """
    if form not in FORMS or sign not in SIGNS:
        raise ValueError(f"form {form!r}, sign {sign!r}; expected one of {FORMS} and {SIGNS}")
    total = sum(x.sum() for x in features) * 0.0
    floats = [x.float() for x in features]
    pairs = [(x, y) for i, x in enumerate(floats) for y in floats[i + 1 :]]
    for first, second in pairs:
        if form == "norm":
            # 1e-12 keeps the gradient finite where the features are equal
            distance = ((first - second).square().sum(dim=1) + 1e-12).sqrt()  # (B,)
            total = total + (distance if sign == "corrected" else -distance).mean()
        elif sign == "corrected":
            total = total - F.cosine_similarity(first, second, dim=1, eps=1e-8).mean()
        else:
            total = total - (first - second).cos().mean()
    return total, torch.tensor(float(len(features[0])), device=total.device)
