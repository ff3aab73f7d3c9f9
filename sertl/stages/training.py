# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Stages 4 and 6: train one phase of one run."""

import logging
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from sertl import fingerprint
from sertl.data.datadir import DataDir
from sertl.data.folds import FoldDir
from sertl.data.speaker_norm import SpeakerNorm
from sertl.models.base import SERModel
from sertl.peft.tuning import trained_line
from sertl.runs import Run
from sertl.seed import derive_seed, seed_everything
from sertl.stages.earlier_choice import earlier_choice
from sertl.stages.frozen_head import frozen_head
from sertl.stages.group_starts import hands_over, start_without, tell_starts
from sertl.stages.made_from import claim, inputs_of
from sertl.stages.phase import OpenPhase, open_phase
from sertl.stages.phase_record import count_parameters, write_record
from sertl.stages.selecting import (
    ALL_GIVEN,
    Budget,
    Split,
    find_budget,
    joined,
    nothing_to_choose,
    splits_of,
)
from sertl.stages.start import start_model, start_of
from sertl.stages.training_data import save_ids
from sertl.train import distributed
from sertl.train.loop import Trainer
from sertl.train.saved_state import discard
from sertl.train.trained import to_rebuild
from sertl.upstream.precision import warn_of_slow_bf16

logger = logging.getLogger(__name__)


def train_phase(conf: dict, phase: dict, run: Run, use_gpu: bool, redo: bool) -> None:
    """Train a phase unless it is done already; write best.pt and run.json to its folder."""
    opened = open_phase(conf, phase, run)
    fold, out = FoldDir(Path(conf["data"]), run.fold), run.phase(phase["name"])
    protocol = fold.protocol()
    select = select_of(phase, protocol)
    start = start_of(phase, run, fold, opened.inputs.encoder, conf["transductive"])
    device, for_later = distributed.init(use_gpu), hands_over(conf, phase)
    if claim(out, inputs_of(opened, fold, protocol, start), redo) is fingerprint.Progress.DONE:
        logger.info("%s: already trained", out)
        discard(out, for_later)  # as a run that was interrupted at the last line would leave it
        return
    if phase["optim_conf"]["autocast"] == "bf16":
        warn_of_slow_bf16("optim_conf.autocast", device.type)
    splits = splits_of(opened, protocol)
    seen = joined(opened) if splits else opened.train
    # A protocol that takes the last update chooses nothing by dev, lambda neither.
    share = 1.0 if select == "last" and phase["select"] != "last" else None
    norm = opened.fit_speaker_norm(seen)
    trainers = Trainers(opened, out, norm, start, device, select, share)
    budget = None
    if splits and (for_later or not nothing_to_choose(phase, select)):
        if start is not None:
            tell_starts({s.name: s.held_out for s in splits}, start, phase["name"])
        budget = find_budget(splits, trainers.judge_of, out, select, for_later)
    trainer = trainers.last_of(seen, budget) if splits else trainers.only()
    rank, _ = distributed.rank_and_world()
    if rank == 0:
        save_ids(out, seen, start)
    state = trainer.run()
    if rank == 0:
        found = {"selection": budget.words if budget else ALL_GIVEN} if splits else {}
        write_record(opened, trainer, state, select, budget, found)
        fingerprint.finish(out)
        discard(out, for_later)
    distributed.barrier()


def select_of(phase: dict, protocol: dict) -> str:
    """What chooses the checkpoint: the phase's word, or for auto the protocol's.

    auto_wer leaves a protocol that takes the last update its rule, and else looks at dev WER.
    """
    if phase["select"] == "auto_wer":
        return "last" if protocol["select"] == "last" else "dev_wer"
    return protocol["select"] if phase["select"] == "auto" else phase["select"]


@dataclass(frozen=True)
class Trainers:
    """Makes the trainers of a phase, each of a new model.

    Attributes:
        opened: The phase.
        out: Its folder.
        norm: How speakers are normalised.
        start: Folder of the phase that its weights come from.
        device: Where it trains.
        select: A key of settings.SELECT.
        share: Of the way from the start to the result, where nothing is to choose it.
    """

    opened: OpenPhase
    out: Path
    norm: SpeakerNorm | None
    start: Path | None
    device: torch.device
    select: str
    share: float | None

    def only(self, judges: DataDir | None = None) -> Trainer:
        """The one of a phase whose dev set chooses as it is; judges: see frozen_head."""
        sets = self.opened.train, self.opened.dev
        return self._trainer(self.out, *sets, self.select, share=self.share, judges=judges)

    def judge_of(self, split: Split) -> Trainer:
        """One that scores every look at the speakers that a split holds out, without patience."""
        optim = {**self.opened.phase["optim_conf"], "patience": 0}
        phase = {**self.opened.phase, "optim_conf": optim}
        opened = replace(self.opened, phase=phase, train=split.train, dev=split.held_out)
        start = start_without(split.held_out, self.start, split.name)
        one = replace(self, opened=opened, out=self.out / split.name, start=start)
        trainer = one.only(judges=split.held_out)
        if distributed.rank_and_world()[0] == 0:
            save_ids(one.out, split.train, start)
        return trainer

    def last_of(self, train: DataDir, budget: Budget | None) -> Trainer:
        """One on all speakers, by what was found with some of them; None: by what was given."""
        if budget is None:
            return self._trainer(self.out, train, None, "last", share=self.share)
        length = budget.updates, budget.total
        return self._trainer(self.out, train, None, "last", length, budget.share)

    def _trainer(
        self,
        out: Path,
        train: DataDir,
        dev: DataDir | None,
        select: str,
        length: tuple[int, int] | None = None,
        share: float | None = None,
        judges: DataDir | None = None,
    ) -> Trainer:
        opened, phase, seed = self.opened, self.opened.phase, self.opened.run.seed
        model = build_model(opened, self.start, self.device)
        sets = [opened.dataset(train, training=True), opened.dataset(dev) if dev else None]
        for data in sets:
            if data is not None:
                data.normalise_speakers(self.norm, seed)
        encoder = opened.inputs.encoder
        rebuild = to_rebuild(opened.conf, phase, opened.spec, encoder, opened.tokenizer, self.norm)
        out.mkdir(parents=True, exist_ok=True)
        facts = (out, seed, select, self.device, rebuild, length, share)
        trainer = Trainer(model, phase, *sets, *facts)
        trainer.head = frozen_head(opened, model, self.norm, judges)
        if phase["start"] == "solved":
            trainer.chosen = earlier_choice(self.start, train, model)
        return trainer


def build_model(opened: OpenPhase, start: Path | None, device: torch.device) -> SERModel:
    """The phase's model with the weights that it starts from, the same in every process."""
    run, phase = opened.run, opened.phase
    rank, _ = distributed.rank_and_world()
    seed_everything(derive_seed(run.seed, phase["name"], run.fold))
    model = opened.build()
    start_model(model, opened.conf, phase, start)
    model.to(device)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    # The same weights everywhere, other dropout. Building S3PRL's encoders seeds GPUs with 0.
    if rank > 0 or device.type == "cuda":
        seed_everything(derive_seed(run.seed, phase["name"], run.fold, "rank", rank))
    counts = (len(opened.train.utts), opened.inputs.layers, count_parameters(model))
    logger.info("%s: %d utts, layers %s, parameters %s", run.phase(phase["name"]), *counts)
    logger.info("trained: %s", trained_line(model))
    return model
