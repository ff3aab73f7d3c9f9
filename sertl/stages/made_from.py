# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""What the result of a phase depends on, for its fingerprint; and the claim to make it."""

from collections.abc import Iterable
from pathlib import Path

from sertl import fingerprint
from sertl.data.audio import audio_hash
from sertl.data.datadir import Utterance
from sertl.data.folds import FoldDir
from sertl.models.base import MODELS
from sertl.stages.group_starts import results_of_groups
from sertl.stages.phase import OpenPhase
from sertl.stages.selecting import groups_of
from sertl.train import distributed
from sertl.train.trained import BEST


def inputs_of(opened: OpenPhase, fold: FoldDir, protocol: dict, start: Path | None) -> dict:
    """Everything that the result of a phase depends on, for its fingerprint."""
    phase, inputs, sets = opened.phase, opened.inputs, [d for d in (opened.train, opened.dev) if d]
    utts = [u for data in sets for u in data.utts.values()]
    needs = MODELS.get(phase["model"]).needs
    made_from = {
        "phase": phase,
        "input": opened.conf["input"],
        "upstream": inputs.encoder,
        "fold": protocol["fold_hash"],
        "labels": fingerprint.ids_hash(" ".join([u.utt, *label_words(u, needs)]) for u in utts),
        "classes": [opened.train.labels, opened.train.vad_range],
        "seed": opened.run.seed,
        "init": None if start is None else fingerprint.file_hash(start / BEST),
    }
    groups = results_of_groups(start, groups_of(phase))
    if groups:
        made_from["init_groups"] = [fingerprint.file_hash(path) for path in groups]
    if inputs.live:
        made_from["audio"] = audio_hash(utts)
        made_from["dropout"] = opened.conf["upstream"]["dropout"]
    if inputs.lower:
        made_from["lower"] = [inputs.lower, inputs.store.inputs["format"]]
    if phase["data_conf"]["speaker_norm"]["mode"] != "none":
        made_from["speakers"] = speakers_hash(utts)
    if inputs.other_feats:
        made_from["other_feats"] = inputs.other_feats
    if inputs.pseudo is not None:
        made_from["pseudo_labels"] = inputs.pseudo.inputs
    if "text" in needs:
        made_from["tokenizer"] = fold.tokenizer_hash()
    return made_from


def speakers_hash(utts: Iterable[Utterance]) -> str:
    """Hash of who says what when, on which speaker normalisation depends."""
    return fingerprint.ids_hash(f"{u.utt} {u.spk} {u.order}" for u in utts)


def label_words(utt: Utterance, needs: tuple[str, ...]) -> list[str]:
    """The labels of an utterance that a model reads; that of emotion always."""
    names = ["emo", *(n for n in needs if n not in ("emo", "pseudo"))]
    if utt.votes is not None:
        names.append("votes")
    return [str(utt.value(name)) for name in names]


def claim(out: Path, made_from: dict, redo: bool) -> fingerprint.Progress:
    """Begin work in out, by the first process; every process learns how far it came before."""
    rank, _ = distributed.rank_and_world()
    found = fingerprint.begin(out, made_from, redo) if rank == 0 else None
    return distributed.gather(found)[0]
