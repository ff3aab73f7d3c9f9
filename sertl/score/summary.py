# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Aggregate the scores of one set over folds and seeds.

Three aggregates, never mixed (S seeds, K folds):

- **over folds**: per seed, mean and sample standard deviation over its K folds; both then averaged
  over seeds. The standard deviation of the S means is the one over seeds.
- **pooled**: per seed, one score of the predictions of all folds together; then the mean and
  sample standard deviation over seeds, and bootstrap intervals of that mean. Where a fold lacks a
  class, this is the figure to quote.
- **per fold**: mean and sample standard deviation over seeds.
"""

from collections import Counter

import numpy as np

from sertl.data.fields import DIMENSIONS
from sertl.errors import SertlError
from sertl.runs import Run
from sertl.score import metrics
from sertl.score.scoring import dimension_scores, vote_scores
from sertl.score.significance import Predictions, intervals

DURATION_EDGES_SEC = (0.0, 1.0, 2.0, 3.0, 4.0, 6.0, 9.0, 15.0, float("inf"))
_SAME = ("corpus", "release", "policy", "labels", "protocol", "num_folds", "select")


def summarise(scores: dict[Run, dict], pool: bool = True) -> dict:
    """Aggregate score_<set>.json files of one experiment and one set.

    Args:
        scores: By run; at least one.
        pool: False leaves out everything on pooled predictions; a dev set is drawn from training
            speakers, and under some protocols the same utterance is in several of them.

    Returns:
        set, labels, seeds, folds, num_folds, complete, warnings, n, num_speakers; groups (fold ->
        what it tests); metrics: {name: {per_fold, over_folds, pooled}}; and, of the pooled
        emotion predictions, emotion, by_duration. See the functions below.

    Raises:
        SertlError: If runs differ in corpus, policy, protocol, labels or fold lists.
    """
    check_same(scores)
    seeds = sorted({run.seed for run in scores})
    by_seed = {s: {c.fold: v for c, v in sorted(scores.items()) if c.seed == s} for s in seeds}
    folds = sorted(set.intersection(*(set(by_seed[s]) for s in seeds)))
    if not folds:
        raise SertlError(
            "no fold has been scored with every seed: "
            + "; ".join(f"seed {s} has folds {_list(by_seed[s])}" for s in seeds)
        )
    first = next(iter(scores.values()))
    num_folds = first["protocol"]["num_folds"]
    warnings = missing(by_seed, folds, num_folds)
    used = {s: [by_seed[s][k] for k in folds] for s in seeds}
    utts = [utt for score in used[seeds[0]] for utt in score["utts"]["utt"]]
    speakers = {spk for score in used[seeds[0]] for spk in score["utts"]["spk"]}
    result = {
        "set": first["set"],
        "labels": first["labels"],
        "seeds": seeds,
        "folds": folds,
        "num_folds": num_folds,
        "complete": not warnings,
        "warnings": warnings,
        "n": len(utts),
        "num_speakers": len(speakers),
        "groups": {str(v["fold"]): v["protocol"]["test_group"] for v in used[seeds[0]]},
        "fold_n": {str(v["fold"]): v["n"] for v in used[seeds[0]]},
    }
    if "emotion" in first:
        result["fold_classes"] = {
            str(v["fold"]): v["emotion"]["classes_scored"] for v in used[seeds[0]]
        }
    result["metrics"] = fold_metrics({s: {v["fold"]: flatten(v) for v in used[s]} for s in seeds})
    if pool:
        repeated = sum(1 for n in Counter(utts).values() if n > 1)
        if repeated:
            warnings.append(f"{repeated} utterances are in several folds and are pooled as often")
        result |= pooled_results(result["metrics"], used)
    return result


def pooled_results(table: dict, used: dict[int, list[dict]]) -> dict:
    """Add the pooled value of every metric to its row; the pooled emotion predictions in detail.

    Args:
        table: From fold_metrics; a `pooled` is added to each of its rows.
        used: Seed -> scores of its folds.

    Returns:
        orders (None where clips have one order), emotion and by_duration; nothing where no emotion
        is predicted.
    """
    add_pooled(table, {seed: pool_folds(scores) for seed, scores in used.items()})
    first = next(iter(used.values()))[0]
    if "emotion" not in first:
        return {}
    predictions, labels = join(used), first["labels"]
    for unit in ("utt", "spk"):
        for name, interval in intervals(predictions, unit).items():
            table[name]["pooled"][f"interval_{unit}"] = list(interval)
    return {
        "orders": spread_of_orders(used, predictions.ref, len(labels)),
        "emotion": mean_emotion(predictions, labels),
        "by_duration": by_duration(predictions, used, labels),
    }


def flatten(score: dict) -> dict[str, float | None]:
    """The scalars of a score, named for tables."""
    flat = {}
    if "emotion" in score:
        flat |= {name: score["emotion"][name] for name in metrics.CLASS_METRICS}
    flat |= {f"{kind}_ua": found["ua"] for kind, found in score["classes"].items()}
    for kind in ("ccc", "rmse") if "vad" in score else ():
        flat |= {f"{kind}_{name}": score["vad"][kind][name] for name in (*DIMENSIONS, "mean")}
    if "votes" in score:
        flat |= {f"votes_{name}": score["votes"][name] for name in ("kl", "js")}
    if "text" in score:
        flat |= {name: score["text"][name] for name in ("wer", "cer")}
    return flat


def pool_folds(scores: list[dict]) -> dict:
    """One score of the predictions of several folds together (of one seed)."""
    pooled: dict = {"classes": {}}
    emotion = [score["emotion"] for score in scores if "emotion" in score]
    if emotion:
        pooled["emotion"] = pool_classes(emotion)
    for kind in dict.fromkeys(kind for score in scores for kind in score["classes"]):
        parts = [score["classes"][kind] for score in scores if kind in score["classes"]]
        pooled["classes"][kind] = pool_classes(parts)
    if any("vad" in score for score in scores):
        pairs = [
            (hyp, ref)
            for score in scores
            if "vad" in score
            for hyp, ref in zip(score["utts"]["vad_hyp"], score["utts"]["vad_ref"], strict=True)
            if ref is not None
        ]
        hyp, ref = (np.array(side) for side in zip(*pairs, strict=True))
        pooled["vad"] = dimension_scores(hyp, ref)
    voted = [score["utts"] for score in scores if "votes" in score]
    if voted:
        names = ("votes_ref", "votes_hyp")
        pooled["votes"] = vote_scores({n: [x for part in voted for x in part[n]] for n in names})
    counts = Counter()
    for score in scores:
        counts.update({k: v for k, v in score.get("text", {}).items() if k not in ("wer", "cer")})
    if counts:
        pooled["text"] = metrics.error_rates(counts)
    return pooled


def pool_classes(parts: list[dict]) -> dict:
    """Scores of the confusion matrices of several folds together; each may know other classes."""
    labels = list(dict.fromkeys(label for part in parts for label in part["recall"]))
    index = {label: i for i, label in enumerate(labels)}
    confusion = np.zeros((len(labels), len(labels)))  # means over orders are no whole numbers
    for part in parts:
        own = [index[label] for label in part["recall"]]
        confusion[np.ix_(own, own)] += np.array(part["confusion"])
    return metrics.class_scores(confusion, labels)


def fold_metrics(values: dict[int, dict[int, dict]]) -> dict:
    """Per fold, and over folds: seed -> fold -> metric -> value, for every metric."""
    names = list(dict.fromkeys(n for folds in values.values() for m in folds.values() for n in m))
    result = {}
    for name in names:
        table = {
            seed: {k: m[name] for k, m in folds.items() if m.get(name) is not None}
            for seed, folds in values.items()
        }
        seed_means = [_mean(list(row.values())) for row in table.values() if row]
        seed_stds = [_std(list(row.values())) for row in table.values() if row]
        folds = sorted({k for row in table.values() for k in row})
        result[name] = {
            "per_fold": {
                str(k): spread({s: row[k] for s, row in table.items() if k in row}) for k in folds
            },
            "over_folds": {
                "mean": _mean(seed_means),
                "std_folds": _mean([s for s in seed_stds if s is not None]),
                "std_seeds": _std(seed_means),
                "num_folds": len(folds),
            },
        }
    return result


def add_pooled(table: dict, pooled: dict[int, dict]) -> None:
    """Add the pooled value of every metric, over seeds, to what fold_metrics returned."""
    flat = {seed: flatten(score) for seed, score in pooled.items()}
    for name, entry in table.items():
        values = {seed: row[name] for seed, row in flat.items() if row.get(name) is not None}
        entry["pooled"] = spread(values)


def spread(by_seed: dict[int, float]) -> dict:
    """Mean and sample standard deviation over seeds, with the values."""
    values = list(by_seed.values())
    named = {str(seed): value for seed, value in by_seed.items()}
    return {"mean": _mean(values), "std_seeds": _std(values), "by_seed": named}


def join(used: dict[int, list[dict]]) -> Predictions:
    """Emotion predictions of all folds and seeds, utterances in the order of the first seed."""
    first = next(iter(used.values()))
    return Predictions(
        ref=np.concatenate([score["utts"]["ref"] for score in first]).astype(np.int64),
        hyp=np.array([row for scores in used.values() for row in order_rows(scores)]),
        spk=np.array([spk for score in first for spk in score["utts"]["spk"]]),
        num_classes=len(first[0]["labels"]),
    )


def order_rows(scores: list[dict]) -> list[list[int]]:
    """Predictions of the folds of a seed together, once for each order of the speakers' clips."""
    columns = [[v["utts"]["hyp"], *v["utts"].get("hyp_orders", [])] for v in scores]
    number = max(map(len, columns))  # of a fold with fewer (the corpus says the order), the first
    padded = [c + c[:1] * (number - len(c)) for c in columns]
    return [[h for hyps in padded for h in hyps[o]] for o in range(number)]


def spread_of_orders(used: dict[int, list[dict]], ref: np.ndarray, num_classes: int) -> dict | None:
    """Number of orders, and standard deviation of the pooled UA over them, mean over seeds."""
    stds, number = [], 1
    for scores in used.values():
        rows = order_rows(scores)
        number = len(rows)
        found = [metrics.ua(metrics.confusion_matrix(ref, r, num_classes)) for r in rows]
        stds.append(_std([float(ua) for ua in found]))
    return None if number == 1 else {"number": number, "std_ua": _mean(stds)}


def mean_emotion(predictions: Predictions, labels: list[str]) -> dict:
    """Confusion counts averaged over seeds, and the recalls averaged over seeds, by label."""
    confusions = predictions.confusions()
    recall = metrics.recalls(confusions).mean(axis=0)
    support = confusions[0].sum(axis=1)
    return {
        "confusion": confusions.mean(axis=0).tolist(),
        "recall": {label: metrics.number(r) for label, r in zip(labels, recall, strict=True)},
        "support": {label: int(n) for label, n in zip(labels, support, strict=True)},
    }


def by_duration(predictions: Predictions, used: dict[int, list[dict]], labels: list) -> list[dict]:
    """Recall in bins of duration, averaged over seeds; bins without an utterance are left out.

    Returns:
        For each bin from_sec (included), to_sec (excluded; None for no end), n, ua, wa,
        recall by label (None where the bin has none of it) and support by label.
    """
    first = next(iter(used.values()))
    dur_sec = np.concatenate([score["utts"]["dur_sec"] for score in first])
    bins = []
    for low, high in zip(DURATION_EDGES_SEC[:-1], DURATION_EDGES_SEC[1:], strict=True):
        inside = (dur_sec >= low) & (dur_sec < high)
        if not inside.any():
            continue
        part = Predictions(
            predictions.ref[inside],
            predictions.hyp[:, inside],
            predictions.spk[inside],
            predictions.num_classes,
        )
        edges = {"from_sec": low, "to_sec": None if np.isinf(high) else high}
        scores = {name: part.score(name) for name in ("ua", "wa")}
        emotion = mean_emotion(part, labels)
        emotion.pop("confusion")
        bins.append({**edges, "n": int(inside.sum()), **scores, **emotion})
    return bins


def check_same(scores: dict[Run, dict]) -> None:
    """Refuse runs that are not of one experiment on one set of folds."""
    if not scores:
        raise SertlError("nothing is scored; run stage 8 (score) first")
    (first_run, first), *rest = sorted(scores.items(), key=lambda item: item[0])
    folds: dict[int, tuple[Run, dict]] = {}
    for run, score in [(first_run, first), *rest]:
        for key in _SAME:
            ours, theirs = score["protocol"].get(key), first["protocol"].get(key)
            if ours != theirs:
                raise SertlError(
                    f"{run.folder} and {first_run.folder} differ in {key}: {ours} and {theirs}; "
                    "they cannot be averaged. Train what is older again (--redo)"
                )
        other_run, other = folds.setdefault(run.fold, (run, score))
        same_lists = all(
            score["utts"].get(key) == other["utts"].get(key) for key in ("utt", "spk", "ref")
        )
        same_hash = score["protocol"]["fold_hash"] == other["protocol"]["fold_hash"]
        if not (same_lists and same_hash):
            raise SertlError(
                f"{run.folder} and {other_run.folder} were scored on different fold lists; "
                "they cannot be averaged. Train what is older again (--redo)"
            )


def missing(by_seed: dict[int, dict], folds: list[int], num_folds: int) -> list[str]:
    """Warnings about folds that lack, and about what was left out because a seed lacks it."""
    lines = []
    for seed, have in by_seed.items():
        lacking = [k for k in range(1, num_folds + 1) if k not in have]
        if lacking:
            lines.append(f"seed {seed} lacks fold {_list(lacking)} of {num_folds}")
    left_out = sorted({k for have in by_seed.values() for k in have} - set(folds))
    if left_out:
        lines.append(f"fold {_list(left_out)} left out, because not every seed has it")
    return lines


def _list(numbers) -> str:
    return ", ".join(str(n) for n in numbers)


def _mean(values: list[float]) -> float | None:
    return float(np.mean(values)) if values else None


def _std(values: list[float]) -> float | None:
    """Sample standard deviation (divided by N - 1); None for fewer than two values."""
    return float(np.std(values, ddof=1)) if len(values) > 1 else None
