# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Packed models say what the experiment says, alone; damaged and foreign ones are refused."""

import json
import shutil
import zipfile

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file
from trained_tiny import CONF, SHORT, experiment

from sertl.errors import SertlError
from sertl.upstream.build import load_conf
from sertl.upstream.tiny import SIZE, save_emotion2vec
from sertl.use.carried import carry
from sertl.use.packed import MANIFEST, Packed
from sertl.use.packing import pack
from sertl.use.plain_tree import join_tensors, split_tensors
from sertl.use.predictor import Predictor
from sertl.yaml_text import load_yaml, save_yaml

CLIPS = [torch.from_numpy(0.1 * np.random.default_rng(n).standard_normal(5000 + n)).float()
         for n in range(3)]  # fmt: skip
FAMILIES = {
    "hubert": ("tiny_hubert", "hubert_base.pt"),
    "wavlm": ("tiny_wavlm", "wavlm_base.pt"),
    "hf": ("tiny_wav2vec2", "hf_wav2vec2_large"),
    "whisper": ("tiny_whisper", "whisper"),
}


def probabilities(predictor):
    return torch.tensor([list(one.probs["emo"].values()) for one in predictor.predict(CLIPS)])


@pytest.mark.parametrize("method", ["probe", "peft/lora"])
@pytest.mark.parametrize("family", FAMILIES)
def test_packed_with_its_encoder_needs_nothing_else(corpus, tiny, tmp_path, family, method):
    upstream, name = FAMILIES[family]
    source = tmp_path / "ckpt"
    source.mkdir()
    copied = shutil.copytree if (tiny / name).is_dir() else shutil.copy
    copied(tiny / name, source / name)
    settings = [*SHORT, "data_conf.crop_sec=0.0"] if method != "probe" else SHORT
    options = {"upstream": upstream, "ckpt": name}
    run = experiment(corpus, source, tmp_path / "exp", method, *settings, **options)
    expected = probabilities(Predictor.load(run.folder))
    for out in (tmp_path / "model.sertl", tmp_path / "model"):
        pack(tmp_path / "exp", out, with_upstream=True)
    (source / name).rename(tmp_path / "gone")
    for out in (tmp_path / "model.sertl", tmp_path / "model"):
        found = probabilities(Predictor.load(out))
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)


def pickled_folder(family, tiny, folder):
    """A folder whose weights are a pickle, and the upstream's configuration for it."""
    conf = load_yaml(CONF / "upstream/tiny_hubert.yaml")
    if family == "emotion2vec":
        save_emotion2vec(folder)
        return folder, {**conf, "backend": "emotion2vec", "hidden_size": SIZE, "num_layers": 4}
    shutil.copytree(tiny / "hf_hubert_base", folder)
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    return folder, conf


@pytest.mark.parametrize("family", ["emotion2vec", "hf_hubert"])
def test_weights_that_are_a_pickle_are_packed_without_it(corpus, tiny, tmp_path, family):
    folder, conf = pickled_folder(family, tiny, tmp_path / "ckpt")
    save_yaml(tmp_path / "encoder.yaml", conf)
    options = {"upstream": str(tmp_path / "encoder.yaml"), "ckpt": "ckpt"}
    run = experiment(corpus, tmp_path, tmp_path / "exp", "probe", *SHORT, **options)
    expected = probabilities(Predictor.load(run.folder))
    for out in (tmp_path / "model.sertl", tmp_path / "model"):
        pack(tmp_path / "exp", out, with_upstream=True)
    assert {p.suffix for p in (tmp_path / "model/upstream").iterdir()} <= {
        ".json", ".yaml", ".safetensors",
    }  # fmt: skip
    folder.rename(tmp_path / "gone")
    for out in (tmp_path / "model.sertl", tmp_path / "model"):
        torch.testing.assert_close(probabilities(Predictor.load(out)), expected)


@pytest.mark.parametrize("name", ["fbank", "mfcc", "egemaps", "hubert_base"])
def test_what_is_computed_has_no_checkpoint(name):
    conf = load_conf(name, CONF / "upstream")
    if name == "hubert_base":
        with pytest.raises(SertlError, match="was loaded by name"):
            carry(conf)
    else:
        assert carry(conf) == (None, {})


def test_a_folder_without_weights_is_named(corpus, tiny, tmp_path):
    folder, conf = pickled_folder("emotion2vec", tiny, tmp_path / "ckpt")
    (folder / "model.pt").unlink()
    with pytest.raises(SertlError, match="no weights in it: none of model.safetensors"):
        carry({**conf, "ckpt": str(folder)})


def test_without_its_encoder_it_wants_the_same_one(trained, tiny, tmp_path):
    out = pack(trained, tmp_path / "m.sertl")
    with pytest.raises(SertlError, match="packed without its encoder"):
        Predictor.load(out)
    with pytest.raises(SertlError, match="another encoder: checkpoint"):
        Predictor.load(out, ckpt=str(tiny / "hubert_large.pt"))
    found = probabilities(Predictor.load(out, ckpt=str(tiny / "hubert_base.pt")))
    torch.testing.assert_close(found, probabilities(Predictor.load(trained)))


def test_seeds_and_folds_are_chosen(trained, tiny, tmp_path):
    ckpt = str(tiny / "hubert_base.pt")
    both = pack(trained, tmp_path / "both.sertl")
    one = pack(trained, tmp_path / "one.sertl", seeds=[2])
    second = probabilities(Predictor.load(trained, seeds=[2]))
    torch.testing.assert_close(probabilities(Predictor.load(one, ckpt=ckpt)), second)
    torch.testing.assert_close(probabilities(Predictor.load(both, seeds=[2], ckpt=ckpt)), second)
    with pytest.raises(SertlError, match="it has seed1/fold1, seed2/fold1"):
        Predictor.load(both, folds=[7], ckpt=ckpt)


def test_what_is_inside(trained, tmp_path):
    out = pack(trained, tmp_path / "model")
    manifest = json.loads((out / MANIFEST).read_text())
    assert manifest["labels"] == ["ang", "sad"] and len(manifest["members"]) == 2
    text = (out / "README.md").read_text()
    front = yaml.safe_load(text.split("---")[1])
    assert front["library_name"] == "sertl" and front["license"] == "other"
    assert "--ckpt ENCODER" in text and "before it was scored" in text
    everything = b"".join(p.read_bytes() for p in out.rglob("*") if p.is_file())
    assert str(trained.parent).encode() not in everything  # no path of this machine
    with pytest.raises(SertlError, match="there already"):
        pack(trained, out)
    again = pack(trained, tmp_path / "a.sertl").read_bytes()
    assert again == pack(trained, tmp_path / "b.sertl").read_bytes()


def test_damage_is_refused_with_its_reason(trained, tiny, tmp_path):
    ckpt = str(tiny / "hubert_base.pt")
    out = pack(trained, tmp_path / "model")
    file = out / "member0.safetensors"
    whole = file.read_bytes()
    file.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(SertlError, match="member0.safetensors is damaged"):
        Predictor.load(out, ckpt=ckpt)
    file.write_bytes(whole + b"more")
    with pytest.raises(SertlError, match="larger than it was packed"):
        Predictor.load(out, ckpt=ckpt)
    file.unlink()
    with pytest.raises(SertlError, match="cannot be read"):
        Predictor.load(out, ckpt=ckpt)
    file.symlink_to("/etc/hostname")
    with pytest.raises(SertlError, match="leads out of the folder"):
        Predictor.load(out, ckpt=ckpt)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "is damaged"),
        ("[]", "is damaged"),
        ("3", "is damaged"),
        ("{}", "it lacks format"),
        (json.dumps(dict.fromkeys(("labels", "sample_rate", "members", "upstream", "files"), {})
                    | {"format": 99}), "this version of sertl reads 1"),
    ],
)  # fmt: skip
def test_foreign_manifests(tmp_path, text, reason):
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / MANIFEST).write_text(text)
    with pytest.raises(SertlError, match=reason):
        Packed(tmp_path / "m")


def test_foreign_files(tmp_path):
    path = tmp_path / "m.sertl"
    with pytest.raises(SertlError, match="no such packed model"):
        Packed(path)
    path.write_bytes(b"not a zip")
    with pytest.raises(SertlError, match="no packed model of sertl, or damaged"):
        Packed(path)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(MANIFEST, "0" * 10_000)
    with pytest.raises(SertlError, match="larger than it was packed"):
        Packed(path)


def test_a_tree_with_tensors_survives():
    tree = {"a": [1, None, (2.5, torch.arange(3))], "b": {"c": torch.ones(2, 2)}, "d": "x"}
    plain, tensors = split_tensors(tree)
    json.dumps(plain)
    back = join_tensors(json.loads(json.dumps(plain)), tensors)
    assert back["a"][2][0] == 2.5 and back["a"][2][1].equal(torch.arange(3))
    assert isinstance(back["a"][2], tuple) and back["b"]["c"].equal(torch.ones(2, 2))
    with pytest.raises(SertlError, match="without pickle"):
        split_tensors({"a": object()})
