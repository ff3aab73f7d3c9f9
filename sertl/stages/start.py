# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Where the weights of a phase come from, if not from its seed, and which stay as they came."""

from pathlib import Path

from torch import nn

from sertl import fingerprint
from sertl.config import phase_names
from sertl.data.datadir import read_table
from sertl.data.feats import encoder_differences
from sertl.data.folds import FoldDir
from sertl.errors import SertlError, unknown_name
from sertl.models.base import SERModel
from sertl.peft.slots import peft_of
from sertl.runs import Run
from sertl.stages.training_data import IDS_FILE, training_speakers
from sertl.train import checkpoint
from sertl.train.trained import BEST
from sertl.upstream.build import build_upstream
from sertl.upstream.dependence import parameters_of

UPSTREAM = "upstream"  # the value of init.from that takes blocks of the encoder itself


def start_model(model: SERModel, conf: dict, phase: dict, start: Path | None) -> None:
    """Give a new model the weights that its phase starts from, and freeze what stays.

    Args:
        model: With its random weights.
        conf: The run's configuration.
        phase: The phase's.
        start: From start_of.
    """
    init = phase["init"]
    if init["from"] == UPSTREAM:
        start_from_upstream(model, phase, conf)
    elif start is not None:
        weights = checkpoint.load(start / BEST, "model")["model"]
        checkpoint.init_from(model, weights, str(start / BEST), init["map"], init["only"])
        check_lower(model, phase)
    freeze(model, phase)


def check_lower(model: SERModel, phase: dict) -> None:
    """Refuse weights of an earlier phase below the hidden state that a phase goes on from.

    Raises:
        SertlError: Naming a tensor.
    """
    first = phase["upstream_conf"]["from_layer"]
    if first is None or model.upstream is None:
        return
    above = parameters_of(model.upstream, model.spec.layers, first)
    names = getattr(model, "kept", ())
    found = [
        name
        for name, p in model.named_parameters()
        if name in names and name.startswith("upstream.") and id(p) not in above
    ]
    if found:
        raise SertlError(
            f"phase {phase['name']}: upstream_conf.from_layer={first} goes on from what the "
            f"released encoder dumped, but {phase['init']['from']} has trained {found[0]} below "
            "it; give both phases the same from_layer"
        )


def start_from_upstream(model: SERModel, phase: dict, conf: dict) -> None:
    """Take weights from the blocks of the run's encoder, for `init.from: upstream`.

    Raises:
        SertlError: If the model and the encoder do not fit.
    """
    try:
        model.start_from_upstream(build_upstream(conf["upstream"]))
    except ValueError as error:
        raise SertlError(f"phase {phase['name']}, init.from=upstream: {error}") from error


def start_of(
    phase: dict, run: Run, fold: FoldDir, encoder: dict, transductive: bool
) -> Path | None:
    """The folder named by `init.from`: a phase of this run, or one of another run's.

    Args:
        phase: `init.from` is null, UPSTREAM, the name of an earlier phase, or the path of a phase
            folder or of an experiment, whose first phase of this seed and fold is then taken (or of
            its only fold, as after training on another corpus).
        run: This one.
        fold: Its data.
        encoder: Fingerprint of the encoder in use.
        transductive: Whether a start from what has seen held-out audio is allowed.

    Returns:
        The folder; None where weights come from the seed or from the encoder.

    Raises:
        SertlError: init.map without init.from; no such phase; another encoder; held-out audio seen.
    """
    name, init = phase["init"]["from"], phase["init"]
    if name in (None, UPSTREAM):
        if init["map"] or init["only"]:
            raise SertlError(f"phase {phase['name']} has init.map or init.only, but no init.from")
        return None
    if not name:
        raise SertlError(f"phase {phase['name']}: init.from is empty, expected a name or a path")
    folder = Path(name)
    if len(folder.parts) == 1:
        folder = run.phase(name)
        fingerprint.require_done(folder, f"the phase '{name}'")
        return folder
    if (folder / "config.yaml").is_file():
        folder = phase_of_experiment(folder, run)
    made_from = fingerprint.require_done(folder, f"the phase in {folder}")
    lines = encoder_differences(made_from["upstream"], encoder)
    if lines:
        raise SertlError(f"init.from: {folder} was trained on another encoder: " + "; ".join(lines))
    check_foreign_start(folder, fold, transductive)
    return folder


def phase_of_experiment(exp: Path, run: Run) -> Path:
    """The folder of the experiment's first phase, for this run's seed, and its fold or only fold.

    Raises:
        SertlError: If there is none, or several folds of which none has this number.
    """
    name = phase_names(exp)[0]
    there = Run(exp, run.seed, run.fold)
    folds = sorted(there.folder.parent.glob("fold*"))
    folders = [f / name for f in folds if (f / name / BEST).is_file()]
    same = [f for f in folders if f.parent == there.folder]
    if len(folders) != 1 and not same:
        raise SertlError(
            f"init.from: {exp} has no phase {name} of seed {run.seed} and fold {run.fold}, nor a "
            f"single fold to take for all; found {[str(f) for f in folders]}"
        )
    return (same or folders)[0]


def check_foreign_start(folder: Path, fold: FoldDir, transductive: bool) -> None:
    """Refuse a phase of another run that has seen what this fold holds out.

    Raises:
        SertlError: Naming an utterance; or if that phase did not write down its ids.
    """
    if not (folder / IDS_FILE).is_file():
        raise SertlError(
            f"{folder / IDS_FILE} is missing: it cannot be told what {folder} was trained on"
        )
    held_out = {utt: u.spk for part in fold.held_out() for utt, u in part.utts.items()}
    speakers = {*held_out.values()} - training_speakers(fold)
    seen = read_table(folder / IDS_FILE)
    leaked = sorted(utt for utt, spk in seen.items() if utt in held_out or spk in speakers)
    if leaked and not transductive:
        raise SertlError(
            f"init.from: {folder} was trained on {len(leaked)} utterances, or others of the "
            f"speakers, that fold {fold.number} holds out, e.g. {leaked[0]}; take one that was "
            "not, or say so with transductive=true"
        )


def freeze(model: nn.Module, phase: dict) -> None:
    """Stop the training of what the words of `init.freeze` name, once the model has its weights.

    Args:
        model: With everything that its conf opens for training still open.
        phase: `init.freeze` holds beginnings of names: of PEFT modules (lora, lora.a, adapter,
            gate) or of the model's own tensors (heads, mix, wap). The encoder's own tensors are a
            matter of upstream_conf.

    Raises:
        SertlError: For a word that names nothing that trains, or what did not come from `init`; if
            nothing is left to train.
    """
    words = phase["init"]["freeze"]
    trained = {
        name: parameter
        for name, parameter in model.named_parameters()
        if parameter.requires_grad and (peft_of(name) or not name.startswith("upstream."))
    }
    for word in words:
        named = [name for name in trained if word and short_name(name).startswith(word)]
        if not named:
            raise unknown_name("module in init.freeze:", word, map(short_name, trained))
        # A checkpoint holds of the encoder what trains or was loaded, see checkpoint.trained_state.
        fresh = [n for n in named if peft_of(n) and n not in getattr(model, "kept", ())]
        if phase["init"]["from"] is None or fresh:
            raise SertlError(
                f"phase {phase['name']}: init.freeze keeps '{word}' as it was, but init.from "
                f"({phase['init']['from']}) gave no {', '.join((fresh or named)[:3])}"
            )
        for name in named:
            trained[name].requires_grad_(False)
        if isinstance(module := getattr(model, word, None), nn.Module):
            model.frozen_modules.append(module)  # no dropout either, see SERModel.train
    if words and not any(p.requires_grad for p in model.parameters()):
        raise SertlError(f"phase {phase['name']}: init.freeze {words} leaves nothing to train")


def short_name(name: str) -> str:
    """Of what was put into a block the name there, such as lora.a; else the name itself."""
    return name.rsplit(".peft.", 1)[-1] if peft_of(name) else name
