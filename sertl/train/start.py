# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Where the weights of a phase come from, if not from its seed."""

from pathlib import Path

from sertl import fingerprint
from sertl.config import load_yaml
from sertl.data.datadir import read_table
from sertl.data.feats import encoder_differences
from sertl.errors import SertlError
from sertl.models.base import SERModel
from sertl.train.place import Place
from sertl.train.training_data import IDS_FILE, held_out_parts, training_speakers
from sertl.upstream.build import build_upstream

UPSTREAM = "upstream"  # the value of `init` that takes blocks of the encoder itself


def start_from_upstream(model: SERModel, phase: dict, conf: dict) -> None:
    """Take weights from the blocks of the run's encoder, for `init: upstream`.

    Raises:
        SertlError: If the model and the encoder do not fit.
    """
    try:
        model.start_from_upstream(build_upstream(conf["upstream"]))
    except ValueError as error:
        raise SertlError(f"phase {phase['name']}, init: upstream: {error}") from error


def init_path(phase: dict, place: Place, upstream: dict, transductive: bool) -> Path | None:
    """The checkpoint named by `init`: a phase of this run, or one of another run's.

    Args:
        phase: `init` is null, UPSTREAM, the name of an earlier phase, or the path of a phase folder
            or of an experiment, whose first phase of this seed and fold is then taken (or of its
            only fold, as after training on another corpus).
        place: Of this run.
        upstream: Fingerprint of the encoder in use.
        transductive: Whether a start from what has seen held-out audio is allowed.

    Raises:
        SertlError: init_map without init; no such phase; another encoder; held-out audio seen.
    """
    if phase["init"] in (None, UPSTREAM):
        if phase["init_map"]:
            raise SertlError(f"phase {phase['name']} has init_map {phase['init_map']} but no init")
        return None
    folder = Path(phase["init"])
    if len(folder.parts) == 1:
        folder = place.folder / phase["init"]
        fingerprint.require_done(folder, f"the phase '{phase['init']}'")
        return folder / "best.pt"
    if (folder / "config.yaml").is_file():
        folder = phase_of_experiment(folder, place)
    made_from = fingerprint.require_done(folder, f"the phase in {folder}")
    lines = encoder_differences(made_from["upstream"], upstream)
    if lines:
        raise SertlError(f"init: {folder} was trained on another encoder: " + "; ".join(lines))
    check_foreign_init(folder, place, transductive)
    return folder / "best.pt"


def phase_of_experiment(exp: Path, place: Place) -> Path:
    """The folder of the experiment's first phase, for this run's seed, and its fold or only fold.

    Raises:
        SertlError: If there is none, or several folds of which none has this number.
    """
    name = load_yaml(exp / "config.yaml")["phases"][0]["name"]
    seed = exp / f"seed{place.seed}"
    folders = [f / name for f in sorted(seed.glob("fold*")) if (f / name / "best.pt").is_file()]
    same = [f for f in folders if f.parent.name == f"fold{place.fold}"]
    if len(folders) != 1 and not same:
        raise SertlError(
            f"init: {exp} has no phase {name} of seed {place.seed} and fold {place.fold}, nor a "
            f"single fold to take for all; found {[str(f) for f in folders]}"
        )
    return (same or folders)[0]


def check_foreign_init(folder: Path, place: Place, transductive: bool) -> None:
    """Refuse a phase of another run that has seen what this fold holds out.

    Raises:
        SertlError: Naming an utterance; or if that phase did not write down its ids.
    """
    if not (folder / IDS_FILE).is_file():
        raise SertlError(
            f"{folder / IDS_FILE} is missing: it cannot be told what {folder} was trained on"
        )
    held_out = {utt: u.spk for part in held_out_parts(place) for utt, u in part.utts.items()}
    speakers = {*held_out.values()} - training_speakers(place)
    seen = read_table(folder / IDS_FILE)
    leaked = sorted(utt for utt, spk in seen.items() if utt in held_out or spk in speakers)
    if leaked and not transductive:
        raise SertlError(
            f"init: {folder} was trained on {len(leaked)} utterances, or others of the speakers, "
            f"that fold {place.fold} holds out, e.g. {leaked[0]}; take one that was not, or say so "
            "with transductive=true"
        )
