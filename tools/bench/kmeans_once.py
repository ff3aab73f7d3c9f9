# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""One k-means, timed in a process of its own, for bench_kmeans.py."""

import time

import numpy as np
import worker
from machine import peak_gib
from sklearn.cluster import MiniBatchKMeans

from sertl.cluster.frames import Frames
from sertl.cluster.kmeans import learn
from sertl.cluster.labelling import label_utterances
from sertl.cluster.nearest import Nearest
from sertl.data.ark import read_scp

BATCH = 10_000

Seconds = tuple[float, float, float]  # to read all frames first, to learn, to label
Centroids = np.ndarray | None  # given ones are not learned


def in_memory(frames: Frames) -> np.ndarray:
    """All frames, (N, D)."""
    whole = np.empty((frames.total, frames.size), np.float32)
    filled = 0
    for utt in frames.utts:
        matrix = frames.read(utt)
        whole[filled : filled + len(matrix)] = matrix
        filled += len(matrix)
    return whole


def with_sklearn(
    frames: Frames, clusters: int, restarts: int, given: Centroids
) -> tuple[Seconds, float]:
    """Seconds, and inertia per frame."""
    asked = time.perf_counter()
    whole = in_memory(frames)
    begun = time.perf_counter()
    if given is None:
        model = MiniBatchKMeans(
            clusters, batch_size=BATCH, n_init=restarts, compute_labels=False, random_state=0
        ).fit(whole)
    else:
        # predict wants a model that has learned
        model = MiniBatchKMeans(clusters, init=given, n_init=1).partial_fit(given)
        model.cluster_centers_ = given
    learned = time.perf_counter()
    labels = model.predict(whole)
    labelled = time.perf_counter()
    total = 0.0
    for start in range(0, len(whole), BATCH):
        part = slice(start, start + BATCH)
        total += float(((whole[part] - model.cluster_centers_[labels[part]]) ** 2).sum())
    return (begun - asked, learned - begun, labelled - learned), total / len(whole)


def with_sertl(
    frames: Frames, clusters: int, restarts: int, given: Centroids
) -> tuple[Seconds, float]:
    """Seconds, and inertia per frame."""
    begun = time.perf_counter()
    centroids = learn(frames, clusters, 0, BATCH, restarts)[0] if given is None else given
    learned = time.perf_counter()
    nearest = Nearest(centroids)
    labels = {utt: own for utt, own, _ in label_utterances(nearest, frames, far=False)}
    labelled = time.perf_counter()
    total = 0.0
    for utt, own in labels.items():
        total += float(((frames.read(utt) - centroids[own]) ** 2).sum(dtype=np.float64))
    return (0.0, learned - begun, labelled - learned), total / frames.total


def with_faiss(
    frames: Frames, clusters: int, restarts: int, given: Centroids
) -> tuple[Seconds, float]:
    """Seconds, and inertia per frame; 20 iterations, one start."""
    import faiss

    asked = time.perf_counter()
    whole = in_memory(frames)
    begun = time.perf_counter()
    if given is None:
        model = faiss.Kmeans(frames.size, clusters, niter=20, seed=1)
        model.train(whole)
        index = model.index
    else:
        index = faiss.IndexFlatL2(frames.size)
        index.add(given)
    learned = time.perf_counter()
    distances, _ = index.search(whole, 1)
    labelled = time.perf_counter()
    seconds = (begun - asked, learned - begun, labelled - learned)
    return seconds, float(distances.mean(dtype=np.float64))


def main() -> None:
    args = worker.start(__doc__)
    frames = Frames(args["scp"], list(read_scp(args["scp"])))
    run = {"scikit-learn": with_sklearn, "sertl": with_sertl, "faiss": with_faiss}[args["row"]]
    given = None
    if not args["learn"]:
        given = frames.sample(args["clusters"], np.random.default_rng(0))
    seconds, inertia = run(frames, args["clusters"], args["restarts"], given)
    found = dict(zip(("read_sec", "learn_sec", "label_sec"), seconds, strict=True))
    worker.report(**found, inertia=inertia, peak_gib=peak_gib())


if __name__ == "__main__":
    main()
