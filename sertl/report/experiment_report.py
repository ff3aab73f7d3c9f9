# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Stage 9: results.json, RESULTS.md, report.html and plots/ of one experiment.

Everything is computed anew from the score files each time; nothing of an older report is kept.
"""

import logging
from pathlib import Path

from sertl.atomic import write_bytes, write_json, write_text
from sertl.errors import SertlError
from sertl.report import curves, plots, sections
from sertl.report.card import protocol_card
from sertl.report.diagnostics import diagnostic_elements
from sertl.report.elements import Code, Figure, Section, Text
from sertl.report.html import render_page
from sertl.report.tables import Table, decimal, percent, spanned
from sertl.runs import find_runs
from sertl.score.records import (
    PhaseRun,
    method_of,
    read_commands,
    read_phases,
    read_scores,
)
from sertl.score.references import corpus_key, load_references
from sertl.score.summary import summarise
from sertl.yaml_text import read_text

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
    summary, dev_scores, runs = summarise(scores), read_scores(exp, "dev"), find_runs(exp)
    dev = summarise(dev_scores, pool=False) if dev_scores else None
    phases = read_phases(exp, runs)
    protocol = next(iter(scores.values()))["protocol"]
    card = protocol_card(scores, phases)
    commands = read_commands(exp) + ([command] if command else [])
    unscored = [str(run) for run in runs if run not in scores]
    results = {
        "tag": exp.name,
        "headline": sections.headline(summary),
        "warnings": summary["warnings"] + _warnings(dict(card), unscored),
        "commands": commands,
        "commit": dict(card)["code commit"],
        set_name: summary,
        "dev": dev,
        "cost": sections.cost_numbers(phases),
        "card": dict(card),
    }
    parts = [
        *_result_sections(summary),
        *_training_sections(phases),
        *_reference_sections(reference, summary, protocol, exp.name, method_of(phases)),
        *_closing_sections(exp, dev, card, phases, results),
    ]
    name = f"{protocol['corpus']} ({protocol['release']}), policy {protocol['policy']}"
    lead = f"{name}, protocol {protocol['protocol']}. {results['headline']}."
    _write(exp, lead, summary, results, parts)
    return results


def _write(exp: Path, lead: str, summary: dict, results: dict, parts: list[Section]) -> None:
    """Write results.json, RESULTS.md, report.html and plots/."""
    for figure in (e for part in parts for e in part.elements if isinstance(e, Figure)):
        if not figure.name.startswith("diagnostics_"):
            write_bytes(exp / "plots" / f"{figure.name}.png", figure.png)
    write_json(exp / "results.json", results)
    write_text(exp / "RESULTS.md", _markdown(lead, results, parts))
    page = render_page(exp.name, lead, _figures(summary), results["warnings"], parts)
    write_text(exp / "report.html", page)
    for warning in results["warnings"]:
        logger.warning("%s: %s", exp, warning)
    logger.info("%s: %s", exp, results["headline"])
    logger.info("wrote %s/{RESULTS.md,report.html,results.json,plots/}", exp)


def _closing_sections(
    exp: Path, dev: dict | None, card: list, phases: dict[str, list[PhaseRun]], results: dict
) -> list[Section]:
    """Dev figures, protocol card, diagnostics, and how it was made."""
    parts = []
    if dev:
        tables = [sections.dev(dev), *sections.per_fold(dev)]
        parts.append(Section("dev", "Development set", tables))
    rows = Table("", ["what", "value"], [list(row) for row in card])
    parts.append(Section("card", "Protocol card", [rows]))
    shown = diagnostic_elements(phases)
    if shown:
        parts.append(Section("diagnostics", "Diagnostics", shown, in_markdown=False))
    made = _made(exp, results["commands"], results["commit"])
    return [*parts, Section("made", "How it was made", made, False)]


def _result_sections(summary: dict) -> list[Section]:
    """Figures and tables of the scored set."""
    result = Section("result", "Result")
    metrics, labels = summary["metrics"], summary["labels"]
    if "emotion" in summary:
        result.elements.append(sections.aggregates(summary))
    others = sections.others(summary)
    result.elements += [others] if others else []
    folds = Section("folds", "Folds", list(sections.per_fold(summary)))
    parts = [result, folds]
    if "emotion" in summary:
        bars = plots.fold_bars(metrics, summary["groups"], metrics["ua"]["pooled"]["mean"])
        values = ", ".join(
            f"fold {k}: {percent(metrics['ua']['per_fold'][k]['mean'])}" for k in summary["groups"]
        )
        folds.elements.append(Figure("folds", bars, f"Bars of UA and WA by fold. UA: {values}."))
        emotion = summary["emotion"]
        matrix = plots.confusion(emotion["confusion"], labels, len(summary["seeds"]))
        recalls = ", ".join(f"{label} {percent(emotion['recall'][label])}" for label in labels)
        shown = [
            Figure("confusion", matrix, f"Confusion matrices. Recall, per cent: {recalls}."),
            sections.recall(summary),
        ]
        parts.append(Section("classes", "Classes", shown))
        bins = summary["by_duration"]
        uas = ", ".join(f"{plots.bin_name(part)} s {percent(part['ua'])}" for part in bins)
        heat = Figure("duration", plots.duration(bins, labels), f"Recall by duration. UA: {uas}.")
        note = Text(
            "UA of a bin averages the classes that occur in it; few utterances, little said."
        )
        parts.append(Section("duration", "Recall by duration", [heat, note], in_markdown=False))
    return parts


def _training_sections(phases: dict[str, list[PhaseRun]]) -> list[Section]:
    """Learning curves, diagnostics, weights of layers, cost; nothing if no phase is finished."""
    if not phases:
        return []
    shown = []
    for name, runs in phases.items():
        several = f"_{name}" if len(phases) > 1 else ""
        kinds = {
            "curves": (curves.learning_curves(runs), "training loss and dev score by epoch"),
            "diagnostics": (curves.diagnostics(runs), "training targets by update"),
            "inner": (
                curves.layer_scores(runs),
                "score of each layer alone (line: mean over folds, band: range), by which layers "
                "were chosen",
            ),
            "layers": (curves.layer_weights(runs), _mean_weights(runs, "layer_weights")),
            "blocks": (curves.wap_weights(runs), _mean_weights(runs, "wap_weights")),
        }
        for kind, (png, words) in kinds.items():
            if png:
                shown.append(Figure(kind + several, png, f"Phase {name}: {words}."))
    parts = [Section("training", "Training", shown, in_markdown=False)] if shown else []
    return [*parts, Section("cost", "Cost", [sections.cost(phases)])]


def _mean_weights(runs: list[PhaseRun], key: str) -> str:
    found = [p.facts[key] for p in runs if p.facts.get(key)]
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
    found = [Text(f"Commit `{commit}`; command lines that were given for this experiment:")]
    found.append(Code("\n".join(commands) or "(none noted)"))
    if config.is_file():
        found.append(Code(read_text(config), "Resolved configuration"))
    return found


def _warnings(card: dict[str, str], unscored: list[str]) -> list[str]:
    lines = [f"not scored: {', '.join(unscored)}"] if unscored else []
    if card["transductive"] != "no":
        lines.append("transductive: unlabelled stages have seen dev and test audio")
    if card["speaker normalisation"] != "none":
        lines.append(f"speaker normalisation {card['speaker normalisation']}")
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


def _markdown(lead: str, results: dict, parts: list[Section]) -> str:
    lines = [f"# {results['tag']}\n", lead, ""]
    lines += [f"**Warning: {warning}**\n" for warning in results["warnings"]]
    commands = results["commands"] or ["(none noted)"]
    lines += ["Command:\n", "```", *commands, "```\n", f"Commit: {results['commit']}\n"]
    return "\n".join(lines + [part.markdown() for part in parts if part.in_markdown])
