# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Trained models on audio: the same as decoding in the recipe, in any batch, as an ensemble."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from trained_tiny import SHORT, experiment

from sertl.data.ark import read_array, read_scp
from sertl.data.audio import read_audio
from sertl.data.datadir import Utterance, read_data_dir, write_data_dir
from sertl.data.speaker_norm import SpeakerMemory, SpeakerNorm, shifts
from sertl.errors import SertlError
from sertl.export.graph import Graph
from sertl.train import checkpoint
from sertl.use.predictor import Predictor, prepared

METHODS = {
    "pooled, solved": ("linear", ["model_conf.refit=false"]),
    "pooled": ("probe", SHORT),
    "frames": ("sap", SHORT),
    "what is pooled of frames": ("sap", [*SHORT, "data_conf.speaker_norm.where=vectors"]),
    "audio": ("peft/lora", [*SHORT, "data_conf.crop_sec=0.0"]),
    "dumped lower blocks": ("peft/last_blocks", [*SHORT, "upstream_conf.from_layer=1"]),
}


def decoded(run):
    scp = read_scp(run.decoded("test") / "logits.scp")
    logits = {utt: torch.from_numpy(read_array(spec, utt).copy()) for utt, spec in scp.items()}
    return {utt: one.reshape(-1).softmax(0) for utt, one in logits.items()}


def clips(corpus):
    utts = read_data_dir(corpus / "data/fold1/test").utts
    return {utt: torch.from_numpy(read_audio(u.wav)) for utt, u in utts.items()}


def of_emotion(prediction):
    return torch.tensor([prediction.probs["emo"][label] for label in ("ang", "sad")])


@pytest.mark.parametrize("norm", ["none", "online"])
@pytest.mark.parametrize("name", METHODS)
def test_says_what_decoding_says_in_any_batch(corpus, tiny, tmp_path, name, norm):
    method, settings = METHODS[name]
    settings = [
        *settings,
        f"data_conf.speaker_norm.mode={norm}",
        "data_conf.speaker_norm.scale=true",
    ]
    run = experiment(corpus, tiny, tmp_path / "exp", method, *settings)
    expected, wavs = decoded(run), clips(corpus)
    spk = None if norm == "none" else "e"
    together = Predictor.load(tmp_path / "exp").predict([*wavs.values()], [spk] * len(wavs))
    alone = Predictor.load(run.folder)
    for (utt, wav), one in zip(wavs.items(), together, strict=True):
        torch.testing.assert_close(of_emotion(one), expected[utt], rtol=1e-3, atol=1e-3)
        single = alone(wav, 16000, spk)
        torch.testing.assert_close(of_emotion(single), of_emotion(one), rtol=1e-3, atol=1e-4)
        assert one.emo == max(one.probs["emo"], key=one.probs["emo"].get)
        assert one.dur_sec == len(wav) / 16000 and one.text is None and one.vad == {}


@pytest.fixture(scope="module")
def joined(corpus, tmp_path_factory):
    """The clips as those of two corpora, each with classes of its own."""
    home = tmp_path_factory.mktemp("joined")
    labels = ["one::ang", "one::sad", "two::hot", "two::mid", "two::low"]
    for part in ("all", "fold1/train", "fold1/dev", "fold1/test"):
        utts = []
        for u in read_data_dir(corpus / "data" / part).utts.values():
            n = int(u.utt[-1])
            emo = labels[n % 2] if n < 3 else labels[2 + n % 3]
            utts.append(replace(u, emo=emo, own={"corpus": emo.split("::")[0]}))
        write_data_dir(home / "data" / part, utts, labels)
    shutil.copy(corpus / "data/fold1/protocol.json", home / "data/fold1")
    return home


@pytest.mark.parametrize(("method", "settings"), [*METHODS.values()][:2])
def test_a_head_for_each_corpus(joined, tiny, tmp_path, method, settings):
    run = experiment(joined, tiny, tmp_path / "exp", method, *settings)
    test = read_data_dir(joined / "data/fold1/test").utts
    hyp = dict(line.split() for line in (run.decoded("test") / "hyp_emo").read_text().splitlines())
    assert {u: emo.split("::")[0] for u, emo in hyp.items()} == {
        u: one.own["corpus"] for u, one in test.items()
    }
    expected, wavs = decoded(run), clips(joined)
    with pytest.raises(SertlError, match="put one of ::one, ::two after its path"):
        Predictor.load(tmp_path / "exp")
    first, second = (Predictor.load(f"{tmp_path / 'exp'}::{head}") for head in ("one", "two"))
    assert first.labels == ["ang", "sad"] and second.labels == ["hot", "mid", "low"]
    for utt, wav in wavs.items():
        own = first if hyp[utt].startswith("one") else second
        found = own(wav, 16000)
        assert found.emo == hyp[utt].split("::")[1]
        columns = slice(2) if own is first else slice(2, 5)
        probs = torch.tensor([*found.probs["emo"].values()])
        torch.testing.assert_close(probs, expected[utt][columns], rtol=1e-3, atol=1e-4)
    with torch.no_grad():
        said = Graph(second).eval()(wavs["e-3"][None])[0][0]
    probs = torch.tensor([*second(wavs["e-3"], 16000).probs["emo"].values()])
    torch.testing.assert_close(said, probs, rtol=1e-3, atol=1e-4)


def test_an_ensemble_is_the_mean_of_its_members(corpus, tiny, tmp_path):
    exp = tmp_path / "exp"
    runs = [experiment(corpus, tiny, exp, *("probe", *SHORT), seed=s) for s in (1, 2)]
    wavs = clips(corpus)
    both = Predictor.load(exp).predict([*wavs.values()])
    for utt, one in zip(wavs, both, strict=True):
        mean = torch.stack([decoded(run)[utt] for run in runs]).mean(0)
        torch.testing.assert_close(of_emotion(one), mean, rtol=1e-3, atol=1e-4)
    (second,) = Predictor.load(exp, seeds=[2]).predict([wavs["e-3"]])
    torch.testing.assert_close(of_emotion(second), decoded(runs[1])["e-3"], rtol=1e-3, atol=1e-4)
    with pytest.raises(SertlError, match="seed 3 is not trained"):
        Predictor.load(exp, seeds=[1, 3])
    with pytest.raises(SertlError, match="fold 2 is not trained"):
        Predictor.load(exp, folds=[2])
    assert Predictor.load(runs[0].phase("main")).labels == ["ang", "sad"]


@pytest.mark.parametrize("share", [0.5, 70.0])
def test_16_bits_only_where_they_pay(corpus, tiny, tmp_path, monkeypatch, share, caplog):
    """Of a CPU without bf16 arithmetic, which imitates it, float32 is asked."""
    caplog.set_level("INFO")
    for user in ("use.predictor", "upstream.precision"):
        monkeypatch.setattr(f"sertl.{user}.bf16_share", lambda device="cpu": share)
    settings = [*SHORT, "data_conf.crop_sec=0.0", "optim_conf.autocast=bf16"]
    run = experiment(corpus, tiny, tmp_path / "exp", "peft/lora", *settings)
    predictor, wav = Predictor.load(run.folder), [torch.linspace(-0.3, 0.3, 9000).sin()]
    said = of_emotion(predictor.predict(wav)[0])
    with predictor.in_float32():
        exact = of_emotion(predictor.predict(wav)[0])
    assert torch.equal(said, exact) is (share > 1)
    assert ("float32 is taken" in caplog.text) is (share > 1)
    slow = "optim_conf.autocast=bf16 takes 70.00 times float32's time on this machine"
    assert (slow in caplog.text) is (share > 1)  # training does as it is told
    assert torch.equal(said, of_emotion(predictor.predict(wav)[0]))


def test_a_clip_of_an_unknown_speaker_is_somebody_else_each_time(corpus, tiny, tmp_path):
    run = experiment(
        corpus, tiny, tmp_path / "exp", "probe", *SHORT, "data_conf.speaker_norm.mode=online"
    )
    predictor, wavs = Predictor.load(run.folder), clips(corpus)
    first = predictor(wavs["e-1"], 16000)
    for wav in wavs.values():
        predictor(wav, 16000)
    assert of_emotion(predictor(wavs["e-1"], 16000)).equal(of_emotion(first))
    known = [predictor(wavs[u], 16000, "e") for u in ("e-0", "e-1")][1]
    assert not of_emotion(known).equal(of_emotion(first))


def test_memory_of_speakers_is_the_online_mode():
    torch.manual_seed(0)
    vectors = torch.randn(7, 2, 3)
    norm = SpeakerNorm("online", 2.5, torch.randn(2, 3), torch.rand(2, 3) + 0.5)
    spks = list("aabbaba")
    utts = [Utterance(str(i), s, "x.wav", 1.0, order=str(i)) for i, s in enumerate(spks)]
    expected = shifts(vectors, utts, norm)
    memory = SpeakerMemory(norm)
    parts = [memory.next(vectors[i:j], spks[i:j]) for i, j in ((0, 1), (1, 4), (4, 7))]
    for place in (0, 1):
        found = torch.cat([part[place] for part in parts])
        torch.testing.assert_close(found, expected[place])


def test_any_rate_and_channels():
    tone = 0.1 * np.sin(2 * np.pi * 440 * np.arange(44100) / 44100)
    found = prepared(np.stack([tone, tone]), 44100)
    assert found.dtype == torch.float32 and len(found) == 16000
    assert float(torch.fft.rfft(found).abs().argmax()) == pytest.approx(440, abs=1)
    for wav, rate, message in (
        (np.zeros(0), 16000, "shape"), (np.zeros((2, 3, 4)), 16000, "shape"),
        (np.array([0.0, np.nan]), 16000, "not finite"), (tone, 0, "sample_rate is 0"),
    ):  # fmt: skip
        with pytest.raises(SertlError, match=message):
            prepared(wav, rate)


def test_what_is_no_model(corpus, tiny, tmp_path):
    with pytest.raises(SertlError, match="no trained model"):
        Predictor.load(tmp_path)
    run = experiment(corpus, tiny, tmp_path / "exp", "probe", *SHORT)
    best = run.phase("main") / "best.pt"
    saved = checkpoint.load(best)
    checkpoint.save(best, {k: v for k, v in saved.items() if k != "spec"})
    with pytest.raises(SertlError, match="does not say how its model is built"):
        Predictor.load(run.folder)
    best.write_bytes(best.read_bytes()[:100])
    with pytest.raises(SertlError, match="best.pt"):
        Predictor.load(run.folder)


def test_speakers_not_heard_for_longest_are_forgotten():
    norm = SpeakerNorm("online", 1.0, torch.zeros(1))
    memory = SpeakerMemory(norm, most=2)
    for spk in ("a", "b", "a", "c"):  # b goes
        memory.next(torch.ones(1, 1), [spk])
    known = {spk: float(memory.next(torch.ones(1, 1), [spk], remember=False)[0]) for spk in "abc"}
    # (clips so far and this one) / (their number + the prior's one)
    assert known == pytest.approx({"a": 3 / 4, "b": 1 / 2, "c": 2 / 3})


def test_the_example_of_the_docs_runs(trained, corpus, capsys):
    pytest.importorskip("silero_vad")
    text = (Path(__file__).parents[2] / "docs/use.md").read_text()
    code = text.split("```python\n")[1].split("```")[0]
    for name, path in (("exp/mini", trained), ("interview.wav", corpus / "e-1.wav")):
        code = code.replace(f'"{name}"', repr(str(path)))
    code = code.replace('"a.wav"', repr(str(corpus / "e-0.wav")))
    names = {"chunks": [0.1 * torch.randn(4800).numpy()] * 3}
    exec(compile(code, "docs/use.md", "exec"), names)
    assert capsys.readouterr().out.startswith(("ang {", "sad {"))
    assert names["one"].emo in ("ang", "sad") and names["last"] == []
