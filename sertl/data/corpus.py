# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""What a recipe states about its corpus in `conf/corpus.yaml`, and how labels are made from it.

Keys: those of `Corpus`, plus `policies` (name to the keys that differ) and `default_policy`.
"""

import logging
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import get_args

from sertl.data.datadir import Utterance
from sertl.errors import SertlError, unknown_name
from sertl.schema.corpus_keys import CorpusFile, Protocol
from sertl.schema.strict import checked
from sertl.yaml_text import load_yaml

logger = logging.getLogger(__name__)

PROTOCOLS = get_args(Protocol)
ALL = "all"  # group name of an expected table that is not split by session or speaker


@dataclass(frozen=True)
class Corpus:
    """A corpus under one label policy.

    Attributes:
        name, release, language, licence, cite: Printed with every result.
        policy: Name of the label policy.
        labels: Classes in index order.
        merge: Label of the corpus to the class that it counts as.
        drop: Labels left out on purpose; any other label is an error.
        only_style: Keep this style only.
        expected: Group (or "all") to class to number of utterances; empty if not known.
        group_by: What a fold leaves out: "session" or "spk".
        protocol: Protocol used unless another one is asked for.
        vad_range: (lowest, highest) of valence, arousal and dominance.
        excluded: Utterance id to the reason why it is left out.
        shared_speakers: The official split has speakers in two parts; printed with every result.
        notes: Anything else a reader of a result must know.
    """

    name: str
    release: str
    language: str
    licence: str
    cite: str
    labels: list[str]
    policy: str = "default"
    merge: dict[str, str] = field(default_factory=dict)
    drop: list[str] = field(default_factory=list)
    only_style: str | None = None
    expected: dict[str, dict[str, int]] = field(default_factory=dict)
    group_by: str = "spk"
    protocol: str = "loso"
    vad_range: tuple[float, float] | None = None
    excluded: dict[str, str] = field(default_factory=dict)
    shared_speakers: bool = False
    notes: str = ""


NEEDED = ("name", "release", "language", "licence", "cite", "labels")


def load_corpus(path: str | os.PathLike, policy: str | None = None) -> Corpus:
    """Read `conf/corpus.yaml`.

    Args:
        path: The file.
        policy: Label policy; None for `default_policy`.

    Raises:
        SertlError: On unknown or missing keys, unknown policies, and values that contradict.
    """
    conf = load_yaml(path)
    checked(CorpusFile, conf, str(path))
    policies, default = conf.pop("policies", None) or {}, conf.pop("default_policy", None)
    if default is None and policies:
        raise SertlError(f"{path}: has `policies` but no `default_policy`")
    default = default or "default"
    names = list(dict.fromkeys([default, *policies]))
    name = policy or default
    if name not in names:
        raise unknown_name(f"label policy (in {path})", name, names)
    values = {k: v for k, v in {**conf, **policies.get(name, {})}.items() if v is not None}
    missing = [key for key in NEEDED if key not in values]
    if missing:
        raise SertlError(f"{path}: missing key {', '.join(missing)}")
    if "vad_range" in values:
        values["vad_range"] = tuple(map(float, values["vad_range"]))
    corpus = Corpus(policy=name, **values)
    _check(path, corpus)
    return corpus


def _check(path: str | os.PathLike, corpus: Corpus) -> None:
    """Refuse values that contradict each other."""

    def fail(what: str) -> None:
        raise SertlError(f"{path} (policy {corpus.policy}): {what}")

    for source, target in corpus.merge.items():
        if target not in corpus.labels:
            raise unknown_name(f"class in merge ({source} -> ?) of {path}", target, corpus.labels)
        if source in corpus.labels or source in corpus.drop:
            fail(f"'{source}' is merged into '{target}' and also a class or dropped")
    for label in set(corpus.drop) & set(corpus.labels):
        fail(f"'{label}' is both a class and dropped")
    for group, counts in corpus.expected.items():
        for label in counts:
            if label not in corpus.labels:
                raise unknown_name(f"class in expected.{group} of {path}", label, corpus.labels)
    if ALL in corpus.expected and len(corpus.expected) > 1:
        fail("expected has both 'all' and single groups; keep one of them")


def apply_policy(corpus: Corpus, utts: Iterable[Utterance]) -> tuple[list[Utterance], Counter[str]]:
    """Turn the labels of the corpus into classes.

    Args:
        corpus: Policy.
        utts: Utterances with the labels of the corpus; None if it has none.

    Returns:
        The utterances kept, with their class, and the number dropped for each reason.

    Raises:
        SertlError: Naming labels that are neither a class, nor merged, nor dropped.
    """
    kept, dropped, unknown = [], Counter(), {}
    for u in utts:
        emo = corpus.merge.get(u.emo, u.emo)
        if u.utt in corpus.excluded:
            dropped[f"excluded: {corpus.excluded[u.utt]}"] += 1
        elif corpus.labels and emo is None:
            dropped["no label"] += 1
        elif corpus.labels and emo in corpus.drop:
            dropped[f"label {emo}"] += 1
        elif corpus.labels and emo not in corpus.labels:
            unknown.setdefault(emo, []).append(u)
        elif corpus.only_style is not None and u.style != corpus.only_style:
            dropped[f"style {u.style}, not {corpus.only_style}"] += 1
        else:
            kept.append(replace(u, emo=emo, votes=_votes_of(corpus, u)))
    if unknown:
        lines = [
            f"  '{label}': {len(us)} utterances, first {us[0].utt} ({us[0].wav})"
            for label, us in sorted(unknown.items())
        ]
        raise SertlError(
            f"labels that the policy '{corpus.policy}' of {corpus.name} does not know:\n"
            + "\n".join(lines)
            + f"\nKnown: {', '.join([*corpus.labels, *corpus.merge, *corpus.drop])}. "
            "Correct the label, or name it under `merge` or `drop` in corpus.yaml."
        )
    return kept, dropped


def _votes_of(corpus: Corpus, utt: Utterance) -> dict[str, float] | None:
    """Votes by class: merged as the labels are, those for other labels left out; None for none."""
    if utt.votes is None:
        return None
    found = Counter()
    for label, count in utt.votes.items():
        name = corpus.merge.get(label, label)
        if name in corpus.labels:
            found[name] += count
    return dict(found) if sum(found.values()) > 0 else None


def group_of(corpus: Corpus, utt: Utterance) -> str:
    """Return the group of an utterance: what a fold leaves out.

    Raises:
        SertlError: If groups are sessions and the utterance has none.
    """
    group = utt.spk if corpus.group_by == "spk" else utt.session
    if group is None:
        raise SertlError(
            f"utterance '{utt.utt}' has no session, but {corpus.name} is grouped by session; "
            "set it in local/prepare_data.py, or `group_by: spk` in corpus.yaml"
        )
    return group


def check_counts(corpus: Corpus, utts: Sequence[Utterance], allow_subset: bool = False) -> None:
    """Compare the utterances with the counts in corpus.yaml.

    Args:
        corpus: Corpus with `expected`; nothing is checked if that is empty.
        utts: Utterances after apply_policy.
        allow_subset: Log differences instead of failing.

    Raises:
        SertlError: With a table of expected / found / difference per group and class.
    """
    if not corpus.expected:
        logger.warning("corpus.yaml of %s states no expected counts; none checked", corpus.name)
        return
    whole = ALL in corpus.expected
    found = Counter((ALL if whole else group_of(corpus, u), u.emo) for u in utts)
    expected = Counter(
        {(g, label): n for g, counts in corpus.expected.items() for label, n in counts.items()}
    )
    groups = sorted({group for group, _ in [*found, *expected]})
    wrong = any(found[cell] != expected[cell] for cell in {*found, *expected})
    if not wrong:
        logger.info("%s: %d utterances, as expected", corpus.name, len(utts))
        return
    table = _difference_table(corpus.labels, groups, expected, found)
    message = (
        f"{corpus.name}, policy {corpus.policy}: counts differ from corpus.yaml "
        f"(found/expected, difference):\n{table}"
    )
    if not allow_subset:
        raise SertlError(
            f"{message}\nIs the corpus complete? If a part is meant to be used: --allow-subset."
        )
    logger.warning("%s", message)


def _difference_table(
    labels: list[str], groups: list[str], expected: Counter, found: Counter
) -> str:
    """Lay out one row per group and one column per class, each "found/expected (difference)"."""

    def cell(pairs: list[tuple[str, str]]) -> str:
        f, e = sum(found[p] for p in pairs), sum(expected[p] for p in pairs)
        return f"{f}/{e}" + (f" ({f - e:+d})" if f != e else "")

    rows = [["group", *labels, "all"]]
    for group in groups:
        row = [(group, label) for label in labels]
        rows.append([group, *(cell([pair]) for pair in row), cell(row)])
    if len(groups) > 1:
        columns = [[(group, label) for group in groups] for label in labels]
        rows.append(["all", *map(cell, columns), cell([p for c in columns for p in c])])
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return "\n".join(
        "  " + "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True))
        for row in rows
    )
