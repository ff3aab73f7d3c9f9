# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Published numbers to print beside ours, from conf/reference_results.yaml."""

from dataclasses import dataclass
from pathlib import Path

from sertl.errors import SertlError
from sertl.schema.reference_keys import ReferenceCorpus, ReferenceRow
from sertl.schema.strict import checked
from sertl.yaml_text import parse_documents, read_text

TAGS = {
    "PAPER": "stated by the paper itself",
    "PAPER~": "attributed to the paper by a secondary account, not confirmed in its text",
    "CODE": "from public code or its result table, not a claim of a paper",
}
NO_PROTOCOL = "-"


@dataclass(frozen=True)
class Published:
    """One published result; the keys are explained in conf/reference_results.yaml.

    Attributes:
        near: Our protocol beside which it may be set, "-" for none.
        ua, wa, f1, wer, gender_ua, style_ua: Per cent.
        why: What keeps it from being comparable.
    """

    id: str
    method: str
    folds: str
    dev: str
    near: str
    tag: str
    cite: str
    upstream: str = ""
    ua: float | None = None
    wa: float | None = None
    f1: float | None = None
    wer: float | None = None
    gender_ua: float | None = None
    style_ua: float | None = None
    ua_by_fold: tuple[float, ...] | None = None
    why: str = ""


def load_references(path: str | Path) -> dict[str, list[Published]]:
    """Read every corpus of the file.

    Raises:
        SertlError: Missing file, unknown or missing key, unknown tag, repeated id, no number.
    """
    path = Path(path)
    documents = [d for d in parse_documents(read_text(path), str(path)) if d]
    found: dict[str, list[Published]] = {}
    for document in documents:
        document = checked(ReferenceCorpus, document, str(path))
        rows = [_row(path, row) for row in document["results"]]
        found.setdefault(document["corpus"], []).extend(rows)
    ids = [row.id for rows in found.values() for row in rows]
    repeated = sorted({i for i in ids if ids.count(i) > 1})
    if repeated:
        raise SertlError(f"{path}: repeated id {', '.join(repeated)}")
    return found


def corpus_key(corpus: str, policy: str) -> str:
    """Name of a corpus under a label policy: iemocap under 4class is iemocap4.

    The policy `default`, of a corpus that has only one, adds nothing; one that begins with the
    corpus's name, as nemo30, is the key.
    """
    if policy.startswith(corpus):
        return policy
    return corpus if policy == "default" else corpus + policy.replace("class", "", 1)


def nearest_first(rows: list[Published], method: str) -> list[Published]:
    """The rows of this method first, then those of its variants (`method/...`), then the others."""
    return sorted(rows, key=lambda r: (r.method != method, not r.method.startswith(f"{method}/")))


def group_by_near(rows: list[Published], protocol: str) -> list[tuple[str, list[Published]]]:
    """Rows by the protocol they may be set beside: ours first, then others, "-" last.

    Within a group the order of the file is kept; nothing is ranked.
    """
    others = sorted({row.near for row in rows} - {protocol, NO_PROTOCOL})
    groups = [(near, [r for r in rows if r.near == near]) for near in [protocol, *others, "-"]]
    return [(near, group) for near, group in groups if group]


def _row(path: Path, row: dict) -> Published:
    where = f"{path}, {row.get('id', '?')}"
    values = checked(ReferenceRow, row, where)
    if all(values[key] is None for key in ("ua", "wa", "f1", "wer")):
        raise SertlError(f"{where} has no number: expected ua, wa, f1 or wer in per cent")
    return Published(**{**values, "ua_by_fold": tuple(values["ua_by_fold"] or ()) or None})
