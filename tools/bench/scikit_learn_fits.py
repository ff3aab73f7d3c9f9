# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""What a short script with scikit-learn takes for the fits of `linear` (for bench_linear.py).

Usage: scikit_learn_fits.py DATA DUMP FOLD…
"""

import sys

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss, recall_score
from sklearn.preprocessing import StandardScaler

from sertl.stages.fold_vectors import open_vectors

STRENGTHS = (0.001, 0.01, 0.1)


def fit(x: np.ndarray, y: np.ndarray, strength: float) -> LogisticRegression:
    """A regression of scikit-learn's own tolerance."""
    model = LogisticRegression(C=strength, class_weight="balanced", max_iter=5000)
    return model.fit(x, y)


def main() -> None:
    data, dump, *folds = sys.argv[1:]
    _, opened = open_vectors(data, dump, ["mean", "std"], [int(k) for k in folds])
    for fold in opened:
        y, groups = fold.seen.classes.numpy(), np.array(fold.seen.spks)
        seen, test = fold.seen.vectors.double().numpy(), fold.test.vectors.double().numpy()
        half = seen.shape[2] // 2
        views = [(x[:, n] for x in (seen, test)) for n in range(seen.shape[1])]
        views += [(x[..., :w].reshape(len(x), -1) for x in (seen, test)) for w in (half, 2 * half)]
        best = (np.inf, None)
        for view in views:
            x, new = view
            scaler = StandardScaler().fit(x)
            x, new = scaler.transform(x), scaler.transform(new)
            for strength in STRENGTHS:
                said = np.zeros((len(y), len(fold.labels)))
                for spk in np.unique(groups):
                    rest = groups != spk
                    model = fit(x[rest], y[rest], strength)
                    said[np.ix_(~rest, model.classes_)] = model.predict_proba(x[~rest])
                said = np.clip(said, 1e-4, 1)
                said /= said.sum(axis=1, keepdims=True)
                loss = log_loss(y, said, labels=range(len(fold.labels)))
                if loss < best[0]:
                    best = (loss, (x, new, strength))
        x, new, strength = best[1]
        hyp = fit(x, y, strength).predict(new)
        ua = recall_score(fold.test.classes.numpy(), hyp, average="macro")
        print(f"fold {fold.number}: UA {100 * ua:.1f}", file=sys.stderr)


if __name__ == "__main__":
    main()
