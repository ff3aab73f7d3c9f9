# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""The protocol card: under which rules a number was obtained, printed beside every number."""

from sertl.runs import Run
from sertl.score.records import PhaseRun

AVERAGING = (
    "over folds: mean and sample standard deviation per seed, averaged over seeds; pooled: "
    "predictions of all folds together, scored per seed, averaged over seeds; dev never averaged "
    "with test"
)
METRICS = (
    "UA: mean recall of the classes that occur; WA: accuracy; macro-F1 over the same classes; CCC "
    "with population statistics; WER on upper-cased text, no punctuation but the apostrophe"
)
# Keys of protocol.json and run.json that the rows below show; any other key gets a row of its own
_PROTOCOL_SHOWN = {
    *("corpus", "release", "policy", "labels", "merge", "n_per_class", "protocol", "fold"),
    *("num_folds", "test_group", "dev_rule", "select", "fold_hash", "licence", "cite"),
    *("shared_speakers", "num_utts", "language", "group_by", "notes"),
}
_RUN_SHOWN = {
    *("phase", "method", "input", "upstream", "layers", "selected", "params", "seen_ids"),
    *("transductive", "class_weights", "crop_sec", "config_hash", "commit", "environment"),
    *("epochs", "updates", "seconds_per_epoch", "seconds_per_update", "peak_rss_gib"),
    *("peak_gpu_gib", "checkpoint_mib", "layer_weights", "speaker_norm"),
}

# data_conf.speaker_norm.mode, in words
SPEAKER_NORMS = {
    "none": "none",
    "offline": "offline: uses all unlabelled audio of each test speaker",
    "online": "online: causal, uses each test speaker's unlabelled audio up to the clip at hand",
}

Rows = list[tuple[str, str]]


def protocol_card(scores: dict[Run, dict], phases: dict[str, list[PhaseRun]]) -> Rows:
    """Rows of (what, value) from protocol.json and run.json.

    Args:
        scores: Of one set, by run.
        phases: As read_phases returns them; may be empty if exp/ holds no run.json.
    """
    by_fold = {score["fold"]: score["protocol"] for score in scores.values()}
    folds = [by_fold[k] for k in sorted(by_fold)]
    first = folds[0]
    counts = ", ".join(f"{label} {n}" for label, n in first["n_per_class"].items())
    merges = ", ".join(f"{old} → {new}" for old, new in (first.get("merge") or {}).items())
    transductive = any(p.facts.get("transductive") for runs in phases.values() for p in runs)
    seeds = sorted({run.seed for run in scores})
    rows = [
        ("corpus", _words(first["corpus"], first.get("language"))),
        ("release", str(first["release"])),
        ("labels", f"{', '.join(first['labels'])} (policy {first['policy']})"),
        ("merges", merges or "none"),
        ("utterances per class", counts),
        ("protocol", f"{first['protocol']}, {first['num_folds']} folds"),
        ("fold leaves out", str(first.get("group_by", "as the protocol says"))),
        ("fold lists (hash)", "; ".join(f"{p['fold']}: {p['fold_hash']}" for p in folds)),
        ("dev set", str(first["dev_rule"])),
        ("selection rule", str(first["select"])),
        ("transductive", "YES: unlabelled stages saw dev and test audio" if transductive else "no"),
        ("speaker normalisation", speaker_norm_of(phases)),
        ("speakers in train and test", _shared(folds)),
        ("seeds", ", ".join(str(seed) for seed in seeds)),
        ("averaging", AVERAGING),
        ("metrics", METRICS),
        ("licence", str(first["licence"])),
        ("cite", str(first["cite"])),
    ]
    if first.get("notes"):
        rows.append(("notes", _text(first["notes"])))
    rows += [(key, _text(first[key])) for key in first if key not in _PROTOCOL_SHOWN]
    for name, runs in phases.items():
        rows += [(f"{name}: {what}", value) for what, value in _phase_rows(runs)]
    commits = sorted({str(p.facts.get("commit", "unknown")) for r in phases.values() for p in r})
    rows.append(("code commit", ", ".join(commits) or "unknown"))
    return rows


def speaker_norm_of(phases: dict[str, list[PhaseRun]]) -> str:
    """What of the test speakers' unlabelled audio the last phase's predictions use."""
    last = list(phases.values())[-1:]
    modes = {p.facts.get("speaker_norm", "none") for runs in last for p in runs}
    return ", ".join(SPEAKER_NORMS[mode] for mode in sorted(modes)) or SPEAKER_NORMS["none"]


def _phase_rows(runs: list[PhaseRun]) -> Rows:
    """Rows of one phase; what differs between folds or seeds is listed value by value."""

    def each(key: str) -> str:
        return " | ".join(dict.fromkeys(_text(p.facts[key]) for p in runs if key in p.facts)) or "?"

    params = [p.facts["params"] for p in runs if "params" in p.facts]
    counts = " | ".join(
        dict.fromkeys(
            f"{p['trained']:,} trained, {p['frozen']:,} frozen ({p['trained'] / p['total']:.2%})"
            for p in params
        )
    )
    rows = [
        ("method", each("method")),
        ("input", each("input")),
        ("upstream", each("upstream")),
        ("layers", each("layers")),
        ("parameters", counts or "?"),
        ("selected", _selected(runs)),
        ("class weights", each("class_weights")),
        ("crop", f"{each('crop_sec')} s (0: whole clips)"),
        ("ids seen (number, hash)", _ids(runs)),
        ("config (hash)", each("config_hash")),
    ]
    extra = dict.fromkeys(key for p in runs for key in p.facts if key not in _RUN_SHOWN)
    shown = [key for key in extra if not key.startswith("layer_scores")]  # the report draws them
    return rows + [(k, each(k)) for k in shown if k.startswith("chosen") or len(each(k)) < 400]


def _selected(runs: list[PhaseRun]) -> str:
    """Updates, or epochs, that the selection metric chose, over folds and seeds.

    And, of a phase that starts solved, lambda and what the start alone says of dev.
    """
    chosen = [p.facts["selected"] for p in runs if p.facts.get("selected")]
    metrics = ", ".join(sorted({str(s["metric"]) for s in chosen}))
    key = "update" if all(s.get("update") is not None for s in chosen) else "epoch"
    steps = sorted({s[key] for s in chosen if s.get(key) is not None})
    if not steps:
        return metrics or "?"
    values = [s["value"] for s in chosen if isinstance(s.get("value"), (int, float))]
    words = f"{key}s {steps[0]} to {steps[-1]}, {metrics}"
    words += f", values {min(values):.4f} to {max(values):.4f}" if values else ""
    if not any(p.facts.get("start") for p in runs):
        return words
    shares = sorted(s.get("share", 1.0) for s in chosen)
    words += f"; lambda {shares[0]:g} to {shares[-1]:g} (0: the solved start alone)"
    first = [e for p in runs for e in p.log if e["kind"] == "dev" and e.get("update") == 0]
    ua = [e["ua"] for e in first if "ua" in e]
    return words + (f"; dev UA of the start {min(ua):.4f} to {max(ua):.4f}" if ua else "")


def _ids(runs: list[PhaseRun]) -> str:
    """What each fold's training saw: all seeds of a fold see the same."""
    seen = {}
    for p in sorted(runs, key=lambda p: (p.run.fold, p.run.seed)):
        for part, ids in p.facts.get("seen_ids", {}).items():
            seen.setdefault(f"fold {p.run.fold} {part} {ids['n']} {ids['hash']}", None)
    return "; ".join(seen) or "?"


def _shared(folds: list[dict]) -> str:
    shared = {p["fold"]: p.get("shared_speakers", 0) for p in folds if p.get("shared_speakers")}
    if not shared:
        return "none"
    return "SHARED: " + "; ".join(f"fold {k}: {_text(n)} speakers" for k, n in shared.items())


def _words(*words: object) -> str:
    return ", ".join(str(word) for word in words if word)


def _text(value: object) -> str:
    """A JSON value in words."""
    if value in (None, {}, [], ""):
        return "none"
    if isinstance(value, dict):
        return ", ".join(f"{key} {_text(v)}" for key, v in value.items())
    if isinstance(value, list):
        return " ".join(_text(v) for v in value)
    return str(value)
