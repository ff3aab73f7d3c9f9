# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""The training loop of every method and phase.

An update adds up loss * weight over its micro-batches and over all processes and divides the
gradient by the total weight: however a batch is cut, the update is the same (but for losses that
are no sums over utterances or frames, which say so). Everything random follows from the seed and
the epoch, so a run that was killed goes on as if it had not been.
"""

import json
import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Protocol

import torch

from sertl.data.batch import Batch, prefetch
from sertl.data.batching import cut_by_duration, epoch_batches, ordered_batches
from sertl.data.dataset import UttDataset
from sertl.models.base import SERModel
from sertl.train import checkpoint, distributed
from sertl.train.average import WeightAverage
from sertl.train.choice import Choice
from sertl.train.ctc_text import warn_of_unread
from sertl.train.evaluate import evaluate
from sertl.train.interpolation import Interpolation, check_lambdas
from sertl.train.kept_share import keep_share
from sertl.train.live_norm import LiveNorm
from sertl.train.record import Record
from sertl.train.saved_state import State, resume, save
from sertl.train.settings import (
    check_settings,
    check_whole_batches,
    check_whole_clips,
    updates_of,
)
from sertl.train.solved_start import solve_start
from sertl.train.trained import BEST
from sertl.train.updater import Updater

logger = logging.getLogger(__name__)


class Judge(Protocol):
    """Says what a model is worth, beside its own loss."""

    def judge(
        self, model: SERModel, device: torch.device, dtype: torch.dtype | None
    ) -> dict[str, float]:
        """Scores by name."""


class Trainer:
    """Trains one phase of one fold and seed.

    Args:
        model: On its device.
        conf: A complete phase (schema.training_keys.Phase).
        train: Training utterances.
        dev: Held-out utterances of other speakers that choose the checkpoint, or None.
        out: Phase folder: last.pt (to resume), best.pt (the result), log.jsonl, tb/.
        seed: The run's seed.
        select: A key of settings.SELECT; needs dev unless it is last.
        device: Where batches go.
        to_rebuild: What best.pt carries beside the weights, see train/trained.py.
        budget: Updates after which training ends, and of how many the schedule is; None for
            optim_conf's updates, or all its epochs of this training set.
        share: Of the way from the start to the result, where it was found elsewhere; None lets
            select_conf.lambdas and dev decide.
    """

    def __init__(
        self,
        model: SERModel,
        conf: dict,
        train: UttDataset,
        dev: UttDataset | None,
        out: Path,
        seed: int,
        select: str,
        device: torch.device,
        to_rebuild: dict | None = None,
        budget: tuple[int, int] | None = None,
        share: float | None = None,
    ):
        check_settings(conf, select, train, dev, device)
        check_whole_clips(model, conf)
        self.to_rebuild = to_rebuild or {}
        self.model, self.train_set, self.dev_set = model, train, dev
        self.data, self.optim = conf["data_conf"], conf["optim_conf"]
        self.out, self.seed, self.device = Path(out), seed, device
        self.choice = Choice(select, self.optim["patience"])
        self.rank, self.world = distributed.rank_and_world()
        self.updater = Updater(model, self.optim, device)
        self.dtype = self.updater.dtype
        self.state = State()
        self.record = Record(self.out, enabled=self.rank == 0)
        check_whole_batches(model, self.data, train, self.world)
        self.per_epoch = len(self._batches(1))
        whole = updates_of(self.optim, train, self.per_epoch)
        self.stop, self.total = budget or (whole, whole)
        self.start_kind, self.started = conf["start"], {}
        self.chosen: dict[str, list[dict]] = {}  # for the start: stages/earlier_choice.py
        self.head: Judge | None = None  # of a phase without labels: stages/frozen_head.py
        self.lambdas = check_lambdas(conf["select_conf"]["lambdas"])
        if share is not None:
            self.lambdas = [share]
        elif dev is None and len(self.lambdas) > 1:
            logger.info("no dev set to choose lambda by: the result is kept as it is")
            self.lambdas = [1.0]
        self.way: Interpolation | None = None
        self.average = WeightAverage(model, self.optim["ema"])
        self.live = LiveNorm(model, self.data, device, self.dtype, before=train.normalised)

    def run(self) -> State:
        """Train to the end, from the last saved state if there is one."""
        if not resume(self):
            self.record.restart()
            self.live.refresh(self.train_set, self.seed, fit=True)
            self._initialise()
            self._remember_start()
        begun, first = time.monotonic(), self.state.update
        dev = self._judge() if self.state.judged < 0 else {}
        while self.state.judged < self.stop and not self.state.finished:
            self._train()
            with self.average.in_place():
                self.live.refresh(self.train_set, self.seed, fit=True)
                dev = self._judge()
            rate = (time.monotonic() - begun) / max(1, self.state.update - first)
            logger.info(
                "epoch %d, update %d/%d: %s | %.2f s/update, at most %.0f s left",
                *(self.state.epoch, self.state.update, self.stop, self.record.line()),
                *(rate, rate * (self.stop - self.state.update)),
            )
            save(self)
        keep_share(self)
        self.record.close()
        warn_of_unread(dev)
        return self.state

    def _judge(self) -> dict[str, float]:
        """Look at dev, if there is one, and keep the model if it is the best so far."""
        dev = self._dev() if self.dev_set is not None else {}
        if self.head is not None:
            found = self.head.judge(self.model, self.device, self.dtype)
            self.record.write({"kind": "frozen_head", **self._where(), **found})
        if self.state.update or self.may_keep_start:
            at_end = self.state.update >= self.stop
            if self.choice.keeps(self.state, dev, at_end):
                self.write_best(1.0)
        self.state.judged = self.state.update
        return dev

    @property
    def may_keep_start(self) -> bool:
        """Whether update 0 can be chosen.

        A head that nobody has trained is nothing to keep, and a solved one is kept by lambda 0, to
        which all of the way from a later update leads.
        """
        return not self.stop or (self.start_kind != "random" and 0.0 not in self.lambdas)

    def _where(self) -> dict[str, int]:
        return {
            "epoch": self.state.epoch if self.state.update else 0,
            "update": self.state.update,
        }

    def _remember_start(self) -> None:
        """Begin the average at the start, which may have been solved; keep it for lambda."""
        self.average.restart()
        if self.lambdas != [1.0]:
            self.way = Interpolation(self.model)

    def _batches(self, epoch: int) -> list[list[int]]:
        balanced = self.data["sampler"] == "balanced"
        return epoch_batches(
            self.train_set.train_sec,
            self.data["batch_size"],
            self.data["bucket"],
            self.seed,
            epoch,
            self.train_set.emo if balanced else None,
            self.model.least_batch,
        )

    def _micro_batches(self, batches: list[list[int]]) -> Iterator[tuple[Batch | None, bool]]:
        """This process's share of each batch, in pieces; True marks the last piece of an update."""
        for indices in batches:
            mine = indices[self.rank :: self.world]
            pieces = cut_by_duration(mine, self.train_set.train_sec, self.data["batch_sec"])
            for number, piece in enumerate(pieces, start=1):
                yield self.train_set.batch(piece, self.state.epoch), number == len(pieces)
            if not pieces:  # a short last batch: nothing to add, but the others wait for our sum
                yield None, True

    def _due(self) -> bool:
        """Whether dev is to be looked at before another update, be it after a resume."""
        state, every = self.state, self.optim["eval_updates"]
        if state.update == state.judged:
            return False
        if state.update >= self.stop:
            return True
        return state.update % every == 0 if every else state.batch >= self.per_epoch

    def _train(self) -> None:
        """Make updates until dev is due: after an epoch, or every eval_updates."""
        every, begun, waited = self.optim["eval_updates"], time.monotonic(), 0.0
        while not self._due():
            if self.state.batch >= self.per_epoch:
                self.state.epoch, self.state.batch = self.state.epoch + 1, 0
            if self.average.decay and not self.state.batch:  # else what was found before dev holds
                self.live.refresh(self.train_set, self.seed, fit=True)
            number = self.per_epoch - self.state.batch
            if every:
                number = min(number, every - self.state.update % every)
            waited += self._updates(min(number, self.stop - self.state.update))
        self.record.end_epoch(
            "train",
            self.state.epoch,
            update=self.state.update,
            lr=self.state.lr,
            sec=round(time.monotonic() - begun, 3),
            data_wait_sec=round(waited, 3),
        )

    def _updates(self, number: int) -> float:
        """Make so many updates of this epoch; return the seconds waited for data."""
        self.model.train()
        waited = 0.0
        todo = self._batches(self.state.epoch)[self.state.batch :][:number]
        source = prefetch(self._micro_batches(todo), self.train_set.depth)
        while True:
            asked = time.monotonic()
            batch, last = next(source, (None, None))
            waited += time.monotonic() - asked
            if last is None:
                return waited
            if batch is not None:
                self.record.add(*self.updater.add(batch.to(self.device), self.state))
            if last:
                self._updated(self.updater.apply(self.state, self.total))

    def _updated(self, norm: float) -> None:
        """What follows an update."""
        state = self.state
        state.update += 1
        state.batch += 1
        self.model.after_step(state.update, self.total)
        self.average.update(state.update)
        self.record.update(state.update, lr=state.lr, grad_norm=norm)
        diagnostics = self.model.diagnostics()
        if diagnostics:
            where = {"epoch": state.epoch, "update": state.update}
            self.record.write({"kind": "diagnostics", **where, **diagnostics})
        every = self.optim["save_updates"]
        if every and state.update % every == 0:
            save(self)

    def judge_dev(self) -> dict[str, float]:
        """What evaluate says of dev, its speakers normalised by what training speakers say."""
        with self.live.once():
            self.live.refresh(self.dev_set, self.seed)
            return evaluate(self.model, self.dev_set, self.data, self.device, self.dtype)

    def _dev(self) -> dict[str, float]:
        values = self.judge_dev()
        better = self.choice.better(self.state, values)
        self.record.write({"kind": "dev", **self._where(), **values, "best": better})
        return values

    def write_best(self, share: float, tried: Sequence[dict] | None = None) -> None:
        """Write best.pt; `tried`, once lambda is chosen, is what the log says of each."""
        if self.rank == 0:
            weights = checkpoint.trained_state(self.model)
            found = {**self.to_rebuild, "model": weights, "share": share}
            if self.started:
                solved = {"shape": self.model.start_shape, "parts": self.started}
                found["started"] = json.dumps(solved)
            if tried is not None:
                found["tried"] = json.dumps(tried)
            if self.live.norm is not None:
                found["speaker_norm"] = asdict(self.live.norm)
            checkpoint.save(self.out / BEST, found)

    @torch.no_grad()
    def _initialise(self) -> None:
        """Show the model all training utterances; every process sees all, so that all agree."""
        self.model.eval()
        data, size = self.train_set, self.data["batch_size"]
        pieces = ordered_batches(range(len(data)), data.durs_sec, size, self.data["batch_sec"])
        with self.model.remembering():  # both pool the same vectors
            self.model.initialise(data.batch(p).to(self.device) for p in pieces)
            if self.start_kind == "solved":
                batches = (data.batch(p).to(self.device) for p in pieces)
                self.started = solve_start(self.model, data, batches, self.device, self.chosen)
                distributed.broadcast([p for p in self.model.parameters() if p.requires_grad])
        distributed.broadcast(self.model.buffers())  # cards of another kind round otherwise
