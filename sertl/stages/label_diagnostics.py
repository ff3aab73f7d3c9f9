# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""What the report shows of pseudo-labels: how they go with emotion, gender and speaker."""

from collections.abc import Mapping
from pathlib import Path

from sertl.atomic import write_json
from sertl.cluster.codebook import Codebook
from sertl.cluster.quality import OF_UTTERANCE, measure, says_something
from sertl.data.ark import read_array
from sertl.data.audio import SAMPLE_RATE
from sertl.data.datadir import DataDir
from sertl.data.frame_labels import LabelSet, specs_of_labels
from sertl.runs import DIAGNOSTICS
from sertl.stages.cluster_diagnostics import examples, timelines


def write_label_diagnostics(
    out: Path, codebooks: Mapping[LabelSet, Codebook], parts: dict[str, DataDir], stride: int
) -> dict[str, dict[str, dict]]:
    """Write diagnostics.json; return quality by label set and part.

    Args:
        out: The run's pseudo_labels, with the labels.
        codebooks: By label set.
        parts: train, and dev if there is one.
        stride: Samples per frame.
    """
    shown = examples(parts.get("dev", parts["train"]))
    qualities, labels_shown = {}, {}
    for label_set in codebooks:
        scp = specs_of_labels(out / label_set.name)
        labels = {
            utt: read_array(scp[utt], utt) for data in parts.values() for utt in data.utts
        }  # (T,) int32 each: 4 bytes a frame
        qualities[label_set.name] = {name: measure(data, labels) for name, data in parts.items()}
        labels_shown[label_set.name] = {u.utt: labels[u.utt] for u in shown}
    entries = [table_of_labels(qualities, codebooks), lines_of_labels(qualities, list(codebooks))]
    if shown:
        entries.append(timelines(list(codebooks), shown, labels_shown, stride / SAMPLE_RATE))
    write_json(out / DIAGNOSTICS, entries)
    return qualities


def table_of_labels(
    qualities: Mapping[str, dict[str, dict]], codebooks: Mapping[LabelSet, Codebook]
) -> dict:
    """A row for each label set and data set."""
    found = [m for of_set in qualities.values() for m in of_set.values()]
    names = [name for name in OF_UTTERANCE if any(name in m for m in found)]
    header = ["labels", "frames of", "dead", "inertia", "perplexity"]
    header += [f"{name} {what}" for name in names for what in ("NMI", "purity", "chance")]
    infos, rows = {s.name: book.info for s, book in codebooks.items()}, []
    for label_set, of_set in qualities.items():
        for part, m in of_set.items():
            row = [label_set, part, infos[label_set]["dead"], infos[label_set]["inertia"]]
            row.append(m["perplexity"])
            for name in names:
                told = says_something(m, name)
                row += [m[name][key] if told else None for key in ("nmi", "purity", "chance")]
            rows.append(row)
    return {
        "kind": "table",
        "title": "Pseudo-labels",
        "text": "Frame pseudo-labels against what is known of the utterances. NMI: normalised "
        "mutual information; purity: share of frames in the majority of their cluster; chance: "
        "purity without clusters. Purity rises with the number of clusters, NMI need not. Dead "
        "clusters and inertia per frame are of the frames that were clustered. A dash: all have "
        "the same.",
        "header": header,
        "rows": rows,
    }


def lines_of_labels(qualities: Mapping[str, dict[str, dict]], sets: list[LabelSet]) -> dict:
    """NMI with emotion, gender and speaker by layer, a line for each number of clusters.

    Of the dev set, or of the training set where there is no other or dev utterances do not differ.
    """
    one, panels = qualities[sets[0].name], []
    for name in OF_UTTERANCE:
        told = [part for part in ("dev", "train") if says_something(one.get(part, {}), name)]
        if not told:
            continue
        lines = {}
        for source, clusters in sorted({(s.source, s.clusters) for s in sets}):
            same = (s for s in sets if (s.source, s.clusters) == (source, clusters))
            own = sorted(same, key=lambda s: s.layer)
            values = [[s.layer, qualities[s.name][told[0]][name]["nmi"]] for s in own]
            whose = "" if source == "teacher" else f", {source} encoder"
            lines[f"K = {clusters}{whose}"] = values
        panels.append({"title": f"With {name}, {told[0]}", "lines": lines})
    return {
        "kind": "lines",
        "title": "Quality of the labels",
        "axes": ["layer", "normalised mutual information"],
        "panels": panels,
    }
