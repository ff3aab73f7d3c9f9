# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""What a user names as a model, opened: an experiment, a packed model, or an ONNX file."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np

from sertl.errors import SertlError
from sertl.use.prediction import Prediction


class AnyPredictor(Protocol):
    """What commands need of a model, whatever runs it."""

    labels: list[str]
    remembers: bool  # whether it knows speakers by what they said before

    def predict(
        self,
        wavs: Sequence[np.ndarray],
        speakers: Sequence[str | None] | None = None,
        vectors: bool = False,
        remember: bool = True,
    ) -> list[Prediction]:
        """Predict B clips (N_b,) float32 at 16 kHz.

        Args:
            wavs: Clips.
            speakers: Of each; None where nobody is named.
            vectors: Fill in utterance vectors.
            remember: Whether the clips count among what is known of their speakers from now on.
        """


@dataclass(frozen=True)
class Opening:
    """A model to open, as options have it; worker processes get it instead of the model.

    Attributes:
        path: exp/<tag>, a fold of it, a phase's folder, a packed model, or a .onnx file.
        seeds, folds: Of an experiment or a packed one, only these.
        ckpt: Where the encoder's checkpoint lies now; None for where it was.
        device: cpu or cuda.
        threads: Of each process; 0 for the library's choice.
    """

    path: str
    seeds: tuple[int, ...] = field(default=())
    folds: tuple[int, ...] = field(default=())
    ckpt: str | None = None
    device: str = "cpu"
    threads: int = 0

    def open(self) -> AnyPredictor:
        """Open it.

        Raises:
            SertlError: Nothing there that was trained; damaged or foreign files; another encoder.
        """
        if Path(self.path).suffix == ".onnx":
            return self._onnx()
        try:
            import torch
        except ImportError as error:
            raise SertlError(
                f"{self.path} needs torch, which is not installed: pip install 'sertl[train]'; "
                "without it only .onnx files can be opened"
            ) from error

        from sertl.use.predictor import Predictor

        if self.threads:
            torch.set_num_threads(self.threads)
        return Predictor.load(self.path, self.seeds, self.folds, self.ckpt, self.device)

    def _onnx(self) -> AnyPredictor:
        from sertl.use.onnx_predictor import OnnxPredictor

        if self.seeds or self.folds or self.ckpt:
            raise SertlError(
                f"{self.path}: an ONNX file is one model with its encoder inside; no --seeds, "
                "--folds or --ckpt"
            )
        return OnnxPredictor.load(self.path, self.threads)


def numbers(text: str, option: str) -> list[int]:
    """Whole numbers of an option.

    Raises:
        SertlError: If it holds something else.
    """
    words = text.split()
    if not all(word.isdecimal() for word in words):
        raise SertlError(f'{option} takes numbers, as in "1 2", got {text!r}')
    return [int(word) for word in words]
