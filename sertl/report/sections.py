# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""The tables of a report, from what `summary.summarise` returns."""

from collections.abc import Iterable

from sertl.data.fields import DIMENSIONS
from sertl.report.tables import NONE, Table, decimal, percent, spanned, with_std
from sertl.runs import Run
from sertl.score.records import PhaseRun
from sertl.score.references import NO_PROTOCOL, TAGS, Published, group_by_near, nearest_first
from sertl.score.significance import RESAMPLES
from sertl.score.summary import flatten

CLASS_COLUMNS = {"ua": "UA", "wa": "WA", "macro_f1": "macro-F1", "weighted_f1": "weighted F1"}
OTHER_PLAIN = {
    **{f"ccc_{d}": f"CCC {d}" for d in (*DIMENSIONS, "mean")},
    **{f"rmse_{d}": f"RMSE {d} (scale of the corpus)" for d in (*DIMENSIONS, "mean")},
    "votes_kl": "KL(raters || model), nats",
    "votes_js": "Jensen-Shannon to the raters, nats",
}
# Our dev sets in the words of conf/reference_results.yaml
DEV_WORDS = {"loso": "group", "loso10": "speaker", "superb": "random20", "fixed": "none"}


def other_percent(names: Iterable[str]) -> dict[str, str]:
    """Titles of the scores in per cent beside those of emotion, among the names of metrics."""
    known = dict.fromkeys(names)
    found = {name: f"{name.removesuffix('_ua')} UA" for name in known if name.endswith("_ua")}
    return found | {name: name.upper() for name in ("wer", "cer") if name in known}


def headline(summary: dict) -> str:
    """The number in one sentence."""
    table = summary["metrics"]
    parts = []
    others = other_percent(table)
    for name in ("ua", "wa") if "ua" in table else ("ccc_mean", *others):
        if name in table:
            pooled = table[name]["pooled"]
            if name in CLASS_COLUMNS:
                interval = f" (95 % interval {spanned(pooled['interval_utt'])})"
                parts.append(f"{CLASS_COLUMNS[name]} {percent(pooled['mean'])} %{interval}")
            elif name in others:
                parts.append(f"{others[name]} {percent(pooled['mean'])} %")
            else:
                parts.append(f"{OTHER_PLAIN[name]} {decimal(pooled['mean'])}")
    folds, seeds = len(summary["folds"]), len(summary["seeds"])
    return (
        f"{', '.join(parts)}; predictions of {folds} of {summary['num_folds']} folds pooled, "
        f"{'mean of ' if seeds > 1 else ''}{seeds} seed{'s' if seeds > 1 else ''}, "
        f"{summary['n']} utterances of {summary['num_speakers']} speakers"
    )


def aggregates(summary: dict) -> Table:
    """Pooled and over-folds figures of the emotion classes."""
    table = [summary["metrics"][name] for name in CLASS_COLUMNS]
    seeds = len(summary["seeds"])
    pooled = f"pooled over folds{f', mean of {seeds} seeds' if seeds > 1 else ''}"
    rows = [
        [pooled, *(percent(m["pooled"]["mean"]) for m in table)],
        ["  95 % interval, utterances", *(spanned(m["pooled"]["interval_utt"]) for m in table)],
        ["  95 % interval, speakers", *(spanned(m["pooled"]["interval_spk"]) for m in table)],
        ["  std over seeds", *(percent(m["pooled"]["std_seeds"]) for m in table)],
        *_order_row(summary, len(table)),
        ["mean over folds", *(percent(m["over_folds"]["mean"]) for m in table)],
        ["  std over folds", *(percent(m["over_folds"]["std_folds"]) for m in table)],
        ["  std over seeds", *(percent(m["over_folds"]["std_seeds"]) for m in table)],
    ]
    return Table(
        "Emotion, per cent",
        [f"{summary['set']} set", *CLASS_COLUMNS.values()],
        rows,
        [
            f"Bootstrap, {RESAMPLES} draws of utterances, or of speakers with all they said: the "
            "first speaks about these speakers, the second about new ones. Sample standard "
            "deviations (N − 1); those over folds are averaged over seeds."
        ],
    )


def _order_row(summary: dict, columns: int) -> list[list[str]]:
    """How far the pooled UA varies with the order of the speakers' clips (speaker_norm online)."""
    orders = summary.get("orders")
    if not orders:
        return []
    blank = [NONE] * (columns - 1)
    return [[f"  std over {orders['number']} orders of clips", percent(orders["std_ua"]), *blank]]


def per_fold(summary: dict) -> list[Table]:
    """Every fold, mean ± standard deviation over seeds: emotion, and the other outputs apart."""
    metrics, tables = summary["metrics"], []
    std = ", ± standard deviation over seeds" if len(summary["seeds"]) > 1 else ""
    for columns in (CLASS_COLUMNS, {**other_percent(metrics), **OTHER_PLAIN}):
        names = [n for n in columns if n in metrics and not n.startswith(("ccc_", "rmse_"))]
        names += [n for n in ("ccc_mean", "rmse_mean") if n in columns and n in metrics]
        if not names:
            continue
        with_classes = columns is CLASS_COLUMNS
        header = [f"{summary['set']} fold", "leaves out", "utterances"]
        header += ["classes"] if with_classes else []
        header += [columns[n].split(" (")[0] for n in names]
        rows = []
        for fold, group in summary["groups"].items():
            row = [fold, group, str(summary["fold_n"][fold])]
            if with_classes:
                row.append(f"{summary['fold_classes'][fold]} of {len(summary['labels'])}")
            for name in names:
                entry = metrics[name]["per_fold"].get(fold, {"mean": None, "std_seeds": None})
                unit = (1, 3) if name in OTHER_PLAIN else (100, 2)
                row.append(with_std(entry["mean"], entry["std_seeds"], *unit))
            rows.append(row)
        note = ["UA and macro-F1 average the classes that occur in the fold ('classes')."]
        what = "Emotion, per cent" if with_classes else "Other outputs, per cent; CCC, RMSE plain"
        tables.append(Table(what + std, header, rows, note if with_classes else []))
    return tables


def others(summary: dict) -> Table | None:
    """Gender, style, valence, arousal and dominance, transcription; None if there is none."""
    rows = []
    in_percent = other_percent(summary["metrics"])
    for names, form, scale in ((in_percent, percent, 100), (OTHER_PLAIN, decimal, 1)):
        for name, title in names.items():
            if name not in summary["metrics"]:
                continue
            entry = summary["metrics"][name]
            folds, pooled = entry["over_folds"], entry.get("pooled", {"mean": None})
            spread = with_std(folds["mean"], folds["std_folds"], scale, 2 if scale > 1 else 3)
            unit = f"{title}, %" if scale > 1 else title
            rows.append([unit, form(pooled["mean"]), spread, str(folds["num_folds"])])
    if not rows:
        return None
    header = [f"{summary['set']} set", "pooled", "mean ± std over folds", "folds"]
    return Table("Other outputs", header, rows)


def recall(summary: dict) -> Table:
    """Recall of each class on the pooled predictions."""
    emotion = summary["emotion"]
    rows = [
        [label, str(emotion["support"][label]), percent(emotion["recall"][label])]
        for label in summary["labels"]
    ]
    return Table("Recall of each class, pooled, per cent", ["class", "utterances", "recall"], rows)


def dev(summary: dict) -> Table:
    """Dev figures: for looking at overfitting, never averaged with test figures."""
    table = summary["metrics"]
    names = [n for n in (*CLASS_COLUMNS, *other_percent(table), "ccc_mean") if n in table]
    titles = {**CLASS_COLUMNS, **other_percent(table), **OTHER_PLAIN}
    rows = []
    for name in names:
        folds = table[name]["over_folds"]
        scale, digits = (1, 3) if name in OTHER_PLAIN else (100, 2)
        values = with_std(folds["mean"], folds["std_folds"], scale, digits)
        rows.append([titles[name] + (", %" if scale > 1 else ""), values, str(folds["num_folds"])])
    header = ["dev set", "mean ± std over folds", "folds"]
    note = (
        "The checkpoints were chosen on these utterances, or trained on them where the phase was "
        "refit: not a result, only a look at fitting."
    )
    return Table("Mean over folds", header, rows, [note])


def cost_numbers(phases: dict[str, list[PhaseRun]]) -> dict[str, dict]:
    """What each phase cost: numbers of parameters, mean time and epochs, largest memory."""
    costs = {}
    for name, runs in phases.items():

        def values(*keys: str, runs: list[PhaseRun] = runs) -> list[float]:
            found = []
            for p in runs:
                value = p.facts
                for key in keys:
                    value = value.get(key) if value is not None else None
                found += [value] if value is not None else []
            return found

        costs[name] = {
            "params_trained": sorted(set(values("params", "trained"))),
            "params_total": sorted(set(values("params", "total"))),
            "seconds_per_epoch": mean_or_none(values("seconds_per_epoch")),
            "seconds_per_update": mean_or_none(values("seconds_per_update")),
            "epochs": mean_or_none(values("epochs")),
            "peak_rss_gib": max(values("peak_rss_gib"), default=None),
            "peak_gpu_gib": max(values("peak_gpu_gib"), default=None),
            "checkpoint_mib": max(values("checkpoint_mib"), default=None),
        }
    return costs


def mean_or_none(values: list[float]) -> float | None:
    """The mean; None of nothing (experiments of earlier versions lack some numbers)."""
    return sum(values) / len(values) if values else None


def cost(phases: dict[str, list[PhaseRun]]) -> Table:
    """Trained parameters, time and memory of each phase."""
    rows = [
        [
            name,
            span(c["params_trained"]),
            span(c["params_total"]),
            decimal(c["seconds_per_epoch"], 2),
            decimal(c["seconds_per_update"], 3),
            decimal(c["epochs"], 1),
            decimal(c["peak_rss_gib"], 2),
            decimal(c["peak_gpu_gib"], 2),
            decimal(c["checkpoint_mib"], 2),
        ]
        for name, c in cost_numbers(phases).items()
    ]
    header = ["phase", "parameters trained", "of", "s per epoch", "s per update"]
    header += ["epochs", "peak memory, GiB", "peak GPU memory, GiB", "checkpoint, MiB"]
    return Table(
        "Cost (time and epochs: mean over folds and seeds; memory, checkpoint: largest)",
        header,
        rows,
    )


def span(numbers: list[int]) -> str:
    """ "197,905", or "197,905 to 198,100" if folds differ (a tokenizer is learned per fold)."""
    return " to ".join(f"{n:,}" for n in dict.fromkeys([*numbers[:1], *numbers[-1:]])) or NONE


def published(
    rows: list[Published], summary: dict, protocol: str, name: str, method: str = ""
) -> list[Table]:
    """Published numbers beside ours: one table per protocol, ours in the one it belongs to.

    Those of the same method, by the name of its conf, stand first and are marked.
    """
    tables = []
    ours = summary["metrics"]

    def value(metric: str) -> str:
        return percent(ours[metric]["pooled"]["mean"]) if metric in ours else NONE

    header = ["result", "UA", "WA", "F1", "WER", "gender UA", "style UA"]
    header += ["folds", "dev", "tag", "source", "remark"]
    mine = [f"this run ({name})"]
    mine += [value(m) for m in ("ua", "wa", "macro_f1", "wer", "gender_ua", "style_ua")]
    folds = f"{len(summary['folds'])} of {summary['num_folds']}"
    mine += [folds, DEV_WORDS.get(protocol, protocol), NONE, NONE, "pooled; F1 is macro-F1"]
    groups = group_by_near(nearest_first(rows, method), protocol)
    if not any(near == protocol for near, _ in groups):
        groups = [(protocol, []), *groups]
    for near, group in groups:
        lines = [mine] if near == protocol else []
        lines += [_published_row(row, method) for row in group]
        if near == protocol:
            caption = f"Beside ours: protocol {near}"
        elif near == NO_PROTOCOL:
            caption = "Comparable with no protocol of ours (see remark)"
        else:
            caption = f"Not comparable with this run: nearest to our protocol {near}"
        tables.append(without_empty(Table(caption + ", per cent", header, lines)))
    tags = "; ".join(f"{tag}: {meaning}" for tag, meaning in TAGS.items())
    tables[-1].notes = [f"{tags}. Rows of different protocols are not to be ranked."]
    return tables


def without_empty(table: Table) -> Table:
    """Leave out the columns in which no row has anything."""
    kept = [i for i in range(len(table.header)) if {row[i] for row in table.rows} - {"", NONE}]
    rows = [[row[i] for i in kept] for row in table.rows]
    return Table(table.caption, [table.header[i] for i in kept], rows, table.notes)


def _published_row(row: Published, method: str) -> list[str]:
    values = (row.ua, row.wa, row.f1, row.wer, row.gender_ua, row.style_ua)
    numbers = [NONE if v is None else f"{v:.2f}" for v in values]
    name = f"{row.method}, {row.upstream}" if row.upstream else row.method
    same = ["the same method"] if row.method == method else []
    remark = "; ".join([*same, *([row.why] if row.why else [])])
    return [name, *numbers, row.folds, row.dev, row.tag, row.cite, remark]


def score_table(scores: dict[Run, dict]) -> Table:
    """A line for each fold and seed, as stage 8 prints it."""
    flat = {run: flatten(score) for run, score in scores.items()}
    others = other_percent(dict.fromkeys(name for row in flat.values() for name in row))
    titles = {**CLASS_COLUMNS, **others, "ccc_mean": OTHER_PLAIN["ccc_mean"]}
    names = [name for name in titles if any(name in row for row in flat.values())]
    rows = []
    for run, row in flat.items():
        score = scores[run]
        words = [f"{run.seed}", f"{run.fold}", str(score["protocol"]["test_group"])]
        words.append(str(score["n"]))
        for name in names:
            form = decimal if name in OTHER_PLAIN else percent
            words.append(form(row.get(name)))
        rows.append(words)
    set_name = next(iter(scores.values()))["set"]
    header = ["seed", "fold", "leaves out", "utterances", *(titles[name] for name in names)]
    return Table(f"{set_name} set, per cent (CCC plain)", header, rows)
