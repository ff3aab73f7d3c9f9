# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""The doctor says what is there, and names what is wrong and what to do."""

import json
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
import torch

from sertl.bin import doctor
from sertl.doctor import abilities, machine, packages
from sertl.doctor.examine import examine
from sertl.doctor.finding import NOTE, OK, PROBLEM, WARNING, Finding

CONF = Path(__file__).resolve().parents[1] / "conf"


def found(check):
    """{(level, topic): text} of one check."""
    return {(f.level, f.topic): f.text for f in check()}


@pytest.fixture
def versions(monkeypatch):
    """Pretend that other versions are installed; None: not at all."""

    def pretend(**changes):
        changes = {name.replace("_", "-"): version for name, version in changes.items()}
        real = packages.installed
        monkeypatch.setattr(
            packages, "installed", lambda n: changes[n] if n in changes else real(n)
        )

    return pretend


def test_this_environment_is_fit(capsys, monkeypatch):
    """The one that runs the tests: everything is there, each upstream family runs."""
    monkeypatch.setattr(sys, "argv", ["doctor", "--json"])
    with pytest.raises(SystemExit) as end:
        doctor.main()
    report = json.loads(capsys.readouterr().out)
    assert [f for f in report if f["level"] == PROBLEM] == []
    assert end.value.code == 0
    text = {f["topic"]: f["text"] for f in report if f["level"] == OK}
    assert text["torch"].startswith(metadata.version("torch"))
    assert text["upstream S3PRL HuBERT"] == "builds and runs: 25 frames for 0.5 s"  # 8000 / 320
    assert {name for name in text if name.startswith("upstream")} == {
        f"upstream {name}" for name, _, _ in abilities.FAMILIES
    }
    for topic in ("sertl", "python", "sentencepiece", "audio", "processor", "memory", "disk"):
        assert topic in text


def test_the_report_ends_with_what_is_wrong(capsys, monkeypatch):
    findings = [Finding(OK, "a", "fine"), Finding(PROBLEM, "b", "broken; mend it")]
    findings.append(Finding(WARNING, "c", "optional"))
    monkeypatch.setattr(doctor, "examine", lambda: findings)
    monkeypatch.setattr(sys, "argv", ["doctor"])
    with pytest.raises(SystemExit) as end:
        doctor.main()
    assert end.value.code == 1
    assert capsys.readouterr().out.splitlines() == [
        "ok       a: fine",
        "PROBLEM  b: broken; mend it",
        "WARNING  c: optional",
        "",
        "wrong: b: broken; mend it",
        "problems: 1, warnings: 1",
    ]


def test_a_check_that_fails_is_a_finding():
    def disk():
        yield Finding(OK, "first", "fine")
        raise OSError(5, "Input/output error")

    first, second = examine([disk])
    assert first.level == OK
    assert (second.level, second.topic) == (PROBLEM, "disk")
    assert "Input/output error" in second.text and "test_doctor.py" in second.text


def test_missing_and_old_packages(versions):
    versions(kaldiio=None, torch="2.5.1", hypothesis=None, numpy="2.0.0")
    report = found(packages.packages)
    assert "not installed, >=2.18 is needed" in report[PROBLEM, "kaldiio"]
    assert "2.5.1, but >=2.6 is needed; run tools/install.sh" in report[PROBLEM, "torch"]
    assert "not installed" in report[WARNING, "hypothesis"]  # only the tests need it
    assert report[OK, "numpy"].startswith("2.0.0 (tested with 2.")


def test_a_package_that_does_not_import(monkeypatch):
    def broken(name):
        if name == "torchaudio":
            raise OSError("libcudart.so.13: cannot open shared object file")
        if name == "espeakng_loader":
            raise ImportError("no library")

    monkeypatch.setattr(packages, "import_module", broken)
    report = found(packages.packages)
    text = report[PROBLEM, "torchaudio"]
    for words in ("libcudart.so.13", "different sources", "whl/cpu", "tools/install.sh --help"):
        assert words in text
    assert "does not import (ImportError: no library)" in report[WARNING, "espeakng-loader"]


def test_the_ledger_of_s3prl(versions):
    versions(s3prl="0.4.18")
    text = found(packages.s3prl_ledger)[PROBLEM, "s3prl ledger"]
    assert "both espnet-s3prl" in text and "s3prl 0.4.18" in text and "uninstall both" in text
    versions(espnet_s3prl=None, s3prl="0.4.18", torch="2.13.0", torchaudio="2.11.0")
    report = packages.s3prl_ledger()
    assert "set_audio_backend" in next(f.text for f in report if f.level == WARNING)
    assert "torch 2.13.0 beside torchaudio 2.11.0" in next(f.text for f in report).lower()
    assert "not installed, but s3prl is" in found(packages.packages)[NOTE, "espnet-s3prl"]


def test_an_upstream_that_does_not_run(monkeypatch):
    def build(*_):
        raise AttributeError("module 'torchaudio' has no attribute 'x'")

    monkeypatch.setattr(abilities, "FAMILIES", [("Whisper", "save_whisper", "")])
    monkeypatch.setattr("sertl.upstream.whisper.build_whisper", build)
    text = found(abilities.upstreams)[PROBLEM, "upstream Whisper"]
    assert "AttributeError: module 'torchaudio' has no attribute 'x'" in text


def test_a_gpu_that_pytorch_cannot_use(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(machine, "_nvidia_smi", lambda: ["NVIDIA A100, 470.57"])
    text = found(machine.gpu)[WARNING, "gpu"]
    assert "NVIDIA A100, 470.57 found, but PyTorch cannot use it" in text
    monkeypatch.setattr(machine, "_nvidia_smi", lambda: [])
    assert found(machine.gpu) == {(NOTE, "gpu"): "none; everything runs on the CPU"}


def test_little_disk_and_memory(monkeypatch, tmp_path):
    usage = type("Usage", (), {"free": 2**30})
    monkeypatch.setattr(machine.shutil, "disk_usage", lambda _: usage)
    assert "1.0 GiB free; 13 layers" in found(machine.disk)[WARNING, "disk"]
    values = {"MemAvailable": "2097152 kB", "MemTotal": "8388608 kB"}  # 2 and 8 GiB
    monkeypatch.setattr(machine, "_proc_value", lambda _, key: values.get(key))
    text = found(machine.memory)[WARNING, "memory"]
    assert text.startswith("2.0 of 8.0 GiB available") and "--nj 1" in text


def test_espeak_is_optional():
    def load(path):
        raise OSError("libespeak-ng.so: wrong ELF class")

    text = found(lambda: abilities.espeak(load))[WARNING, "eSpeak NG"]
    assert "wrong ELF class" in text and "only egs/mini needs it" in text


def test_it_starts_without_any_heavy_package():
    """Where torch or numpy are broken, the doctor has to say so, not to fail on its own import."""
    code = (
        "import sys; sys.path = [p for p in sys.path if 'site-packages' not in p];"
        f"sys.path.insert(0, {str(packages.TESTED.parents[1])!r});"
        "from sertl.doctor.examine import examine;"
        "assert 'torch' not in sys.modules and 'numpy' not in sys.modules;"
        "print([f.level for f in examine() if f.topic == 'audio'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "['problem']", done.stderr


def test_a_checkpoint_is_tried(tiny, monkeypatch, capsys):
    """Sizes, a clip alone and in a batch, LoRA; a wrong checkpoint is a problem with a status."""

    def doctor_says(*words):
        monkeypatch.setattr(sys, "argv", ["doctor", "--upstream", *words])
        with pytest.raises(SystemExit) as end:
            doctor.main()
        return end.value.code, capsys.readouterr().out

    for name in ("tiny_wavlm", "tiny_whisper"):
        file = {"tiny_wavlm": "wavlm_base.pt", "tiny_whisper": "whisper"}[name]
        code, said = doctor_says(name, "--ckpt", str(tiny / file), "--conf-dir", str(CONF))
        assert code == 0 and "4 hidden states of 32, one frame every 20 ms" in said
        assert "150 frames of 3.00 s" in said and "acts and learns in every block" in said
    code, said = doctor_says("fbank", "--conf-dir", str(CONF))
    assert code == 0 and "only frozen use" in said
    code, said = doctor_says(
        "tiny_wavlm", "--ckpt", str(tiny / "hubert_base.pt"), "--conf-dir", str(CONF)
    )
    assert code == 1 and "hubert_base.pt: not a checkpoint that S3PRL's 'wavlm_local'" in said
    code, said = doctor_says("hubert_base", "--ckpt", str(tiny / "hubert_base.pt"),
                             "--conf-dir", str(CONF))  # fmt: skip
    assert code == 1 and "num_layers: declared 13, built 4" in said


def test_a_model_that_leaks_between_clips_is_found(tiny):
    from sertl.doctor import trial
    from sertl.upstream.build import build_upstream, load_conf

    conf = load_conf("tiny_hubert", CONF / "upstream", {"ckpt": str(tiny / "hubert_base.pt")})
    upstream = build_upstream(conf)
    wav = torch.randn(8000)
    alone = upstream(wav[None], torch.tensor([8000]))[0][-1][0]
    assert trial._in_a_batch(upstream, wav, alone).level == OK
    assert trial._in_a_batch(upstream, wav, 1.01 * alone).level == PROBLEM


def test_it_starts_where_torch_is_missing():
    """That is what it has to report."""
    code = "import sys; sys.modules['torch'] = None; import sertl.bin.doctor"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
