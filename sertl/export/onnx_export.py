# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Write a predictor as an ONNX file that says of itself what it needs, and check it."""

import json
import logging
import os
import tempfile
import warnings
from pathlib import Path

import numpy as np
import torch

from sertl import __version__
from sertl.atomic import replacing
from sertl.data.audio import SAMPLE_RATE
from sertl.errors import SertlError
from sertl.export.graph import Graph
from sertl.use.onnx_predictor import FORMAT, KEY, OnnxPredictor
from sertl.use.predictor import Predictor

logger = logging.getLogger(__name__)

OPSET = 18
MIN_SAMPLES = 800  # shorter clips are padded with zeros, as encoders do
MAX_SEC = 30  # of a clip: Whisper's position table; for all, a bound on attention's memory
CLOSE = 1e-3  # largest difference of a probability from PyTorch's
CHECKED = ((1, 16000), (3, 9999), (2, 40123))  # clips and samples of the check


def export_onnx(
    predictor: Predictor, out: str | os.PathLike, name: str, int8: bool = False
) -> dict:
    """Write NAME.onnx and compare it with PyTorch.

    Args:
        predictor: On the CPU.
        out: File to write.
        name: Of the model, for its metadata.
        int8: Weights of matrix products in 8 bits; activations are scaled as they come.

    Returns:
        What was checked: largest difference of a probability from PyTorch's in float32
        (`difference`), MiB (`mib`).

    Raises:
        SertlError: An encoder that cannot be exported; onnx or onnxruntime is not installed; a
            graph that says something else than PyTorch does (for int8 that is only logged).
    """
    try:
        import onnx
        import onnxruntime  # noqa: F401  the check needs it
        import onnxscript  # noqa: F401  the exporter needs it
    except ImportError as error:
        raise SertlError(
            f"{error.name} is not installed; to export: pip install 'sertl[export]'"
        ) from error
    graph = Graph(predictor).eval()
    if predictor.remembers:
        logger.warning(
            "the model normalises speakers, whom an ONNX file does not remember: it takes every "
            "clip as somebody else's"
        )
    with tempfile.TemporaryDirectory(prefix="sertl-") as folder:
        file = Path(folder) / "model.onnx"
        _convert(graph, file)
        if int8:
            file = _quantised(file)
        model = onnx.load(file)
        about = _about(predictor, graph, name, int8)
        model.metadata_props.add(key=KEY, value=json.dumps(about, ensure_ascii=False))
        model.doc_string = f"sertl {__version__}: {name}"
        with replacing(out) as temporary:
            onnx.save(model, temporary)
    difference = compare(predictor, OnnxPredictor.load(out))
    if difference > CLOSE and not int8:
        Path(out).unlink()
        raise SertlError(
            f"{out}: the graph differs from PyTorch by {difference:.1e} in a probability, allowed "
            f"are {CLOSE:.0e}; it was deleted"
        )
    return {"difference": difference, "mib": round(Path(out).stat().st_size / 2**20, 1)}


def _convert(graph: Graph, file: Path) -> None:
    batch = torch.export.Dim("batch", min=1)
    samples = torch.export.Dim("samples", min=MIN_SAMPLES, max=MAX_SEC * SAMPLE_RATE)
    example = (0.1 * torch.randn(2, 16123, generator=torch.Generator().manual_seed(0)),)
    loggers = [logging.getLogger(n) for n in ("torch.onnx", "onnxscript", "onnx_ir")]
    levels = [one.level for one in loggers]
    with warnings.catch_warnings(), torch.inference_mode(False), torch.no_grad():
        warnings.simplefilter("ignore")
        for one in loggers:
            one.setLevel(logging.ERROR)
        try:
            names = {
                "input_names": ["wav"],
                "output_names": [f"out_{name}" for name in graph.outputs],
                "opset_version": OPSET,
                "verbose": False,
            }
            if any(isinstance(module, torch.nn.LSTM) for module in graph.modules()):
                # The exporter below unrolls an LSTM over time and so cannot leave the length open.
                axes = {0: "batch", 1: "samples"}
                old = {"dynamo": False, "dynamic_axes": {"wav": axes}}
                torch.onnx.export(graph, example, str(file), **old, **names)
                return
            shapes = {"wav": {0: batch, 1: samples}}
            program = torch.onnx.export(graph, example, dynamo=True, dynamic_shapes=shapes, **names)
        finally:
            for one, level in zip(loggers, levels, strict=True):
                one.setLevel(level)
        program.save(str(file))


def _quantised(file: Path) -> Path:
    from onnxruntime.quantization import QuantType, quantize_dynamic

    small = file.with_name("int8.onnx")
    logging.disable(logging.WARNING)  # it lists every node that it leaves alone
    try:
        quantize_dynamic(
            file,
            small,
            weight_type=QuantType.QInt8,
            per_channel=True,
            op_types_to_quantize=["MatMul", "Gemm"],
        )
    finally:
        logging.disable(logging.NOTSET)
    return small


def _about(predictor: Predictor, graph: Graph, name: str, int8: bool) -> dict:
    return {
        "format": FORMAT,
        "sertl": __version__,
        "name": name,
        "sample_rate": SAMPLE_RATE,
        "min_samples": MIN_SAMPLES,
        "max_samples": MAX_SEC * SAMPLE_RATE,
        "outputs": graph.outputs,
        "classes": {field: list(names) for field, names in predictor.classes.items()},
        "encoder": predictor.members[0].trained.upstream.get("note", ""),
        "weights": "int8" if int8 else "float32",
    }


def compare(predictor: Predictor, exported: OnnxPredictor) -> float:
    """Largest difference of a probability, or of a rating, on clips of noise of several lengths.

    PyTorch computes in float32, as the graph does, also where the model was trained in 16 bits.
    """
    rng = np.random.default_rng(0)
    largest = 0.0
    for count, samples in CHECKED:
        wavs = [0.1 * rng.standard_normal(samples).astype(np.float32) for _ in range(count)]
        with predictor.in_float32():
            said = predictor.predict([torch.from_numpy(wav) for wav in wavs], remember=False)
        for one, other in zip(said, exported.predict(wavs), strict=True):
            values = [
                abs(p - other.probs[f][c]) for f, ps in one.probs.items() for c, p in ps.items()
            ]
            values += [abs(v - other.vad[k]) for k, v in one.vad.items()]
            largest = max(largest, *values)
    return largest
