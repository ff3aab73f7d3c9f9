# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Predict with an ONNX file of export/onnx_export.py: needs onnxruntime and numpy, not torch."""

import json
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from sertl.data.audio import SAMPLE_RATE
from sertl.errors import SertlError
from sertl.use.prediction import Prediction, averaged

KEY = "sertl"  # of the metadata
FORMAT = 1
NEEDED = ("format", "sample_rate", "min_samples", "max_samples", "outputs", "classes")


class OnnxPredictor:
    """As use/predictor.py's, from several threads too.

    Args:
        session: onnxruntime.InferenceSession.
        about: The file's metadata.
        source: Named in errors.
    """

    remembers = False

    def __init__(self, session: object, about: dict, source: str):
        self.session, self.about, self.source = session, about, source

    @classmethod
    def load(cls, path: str | os.PathLike, threads: int = 0) -> "OnnxPredictor":
        """Open a file.

        Args:
            path: NAME.onnx.
            threads: 0 for onnxruntime's choice.

        Raises:
            SertlError: onnxruntime is not installed; no such file; damaged; not one of sertl's.
        """
        try:
            import onnxruntime
        except ImportError as error:
            raise SertlError(
                f"{path} needs onnxruntime, which is not installed: pip install 'sertl[onnx]'"
            ) from error
        if not Path(path).is_file():
            raise SertlError(f"{path}: no such file")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or int(os.environ.get("OMP_NUM_THREADS", "0"))
        options.log_severity_level = 3
        try:
            session = onnxruntime.InferenceSession(
                str(path), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # onnxruntime raises a dozen types for a damaged file
            reason = next(iter(str(error).splitlines()), "")
            raise SertlError(f"{path}: not an ONNX model, or damaged ({reason})") from error
        try:
            about = json.loads(session.get_modelmeta().custom_metadata_map[KEY])
            lacks = [key for key in NEEDED if key not in about]
        except (KeyError, ValueError, TypeError):
            about, lacks = {}, list(NEEDED)
        if lacks or about["format"] != FORMAT or about["sample_rate"] != SAMPLE_RATE:
            raise SertlError(
                f"{path}: an ONNX model, but not one that this version's `sertl export` has made"
            )
        return cls(session, about, str(path))

    @property
    def labels(self) -> list[str]:
        """Emotions, in the order of the model's outputs."""
        return list(self.about["classes"]["emo"])

    def __call__(
        self, wav: np.ndarray, sample_rate: int = SAMPLE_RATE, speaker: str | None = None
    ) -> Prediction:
        """Predict one clip: (N,) or (channels, N) samples in [-1, 1] at 16 kHz."""
        if sample_rate != SAMPLE_RATE:
            raise SertlError(f"sample_rate is {sample_rate}; resample to {SAMPLE_RATE} Hz")
        wav = np.asarray(wav, dtype=np.float32)
        return self.predict([wav.mean(axis=0) if wav.ndim == 2 else wav], [speaker])[0]

    def predict(
        self,
        wavs: Sequence[np.ndarray],
        speakers: Sequence[str | None] | None = None,
        vectors: bool = False,
        remember: bool = True,
    ) -> list[Prediction]:
        """Predict clips; those of one length go together.

        Args:
            wavs: B arrays (N_b,) float32 at 16 kHz.
            speakers, remember: Of no effect: the file knows no speakers.
            vectors: Refused.

        Raises:
            SertlError: A clip that is too long, empty or not finite; vectors.
        """
        if vectors:
            raise SertlError(f"{self.source} gives probabilities, and no utterance vectors")
        groups: dict[int, list[int]] = {}
        padded = [self._padded(np.asarray(wav, dtype=np.float32)) for wav in wavs]
        for row, wav in enumerate(padded):
            groups.setdefault(len(wav), []).append(row)
        found: dict[int, Prediction] = {}
        for rows in groups.values():
            out = self.session.run(None, {"wav": np.stack([padded[row] for row in rows])})
            said = dict(zip(self.about["outputs"], out, strict=True))
            for place, row in enumerate(rows):
                probs = {n: v[place] for n, v in said.items() if n in self.about["classes"]}
                vads = [said["vad"][place]] if "vad" in said else []
                sec = len(wavs[row]) / SAMPLE_RATE
                found[row] = averaged(self.about["classes"], [probs], vads, None, sec)
        return [found[row] for row in range(len(wavs))]

    def _padded(self, wav: np.ndarray) -> np.ndarray:
        least, most = self.about["min_samples"], self.about["max_samples"]
        if wav.ndim != 1 or not len(wav) or not np.isfinite(wav).all():
            raise SertlError(f"a clip has the shape {wav.shape}, or holds NaN or infinity")
        if len(wav) > most:
            raise SertlError(
                f"a clip of {len(wav) / SAMPLE_RATE:.1f} s; {self.source} takes "
                f"{most / SAMPLE_RATE:.0f} s at most: cut it, as --timeline does"
            )
        return np.pad(wav, (0, max(0, least - len(wav))))
