# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Stage 3: features as the upstream gives them, resumed after a kill, never stale, never half."""

import errno
import logging
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from sertl import fingerprint
from sertl.bin.dump_feats import parse_layers
from sertl.data.ark import read_array, read_scp
from sertl.data.audio import read_audio
from sertl.data.datadir import Utterance, read_data_dir, read_table, write_data_dir
from sertl.errors import SertlError
from sertl.stages import dump, dump_chunk, dump_workers
from sertl.stages.dump import dump_feats
from sertl.stages.dump_chunk import cut_chunks
from sertl.upstream.build import build_upstream, load_conf
from sertl.upstream.tiny import save_whisper

ROOT = Path(__file__).resolve().parents[2]
CONF_DIR = ROOT / "conf" / "upstream"
LAYERS = 4


@pytest.fixture(scope="module")
def ckpts(tmp_path_factory):
    """Two folders of a tiny Whisper with different random weights."""
    folders = [tmp_path_factory.mktemp("ckpt") / name for name in ("a", "b")]
    for seed, folder in enumerate(folders):
        torch.manual_seed(seed)
        save_whisper(folder)
    return folders


@pytest.fixture
def conf(ckpts):
    return make_conf(ckpts[0])


def make_conf(ckpt, **changes):
    changes = {"ckpt": str(ckpt), "num_layers": LAYERS, "hidden_size": 32, **changes}
    return load_conf("whisper_tiny_en", CONF_DIR, changes)


@pytest.fixture
def data(tmp_path):
    return make_data(tmp_path)


def make_data(folder, number=12):
    """Noise clips of 0.30, 0.45, 0.60 … seconds."""
    rng = np.random.default_rng(0)
    utts = []
    (folder / "wav").mkdir(parents=True)
    for i in range(number):
        sec = 0.3 + 0.15 * i
        wav = folder / "wav" / f"clip {i:02d}.wav"
        soundfile.write(wav, rng.normal(scale=0.1, size=round(16000 * sec)), 16000)
        utts.append(Utterance(f"s{i % 2}-u{i:02d}", f"s{i % 2}", str(wav), sec, emo="neu"))
    write_data_dir(folder / "data", utts, ["neu"])
    return read_data_dir(folder / "data")


def read_dump(out, layers=range(LAYERS)):
    return {
        (layer, utt): read_array(spec, utt)
        for layer in layers
        for utt, spec in read_scp(Path(out) / f"layer{layer}" / "feats.scp").items()
    }


def same(a, b):
    return a.keys() == b.keys() and all(np.array_equal(a[key], b[key]) for key in a)


@pytest.mark.parametrize("compress", [True, False])
def test_features_are_those_of_single_utterances(data, conf, tmp_path, compress):
    out = tmp_path / "dump"
    dump_feats(data, conf, out, compress, batch_sec=3.0)
    found = read_dump(out)
    assert set(found) == {(layer, utt) for layer in range(LAYERS) for utt in data.utts}
    upstream = build_upstream(conf)
    frames = read_table(out / "utt2num_frames")
    for utt in data.utts.values():
        wav = torch.from_numpy(read_audio(utt.wav))
        states, lens = upstream(wav[None], torch.tensor([len(wav)]))
        assert int(frames[utt.utt]) == lens[0]
        for layer, state in enumerate(states):
            state = state[0].numpy()
            error = np.abs(found[layer, utt.utt] - state).max()
            step = (state.max() - state.min()) / 65535 if compress else 0.0
            assert error <= step + 1e-4 * np.abs(state).max()


def test_a_finished_dump_is_tidy_and_left_alone(data, conf, tmp_path, caplog):
    out = tmp_path / "dump"
    dump_feats(data, conf, out, chunk_utts=5)
    names = sorted(str(p.relative_to(out)) for p in out.rglob("*") if p.is_file())
    layer0 = [name for name in names if name.startswith("layer0")]
    assert layer0 == [f"layer0/feats.{n}.ark" for n in (0, 1, 2)] + ["layer0/feats.scp"]
    assert len(names) == 4 * LAYERS + 3
    before = {name: (out / name).stat().st_mtime_ns for name in names}
    caplog.set_level(logging.INFO)
    dump_feats(data, conf, out, nj=3, batch_sec=7.0)  # neither changes the result
    assert "12 utterances are there already" in caplog.text
    assert before == {name: (out / name).stat().st_mtime_ns for name in names}


def test_only_the_layers_asked_for(data, conf, ckpts, tmp_path):
    dump_feats(data, conf, tmp_path / "all")
    dump_feats(data, make_conf(ckpts[0], layers=[2]), tmp_path / "one")
    assert [p.name for p in (tmp_path / "one").glob("layer*")] == ["layer2"]
    assert same(read_dump(tmp_path / "one", [2]), read_dump(tmp_path / "all", [2]))
    assert fingerprint.require_done(tmp_path / "one", "")["layers"] == [2]


def stop_after(monkeypatch, chunks, error):
    """Let the dump of a chunk fail with error after that many chunks; return the numbers done."""
    done, original = [], dump_chunk.dump_chunk

    def interrupted(upstream, device, job, chunk):
        if len(done) == chunks:
            raise error
        original(upstream, device, job, chunk)
        done.append(chunk.number)

    monkeypatch.setattr(dump_workers, "dump_chunk", interrupted)
    return done


def test_a_stopped_dump_goes_on_and_gives_the_same(data, conf, tmp_path, monkeypatch):
    whole, out = tmp_path / "whole", tmp_path / "out"
    dump_feats(data, conf, whole, chunk_utts=2)
    stop_after(monkeypatch, 3, KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        dump_feats(data, conf, out, chunk_utts=2)
    with pytest.raises(SertlError, match="unfinished .* run stage 3 again"):
        fingerprint.require_done(out, "stage 3")
    assert not (out / "layer0" / "feats.scp").exists()
    # Chunk 1 loses bytes, chunk 2 a file: neither may be taken for whole.
    os.truncate(out / "layer3" / "feats.1.ark", 1000)
    (out / "layer0" / "feats.2.scp").unlink()
    (out / "layer0" / ".feats.3.ark.tmp").write_bytes(b"half")
    done = stop_after(monkeypatch, 99, None)
    dump_feats(data, conf, out, chunk_utts=2)
    assert done == [1, 2, 3, 4, 5]
    assert same(read_dump(out), read_dump(whole))
    assert not list(out.rglob("*.tmp*"))


def test_killed_with_all_workers_then_resumed(data, conf, tmp_path):
    """kill -9 of the parent: its workers end too, and what they had begun does not count."""
    out, script = tmp_path / "out", tmp_path / "run.py"
    script.write_text(
        "import sys, time\n"
        "from sertl.data.datadir import read_data_dir\n"
        "from sertl.stages import dump_workers\n"
        "from sertl.stages.dump import dump_feats\n"
        "original = dump_workers.dump_chunk\n"
        "def slow(*args):\n"
        "    original(*args)\n"
        "    time.sleep(0.3)\n"
        "dump_workers.dump_chunk = slow\n"  # in the workers too: they import this file
        "if __name__ == '__main__':\n"
        "    data, out = read_data_dir(sys.argv[1]), sys.argv[2]\n"
        f"    dump_feats(data, {conf!r}, out, nj=2, chunk_utts=1)\n"
    )
    with subprocess.Popen([sys.executable, script, data.path, out], start_new_session=True) as run:
        deadline = time.monotonic() + 60
        while not list(out.glob("chunks/*.json")) and time.monotonic() < deadline:
            time.sleep(0.02)
        run.kill()
    count = len(list(out.glob("chunks/*.json")))
    assert 1 <= count < 12
    while _group_exists(run.pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not _group_exists(run.pid), "a worker outlived its parent"
    dump_feats(data, conf, out, chunk_utts=1)
    dump_feats(data, conf, tmp_path / "whole", chunk_utts=1)
    assert same(read_dump(out), read_dump(tmp_path / "whole"))


def _group_exists(group):
    """Whether a process of the group runs; one that has ended but was not waited for does not."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[2]) == group and fields[0] != "Z":
            return True
    return False


def test_other_inputs_are_refused_by_name(data, conf, ckpts, tmp_path):
    out = tmp_path / "out"
    dump_feats(data, conf, out)
    old = read_dump(out)
    other = make_conf(ckpts[1])
    with pytest.raises(SertlError, match=r"checkpoint: \w+ -> \w+\nUse --redo"):
        dump_feats(data, other, out)
    with pytest.raises(SertlError, match="dtype: float32 -> bf16"):
        dump_feats(data, make_conf(ckpts[0], dtype="bf16"), out)
    with pytest.raises(SertlError, match="format: 16 bit -> float32"):
        dump_feats(data, conf, out, compress=False)
    few = make_data(tmp_path / "few", 3)
    with pytest.raises(SertlError, match="utts: 12 -> 3"):
        dump_feats(few, conf, out)
    assert same(read_dump(out), old)
    dump_feats(data, other, out, redo=True)
    new = read_dump(out)
    assert new.keys() == old.keys() and not same(new, old)


def test_bf16_is_near_float32_and_not_equal(data, conf, ckpts, tmp_path):
    dump_feats(data, conf, tmp_path / "a", compress=False)
    dump_feats(data, make_conf(ckpts[0], dtype="bf16"), tmp_path / "b", compress=False)
    a, b = read_dump(tmp_path / "a"), read_dump(tmp_path / "b")
    errors = [np.linalg.norm(a[key] - b[key]) / np.linalg.norm(a[key]) for key in a]
    assert 1e-5 < max(errors) < 0.05


def test_missing_recordings_are_listed_before_any_work(data, conf, tmp_path):
    gone = [data.utts[utt].wav for utt in ("s0-u04", "s1-u07")]
    for path in gone:
        os.unlink(path)
    with pytest.raises(SertlError) as caught:
        dump_feats(data, conf, tmp_path / "out")
    for text in ("2 problems", "s0-u04", "s1-u07", *gone):
        assert text in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_bad_audio_is_named_and_the_rest_resumes(data, conf, tmp_path):
    utt = data.utts["s0-u04"]
    good = Path(utt.wav).read_bytes()
    os.truncate(utt.wav, len(good) - 2000)
    with pytest.raises(SertlError, match="s0-u04.*clip 04.wav.*truncated"):
        dump_feats(data, conf, tmp_path / "out", chunk_utts=2)
    assert not (tmp_path / "out" / "layer0" / "feats.scp").exists()
    assert not list((tmp_path / "out").rglob("*.tmp*"))
    Path(utt.wav).write_bytes(good)
    with pytest.raises(SertlError, match="audio: "):  # it is another recording now
        dump_feats(data, conf, tmp_path / "out", chunk_utts=2)


def test_a_recording_longer_than_its_data_directory_says(data, conf, tmp_path):
    soundfile.write(data.utts["s0-u04"].wav, np.full(48000, 0.1), 16000)
    with pytest.raises(SertlError, match="s0-u04: .* lasts 3.00 s, but utt2dur says 0.90 s"):
        dump_feats(data, conf, tmp_path / "out")


def test_features_that_are_not_finite_name_the_recording(data, conf, tmp_path, monkeypatch):
    class Broken(torch.nn.Module):
        def forward(self, wavs, wav_lens, layers):
            lens = wav_lens // 320
            return [torch.full((len(wavs), lens.max(), 32), torch.nan) for _ in layers], lens

    monkeypatch.setattr(dump_workers, "build_upstream", lambda conf: Broken())
    with pytest.raises(SertlError, match=r"s\d-u\d\d.*NaN.*\(audio: .*clip \d\d.wav\)"):
        dump_feats(data, conf, tmp_path / "out")


def test_a_full_disk_leaves_nothing_half(data, conf, tmp_path, monkeypatch):
    full = OSError(errno.ENOSPC, "No space left on device")
    with monkeypatch.context() as patch:
        patch.setattr(dump_chunk, "write_json", lambda *_: (_ for _ in ()).throw(full))
        with pytest.raises(OSError, match="No space left.*tmp.*out'"):
            dump_feats(data, conf, tmp_path / "out", chunk_utts=4)
    assert fingerprint.read_fingerprint(tmp_path / "out")["state"] == "running"
    dump_feats(data, conf, tmp_path / "out", chunk_utts=4)
    assert len(read_dump(tmp_path / "out")) == 12 * LAYERS


def test_too_little_disk_is_said_before_work(data, conf, tmp_path, monkeypatch):
    free = type("Usage", (), {"free": 1000})
    monkeypatch.setattr(dump.shutil, "disk_usage", lambda path: free)
    with pytest.raises(SertlError, match=r"needs 0\.0 GiB more, 0\.0 GiB are free"):
        dump_feats(data, conf, tmp_path / "out")


@pytest.mark.parametrize("nj", [1, 2])
def test_what_no_encoder_can_go_on_from_is_refused_before_work(data, ckpts, tmp_path, nj):
    conf = make_conf(ckpts[0], pad_to_30s=True, layers=[1])
    with pytest.raises(SertlError, match="from_layer: with pad_to_30s"):
        dump_feats(data, conf, tmp_path / "out", nj=nj, resumed=True)
    assert not list(tmp_path.glob("out/**/*.ark"))


def test_command_with_two_workers_names_bad_audio(data, ckpts, tmp_path):
    """The whole way: parsing, workers, an error in one of them, exit status 1, no traceback."""
    Path(data.utts["s1-u11"].wav).write_bytes(b"not audio at all" * 2400)
    done = subprocess.run(
        [sys.executable, "-m", "sertl.bin.dump_feats", "--data", data.path, "--out",
         tmp_path / "out", "--upstream", "whisper_tiny_en", "--conf-dir", ROOT / "conf",
         "--ckpt", ckpts[0], "--set", f"num_layers={LAYERS}", "hidden_size=32",
         "--layers", "0 2", "--nj", "2"],
        capture_output=True, text=True, timeout=600,
    )  # fmt: skip
    assert done.returncode == 1
    assert "s1-u11" in done.stderr and "clip 11.wav" in done.stderr
    assert done.stderr.strip().splitlines()[-1].startswith("error: ")
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out" / "layer0" / "feats.scp").exists()


def test_wrong_options(data, conf, tmp_path):
    assert parse_layers("all") == "all"
    assert parse_layers("6 9") == parse_layers("6,9") == [6, 9]
    with pytest.raises(SertlError, match="--layers takes all, or indices .* got 'last'"):
        parse_layers("last")
    with pytest.raises(SertlError, match="--nj is 0"):
        dump_feats(data, conf, tmp_path / "out", nj=0)
    with pytest.raises(SertlError, match="--ngpu 99, but PyTorch sees"):
        dump_feats(data, conf, tmp_path / "out", ngpu=99)
    with pytest.raises(SertlError, match="--batch-sec is 0"):
        dump_feats(data, conf, tmp_path / "out", batch_sec=0)


def test_chunks_are_longest_first_and_independent_of_order():
    utts = [Utterance(f"a-{i:03d}", "a", "", float(i)) for i in range(1, 26)]
    chunks = cut_chunks(utts)
    # 25 utterances are few: 10 per chunk, from 25 s down to 1 s.
    assert [[u.dur_sec for u in c.utts] for c in chunks] == [
        [25, 24, 23, 22, 21, 20, 19, 18, 17, 16],
        [15, 14, 13, 12, 11, 10, 9, 8, 7, 6],
        [5, 4, 3, 2, 1],
    ]
    assert cut_chunks(utts[::-1]) == chunks
    # 2,400 utterances make 50 per chunk, 48,000 make 120, which is 400 chunks.
    for count, size in ((2400, 50), (48000, 120)):
        many = cut_chunks(Utterance(f"a-{i}", "a", "", 1.0) for i in range(count))
        assert {len(c.utts) for c in many} == {size}
    # Four clips of 100 s are 400 s, more than the 300 s of a chunk.
    long = cut_chunks(Utterance(f"a-{i}", "a", "", 100.0) for i in range(4))
    assert [len(c.utts) for c in long] == [3, 1]


def test_progress_shows_speed_and_time_left(monkeypatch, caplog):
    clock = iter([100.0, 120.0, 140.0, 160.0])  # loaded, then a chunk each 20 s
    monkeypatch.setattr(dump.time, "monotonic", lambda: next(clock))
    caplog.set_level(logging.INFO)
    utts = [Utterance(f"a-{i}", "a", "", 200.0 / (i + 1)) for i in range(3)]  # 200, 100, 66.7 s
    chunks = cut_chunks(utts, 1)
    dump.report(iter([None, *chunks]), chunks)
    # 200 s of audio in 20 s, then 300 s in 40 s: 66.7 s are left, at 7.5 s of audio per second 9 s.
    assert [r.getMessage() for r in caplog.records] == [
        "1 of 3 utterances, 10 x real time, 17 s left",
        "2 of 3 utterances, 8 x real time, 9 s left",
        "3 utterances, 367 s of audio, 6 x real time",
    ]


def test_a_killed_worker_is_explained():
    chunk = cut_chunks([Utterance("a-1", "a", "long.wav", 900.0)])[0]
    message = str(dump_workers._killed(-signal.SIGKILL, chunk))
    for text in ("signal 9 (SIGKILL)", "a-1", "long.wav", "900.0 s", "--nj", "--batch-sec"):
        assert text in message
