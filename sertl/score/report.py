# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Stage 9: results.json, RESULTS.md, report.html and plots/ of one experiment.

Everything is computed anew from the score files each time; nothing of an older report is kept.
"""

import logging
from pathlib import Path

from sertl.atomic import write_bytes, write_json, write_text
from sertl.errors import SertlError
from sertl.score import curves, plots, sections
from sertl.score.blocks import Code, Figure, Section, Text
from sertl.score.card import protocol_card
from sertl.score.html import render_page
from sertl.score.insight import insight_blocks
from sertl.score.references import corpus_key, load_references
from sertl.score.runs import (
    PhaseRun,
    find_cells,
    method_of,
    read_commands,
    read_phases,
    read_scores,
)
from sertl.score.summary import summarise
from sertl.score.tables import Table, decimal, percent, spanned

logger = logging.getLogger(__name__)


def write_report(
    exp: str | Path, set_name: str = "test", reference: str | Path | None = None, command: str = ""
) -> dict:
    """Aggregate an experiment's scores and write its report.

    Args:
        exp: exp/<tag>.
        set_name: The set that is reported; dev has a table of its own there.
        reference: conf/reference_results.yaml, or None for no published numbers.
        command: Printed beside those in command.txt.

    Returns:
        What results.json holds.

    Raises:
        SertlError: If nothing is scored, or scores do not fit together.
    """
    exp = Path(exp)
    if set_name == "dev":
        raise SertlError("dev figures are tabulated in the report of the test set; use --set test")
    scores = read_scores(exp, set_name)
    if not scores:
        raise SertlError(f"{exp} holds no score_{set_name}.json; run stage 8 (score) first")
    cells = find_cells(exp)
    summary = summarise(scores)
    dev_scores = read_scores(exp, "dev")
    dev = summarise(dev_scores, pool=False) if dev_scores else None
    phases = read_phases(exp, cells)
    protocol = next(iter(scores.values()))["protocol"]
    card = protocol_card(scores, phases)
    unscored = [f"seed {c.seed} fold {c.fold}" for c in cells if c not in scores]
    warnings = summary["warnings"] + _warnings(dict(card), unscored)
    commands = read_commands(exp) + ([command] if command else [])
    commit = dict(card)["code commit"]
    parts = [
        *_result_sections(summary),
        *_training_sections(phases),
        *_reference_sections(reference, summary, protocol, exp.name, method_of(phases)),
    ]
    if dev:
        parts.append(
            Section("dev", "Development set", [sections.dev(dev), *sections.per_fold(dev)])
        )
    parts.append(
        Section(
            "card", "Protocol card", [Table("", ["what", "value"], [list(row) for row in card])]
        )
    )
    blocks = insight_blocks(phases)
    if blocks:
        parts.append(Section("insight", "Insight", blocks, in_markdown=False))
    parts.append(Section("made", "How it was made", _made(exp, commands, commit), False))

    results = {
        "tag": exp.name,
        "headline": sections.headline(summary),
        "warnings": warnings,
        "commands": commands,
        "commit": commit,
        set_name: summary,
        "dev": dev,
        "cost": sections.cost_numbers(phases),
        "card": dict(card),
    }
    name = f"{protocol['corpus']} ({protocol['release']}), policy {protocol['policy']}"
    lead = f"{name}, protocol {protocol['protocol']}. {sections.headline(summary)}."
    for figure in (b for part in parts for b in part.blocks if isinstance(b, Figure)):
        if not figure.name.startswith("insight"):
            write_bytes(exp / "plots" / f"{figure.name}.png", figure.png)
    write_json(exp / "results.json", results)
    write_text(exp / "RESULTS.md", _markdown(exp.name, lead, warnings, commands, commit, parts))
    page = render_page(exp.name, lead, _figures(summary), warnings, parts)
    write_text(exp / "report.html", page)
    for warning in warnings:
        logger.warning("%s: %s", exp, warning)
    logger.info("%s: %s", exp, results["headline"])
    logger.info("wrote %s/{RESULTS.md,report.html,results.json,plots/}", exp)
    return results


def _result_sections(summary: dict) -> list[Section]:
    """Figures and tables of the scored set."""
    result = Section("result", "Result")
    metrics, labels = summary["metrics"], summary["labels"]
    if "emotion" in summary:
        result.blocks.append(sections.aggregates(summary))
    others = sections.others(summary)
    result.blocks += [others] if others else []
    folds = Section("folds", "Folds", list(sections.per_fold(summary)))
    parts = [result, folds]
    if "emotion" in summary:
        bars = plots.fold_bars(metrics, summary["groups"], metrics["ua"]["pooled"]["mean"])
        values = ", ".join(
            f"fold {k}: {percent(metrics['ua']['per_fold'][k]['mean'])}" for k in summary["groups"]
        )
        folds.blocks.append(Figure("folds", bars, f"Bars of UA and WA by fold. UA: {values}."))
        emotion = summary["emotion"]
        matrix = plots.confusion(emotion["confusion"], labels, len(summary["seeds"]))
        recalls = ", ".join(f"{label} {percent(emotion['recall'][label])}" for label in labels)
        blocks = [
            Figure("confusion", matrix, f"Confusion matrices. Recall, per cent: {recalls}."),
            sections.recall(summary),
        ]
        parts.append(Section("classes", "Classes", blocks))
        bins = summary["by_duration"]
        uas = ", ".join(f"{plots.bin_name(part)} s {percent(part['ua'])}" for part in bins)
        heat = Figure("duration", plots.duration(bins, labels), f"Recall by duration. UA: {uas}.")
        note = Text(
            "UA of a bin averages the classes that occur in it; few utterances, little said."
        )
        parts.append(Section("duration", "Recall by duration", [heat, note], in_markdown=False))
    return parts


def _training_sections(phases: dict[str, list[PhaseRun]]) -> list[Section]:
    """Learning curves, health, layer weights and cost; nothing if exp/ holds no finished phase."""
    if not phases:
        return []
    shown = []
    for name, runs in phases.items():
        several = f"_{name}" if len(phases) > 1 else ""
        kinds = {
            "curves": (curves.learning_curves(runs), "training loss and dev score by epoch"),
            "health": (curves.health(runs), "health of the training targets by update"),
            "layers": (curves.layer_weights(runs), _mean_weights(runs, "layer_weights")),
            "blocks": (curves.adapter_weights(runs), _mean_weights(runs, "adapter_weights")),
        }
        for kind, (png, words) in kinds.items():
            if png:
                shown.append(Figure(kind + several, png, f"Phase {name}: {words}."))
    parts = [Section("training", "Training", shown, in_markdown=False)] if shown else []
    return [*parts, Section("cost", "Cost", [sections.cost(phases)])]


def _mean_weights(runs: list[PhaseRun], key: str) -> str:
    found = [p.run[key] for p in runs if p.run.get(key)]
    if not found:
        return ""
    mean = [sum(column) / len(found) for column in zip(*found, strict=False)]
    words = ", ".join(f"{i}: {decimal(w)}" for i, w in enumerate(mean, key != "layer_weights"))
    return f"mean {key.replace('_', ' ')} {words}"


def _reference_sections(
    reference: str | Path | None, summary: dict, protocol: dict, name: str, method: str
) -> list[Section]:
    """Published numbers of the same corpus and labels, if there are any."""
    if reference is None:
        return []
    key = corpus_key(protocol["corpus"], protocol["policy"])
    rows = load_references(reference).get(key)
    if not rows:
        return []
    tables = sections.published(rows, summary, protocol["protocol"], name, method)
    return [Section("published", "Published numbers", list(tables))]


def _made(exp: Path, commands: list[str], commit: str) -> list:
    config = exp / "config.yaml"
    blocks = [Text(f"Commit `{commit}`; command lines that were given for this experiment:")]
    blocks.append(Code("\n".join(commands) or "(none noted)"))
    if config.is_file():
        blocks.append(Code(config.read_text(encoding="utf-8"), "Resolved configuration"))
    return blocks


def _warnings(card: dict[str, str], unscored: list[str]) -> list[str]:
    lines = [f"not scored: {', '.join(unscored)}"] if unscored else []
    if card["transductive"] != "no":
        lines.append("transductive: unlabelled stages have seen dev and test audio")
    if card["speakers in train and test"] != "none":
        lines.append(f"train and test share speakers ({card['speakers in train and test']})")
    if ", " in card["code commit"]:
        lines.append(f"trained at different commits: {card['code commit']}")
    return lines


def _figures(summary: dict) -> list[tuple[str, str]]:
    """The numbers printed large."""
    metrics, shown = summary["metrics"], []
    for name, title in (("ua", "UA"), ("wa", "WA")):
        if name in metrics:
            pooled, folds = metrics[name]["pooled"], metrics[name]["over_folds"]
            shown.append(
                (f"{title}, pooled (95 %: {spanned(pooled['interval_utt'])})", pooled["mean"])
            )
            std = f" ± {percent(folds['std_folds'])}" if folds["std_folds"] is not None else ""
            shown.append((f"{title}, mean over folds{std}", folds["mean"]))
    figures = [(title, f"{percent(value)} %") for title, value in shown]
    if "ccc_mean" in metrics:
        figures.append(("mean CCC, pooled", decimal(metrics["ccc_mean"]["pooled"]["mean"])))
    return figures


def _markdown(
    tag: str, lead: str, warnings: list[str], commands: list[str], commit: str, parts: list[Section]
) -> str:
    lines = [f"# {tag}\n", lead, ""]
    lines += [f"**Warning: {warning}**\n" for warning in warnings]
    lines += ["Command:\n", "```", *(commands or ["(none noted)"]), "```\n", f"Commit: {commit}\n"]
    return "\n".join(lines + [part.markdown() for part in parts if part.in_markdown])
