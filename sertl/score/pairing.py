# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Pair the predictions of two experiments, utterance by utterance.

Only exp/ folders are read, so the two may lie in different recipes or checkouts.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sertl.errors import SertlError
from sertl.score.records import read_scores
from sertl.score.references import corpus_key
from sertl.score.significance import Predictions
from sertl.score.summary import join, summarise

UNITS = {"utt": "utterances", "spk": "speakers"}


@dataclass(frozen=True)
class Scored:
    """One experiment's scored set.

    Attributes:
        name: Last part of its path.
        exp: Path.
        summary: Of summary.summarise.
        keys: (fold, utterance) of every prediction.
        hashes: fold -> hash of the fold's lists.
        corpus: With the label policy, as in conf/reference_results.yaml.
        labels: Classes in index order.
        predictions: In the order of keys.
    """

    name: str
    exp: Path
    summary: dict
    keys: list[tuple[int, str]]
    hashes: dict[int, str]
    corpus: str
    labels: list[str]
    predictions: Predictions

    @property
    def scored_on(self) -> str:
        """A caption: the set, its size and how many of the folds."""
        s = self.summary
        folds = f"{len(s['folds'])} of {s['num_folds']} folds"
        return f"{s['set']} set, {s['n']} utterances, {folds}"


def load_scored(exp: str | Path, set_name: str) -> Scored:
    """Read an experiment's scores.

    Raises:
        SertlError: If it is not scored, or has no emotion output.
    """
    exp = Path(exp)
    scores = read_scores(exp, set_name)
    if not scores:
        raise SertlError(f"{exp} holds no score_{set_name}.json; run stage 8 (score) first")
    if any("emotion" not in score for score in scores.values()):
        raise SertlError(f"{exp} predicts no emotion classes; paired tests are for UA and WA")
    summary = summarise(scores)
    used = {
        s: [v for r, v in sorted(scores.items()) if r.seed == s and r.fold in summary["folds"]]
        for s in summary["seeds"]
    }
    first = used[summary["seeds"][0]]
    return Scored(
        name=exp.name,
        exp=exp,
        summary=summary,
        keys=[(score["fold"], utt) for score in first for utt in score["utts"]["utt"]],
        hashes={score["fold"]: score["protocol"]["fold_hash"] for score in first},
        corpus=corpus_key(first[0]["protocol"]["corpus"], first[0]["protocol"]["policy"]),
        labels=first[0]["labels"],
        predictions=join(used),
    )


def difference(a: Scored, b: Scored) -> str | None:
    """Say why two runs were not scored on the same utterances and folds; None if they were."""
    if a.labels != b.labels:
        return f"other classes: {' '.join(a.labels)} and {' '.join(b.labels)}"
    if a.hashes.keys() != b.hashes.keys():
        return f"other folds: {sorted(a.hashes)} and {sorted(b.hashes)}"
    for fold, fold_hash in a.hashes.items():
        if b.hashes[fold] != fold_hash:
            return f"other lists in fold {fold}: hash {fold_hash} and {b.hashes[fold]}"
    if sorted(a.keys) != sorted(b.keys):
        only = sorted(set(a.keys) ^ set(b.keys))
        return f"{len(only)} utterances are in one of them only, e.g. {only[0][1]}"
    return None


def pair(a: Scored, b: Scored, intersect: bool = False) -> tuple[Predictions, Predictions]:
    """Predictions of two runs, row by row of the same utterance.

    Args:
        a, b: The runs.
        intersect: Take the utterances that both have, whatever their folds were.

    Raises:
        SertlError: If the runs were not scored alike and intersect is off; if there is no common
            utterance; if a reference or the classes differ.
    """
    found = difference(a, b)
    if found and (not intersect or a.labels != b.labels):
        hint = "" if a.labels != b.labels else "\n--intersect compares what both have scored"
        raise SertlError(f"{a.exp} and {b.exp} cannot be paired: {found}.{hint}")
    by_fold = found is None
    rows_a = {key if by_fold else key[1]: i for i, key in enumerate(a.keys)}
    rows_b = {key if by_fold else key[1]: i for i, key in enumerate(b.keys)}
    common = [key for key in rows_a if key in rows_b]
    if not common:
        raise SertlError(f"{a.exp} and {b.exp} have no utterance in common")
    pair_a = _rows(a.predictions, [rows_a[key] for key in common])
    pair_b = _rows(b.predictions, [rows_b[key] for key in common])
    for i in np.flatnonzero(pair_a.ref != pair_b.ref)[:1]:
        utt = common[i][1] if by_fold else common[i]
        raise SertlError(
            f"'{utt}' has the reference {a.labels[pair_a.ref[i]]} in {a.exp}, but "
            f"{b.labels[pair_b.ref[i]]} in {b.exp}; they are of different label versions"
        )
    return pair_a, pair_b


def _rows(p: Predictions, rows: list[int]) -> Predictions:
    return Predictions(p.ref[rows], p.hyp[:, rows], p.spk[rows], p.num_classes)
