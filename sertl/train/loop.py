# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""The training loop of every method and phase.

An update adds up loss * weight over its micro-batches and over all processes and divides the
gradient by the total weight: however a batch is cut, the update is the same (but for losses that
are no sums over utterances or frames, which say so). Everything random follows from the seed and
the epoch, so a run that was killed goes on as if it had not been.
"""

import logging
import math
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from sertl.data.batching import cut_by_duration, epoch_batches, ordered_batches
from sertl.data.dataset import Batch, UttDataset, prefetch
from sertl.errors import SertlError
from sertl.models.base import SERModel
from sertl.train import checkpoint, distributed
from sertl.train.average import WeightAverage
from sertl.train.ctc_text import warn_of_unread
from sertl.train.evaluate import evaluate
from sertl.train.live_norm import LiveNorm
from sertl.train.optim import build_optimizer, set_lr
from sertl.train.record import Record
from sertl.train.settings import (
    AUTOCAST,
    SELECT,
    check_settings,
    check_whole_batches,
    check_whole_clips,
)
from sertl.train.trained import BEST

logger = logging.getLogger(__name__)

LEAST_SCALE = 1e-4  # of fp16's losses; training starts at 65536 and halves it at each overflow


@dataclass
class State:
    """Where training stands; saved with the model and the optimiser, restored by a resume."""

    epoch: int = 1
    batch: int = 0  # batches of this epoch that are done
    update: int = 0
    best: float | None = None
    best_tie: float | None = None
    best_epoch: int = 0
    finished: bool = False


class Trainer:
    """Trains one phase of one fold and seed.

    Args:
        model: On its device.
        conf: A complete phase (conf/train.yaml).
        train: Training utterances.
        dev: Held-out utterances of other speakers that choose the checkpoint, or None.
        out: Phase folder: last.pt (to resume), best.pt (the result), log.jsonl, tb/.
        seed: The run's seed.
        select: A key of settings.SELECT; needs dev unless it is last.
        device: Where batches go.
        to_rebuild: What best.pt carries beside the weights, see train/trained.py.
        budget: Updates after which training ends, and of how many the schedule is; None for all
            epochs of this training set.
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
    ):
        check_settings(conf, select, train, dev, device)
        check_whole_clips(model, conf)
        self.to_rebuild = to_rebuild or {}
        self.model, self.train_set, self.dev_set = model, train, dev
        self.data, self.optim = conf["data_conf"], conf["optim_conf"]
        self.out, self.seed, self.device = Path(out), seed, device
        self.metric, self.tie = SELECT[select]
        self.rank, self.world = distributed.rank_and_world()
        self.dtype = AUTOCAST[self.optim["autocast"]]
        self.optimizer = build_optimizer(model, self.optim)
        self.scaler = torch.amp.GradScaler(device.type, enabled=self.dtype is torch.float16)
        self.state = State()
        self.lr = 0.0  # of the latest update, before lr_scale
        self.record = Record(self.out, enabled=self.rank == 0)
        check_whole_batches(model, self.data, train, self.world)
        self.per_epoch = len(self._batches(1))
        whole = self.optim["epochs"] * self.per_epoch
        self.stop, self.total = budget or (whole, whole)
        self.average = WeightAverage(model, self.optim["ema"])
        self.live = LiveNorm(model, self.data, device, self.dtype)

    def run(self) -> State:
        """Train to the end, from the last saved state if there is one."""
        if not self._resume():
            self.record.restart()
            self.live.refresh(self.train_set, self.seed, fit=True)
            self._initialise()
        begun, first_epoch, dev = time.monotonic(), self.state.epoch, {}
        while (self.state.update < self.stop or self.state.batch) and not self.state.finished:
            self._epoch()
            with self.average.in_place():
                self.live.refresh(self.train_set, self.seed, fit=True)
                dev = self._dev() if self.dev_set is not None else {}
                self._choose(dev)
            epochs_done = self.state.epoch - first_epoch + 1
            rate = (time.monotonic() - begun) / epochs_done
            left = rate * max(0, math.ceil(self.stop / self.per_epoch) - self.state.epoch)
            logger.info(
                "epoch %d/%d: %s | %.1f s/epoch, at most %.0f s left",
                self.state.epoch,
                self.optim["epochs"],
                self.record.line(),
                rate,
                left,
            )
            self.state.epoch += 1
            self.state.batch = 0
            self._save()
        self.record.close()
        warn_of_unread(dev)
        return self.state

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

    def _epoch(self) -> None:
        if self.average.decay and not self.state.batch:  # else what was found before dev holds
            self.live.refresh(self.train_set, self.seed, fit=True)
        self.model.train()
        begun, waited = time.monotonic(), 0.0
        weight = torch.zeros((), device=self.device)
        todo = self._batches(self.state.epoch)[self.state.batch :]
        todo = todo[: self.stop - self.state.update]
        source = prefetch(self._micro_batches(todo), self.train_set.depth)
        while True:
            asked = time.monotonic()
            batch, last = next(source, (None, None))
            waited += time.monotonic() - asked
            if last is None:
                break
            if batch is not None:
                weight = weight + self._backward(batch.to(self.device))
            if last:
                self._update(weight)
                weight = torch.zeros((), device=self.device)
        self.record.end_epoch(
            "train",
            self.state.epoch,
            update=self.state.update,
            lr=self.lr,
            sec=round(time.monotonic() - begun, 3),
            data_wait_sec=round(waited, 3),
        )

    def _backward(self, batch: Batch) -> torch.Tensor:
        """Add the gradient of loss * weight; return the weight."""
        with torch.autocast(self.device.type, self.dtype, enabled=self.dtype is not None):
            loss, stats = self.model(batch)
        if not torch.isfinite(loss):
            raise SertlError(
                f"loss is {loss.item()} in epoch {self.state.epoch}, update {self.state.update}, "
                f"with utterances {' '.join(batch.utt)}. Look at their audio and labels; else "
                "lower optim_conf.lr, or turn autocast off"
            )
        weight = torch.as_tensor(stats.pop("weight"), device=self.device).detach().float()
        self.scaler.scale(loss * weight).backward()
        self.record.add(float(weight), {"loss": loss.detach(), **stats})
        self._last_utts = batch.utt
        return weight

    def _update(self, weight: torch.Tensor) -> None:
        parameters = [p for group in self.optimizer.param_groups for p in group["params"]]
        weight = distributed.sum_gradients(parameters, weight.reshape(1))[0]
        self.lr = set_lr(self.optimizer, self.optim, self.state.update, self.total)
        self.scaler.unscale_(self.optimizer)
        for p in parameters:
            if p.grad is not None:
                p.grad /= weight.clamp_min(1e-12)
        limit = self.optim["grad_clip"] or float("inf")
        norm = torch.nn.utils.clip_grad_norm_(parameters, limit)
        if not torch.isfinite(norm) and not self.scaler.is_enabled():
            raise SertlError(
                f"the gradient is {norm.item()} in epoch {self.state.epoch}, update "
                f"{self.state.update}; last utterances: {' '.join(self._last_utts)}. "
                "Lower optim_conf.lr or look at these utterances"
            )
        self.scaler.step(self.optimizer)
        self.scaler.update()
        if self.scaler.is_enabled() and self.scaler.get_scale() < LEAST_SCALE:
            raise SertlError(
                f"fp16: no gradient was finite for long, up to update {self.state.update}; last "
                f"utterances: {' '.join(self._last_utts)}. Use optim_conf.autocast=bf16, or lower "
                "optim_conf.lr"
            )
        self.optimizer.zero_grad(set_to_none=True)
        self.state.update += 1
        self.state.batch += 1
        self.model.after_step(self.state.update, self.total)
        self.average.update(self.state.update)
        self.record.update(self.state.update, lr=self.lr, grad_norm=float(norm))
        diagnostics = self.model.diagnostics()
        if diagnostics:
            where = {"epoch": self.state.epoch, "update": self.state.update}
            self.record.write({"kind": "diagnostics", **where, **diagnostics})
        every = self.optim["save_updates"]
        if every and self.state.update % every == 0:
            self._save()

    def _dev(self) -> dict[str, float]:
        self.live.refresh(self.dev_set, self.seed)
        values = evaluate(self.model, self.dev_set, self.data, self.device, self.dtype)
        better = self.metric is not None and self._is_better(values)
        self.record.write({"kind": "dev", "epoch": self.state.epoch, **values, "best": better})
        return values

    def _is_better(self, values: dict[str, float]) -> bool:
        if self.metric not in values:
            raise SertlError(f"select: the model gives no dev {self.metric}, only {sorted(values)}")
        value, best = values[self.metric], self.state.best
        if best is None or math.isnan(best):  # NaN is no score to beat
            return True
        if value == best and self.tie is not None:
            return values[self.tie] < self.state.best_tie
        return value < best if self.metric == "loss" else value > best  # a tie keeps the earlier

    def _choose(self, dev: dict[str, float]) -> None:
        """Keep the model if it is the best so far; stop when patience is spent."""
        if self.metric is None:
            if self.state.update >= self.stop:
                self._keep(None)
            return
        if self._is_better(dev):
            self.state.best_tie = dev.get(self.tie or "")
            self._keep(dev[self.metric])
        patience = self.optim["patience"]
        self.state.finished = (
            bool(patience) and self.state.epoch - self.state.best_epoch >= patience
        )

    def _keep(self, value: float | None) -> None:
        self.state.best, self.state.best_epoch = value, self.state.epoch
        if self.rank == 0:
            weights = checkpoint.trained_state(self.model)
            found = {**self.to_rebuild, "model": weights}
            if self.live.norm is not None:
                found["speaker_norm"] = asdict(self.live.norm)
            checkpoint.save(self.out / BEST, found)

    def _save(self) -> None:
        """Write everything a resume needs; the random state of every process goes along."""
        random = distributed.gather(checkpoint.random_state(self.device))
        records = distributed.gather(self.record.state())
        if self.rank == 0:
            checkpoint.save(
                self.out / "last.pt",
                {
                    "model": checkpoint.trained_state(self.model),
                    "optimizer": self.optimizer.state_dict(),
                    "scaler": self.scaler.state_dict(),
                    "average": self.average.state(),
                    "shifts": self.model.shifts,
                    "state": vars(self.state),
                    "random": random,
                    "records": records,
                },
            )
        distributed.barrier()

    @torch.no_grad()
    def _initialise(self) -> None:
        """Show the model all training utterances; every process sees all, so that all agree."""
        self.model.eval()
        pieces = ordered_batches(
            range(len(self.train_set)),
            self.train_set.durs_sec,
            self.data["batch_size"],
            self.data["batch_sec"],
        )
        self.model.initialise(self.train_set.batch(p).to(self.device) for p in pieces)
        distributed.broadcast(self.model.buffers())  # cards of another kind round otherwise

    def _resume(self) -> bool:
        path = self.out / "last.pt"
        if not path.is_file():
            return False
        saved = checkpoint.load(path)
        if len(saved["random"]) != self.world:
            raise SertlError(
                f"{path} was made by {len(saved['random'])} processes, this run has {self.world}: "
                "use as many, or --redo"
            )
        checkpoint.load_trained(self.model, saved["model"], str(path))
        self.optimizer.load_state_dict(saved["optimizer"])
        self.scaler.load_state_dict(saved["scaler"])
        self.average.restore(saved["average"])
        self.model.shifts = saved["shifts"]
        self.state = State(**saved["state"])
        self.record.restore(saved["records"][self.rank])
        checkpoint.set_random_state(saved["random"][self.rank], self.device)
        logger.info("resuming at epoch %d, update %d", self.state.epoch, self.state.update)
        return True
