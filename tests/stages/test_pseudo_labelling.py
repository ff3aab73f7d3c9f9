# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Stages 4 to 6 of GMP-TL on a tiny HuBERT: what each sees, resume, other folds, transduction."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from sertl.atomic import write_json
from sertl.data.ark import read_array, read_scp
from sertl.data.audio import read_audio
from sertl.data.datadir import Utterance, read_data_dir, read_table, write_data_dir
from sertl.data.frame_labels import FrameLabels, LabelSet
from sertl.errors import SertlError
from sertl.fingerprint import ids_hash
from sertl.models.base import MODELS
from sertl.runs import Run
from sertl.shard import Shard
from sertl.stages import pseudo_labelling
from sertl.stages.decoding import decode
from sertl.stages.experiment import resolve
from sertl.stages.phase_record import cost_line
from sertl.stages.pseudo_labelling import encoder, label_fold
from sertl.stages.training import train_phase
from sertl.train import checkpoint
from sertl.upstream.build import build_upstream
from sertl.upstream.tiny import save_hubert

CONF = Path(__file__).resolve().parents[2] / "conf"
SETTINGS = [
    "optim_conf.epochs=1", "data_conf.crop_sec=0.5", "data_conf.batch_size=8",
    "pseudo_labels.layers=[1,3]", "pseudo_labels.clusters=[2,4,4096]", "pseudo_labels.restarts=2",
    "pseudo_labels.min_frames=5",
]  # fmt: skip
PARTS = {1: {"train": "ab", "dev": "c", "test": "d"}, 2: {"train": "cd", "dev": "a", "test": "b"}}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """Four speakers of six clips; two folds."""
    folder = tmp_path_factory.mktemp("corpus")
    rng = np.random.default_rng(0)
    utts = {}
    for spk in "abcd":
        for n in range(6):
            wav, sec = folder / f"{spk}{n}.wav", 0.4 + 0.1 * n
            soundfile.write(wav, rng.normal(scale=0.1, size=round(16000 * sec)), 16000)
            utts.setdefault(spk, []).append(
                Utterance(
                    f"{spk}-{n}", spk, str(wav), sec, emo=("ang", "sad")[n % 2],
                    gender="f" if spk in "ac" else "m",
                )
            )  # fmt: skip
    for fold, parts in PARTS.items():
        for part, speakers in parts.items():
            rows = [u for spk in speakers for u in utts[spk]]
            write_data_dir(folder / f"data/fold{fold}" / part, rows, ["ang", "sad"])
        protocol = {"select": "dev_ua", "fold_hash": f"fold{fold}"}
        write_json(folder / f"data/fold{fold}/protocol.json", protocol)
    torch.manual_seed(0)
    save_hubert(folder / "hubert.pt")
    return folder


def setup(corpus, *settings, method="gmp_tl"):
    ckpt, data = str(corpus / "hubert.pt"), str(corpus / "data")
    return resolve(CONF, "tiny_hubert", method, [*SETTINGS, *settings], ckpt, data)


@pytest.fixture(scope="module")
def trained(corpus, tmp_path_factory):
    """Fold 1 through stages 4 to 6."""
    # Else dev loss may take the released encoder for the better teacher.
    conf = setup(corpus, "start=random", "select_conf.lambdas=[1.0]")
    run = Run(tmp_path_factory.mktemp("exp"), 1, 1)
    train_phase(conf, conf["teacher"], run, False, False)
    label_fold(conf, run, False, False)
    for phase in conf["phases"]:
        train_phase(conf, phase, run, False, False)
    return conf, run


def run_json(run, phase):
    return json.loads((run.folder / phase / "run.json").read_text())


def test_costs(trained):
    _, run = trained
    main = run_json(run, "main")
    size = (run.folder / "main/best.pt").stat().st_size
    assert (main["epochs"], main["updates"]) == (1, 2)  # 12 utterances, 8 in a batch
    assert main["seconds_per_update"] == pytest.approx(main["seconds_per_epoch"] / 2, abs=1e-3)
    line = cost_line({**main, "seconds_per_update": 0.25, "peak_rss_gib": 1.5})
    assert line == "1 epochs, 2 updates of 0.250 s, peak memory 1.50 GiB"
    assert cost_line({**main, "peak_gpu_gib": 2.0}).endswith("of the GPU 2.00 GiB")
    assert main["checkpoint_mib"] == pytest.approx(size / 2**20, abs=1e-3)


def copied(trained, tmp_path, fold=1):
    """A copy that a test may spoil."""
    conf, run = trained
    other = replace(run, exp=tmp_path / "exp", fold=fold)
    shutil.copytree(run.folder, other.folder)
    return conf, other


def test_what_each_stage_saw(trained):
    _, run = trained
    train = {f"{spk}-{n}" for spk in "ab" for n in range(6)}
    dev = {f"c-{n}" for n in range(6)}
    clustering = {"n": 12, "hash": ids_hash(train)}
    for phase in ("pseudo_labels", "frames"):
        assert run_json(run, phase)["seen_ids"]["clustering"] == clustering
    assert "clustering" not in run_json(run, "main")["seen_ids"]
    assert set(read_table(run.folder / "teacher_feats/utt2num_frames")) == train | dev
    sets = [f"layer{layer}_k{k}" for layer in (1, 3) for k in (2, 4)]  # 4096 has too few frames
    for name in sets:
        folder = run.folder / "pseudo_labels" / name
        assert json.loads((folder / "codebook.json").read_text())["ids"] == clustering
        assert set(read_scp(folder / "labels.scp")) == train | dev
    state = checkpoint.load(run.folder / "frames/best.pt")["model"]
    heads = [t.shape[0] for n, t in state.items() if n.endswith(".2.weight")]
    assert heads == [2, 4, 2, 4]  # a dropped scale has no head


def test_labels_are_as_long_as_the_dump_says(trained):
    _, run = trained
    frames = read_table(run.folder / "teacher_feats/utt2num_frames")
    scps = sorted(run.folder.glob("pseudo_labels/layer*/labels.scp"))
    assert scps
    for scp in scps:
        for utt, spec in read_scp(scp).items():
            labels = read_array(spec, utt)
            assert labels.dtype == np.int32 and len(labels) == int(frames[utt])


def test_clustered_states_are_the_teachers(trained, corpus):
    conf, run = trained
    wav = torch.from_numpy(read_audio(corpus / "a5.wav"))[None]
    lens = torch.tensor([wav.shape[1]])
    (own,), _ = encoder(conf, run, conf["teacher"])(wav, lens, [3])
    (released,), _ = build_upstream(conf["upstream"])(wav, lens, [3])
    spec = read_scp(run.folder / "teacher_feats/layer3/feats.scp")["a-5"]
    dumped = torch.from_numpy(read_array(spec, "a-5"))
    torch.testing.assert_close(dumped, own[0], rtol=0, atol=1e-3)
    assert not torch.allclose(dumped, released[0], atol=1e-3)
    assert not encoder(conf, run, conf["teacher"]).training


def test_report_files(trained):
    _, run = trained
    folder = run.folder / "pseudo_labels"
    kinds = [entry["kind"] for entry in json.loads((folder / "diagnostics.json").read_text())]
    assert kinds == ["table", "lines", "timelines"]
    assert run_json(run, "pseudo_labels")["transductive"] is False


def test_done_is_skipped_and_a_stop_is_resumed(trained, tmp_path, monkeypatch):
    conf, run = copied(trained, tmp_path)
    out = run.folder / "pseudo_labels"
    before = {p: p.stat().st_mtime_ns for p in out.rglob("*") if p.is_file()}
    label_fold(conf, run, False, False)
    assert before == {p: p.stat().st_mtime_ns for p in out.rglob("*") if p.is_file()}

    shutil.rmtree(out)
    with monkeypatch.context() as m:
        m.setattr(pseudo_labelling, "write_label_diagnostics", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            label_fold(conf, run, False, False)
    with pytest.raises(SertlError, match="unfinished"):
        train_phase(conf, conf["phases"][0], run, False, True)
    books = {p: p.stat().st_mtime_ns for p in out.glob("*/centroids.npy")}
    label_fold(conf, run, False, False)
    assert books and books == {p: p.stat().st_mtime_ns for p in out.glob("*/centroids.npy")}
    for path in out.glob("*/centroids.npy"):  # as in the run that was not stopped
        same = trained[1].folder / path.relative_to(run.folder)
        assert np.array_equal(np.load(path), np.load(same))


def test_another_teacher_is_noticed(trained, tmp_path):
    conf, run = copied(trained, tmp_path)
    best = run.folder / "teacher/best.pt"
    state = checkpoint.load(best)
    state["model"]["project.bias"] += 1.0
    checkpoint.save(best, state)
    with pytest.raises(SertlError, match=r"made from other inputs:\n\s+teacher: "):
        label_fold(conf, run, False, False)
    label_fold(conf, run, False, True)


def test_another_folds_labels_are_refused(trained, tmp_path):
    """Fold 2 trains on what fold 1 tests."""
    conf, run = copied(trained, tmp_path, fold=2)
    with pytest.raises(SertlError, match=r"learned from 12 utterances .* of this fold's"):
        train_phase(conf, conf["phases"][0], run, False, True)


def test_transductive_sees_all_audio_and_says_so(corpus, tmp_path):
    conf = setup(corpus, "transductive=true")
    del conf["teacher"]  # the upstream's own hidden states
    run = Run(tmp_path, 1, 1)
    label_fold(conf, run, False, False)
    frames = conf["phases"][0]
    train_phase(conf, frames, run, False, False)
    for phase in ("pseudo_labels", "frames"):
        facts = run_json(run, phase)
        assert facts["transductive"] is True and facts["seen_ids"]["clustering"]["n"] == 24
    assert run_json(run, "frames")["seen_ids"]["train"]["n"] == 24


def test_held_out_speakers_genders_are_labels_too(corpus, tmp_path):
    conf = setup(corpus, "transductive=true", "pseudo_labels.per_gender=true")
    run = Run(tmp_path, 1, 1)
    with pytest.raises(SertlError, match="per_gender: transductive=true brings in audio without"):
        label_fold(conf, run, False, False)


def test_replaced_recordings_are_noticed(trained, corpus, tmp_path):
    """Other audio of the same length, by what is read from audio: stages 4 to 7."""
    conf, run = copied(trained, tmp_path)
    conf = {**conf, "data": str(tmp_path / "data")}
    shutil.copytree(corpus / "data", tmp_path / "data")
    decode(conf, run, ["dev"], False, False)
    noise = np.random.default_rng(9).normal(scale=0.1, size=round(16000 * 0.4))
    soundfile.write(tmp_path / "other.wav", noise, 16000)  # as long as c0.wav, of the dev speaker
    scp = tmp_path / "data/fold1/dev/wav.scp"
    scp.write_text(scp.read_text().replace(str(corpus / "c0.wav"), str(tmp_path / "other.wav")))
    stages = [
        lambda: train_phase(conf, conf["teacher"], run, False, False),
        lambda: label_fold(conf, run, False, False),
        lambda: train_phase(conf, conf["phases"][1], run, False, False),
        lambda: decode(conf, run, ["dev"], False, False),
    ]
    for stage in stages:
        with pytest.raises(SertlError, match=r"made from other inputs:\n\s+audio: "):
            stage()


@pytest.mark.parametrize("number", [0, 1])
def test_resume_is_exact(trained, corpus, tmp_path, monkeypatch, number):
    """Masks and the margin's warm-up go on where they were."""
    conf = setup(
        corpus,
        "optim_conf.epochs=2",
        "optim_conf.save_updates=1",
        "main.model_conf.loss_conf.margin_warmup=0.9",
        "main.select=last",
    )
    phase = conf["phases"][number]
    _, whole = copied(trained, tmp_path / "whole")
    train_phase(conf, phase, whole, False, True)
    _, killed = copied(trained, tmp_path / "killed")
    plain = MODELS.get(phase["model"]).after_step

    def die(self, update, total):
        plain(self, update, total)
        if update == 3:
            raise KeyboardInterrupt

    with monkeypatch.context() as m:
        m.setattr(MODELS.get(phase["model"]), "after_step", die)
        with pytest.raises(KeyboardInterrupt):
            train_phase(conf, phase, killed, False, True)
    torch.rand(7)
    train_phase(conf, phase, killed, False, False)
    states = [
        checkpoint.load(run.folder / phase["name"] / "best.pt")["model"] for run in (whole, killed)
    ]
    for name, tensor in states[0].items():
        assert torch.equal(tensor, states[1][name]), name


def test_settings_that_fail_leave_nothing_behind(trained, corpus, tmp_path):
    """After the message is followed, the stage goes on with the features that it has."""
    _, run = copied(trained, tmp_path)
    shutil.rmtree(run.folder / "pseudo_labels")
    with pytest.raises(SertlError, match="no number of clusters in"):
        label_fold(setup(corpus, "pseudo_labels.clusters=[4096]"), run, False, False)
    label_fold(setup(corpus, "pseudo_labels.clusters=[2]"), run, False, False)
    assert run_json(run, "pseudo_labels")["label_sets"] == [
        {"layer": layer, "clusters": 2, "source": "teacher"} for layer in (1, 3)
    ]


def test_labels_of_teacher_and_released_encoder_side_by_side(trained, corpus, tmp_path):
    """Both stand beside each other; those of the released encoder are what it gives alone."""
    _, run = copied(trained, tmp_path)
    shutil.rmtree(run.folder / "pseudo_labels")
    sources = "pseudo_labels.sources=[teacher,released]"
    small = "pseudo_labels.clusters=[3]"
    label_fold(setup(corpus, sources, small), run, False, False)
    names = [LabelSet(**s).name for s in run_json(run, "pseudo_labels")["label_sets"]]
    assert names == ["layer1_k3", "layer3_k3", "released_layer1_k3", "released_layer3_k3"]
    labels = FrameLabels(run.phase("pseudo_labels"))
    assert labels.read("a-5").shape[0] == 4
    (lines,) = (
        e for e in json.loads((run.folder / "pseudo_labels/diagnostics.json").read_text())
        if e["kind"] == "lines"
    )  # fmt: skip
    assert list(lines["panels"][0]["lines"]) == ["K = 3, released encoder", "K = 3"]
    alone = setup(corpus, small)
    del alone["teacher"]
    other = Run(tmp_path / "alone", 1, 1)
    label_fold(alone, other, False, False)
    for own in ("released", "teacher"):
        paths = (run.folder / f"{own}_feats", other.folder / "teacher_feats")
        one, two = (read_array(read_scp(path / "layer3/feats.scp")["a-5"], "a-5") for path in paths)
        assert np.allclose(one, two, atol=1e-3) == (own == "released")
    with pytest.raises(SertlError, match="without a teacher, its place"):
        without = setup(corpus, sources)
        del without["teacher"]
        label_fold(without, other, False, True)


def test_states_dumped_by_shards_give_the_same_labels(trained, corpus, tmp_path):
    conf, run = copied(trained, tmp_path)
    wanted = {p.name: p.read_bytes() for p in run.folder.glob("pseudo_labels/*/labels.ark")}
    codebooks = [p.read_bytes() for p in sorted(run.folder.glob("pseudo_labels/*/centroids.npy"))]
    for name in ("pseudo_labels", "teacher_feats"):
        shutil.rmtree(run.folder / name)
    for number in (2, 1):
        label_fold(conf, run, False, False, Shard(number, 2))
        assert not run.phase("pseudo_labels").exists()
    label_fold(conf, run, False, False)
    assert wanted == {p.name: p.read_bytes() for p in run.folder.glob("pseudo_labels/*/labels.ark")}
    assert codebooks == [
        p.read_bytes() for p in sorted(run.folder.glob("pseudo_labels/*/centroids.npy"))
    ]
    assert codebooks
    with pytest.raises(SertlError, match="no --shard"):
        label_fold(setup(corpus, "pseudo_labels.cross_fit=2"), run, False, True, Shard(1, 2))


def test_speech_of_other_directories_is_labelled_but_not_clustered(trained, corpus, tmp_path):
    """Without what the fold holds out; the frame stage can then train on it."""
    _, run = copied(trained, tmp_path)
    for name in ("pseudo_labels", "teacher_feats"):
        shutil.rmtree(run.folder / name)
    other = tmp_path / "other"
    held_out = next(iter(read_data_dir(corpus / "data/fold1/test").utts.values()))
    rng = np.random.default_rng(5)
    soundfile.write(tmp_path / "z.wav", 0.1 * rng.standard_normal(4000), 16000)
    utts = [Utterance("z-1", "z", str(tmp_path / "z.wav"), 0.25, emo="ang"), held_out]
    write_data_dir(other, utts, ["ang", "sad"])
    conf = setup(corpus, "pseudo_labels.clusters=[3]", f"pseudo_labels.also=[{other}]")
    label_fold(conf, run, False, False)
    labels = FrameLabels(run.phase("pseudo_labels"))
    labels.check(["z-1", "a-5"])
    with pytest.raises(SertlError, match="lacks labels"):
        labels.check([held_out.utt])
    train = read_data_dir(corpus / "data/fold1/train").utts
    labels.check_clustered(train)
    frames = {**conf["phases"][0]}
    frames["data_conf"] = {**frames["data_conf"], "train": ["fold", str(other)]}
    train_phase(conf, frames, Run(run.exp, run.seed, run.fold), False, True)
    seen = read_table(run.phase(frames["name"]) / "train_ids")
    assert "z-1" in seen and held_out.utt not in seen


def test_what_stage_5_refuses(corpus, tmp_path):
    places = str(corpus / "hubert.pt"), str(corpus / "data")
    run = Run(tmp_path, 1, 1)
    with pytest.raises(SertlError, match="missing or incomplete; run stage 4"):
        label_fold(setup(corpus), run, False, False)
    with pytest.raises(SertlError, match="missing or incomplete; run stage 5"):
        train_phase(setup(corpus), setup(corpus)["phases"][0], run, False, False)
    with pytest.raises(SertlError, match="has no pseudo_labels"):
        label_fold(
            resolve(CONF, "tiny_hubert", "probe", [], *places),
            run,
            False,
            False,
        )
    with pytest.raises(SertlError, match=r"\[9\] not among the available"):
        label_fold(setup(corpus, "pseudo_labels.layers=[1,9]"), run, False, False)
