# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Stage 6 of methods whose heads are solved: choose inside the training speakers, then solve."""

import logging
import time
from pathlib import Path

from sertl import fingerprint, provenance
from sertl.atomic import write_json
from sertl.data.datadir import DataDir
from sertl.data.folds import FoldDir
from sertl.errors import SertlError
from sertl.models.base import SERModel
from sertl.runs import Run
from sertl.stages.made_from import claim, inputs_of
from sertl.stages.phase import OpenPhase, open_phase
from sertl.stages.phase_record import record_of
from sertl.stages.selecting import joined
from sertl.stages.start import start_of
from sertl.stages.training_data import save_ids
from sertl.train import checkpoint, distributed
from sertl.train.trained import BEST, to_rebuild

logger = logging.getLogger(__name__)


def solve_phase(conf: dict, phase: dict, run: Run, use_gpu: bool, redo: bool) -> None:
    """Solve a phase unless it is done already; write best.pt and run.json to its folder."""
    opened = open_phase(conf, phase, run)
    fold, out = FoldDir(Path(conf["data"]), run.fold), run.phase(phase["name"])
    if start_of(phase, run, fold, opened.inputs.encoder, conf["transductive"]) is not None:
        raise SertlError(
            f"phase {phase['name']}: {phase['model']} is solved; init.from is not for it"
        )
    device = distributed.init(use_gpu)
    made_from = inputs_of(opened, fold, fold.protocol(), None)
    if claim(out, made_from, redo) is fingerprint.Progress.DONE:
        logger.info("%s: already solved", out)
        return
    if distributed.rank_and_world()[0] == 0:
        begun = time.monotonic()
        model, rebuild = solve(opened, device)
        checkpoint.save(out / BEST, {**rebuild, "model": checkpoint.trained_state(model)})
        save_ids(out, seen_by(model, opened))
        record = record_of(opened, model, {"epoch": None, "metric": "inner", "value": None}, out)
        cost = {
            "seconds": round(time.monotonic() - begun, 3),
            "peak_rss_gib": provenance.peak_rss_gib(),
        }
        write_json(out / "run.json", {**record, **cost})
        fingerprint.finish(out)
        logger.info("%s: %s, %.1f s", out, record_line(model), cost["seconds"])
    distributed.barrier()


def solve(opened: OpenPhase, device) -> tuple[SERModel, dict]:
    """The solved model, and what its checkpoint carries beside the weights."""
    model = opened.build()
    seen = seen_by(model, opened)
    data = opened.dataset(seen)
    if data.vectors is None:
        raise SertlError(
            f"phase {opened.phase['name']}: {opened.phase['model']} is solved on pooled vectors; "
            "stage 3 makes them with --pool (not none) and input=feats"
        )
    norm = opened.fit_speaker_norm(seen)
    data.normalise_speakers(norm, opened.run.seed)
    batch = data.batch(range(len(data)))
    model.solve(batch.vectors, batch, [u.spk for u in data.utts], device)
    conf = {**opened.phase["model_conf"], "chosen": model.chosen}
    phase = {**opened.phase, "model_conf": conf}
    encoder, tokenizer = opened.inputs.encoder, opened.tokenizer
    return model, to_rebuild(opened.conf, phase, opened.spec, encoder, tokenizer, norm)


def seen_by(model: SERModel, opened: OpenPhase) -> DataDir:
    """What choice and solution read: the training set and, with refit, the dev set."""
    return joined(opened) if model.refit else opened.train


def record_line(model: SERModel) -> str:
    """What was chosen, for the log."""
    return "; ".join(f"{k}: {v}" for k, v in model.facts().items() if k.startswith("chosen "))
