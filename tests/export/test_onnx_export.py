# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""ONNX graphs say what PyTorch says: every encoder family, and every kind of head."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from random_models import random_model
from trained_tiny import SHORT, experiment

from sertl.errors import SertlError
from sertl.export.onnx_export import compare, export_onnx
from sertl.use.onnx_predictor import OnnxPredictor
from sertl.use.predictor import Predictor

pytest.importorskip("onnxscript")
pytest.importorskip("onnxruntime")

SEW = ["upstream.backend=hf", "upstream.model_type=sew", "upstream.stride=640"]
CONFORMER = ["upstream.backend=hf", "upstream.model_type=wav2vec2-conformer"]
FAMILIES = {
    "hubert": ("tiny_hubert", "hubert_base.pt"),
    "wav2vec2 large": ("tiny_wav2vec2", "wav2vec2_large.pt"),
    "wavlm": ("tiny_wavlm", "wavlm_base.pt"),
    "whisper": ("tiny_whisper", "whisper"),
    "emotion2vec": ("tiny_emotion2vec", "emotion2vec"),
    "hf, two frames as one": ("tiny_hubert", "hf_sew_base", *SEW),
    "hf, conformer": ("tiny_hubert", "hf_wav2vec2-conformer_base", *CONFORMER),
}
WHOLE = [*SHORT, "data_conf.crop_sec=0.0"]
METHODS = {
    "linear": ["model_conf.refit=false", "data_conf.speaker_norm.mode=online"],
    "sap": SHORT,
    "peft/prefix": WHOLE,
}


def exported(run, tmp_path, **options):
    predictor = Predictor.load(run.folder)
    made = export_onnx(predictor, tmp_path / "m.onnx", "m", **options)
    return predictor, OnnxPredictor.load(tmp_path / "m.onnx"), made


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_live_with_lora(corpus, tiny, tmp_path, family):
    upstream, ckpt, *settings = FAMILIES[family]
    options = {"upstream": upstream, "ckpt": ckpt}
    run = experiment(corpus, tiny, tmp_path / "exp", "peft/lora", *WHOLE, *settings, **options)
    _, _, made = exported(run, tmp_path)
    assert made["difference"] < 1e-4


def test_a_model_trained_in_16_bits_is_checked_in_float32(corpus, tiny, tmp_path, monkeypatch):
    monkeypatch.setattr("sertl.use.predictor.bf16_share", lambda: 0.5)
    settings = [*WHOLE, "optim_conf.autocast=bf16"]
    run = experiment(corpus, tiny, tmp_path / "exp", "peft/lora", *settings)
    predictor, graph, made = exported(run, tmp_path)
    assert made["difference"] < 1e-4
    assert predictor.predict([torch.zeros(9000)])[0].probs["emo"] != pytest.approx(
        graph.predict([np.zeros(9000, np.float32)])[0].probs["emo"], abs=1e-6
    )  # what it says itself is rounded as in training


@pytest.mark.parametrize("method", METHODS)
def test_heads_of_vectors_and_frames(corpus, tiny, tmp_path, method):
    run = experiment(corpus, tiny, tmp_path / "exp", method, *METHODS[method])
    predictor, graph, made = exported(run, tmp_path)
    assert made["difference"] < 1e-4 and graph.labels == predictor.labels
    # Exporting leaves the predictor as it was.
    assert compare(predictor, graph) == pytest.approx(made["difference"])


@pytest.mark.parametrize("name", ["BiLSTM, gender", "quantiles"])
def test_what_needs_care_in_a_graph(tiny, tmp_path, phase_conf, name):
    predictor = random_model(tiny, phase_conf, name)
    assert export_onnx(predictor, tmp_path / "m.onnx", name)["difference"] < 1e-4


def test_several_models_int8_and_clips(trained, tmp_path):
    predictor = Predictor.load(trained)
    out = tmp_path / "m.onnx"
    assert export_onnx(predictor, out, "m")["difference"] < 1e-4
    graph = OnnxPredictor.load(out)
    wavs = [0.1 * np.random.default_rng(n).standard_normal(size).astype(np.float32)
            for n, size in enumerate((900, 16000, 900, 1234))]  # fmt: skip
    together = graph.predict(wavs)
    for wav, one in zip(wavs, together, strict=True):
        assert graph(wav).probs["emo"] == pytest.approx(one.probs["emo"], abs=1e-5)
        assert one.dur_sec == len(wav) / 16000
    assert graph(wavs[0][:300]).emo in ("ang", "sad")
    with pytest.raises(SertlError, match="30 s at most"):
        graph(np.zeros(31 * 16000, np.float32))
    with pytest.raises(SertlError, match="NaN"):
        graph(np.full(1000, np.nan, np.float32))
    small = export_onnx(predictor, tmp_path / "small.onnx", "m", int8=True)
    assert small["difference"] < 0.1
    assert OnnxPredictor.load(tmp_path / "small.onnx").about["weights"] == "int8"


def test_runs_without_torch(trained, tmp_path, corpus):
    export_onnx(Predictor.load(trained, seeds=[1]), tmp_path / "m.onnx", "m")
    code = (
        "import sys\nsys.modules['torch'] = None\nsys.modules['transformers'] = None\n"
        f"sys.argv = ['predict', '--model', {str(tmp_path / 'm.onnx')!r}, "
        f"{str(corpus / 'e-0.wav')!r}]\n"
        "import runpy\nrunpy.run_module('sertl.bin.predict', run_name='__main__')\n"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert ran.returncode == 0 and '"emo"' in ran.stdout, ran.stderr


def test_damaged_and_foreign_files(tmp_path):
    import onnx
    from onnx import TensorProto, helper

    path = tmp_path / "m.onnx"
    with pytest.raises(SertlError, match="no such file"):
        OnnxPredictor.load(path)
    path.write_bytes(b"no graph")
    with pytest.raises(SertlError, match="not an ONNX model, or damaged"):
        OnnxPredictor.load(path)
    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])
    other = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])
    graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "g", [value], [other])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)]), path)
    with pytest.raises(SertlError, match="not one that this version's `sertl export`"):
        OnnxPredictor.load(path)


def test_an_encoder_of_unknown_inside_is_refused(corpus, tiny, tmp_path):
    from sertl.upstream.encoder import Upstream

    class Other(Upstream):
        def encode(self, clips, layers, mask=None):
            raise NotImplementedError

    with pytest.raises(SertlError, match="cannot be exported"):
        Other(2, 4, 320).encode_equal(torch.zeros(1, 1000), [0])
