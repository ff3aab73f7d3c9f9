# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""What a recipe states about its corpus in `conf/corpus.yaml`, and how labels are made from it.

Keys: those of `Corpus`, plus `policies` (name to the keys that differ) and `default_policy`.
"""

import logging
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path

import yaml

from sertl.data.datadir import Utterance
from sertl.data.fields import STYLES
from sertl.errors import SertlError, unknown_name

logger = logging.getLogger(__name__)

PROTOCOLS = ("loso", "loso10", "superb", "fixed", "official")
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


KEYS = tuple(f.name for f in fields(Corpus) if f.name != "policy")
NEEDED = ("name", "release", "language", "licence", "cite", "labels")


def load_corpus(path: str | os.PathLike, policy: str | None = None) -> Corpus:
    """Read `conf/corpus.yaml`.

    Args:
        path: The file.
        policy: Label policy; None for `default_policy`.

    Raises:
        SertlError: On unknown or missing keys, unknown policies, and values that contradict.
    """
    conf = _read_yaml(Path(path))
    policies = _mapping(path, "policies", conf.pop("policies", None) or {})
    default = conf.pop("default_policy", None)
    if default is None and policies:
        raise SertlError(f"{path}: has `policies` but no `default_policy`")
    default = default or "default"
    names = list(dict.fromkeys([default, *policies]))
    name = policy or default
    if name not in names:
        raise unknown_name(f"label policy (in {path})", name, names)
    values = {**conf, **_mapping(path, f"policies.{name}", policies.get(name) or {})}
    for source in (values, *(p or {} for p in policies.values())):
        for key in source:
            if key not in KEYS:
                raise unknown_name(f"key (in {path})", key, [*KEYS, "policies", "default_policy"])
    missing = [key for key in NEEDED if key not in values]
    if missing:
        raise SertlError(f"{path}: missing key {', '.join(missing)}")
    values = {key: value for key, value in values.items() if value is not None}
    if "vad_range" in values:
        values["vad_range"] = _vad_range(path, values["vad_range"])
    corpus = Corpus(policy=name, **values)
    _check(path, corpus)
    return corpus


def _read_yaml(path: Path) -> dict:
    if not path.is_file():
        raise SertlError(f"{path}: no such file; a recipe describes its corpus there")
    try:
        conf = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise SertlError(f"{path}: not valid YAML: {error}") from error
    return dict(_mapping(path, "the file", conf))


def _mapping(path: str | os.PathLike, what: str, value: object) -> dict:
    if not isinstance(value, dict):
        raise SertlError(f"{path}: {what} is {value!r}; expected 'key: value' lines")
    return value


def _vad_range(path: str | os.PathLike, value: object) -> tuple[float, float]:
    ok = isinstance(value, list) and len(value) == 2
    if not ok or not all(isinstance(v, int | float) for v in value) or value[0] >= value[1]:
        raise SertlError(f"{path}: vad_range is {value!r}; expected [lowest, highest]")
    return float(value[0]), float(value[1])


def _check(path: str | os.PathLike, corpus: Corpus) -> None:
    """Refuse values of the wrong type and values that contradict each other."""

    def fail(what: str) -> None:
        raise SertlError(f"{path} (policy {corpus.policy}): {what}")

    def strings(key: str, values: object) -> None:
        # YAML reads 03, no and 1.10 as 3, false and 1.1
        wrong = [v for v in values if not isinstance(v, str)]
        if wrong:
            fail(f"{key}: {wrong[0]!r} is not text; write it in quotes")

    for key, kind in (("labels", list), ("drop", list), ("merge", dict), ("expected", dict)):
        if not isinstance(getattr(corpus, key), kind):
            fail(f"{key} is {getattr(corpus, key)!r}; expected a {kind.__name__}")
    if not isinstance(corpus.excluded, dict):
        fail("excluded: expected lines 'utterance id: reason'")
    if not isinstance(corpus.shared_speakers, bool):
        fail(f"shared_speakers is {corpus.shared_speakers!r}; expected true or false")
    for key in ("name", "release", "language", "licence", "cite", "group_by", "protocol", "notes"):
        strings(key, [getattr(corpus, key)])
    for key in ("labels", "drop", "expected", "excluded"):
        strings(key, getattr(corpus, key))
    strings("merge", [*corpus.merge, *corpus.merge.values()])
    strings("excluded", corpus.excluded.values())
    if len(set(corpus.labels)) < len(corpus.labels):
        fail(f"labels: {corpus.labels} has one twice")
    for source, target in corpus.merge.items():
        if target not in corpus.labels:
            raise unknown_name(f"class in merge ({source} -> ?) of {path}", target, corpus.labels)
        if source in corpus.labels or source in corpus.drop:
            fail(f"'{source}' is merged into '{target}' and also a class or dropped")
    for label in set(corpus.drop) & set(corpus.labels):
        fail(f"'{label}' is both a class and dropped")
    for group, counts in corpus.expected.items():
        for label, count in _mapping(path, f"expected.{group}", counts).items():
            if label not in corpus.labels:
                raise unknown_name(f"class in expected.{group} of {path}", label, corpus.labels)
            if not isinstance(count, int) or isinstance(count, bool) or count < 0:
                fail(f"expected.{group}.{label} is {count!r}; expected a number of utterances")
    if ALL in corpus.expected and len(corpus.expected) > 1:
        fail("expected has both 'all' and single groups; keep one of them")
    if corpus.group_by not in ("session", "spk"):
        raise unknown_name(f"group_by (in {path})", corpus.group_by, ("session", "spk"))
    if corpus.protocol not in PROTOCOLS:
        raise unknown_name(f"protocol (in {path})", corpus.protocol, PROTOCOLS)
    if corpus.only_style is not None and corpus.only_style not in STYLES:
        raise unknown_name(f"only_style (in {path})", corpus.only_style, STYLES)


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
            kept.append(replace(u, emo=emo))
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
