# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Stage 8: the scores of one set of one fold and seed, as score_<set>.json.

The file also keeps reference and prediction of every utterance, so that pooling, intervals and
paired tests need nothing but the exp/ folder.
"""

import logging
from pathlib import Path

import numpy as np

from sertl.atomic import write_json
from sertl.data.datadir import Utterance
from sertl.data.fields import DIMENSIONS, field_of, numbers
from sertl.errors import SertlError
from sertl.run_file import read_run_json
from sertl.runs import Run, find_runs
from sertl.score import metrics
from sertl.score.decoded import Decoded, read_decoded, read_info
from sertl.score.records import read_score, sealed

logger = logging.getLogger(__name__)

VERSION = 4  # of the file's content; another one is scored again


def score_experiment(
    exp: str | Path, set_name: str, folds: list[int], seeds: list[int], redo: bool = False
) -> dict[Run, dict]:
    """Score every fold and seed of exp/<tag> that is asked for (all, where a list is empty).

    What is already scored from the same files is not scored again, unless redo; what was scored
    from other files is scored anew, with a line in the log.

    Returns:
        Scores by run; empty if the protocol has no such set (`fixed` has no dev set).

    Raises:
        SertlError: If a fold is not decoded, or its files do not fit together.
    """
    scores, kept = {}, 0
    for run in find_runs(exp, folds, seeds):
        folder, out = run.decoded(set_name), run.scored(set_name)
        if set_name == "dev" and not folder.exists() and _protocol_lacks_dev(run):
            logger.info("%s: its protocol has no dev set, nothing to score", run.folder)
            continue
        decoded = read_decoded(folder)
        found = (decoded.info["seed"], decoded.info["fold"], decoded.info["set"])
        if found != (run.seed, run.fold, set_name):
            raise SertlError(
                f"{folder}/decode.json is of seed, fold, set {found}; was the folder copied?"
            )
        if out.is_file() and not redo:
            old = _scored(out)
            if old is not None and old["inputs"] == decoded.inputs:
                scores[run] = old
                kept += 1
                continue
            logger.info("%s: made from other files, scoring again", out)
        scores[run] = score(decoded)
        write_json(out, sealed(scores[run]))
    new = len(scores) - kept
    logger.info(
        "%s, %s: %d folds scored, %d scored before from the same files", exp, set_name, new, kept
    )
    return scores


def _scored(path: Path) -> dict | None:
    """A score that is there, of this version; None for an older or a damaged one."""
    try:
        if read_run_json(path, None, "").get("version") != VERSION:
            return None
        return read_score(path)
    except (SertlError, AttributeError) as error:
        logger.warning("%s: %s", path, error)
        return None


def score(decoded: Decoded) -> dict:
    """Score one set.

    Returns:
        version, inputs, set, fold, seed, labels, protocol, n, num_speakers; and, for each output
        that has references, emotion and, by field, classes of others such as gender and style
        (metrics.class_scores), vad (n, ccc, rmse by dimension and their mean), text
        (metrics.word_errors), votes (vote_scores); `utts` holds columns of equal length: utt, spk,
        dur_sec, ref and hyp (class indices), hyp_orders (hyp of each further order of the speakers'
        clips, over all of which emotion is averaged), vad_ref, vad_hyp, votes_ref, votes_hyp.

    Raises:
        SertlError: If no output has a reference, or an emotion reference is missing.
    """
    utts = list(decoded.data.utts.values())
    result = {
        "version": VERSION,
        "inputs": decoded.inputs,
        "set": decoded.info["set"],
        "fold": decoded.info["fold"],
        "seed": decoded.info["seed"],
        "labels": decoded.labels,
        "protocol": decoded.protocol,
        "n": len(utts),
        "num_speakers": len({u.spk for u in utts}),
    }
    columns = {name: [getattr(u, name) for u in utts] for name in ("utt", "spk", "dur_sec")}
    if "emo" in decoded.hyps:
        unlabelled = [u.utt for u in utts if u.emo is None]
        if unlabelled:
            raise SertlError(f"{decoded.data.path}/utt2emo: no reference for '{unlabelled[0]}'")
        index = {label: i for i, label in enumerate(decoded.labels)}
        columns["ref"] = [index[u.emo] for u in utts]
        hyps = [[index[hyp[u.utt]] for u in utts] for hyp in (decoded.hyps["emo"], *decoded.orders)]
        columns["hyp"], columns["hyp_orders"] = hyps[0], hyps[1:]
        found = [metrics.confusion_matrix(columns["ref"], hyp, len(index)) for hyp in hyps]
        confusion = found[0] if len(found) == 1 else np.mean(found, axis=0)
        result["emotion"] = metrics.class_scores(confusion, decoded.labels)
    result["classes"] = {}
    for kind in decoded.hyps:
        rated = [u for u in utts if u.value(kind) is not None]
        if kind != "emo" and field_of(kind).kind == "class" and rated:
            result["classes"][kind] = _score_classes(decoded, kind, rated)
    result |= _score_numbers(decoded, utts, columns)
    spoken = [u for u in utts if u.text]
    if "text" in decoded.hyps and spoken:
        hyps = [decoded.hyps["text"][u.utt] for u in spoken]
        result["text"] = metrics.word_errors([u.text for u in spoken], hyps)
    if not {"emotion", "vad", "text"} & result.keys() and not result["classes"]:
        raise SertlError(
            f"{decoded.folder} predicts {', '.join(decoded.hyps)}, but {decoded.data.path} has no "
            "reference for any of it"
        )
    return {**result, "utts": columns}


def _score_numbers(decoded: Decoded, utts: list[Utterance], columns: dict) -> dict:
    """vad and votes, as far as there are references, with their columns."""
    result = {}
    rated = [u for u in utts if u.vad is not None]
    if "vad" in decoded.hyps and rated:
        hyp = {u.utt: _dimensions(decoded, u.utt) for u in utts}
        columns["vad_ref"] = [None if u.vad is None else list(u.vad) for u in utts]
        columns["vad_hyp"] = [hyp[u.utt] for u in utts]
        pred = np.array([hyp[u.utt] for u in rated])
        result["vad"] = dimension_scores(pred, np.array([u.vad for u in rated]))
    if "votes" in decoded.hyps and any(u.votes is not None for u in utts):
        columns["votes_ref"] = [None if u.votes is None else _shares(decoded, u) for u in utts]
        columns["votes_hyp"] = [_probabilities(decoded, u.utt) for u in utts]
        result["votes"] = vote_scores(columns)
    return result


def dimension_scores(pred: np.ndarray, ref: np.ndarray) -> dict:
    """CCC and RMSE of valence, arousal and dominance, and their means.

    Args:
        pred: (N, 3) on the corpus's own scale.
        ref: (N, 3).

    Returns:
        n, ccc and rmse: {dimension or "mean": value}. A CCC that is undefined (one utterance, or a
        constant predicted for a constant) is None, and so is the mean of such.
    """
    scores = {"n": len(ref), "ccc": {}, "rmse": {}}
    for i, name in enumerate(DIMENSIONS):
        try:
            scores["ccc"][name] = metrics.ccc(pred[:, i], ref[:, i])
        except ValueError:
            scores["ccc"][name] = None
        scores["rmse"][name] = metrics.rmse(pred[:, i], ref[:, i])
    for values in (scores["ccc"], scores["rmse"]):
        undefined = any(value is None for value in values.values())
        values["mean"] = None if undefined else float(np.mean(list(values.values())))
    return scores


def vote_scores(columns: dict) -> dict:
    """n, kl and js (metrics.divergences) over the utterances whose votes are known."""
    pairs = zip(columns["votes_hyp"], columns["votes_ref"], strict=True)
    hyp, ref = zip(*((h, r) for h, r in pairs if r is not None), strict=True)
    return {"n": len(ref), **metrics.divergences(np.array(hyp), np.array(ref))}


def _shares(decoded: Decoded, utt: Utterance) -> list[float]:
    """Votes of a reference as shares, in the order of the labels."""
    counts = [utt.votes.get(label, 0.0) for label in decoded.labels]
    return [count / sum(counts) for count in counts]


def _probabilities(decoded: Decoded, utt: str) -> list[float]:
    text = decoded.hyps["votes"][utt]
    values = numbers(text)
    if len(values) != len(decoded.labels) or min(values, default=-1) < 0 or sum(values) <= 0:
        raise SertlError(
            f"{decoded.folder}/hyp_votes: '{utt}' has {text!r}, expected {len(decoded.labels)} "
            "probabilities"
        )
    return values


def _score_classes(decoded: Decoded, kind: str, rated: list) -> dict:
    """Gender, style or another field, over the utterances that have a reference.

    The classes are those of the table, or all that the model knows or the references name.
    """
    named = {u.value(kind) for u in rated} | {*decoded.info.get("classes", {}).get(kind, ())}
    known = field_of(kind).values or tuple(sorted(named))
    index = {label: i for i, label in enumerate(known)}
    hyps = decoded.hyps[kind]
    for u in rated:
        if hyps[u.utt] not in index:
            raise SertlError(
                f"{decoded.folder}/hyp_{kind}: '{u.utt}' has '{hyps[u.utt]}', "
                f"expected one of {' '.join(known)}"
            )
    ref = np.array([index[u.value(kind)] for u in rated])
    hyp = np.array([index[hyps[u.utt]] for u in rated])
    return metrics.class_scores(metrics.confusion_matrix(ref, hyp, len(known)), list(known))


def _dimensions(decoded: Decoded, utt: str) -> list[float]:
    text = decoded.hyps["vad"][utt]
    values = numbers(text)
    if len(values) != 3:
        raise SertlError(
            f"{decoded.folder}/hyp_vad: '{utt}' has {text!r}, expected three numbers: "
            "valence arousal dominance"
        )
    return values


def _protocol_lacks_dev(run: Run) -> bool:
    """Whether the fold was made without a dev set, told from where its test set lies."""
    test = run.decoded("test")
    return test.is_dir() and not (Path(read_info(test)["data_dir"]).parent / "dev").is_dir()
