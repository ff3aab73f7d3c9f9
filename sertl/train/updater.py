# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""One update: the gradients of its micro-batches, added up over all processes, clipped, applied."""

import torch

from sertl.data.batch import Batch
from sertl.errors import SertlError
from sertl.models.base import SERModel
from sertl.train import distributed
from sertl.train.optim import build_optimizer, set_lr
from sertl.train.saved_state import State
from sertl.train.settings import AUTOCAST

LEAST_SCALE = 1e-4  # of fp16's losses; training starts at 65536 and halves it at each overflow


class Updater:
    """Optimiser, precision and gradients of a phase.

    Args:
        model: On its device.
        optim: Its optim_conf.
        device: Where batches are.

    Attributes:
        dtype: Of autocast, or None.
        optimizer: Of all trained parameters.
        scaler: Of fp16's losses.

    Raises:
        SertlError: See build_optimizer.
    """

    def __init__(self, model: SERModel, optim: dict, device: torch.device):
        self.model, self.optim, self.device = model, optim, device
        self.dtype = AUTOCAST[optim["autocast"]]
        self.optimizer = build_optimizer(model, optim)
        self.scaler = torch.amp.GradScaler(device.type, enabled=self.dtype is torch.float16)
        self._weight = torch.zeros((), device=device)
        self._utts: list[str] = []

    def add(self, batch: Batch, state: State) -> tuple[float, dict[str, torch.Tensor]]:
        """Add the gradient of loss * weight of a micro-batch; return its weight and its means.

        Raises:
            SertlError: The loss is not finite.
        """
        with torch.autocast(self.device.type, self.dtype, enabled=self.dtype is not None):
            loss, stats = self.model(batch)
        if not torch.isfinite(loss):
            raise SertlError(
                f"loss is {loss.item()} in epoch {state.epoch}, update {state.update}, "
                f"with utterances {' '.join(batch.utt)}. Look at their audio and labels; else "
                "lower optim_conf.lr, or turn autocast off"
            )
        weight = torch.as_tensor(stats.pop("weight"), device=self.device).detach().float()
        self.scaler.scale(loss * weight).backward()
        self._weight, self._utts = self._weight + weight, batch.utt
        return float(weight), {"loss": loss.detach(), **stats}

    def apply(self, state: State, total: int) -> float:
        """Make the update; return the norm of its gradient, before clipping.

        Args:
            state: Its number of updates is that of those before; its learning rate is set.
            total: Updates of the whole schedule.

        Raises:
            SertlError: The gradient is not finite.
        """
        parameters = [p for group in self.optimizer.param_groups for p in group["params"]]
        weight = distributed.sum_gradients(parameters, self._weight.reshape(1))[0]
        self._weight = torch.zeros((), device=self.device)
        state.lr = set_lr(self.optimizer, self.optim, state.update, total)
        self.scaler.unscale_(self.optimizer)
        for p in parameters:
            if p.grad is not None:
                p.grad /= weight.clamp_min(1e-12)
        limit = self.optim["grad_clip"] or float("inf")
        norm = torch.nn.utils.clip_grad_norm_(parameters, limit)
        if not torch.isfinite(norm) and not self.scaler.is_enabled():
            raise SertlError(
                f"the gradient is {norm.item()} in epoch {state.epoch}, update {state.update}; "
                f"last utterances: {' '.join(self._utts)}. Lower optim_conf.lr or look at these "
                "utterances"
            )
        self.scaler.step(self.optimizer)
        self.scaler.update()
        if self.scaler.is_enabled() and self.scaler.get_scale() < LEAST_SCALE:
            raise SertlError(
                f"fp16: no gradient was finite for long, up to update {state.update}; last "
                f"utterances: {' '.join(self._utts)}. Use optim_conf.autocast=bf16, or lower "
                "optim_conf.lr"
            )
        self.optimizer.zero_grad(set_to_none=True)
        return float(norm)
