# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""The model card of a packed model: Markdown with the front matter that model hubs read."""

import re

import yaml

# A licence as corpora say it -> identifier of the hubs; all others: other.
LICENCES = {"CC0-1.0": "cc0-1.0", "CC BY-NC-SA 4.0": "cc-by-nc-sa-4.0", "CC BY 4.0": "cc-by-4.0"}


def model_card(manifest: dict, results: dict, upstream: dict, phase: dict) -> str:
    """README.md of a packed model.

    Args:
        manifest: Of the packed model, without its files.
        results: The experiment's results.json; {} if it was not scored.
        upstream: The encoder's resolved configuration.
        phase: The last phase's.
    """
    card = dict(results.get("card", {}))
    name, labels = manifest["name"], manifest["labels"]
    encoder = upstream.get("note") or manifest["encoder"].get("name", "")
    lines = ["---", _front(card, name).strip(), "---", "", f"# {name}", ""]
    lines += [
        f"Speech emotion recognition, {len(labels)} classes: {', '.join(labels)}. A model of "
        f"sertl {manifest['sertl']}: `{phase['model']}` on an "
        f"encoder ({encoder.strip().rstrip('.')}), {len(manifest['members'])} trained "
        f"{'model' if len(manifest['members']) == 1 else 'models, averaged'}.",
        "",
        "```bash",
        "sertl predict --model FOLDER recordings/" + _ckpt(manifest),
        "```",
        "",
        "```python",
        "from sertl import Predictor",
        'predictor = Predictor.load("FOLDER"' + (', ckpt="ENCODER")' if _ckpt(manifest) else ")"),
        "predictor(wav, sample_rate).emo",
        "```",
        "",
    ]
    if _ckpt(manifest):
        wanted = manifest["encoder"].get("checkpoint")
        lines += [
            f"The encoder is not inside: `ENCODER` is its checkpoint, whose hash must be {wanted}.",
            "",
        ]
    lines += ["## Scores", "", *_scores(results), ""]
    lines += ["## Limits", "", *_limits(card, labels), ""]
    lines += ["## Licences", ""]
    lines += [f"- corpus: {card.get('licence', 'not stated')}", f"- encoder: {encoder.strip()}"]
    lines += [f"- cite: {card['cite']}"] if "cite" in card else []
    if card:
        lines += ["", "## Protocol card", "", "| what | value |", "| --- | --- |"]
        lines += [f"| {_cell(k)} | {_cell(v)} |" for k, v in card.items()]
    return "\n".join(lines) + "\n"


def _ckpt(manifest: dict) -> str:
    needs = manifest["upstream"] is None and manifest["encoder"].get("checkpoint") != "by name"
    return " --ckpt ENCODER" if needs else ""


def _front(card: dict, name: str) -> str:
    corpus, _, language = card.get("corpus", "").partition(", ")
    licence = card.get("licence", "")
    known = LICENCES.get(re.split(r" \(|;", licence)[0])
    front: dict = {"library_name": "sertl", "pipeline_tag": "audio-classification"}
    front["license"] = known or "other"
    if not known and licence:
        front["license_name"] = re.sub(r"[^a-z0-9]+", "-", licence.lower())[:60].strip("-")
    if language:
        front["language"] = language.split()
    front["tags"] = ["speech-emotion-recognition", "audio", *([corpus] if corpus else [])]
    front["model_name"] = name
    return yaml.safe_dump(front, sort_keys=False, allow_unicode=True)


def _scores(results: dict) -> list[str]:
    if not results:
        return ["This model was packed before it was scored."]
    return [
        f"On the test sets of its folds: {results['headline']}.",
        "",
        "Each test utterance was predicted by the models that have not seen its speaker; where "
        "several models are averaged, as here on new audio, no score of the average is known.",
    ]


def _limits(card: dict, labels: list[str]) -> list[str]:
    lines = [
        f"- It knows {', '.join(labels)} and nothing else; every clip gets one of them.",
        "- What it hears is how speech sounds to it after training on one corpus, not what a "
        "person feels. It is not made for decisions about people.",
    ]
    if "notes" in card:
        lines.append(f"- Corpus: {card['notes']}.")
    norm = card.get("speaker normalisation", "none")
    if norm != "none":
        lines.append(
            f"- Trained with speaker normalisation ({norm}); name speakers to profit from it."
        )
    return lines


def _cell(value: object) -> str:
    return str(value).replace("|", "\\|").replace("\n", " ")
