# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Every model_type of backend hf against transformers on the clip alone; what is refused."""

import json
import shutil

import pytest
import torch
import transformers
from awkward_clips import CONF_DIR, LENGTHS, relative
from safetensors.torch import save_file

from sertl.errors import SertlError
from sertl.upstream.build import build_upstream, describe, load_conf
from sertl.upstream.hf import KINDS, HFBackend
from sertl.upstream.side_effects import quiet
from sertl.upstream.tiny import SIZES, TWO_SIZES, save_hf

FOLDERS = [f"hf_{kind}_{size}" for kind in KINDS for size in SIZES[: 1 + (kind in TWO_SIZES)]]


def conf_of(kind, ckpt, **changes):
    """A conf of backend hf for the tiny models."""
    stride = 640 if kind == "sew" else 320
    shape = {"num_layers": 4, "hidden_size": 32, "stride": stride}
    like = load_conf("tiny_hubert", CONF_DIR)
    return {**like, **shape, "backend": "hf", "model_type": kind, "ckpt": str(ckpt), **changes}


def expected(kind, plain, clip):
    """transformers' hidden states of a clip, the last one after the final norm."""
    if kind == "wav2vec2-bert":
        extract = transformers.SeamlessM4TFeatureExtractor()
        inputs = extract(clip.numpy(), sampling_rate=16000, return_tensors="pt")
        frames = int(inputs["attention_mask"].sum())
    else:
        scaled = (clip - clip.mean()) / (clip.var(unbiased=False) + 1e-7).sqrt()
        inputs, frames = {"input_values": scaled[None]}, None
    found = plain(**inputs, output_hidden_states=True)
    states = list(found.hidden_states)
    if kind != "sew":  # its last hidden state has twice the frames
        states[-1] = found.last_hidden_state
    return [state[0, :frames] for state in states]


@pytest.mark.parametrize("name", FOLDERS)
def test_equals_transformers_on_the_clip_alone(name, tiny, clips):
    kind = name.split("_")[1]
    upstream = build_upstream(conf_of(kind, tiny / name))
    with quiet():
        plain = getattr(transformers, KINDS[kind].model).from_pretrained(
            tiny / name, attn_implementation="eager"
        )
    wavs, lens = clips
    batch, frames = upstream(wavs, lens)
    assert frames.tolist() == [-(-n // upstream.stride) for n in LENGTHS]
    for row, length in enumerate(LENGTHS):
        alone, _ = upstream(wavs[row : row + 1, :length], lens[row : row + 1])
        truth = None
        if length >= 800:  # below, S3PRL's rule of padding holds
            with torch.no_grad():
                truth = expected(kind, plain.eval(), wavs[row, :length])
            assert len(truth) == 4
        for layer in range(4):
            mine = batch[layer][row]
            assert relative(mine[: frames[row]], alone[layer][0]) < 1e-5
            assert (mine[frames[row] :] == 0).all()
            if truth is not None:
                count = min(len(truth[layer]), int(frames[row]))
                assert count >= frames[row] - 2
                assert relative(mine[:count], truth[layer][:count]) < 5e-5


@pytest.mark.parametrize("kind", ["wav2vec2-conformer", "wav2vec2-bert", "sew", "wavlm"])
def test_half_a_minute_beside_a_blink(kind, tiny):
    """0.025 s, which the rule of short clips pads, beside 30 s."""
    upstream = build_upstream(conf_of(kind, tiny / f"hf_{kind}_base"))
    wavs = 0.1 * torch.randn(2, 480000, generator=torch.Generator().manual_seed(0))
    batch, frames = upstream(wavs, torch.tensor([400, 480000]), [3])
    assert frames.tolist() == [-(-400 // upstream.stride), 480000 // upstream.stride]
    alone, _ = upstream(wavs[:1, :400], torch.tensor([400]), [3])
    assert relative(batch[0][0, : frames[0]], alone[0][0]) < 1e-5


def test_a_conformers_batch_norm_keeps_its_statistics_where_it_trains(tiny, clips):
    upstream = build_upstream(conf_of("wav2vec2-conformer", tiny / "hf_wav2vec2-conformer_base"))
    upstream.trainable()
    before = {k: t.clone() for k, t in upstream.state_dict().items() if "running" in k}
    upstream(*clips)
    assert upstream.training and before
    assert all(torch.equal(upstream.state_dict()[k], t) for k, t in before.items())


def test_types_are_never_taken_for_each_other(tiny):
    for name in FOLDERS:
        kind = name.split("_")[1]
        for other in KINDS:
            if other != kind:
                with pytest.raises(SertlError, match=f"model_type is '{kind}', and this"):
                    HFBackend.build(conf_of(other, tiny / name))
    with pytest.raises(SertlError, match="model_type is 'whisper'"):
        HFBackend.build(conf_of("hubert", tiny / "whisper"))
    with pytest.raises(SertlError, match="unknown model_type 'wavelm'; did you mean 'wavlm'"):
        HFBackend.entry(conf_of("wavelm", tiny / "hf_wavlm_base"))
    with pytest.raises(SertlError, match="is a file; backend hf reads folders"):
        HFBackend.entry(conf_of("hubert", tiny / "hubert_base.pt"))
    with pytest.raises(SertlError, match="needs a local folder; give --ckpt"):
        HFBackend.entry({**conf_of("hubert", tiny), "ckpt": None})


def test_whisper_is_that_of_its_own_backend(tiny, clips):
    own = {**conf_of("", tiny / "whisper"), "backend": "whisper"}
    one, other = build_upstream(own), build_upstream(conf_of("whisper", tiny / "whisper"))
    assert torch.equal(one(*clips)[0][2], other(*clips)[0][2])


def test_fingerprints_tell_types_apart(tiny):
    conf = conf_of("wavlm", tiny / "hf_wavlm_base")
    assert describe(conf)["name"] == "hf:wavlm"
    assert describe(conf)["checkpoint"] == describe({**conf, "model_type": "hubert"})["checkpoint"]


def test_incomplete_folders_are_refused(tiny, tmp_path):
    folder = shutil.copytree(tiny / "hf_sew_base", tmp_path / "sew")
    (folder / "preprocessor_config.json").unlink()
    with pytest.raises(SertlError, match="no preprocessor_config.json"):
        HFBackend.build(conf_of("sew", folder))
    folder = shutil.copytree(tiny / "hf_wav2vec2-bert_base", tmp_path / "bert")
    found = json.loads((folder / "preprocessor_config.json").read_text())
    (folder / "preprocessor_config.json").write_text(json.dumps({**found, "stride": 4}))
    with pytest.raises(SertlError, match="expected 80 num_mel_bins and a stride of 2"):
        HFBackend.build(conf_of("wav2vec2-bert", folder))
    folder = shutil.copytree(tiny / "hf_wavlm_base", tmp_path / "wavlm")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "num_hidden_layers": 5}))
    with pytest.raises(SertlError, match="tensors are not in its weights"):
        build_upstream(conf_of("wavlm", folder))


def test_adapters_of_a_language(tmp_path, clips):
    """MMS: adapter.<language>.safetensors beside the model takes the adapters' place."""
    with quiet():
        save_hf(tmp_path, "wav2vec2", "large", adapter_attn_dim=4)
    plain = build_upstream(conf_of("wav2vec2", tmp_path))
    inside = {k: t for k, t in plain.model.state_dict().items() if ".adapter_layer." in k}
    assert len(inside) == 3 * 6
    save_file({f"wav2vec2.{k}": t + 0.5 for k, t in inside.items()} | {
        "lm_head.weight": torch.zeros(2, 2)}, tmp_path / "adapter.pol.safetensors")  # fmt: skip
    polish = build_upstream(conf_of("wav2vec2", tmp_path, extra_conf={"lang": "pol"}))
    key = next(iter(inside))
    assert torch.allclose(polish.model.state_dict()[key], inside[key] + 0.5)
    assert not torch.equal(plain(*clips)[0][1], polish(*clips)[0][1])
    for extra, words in (
        ({"lang": "pl"}, "unknown language 'pl'"),
        ({"tune": 1}, "knows only lang"),
    ):
        with pytest.raises(SertlError, match=words):
            build_upstream(conf_of("wav2vec2", tmp_path, extra_conf=extra))
    save_file({f"wav2vec2.{key}": inside[key]}, tmp_path / "adapter.deu.safetensors")
    with pytest.raises(SertlError, match="17 of 18 tensors missing"):
        build_upstream(conf_of("wav2vec2", tmp_path, extra_conf={"lang": "deu"}))
