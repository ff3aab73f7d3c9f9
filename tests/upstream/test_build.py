# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Configurations of upstreams: all of them load; wrong ones say what is wrong."""

import runpy
import shutil
import sys
from pathlib import Path

import pytest
import torch
from awkward_clips import CONF_DIR

from sertl.errors import SertlError
from sertl.upstream import s3prl
from sertl.upstream.build import (
    build_upstream,
    checkpoint_hash,
    describe,
    dump_layers,
    entry,
    load_conf,
)
from sertl.upstream.hf import KINDS
from sertl.yaml_text import load_yaml

SIZES = {  # hidden states, their size, stride: from the papers
    "fbank": (1, 240, 160),
    "mfcc": (1, 39, 160),
    "hubert_base": (13, 768, 320),
    "hubert_large_ll60k": (25, 1024, 320),
    "wav2vec2_base_960": (13, 768, 320),
    "xls_r_300m": (25, 1024, 320),
    "wavlm_base_plus": (13, 768, 320),
    "wavlm_large": (25, 1024, 320),
    "data2vec_base": (13, 768, 320),
    "whisper_tiny_en": (5, 384, 320),
    "whisper_large_v3": (33, 1280, 320),
    "tiny_hubert": (4, 32, 320),
    "tiny_wav2vec2": (4, 32, 320),
    "tiny_wavlm": (4, 32, 320),
    "tiny_whisper": (4, 32, 320),
}


@pytest.mark.parametrize("path", sorted(CONF_DIR.glob("*.yaml")), ids=lambda p: p.stem)
def test_every_conf_loads_and_names_real_entries(path):
    conf = load_conf(path.stem, CONF_DIR)
    sizes = (conf["num_layers"], conf["hidden_size"], conf["stride"])
    assert sizes == SIZES.get(path.stem, sizes) and min(sizes) > 0
    assert conf == load_conf(path, CONF_DIR)
    written = load_yaml(path)
    assert {k: conf[k] for k in written if k != "like"} == {
        k: v for k, v in written.items() if k != "like"
    }
    assert conf["note"]
    pretrained = not path.stem.startswith(("fbank", "mfcc", "tiny_", "egemaps", "compare16"))
    assert pretrained == bool(conf["source"]) == bool(conf["licence"]) == bool(conf["parameters"])
    hub = s3prl.import_hub()
    registered = hub.options(only_registered_ckpt=True)
    if conf["name"]:
        assert conf["name"] in registered
    if conf["name_local"]:
        assert conf["name_local"] in hub.options() and conf["name_local"] not in registered
    if conf["name_hf"]:
        assert conf["name_hf"] in s3prl.HF
    assert (conf["backend"] == "s3prl") == bool(conf["name"] or conf["name_local"])
    assert (conf["backend"] == "hf") == (conf["model_type"] in KINDS)


def test_the_table_of_encoders_is_that_of_the_confs():
    """docs/encoders.md: name, states, size, parameters, licence and source of every conf."""
    text = (CONF_DIR.parents[1] / "docs/encoders.md").read_text(encoding="utf-8")
    for path in CONF_DIR.glob("*.yaml"):
        conf = load_conf(path.stem, CONF_DIR)
        if conf["source"]:
            shape = f"{conf['num_layers']} × {conf['hidden_size']}"
            row = f"| `{path.stem}` | {conf['source']} | {shape} | {conf['parameters']:g} | "
            assert f"{row}{conf['licence']} |" in text, row


def test_all_upstreams_that_must_be_there_are_there():
    assert {p.stem for p in CONF_DIR.glob("*.yaml")} >= SIZES.keys()


@pytest.mark.parametrize(
    ("name", "ckpt"),
    [
        ("tiny_hubert", "hubert_base.pt"),
        ("tiny_hubert", "hubert_large.pt"),
        ("tiny_hubert", "hf_hubert_base"),
        ("tiny_wav2vec2", "wav2vec2_large.pt"),
        ("tiny_wav2vec2", "hf_wav2vec2_large"),
        ("tiny_wavlm", "wavlm_base.pt"),
        ("tiny_whisper", "whisper"),
    ],
)
def test_tiny_ones_build_from_file_and_folder(name, ckpt, tiny):
    upstream = build_upstream(load_conf(name, CONF_DIR, {"ckpt": str(tiny / ckpt)}))
    hidden, frames = upstream(torch.randn(1, 8000), torch.tensor([8000]))
    assert [h.shape for h in hidden] == [(1, 25, 32)] * 4 and frames.tolist() == [25]


def test_tiny_ones_are_the_same_from_the_same_seed(tiny, tmp_path, monkeypatch, capsys):
    tool = str(CONF_DIR.parents[1] / "tools/make_tiny_upstreams.py")
    monkeypatch.setattr(sys, "argv", [tool, str(tmp_path)])
    runpy.run_path(tool, run_name="__main__")
    made = [Path(line) for line in capsys.readouterr().out.splitlines()]
    assert {p.name for p in made} == {p.name for p in tiny.iterdir()}
    for path in made:
        assert checkpoint_hash(str(path)) == checkpoint_hash(str(tiny / path.name)), path.name


def test_entry_depends_on_the_checkpoint(tiny):
    conf = load_conf("hubert_base", CONF_DIR)
    assert entry(conf) == "hubert_base"
    assert entry({**conf, "ckpt": str(tiny / "hubert_base.pt")}) == "hubert_local"
    assert entry({**conf, "ckpt": str(tiny / "hf_hubert_base")}) == "hf_hubert_custom"


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"dtyp": "bf16"}, "unknown key 'dtyp'; did you mean 'dtype'"),
        ({"dtype": "bf61"}, "dtype: 'bf61' is not float32 . bf16 . auto; did you mean 'bf16'"),
        ({"backend": "s3pl"}, "unknown backend 's3pl'; did you mean 's3prl'"),
        ({"num_layers": 0}, "num_layers: 0 is not a whole number of at least 1"),
        ({"num_layers": "4"}, "num_layers: '4' is not a whole number"),
        ({"layers": "al"}, "layers: 'al' is not all . a list"),
        ({"layers": [4]}, r"layers is \[4\].*0..3"),
        ({"layers": [1, 1]}, r"layers: \[1, 1\] has one of its values twice"),
        ({"extra_conf": [1]}, r"extra_conf: \[1\] is not a mapping"),
    ],
)
def test_wrong_values(overrides, message):
    with pytest.raises(SertlError, match=message):
        load_conf("tiny_hubert", CONF_DIR, overrides)


def test_unknown_upstream_and_key_in_a_file(tmp_path):
    with pytest.raises(
        SertlError, match="unknown upstream 'hubert_bas'; did you mean 'hubert_base'"
    ):
        load_conf("hubert_bas", CONF_DIR)
    (tmp_path / "mine.yaml").write_text("backend: s3prl\nnam: fbank\n")
    with pytest.raises(SertlError, match=r"mine.yaml: unknown key 'nam'; did you mean 'name'"):
        load_conf(tmp_path / "mine.yaml", CONF_DIR)
    with pytest.raises(SertlError, match="gone.yaml: no such file"):
        load_conf("gone.yaml", CONF_DIR)


def test_layers_to_dump():
    assert dump_layers(load_conf("tiny_hubert", CONF_DIR)) == [0, 1, 2, 3]
    assert dump_layers(load_conf("tiny_hubert", CONF_DIR, {"layers": [3, 1]})) == [1, 3]


def build(upstream, **overrides):
    return build_upstream(load_conf(upstream, CONF_DIR, overrides))


def test_checkpoint_missing_or_of_the_wrong_kind(tiny):
    with pytest.raises(SertlError, match=r"checkpoint gone.pt: no such file.*--ckpt"):
        build("hubert_base", ckpt="gone.pt")
    with pytest.raises(SertlError, match=r"no download; give its --ckpt(.|\n)*make_tiny_upstreams"):
        build("tiny_hubert")
    with pytest.raises(SertlError, match="needs a local folder.*--ckpt FOLDER.*whisper-tiny.en"):
        build("whisper_tiny_en")
    with pytest.raises(SertlError, match="is a folder, and no name_hf"):
        build("tiny_wavlm", ckpt=str(tiny / "hf_hubert_base"))
    with pytest.raises(SertlError, match="is a file, and no name_local"):
        build("fbank", ckpt=str(tiny / "hubert_base.pt"))


def test_broken_checkpoint(tiny, tmp_path):
    whole = (tiny / "hubert_base.pt").read_bytes()
    broken = tmp_path / "broken.pt"
    for content in (whole[: len(whole) // 2], b"", b"not a checkpoint"):
        broken.write_bytes(content)
        with pytest.raises(SertlError, match=r"broken.pt: not a checkpoint that S3PRL's 'hubert_l"):
            build("tiny_hubert", ckpt=str(broken))
    for other in ("wav2vec2_base.pt", "wavlm_base.pt"):
        with pytest.raises(SertlError, match="required key"):
            build("tiny_hubert", ckpt=str(tiny / other))


def test_hf_folder_that_is_incomplete(tiny, tmp_path):
    folder = tmp_path / "hf"
    shutil.copytree(tiny / "hf_hubert_base", folder)
    (folder / "preprocessor_config.json").unlink()
    with pytest.raises(SertlError, match="no preprocessor_config.json"):
        build("tiny_hubert", ckpt=str(folder))
    shutil.copy(tiny / "hf_hubert_base" / "preprocessor_config.json", folder)
    weights = torch.load(tiny / "hubert_base.pt")["model_weight"]  # other names: nothing fits
    (folder / "model.safetensors").unlink()
    torch.save(weights, folder / "pytorch_model.bin")
    with pytest.raises(SertlError, match=r"\d+ tensors are not in its weights, e.g. encoder"):
        build("tiny_hubert", ckpt=str(folder))
    (folder / "pytorch_model.bin").write_bytes(b"x")
    with pytest.raises(SertlError, match="damaged"):
        build("tiny_hubert", ckpt=str(folder))


def test_an_encoder_of_another_size_than_declared(tiny):
    with pytest.raises(
        SertlError, match="num_layers: declared 13, built 4; hidden_size: decl.* 768"
    ):
        build("hubert_base", ckpt=str(tiny / "hubert_base.pt"))
    with pytest.raises(SertlError, match="stride: declared 320, built 160"):
        build("fbank", stride=320)


def test_unknown_s3prl_name():
    with pytest.raises(
        SertlError, match="unknown S3PRL upstream 'hubert_bse'; did you mean hubert_b"
    ):
        build("fbank", name="hubert_bse")
    with pytest.raises(SertlError, match="'hubert_local' needs a checkpoint; give --ckpt"):
        build("fbank", name="hubert_local")


def test_failed_download_says_what_to_do(monkeypatch):
    def offline(*args, **kwargs):
        raise OSError("Network is unreachable")

    hubconf = s3prl.submodule("upstream.hubert.hubconf")
    monkeypatch.setattr(hubconf, "_urls_to_filepaths", offline)
    with pytest.raises(
        SertlError,
        match=r"'hubert_base' could not be downloaded.*unreachable.*--ckpt PATH .*hf download face",
    ):
        build("hubert_base")


def test_describe_and_hash(tiny, tmp_path):
    conf = load_conf("tiny_hubert", CONF_DIR, {"ckpt": str(tiny / "hubert_base.pt")})
    first = describe(conf)
    assert first["name"] == "hubert_local" and first["dtype"] == "float32"
    copy = tmp_path / "copy.pt"
    shutil.copy(tiny / "hubert_base.pt", copy)
    assert describe({**conf, "ckpt": str(copy)}) == first  # the content counts, not the path
    copy.write_bytes(copy.read_bytes() + b"x")
    assert describe({**conf, "ckpt": str(copy)})["checkpoint"] != first["checkpoint"]
    for key, value in (("dtype", "bf16"), ("pad_to_30s", True), ("extra_conf", {"a": 1})):
        assert describe({**conf, key: value}) != first
    assert describe(load_conf("fbank", CONF_DIR))["checkpoint"] == "by name"


def test_hash_of_a_folder_covers_config_and_weights_only(tiny, tmp_path):
    """Of every family: what is in its folder is read."""
    for path in (path for path in tiny.iterdir() if path.is_dir()):
        folder = tmp_path / "copies" / path.name
        shutil.copytree(path, folder)
        before = checkpoint_hash(str(folder))
        (folder / "README.md").write_text("hello")
        assert checkpoint_hash(str(folder)) == before == checkpoint_hash(str(path))
        for file in sorted(path.iterdir()):
            (folder / file.name).write_bytes(file.read_bytes() + b" ")
            assert checkpoint_hash(str(folder)) != before, file
            shutil.copy(file, folder)
            assert checkpoint_hash(str(folder)) == before
