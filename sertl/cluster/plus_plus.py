# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""k-means++ by matrix products in float32.

scikit-learn's computes in float64 whatever it is given, which costs several times more than the
mini-batches that follow it.
"""

import math

import torch


def plus_plus(sample: torch.Tensor, clusters: int, generator: torch.Generator) -> torch.Tensor:
    """Choose frames far from each other as first centroids.

    Each next one is drawn with a chance proportional to the squared distance to the nearest chosen
    one; of 2 + ln K draws the one that lowers the sum of distances most is kept.

    Args:
        sample: (N, D) float32, N >= K.
        clusters: K.
        generator: On the CPU; decides the draws.

    Returns:
        (K, D), rows of sample.

    Source:
        Arthur and Vassilvitskii, "k-means++", SODA 2007, with the several draws of its section 7.
    """
    x = sample - sample.mean(dim=0)  # what all frames share would only cost digits
    norms = x.square().sum(dim=1)  # (N,)

    def distances(rows: torch.Tensor) -> torch.Tensor:
        products = torch.addmm(norms, x[rows], x.T, alpha=-2.0)  # (m, N)
        return (products + norms[rows, None]).clamp_min(0.0)

    draws = 2 + int(math.log(clusters))
    chosen = [torch.randint(len(x), (1,), generator=generator).to(x.device)]
    nearest = distances(chosen[0])[0]  # (N,)
    for _ in range(clusters - 1):
        upto = nearest.double().cumsum(dim=0)
        where = torch.rand(draws, generator=generator, dtype=torch.float64).to(x.device) * upto[-1]
        rows = torch.searchsorted(upto, where, right=True).clamp_max(len(x) - 1)  # (m,)
        after = torch.minimum(nearest, distances(rows))  # (m, N)
        best = after.sum(dim=1).argmin()
        chosen.append(rows[best][None])
        nearest = after[best]
    return sample[torch.cat(chosen)]
