# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Requests, refusals, limits, streams; with a predictor that hears loudness."""

import io
import json
import threading
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
from fake_predictor import FakePredictor, hush, voice

testclient = pytest.importorskip("fastapi.testclient")
pytest.importorskip("swagger_ui_bundle")
from sertl.serve import timelines  # noqa: E402
from sertl.serve.app import make_app  # noqa: E402
from sertl.serve.limits import Limits  # noqa: E402


def wav_bytes(wav, rate=16000):
    stream = io.BytesIO()
    soundfile.write(stream, wav, rate, format="WAV")
    return stream.getvalue()


LOUD, SOFT = wav_bytes(voice(1.0, 0.25)), wav_bytes(voice(1.0, 0.02))


@pytest.fixture
def client():
    app = make_app({"m": FakePredictor(), "n": FakePredictor()}, vad="energy", page=True)
    with testclient.TestClient(app) as client:
        yield client


def upload(*named):
    return [("files", (name, content)) for name, content in named]


def test_predict_says_of_each_file(client):
    answer = client.post("/predict", files=upload(("a.wav", LOUD), ("b.wav", SOFT)))
    assert answer.status_code == 200
    rows = answer.json()["results"]
    assert [(r["file"], r["emo"], r["dur_sec"]) for r in rows] == [
        ("a.wav", "ang", 1.0), ("b.wav", "sad", 1.0),
    ]  # fmt: skip
    assert answer.json()["model"] == "m"
    named = client.post("/predict", files=upload(("a.wav", LOUD)), data={"model": "n"})
    assert named.json()["model"] == "n"


def test_a_bad_file_is_answered_with_its_reason_and_hurts_no_other(client):
    rows = client.post("/predict", files=upload(("bad.wav", b"RIFF"), ("a.wav", LOUD))).json()
    assert "bad.wav" in rows["results"][0]["error"] and rows["results"][1]["emo"] == "ang"
    for content in (b"", b"RIFF", LOUD[:500], b"x" * 4000):
        answer = client.post("/predict", files=upload(("bad.wav", content)))
        assert answer.status_code == 422 and "bad.wav" in answer.json()["detail"]
        assert "/tmp" not in answer.text  # no path of the server
    unknown = client.post("/predict", files=upload(("a.wav", LOUD)), data={"model": "k"})
    assert unknown.status_code == 422 and "unknown model" in unknown.json()["detail"]
    assert client.post("/predict").status_code == 422
    assert client.get("/nothing").status_code == 404


def test_timeline(client):
    wav = wav_bytes(np.concatenate([hush(1), voice(2, 0.25), hush(1), voice(1, 0.02), hush(1)]))
    found = client.post("/timeline", files={"file": ("a.wav", wav)}).json()
    assert [s["emo"] for s in found["segments"]] == ["ang", "sad"] and found["dur_sec"] == 6.0
    assert found["segments"][0]["curve"]
    bad = client.post("/timeline", files={"file": ("bad.wav", b"no")})
    assert bad.status_code == 422 and bad.json()["detail"].startswith("bad.wav: ")


def test_limits():
    limits = Limits(upload_mib=0.1, clip_sec=2.0, recording_sec=2.5, files=2)
    with testclient.TestClient(make_app({"m": FakePredictor()}, limits, "energy")) as client:
        big = client.post("/predict", files=upload(("a.wav", bytes(200_000))))
        assert big.status_code == 413 and "0.1 MiB" in big.json()["detail"]
        long = client.post("/predict", files=upload(("a.wav", wav_bytes(voice(2.2)))))
        assert long.status_code == 413 and "2 s at most" in long.json()["detail"]
        assert client.post("/predict", files=upload(*[("a.wav", LOUD)] * 3)).status_code == 413
        assert client.post("/predict", files=upload(("a.wav", LOUD))).status_code == 200
        assert list(client.app.state.folder.iterdir()) == []  # nothing stays
        folder = client.app.state.folder
    assert not folder.exists()


def test_a_body_that_is_too_large_is_refused_before_it_is_read():
    limits = Limits(request_mib=0.01)
    with testclient.TestClient(make_app({"m": FakePredictor()}, limits, "energy")) as client:
        big = client.post("/predict", files=upload(("a.wav", LOUD)))
        assert big.status_code == 413 and "0.01 MiB" in big.json()["detail"]
        parts = client.post("/predict", content=iter([b"a", b"b"]))
        assert parts.status_code == 411


def test_late_and_many_requests(monkeypatch):
    gate = threading.Event()
    # The timeline's thread is never late, so that it holds its place, however slowly it begins.
    monkeypatch.setattr(timelines, "time", SimpleNamespace(monotonic=lambda: 0.0))
    limits = Limits(timeout_sec=0.2, timelines=1)
    app = make_app({"m": FakePredictor(slow=gate)}, limits, "energy")
    with testclient.TestClient(app) as client:
        late = [client.post("/predict", files=upload(("a.wav", LOUD)))]
        late += [client.post("/timeline", files={"file": ("a.wav", LOUD)}) for _ in range(2)]
        gate.set()  # before anything can fail: leaving waits for what is asked
        assert [answer.status_code for answer in late] == [504, 504, 503]
        assert "0.2 s" in late[0].text and "0.2 s" in late[1].text
        assert "1 timelines are being made" in late[2].text
        assert client.get("/health").json()["status"] == "ok"


def test_token():
    limits = Limits(token="secret")
    with testclient.TestClient(make_app({"m": FakePredictor()}, limits, "energy")) as client:
        for header in ({}, {"Authorization": "Bearer other"}, {"Authorization": "Bearer ä"}):
            header = {k: v.encode() for k, v in header.items()}
            assert client.get("/health", headers=header).status_code == 401
            assert (
                client.post("/predict", files=upload(("a", LOUD)), headers=header).status_code
                == 401
            )
        good = {"Authorization": "Bearer secret"}
        assert client.post("/predict", files=upload(("a", LOUD)), headers=good).status_code == 200
        with client.websocket_connect("/stream") as socket:
            socket.send_json({"sample_rate": 16000})
            assert "token" in socket.receive_json()["error"]
        with client.websocket_connect("/stream") as socket:
            socket.send_json({"sample_rate": 16000, "token": "secret"})
            socket.send_bytes(b"")


def stream(socket, wav, rate=16000, **first):
    socket.send_json({"sample_rate": rate, **first})
    for chunk in np.array_split(wav.astype("<f4"), 20):
        socket.send_bytes(chunk.tobytes())
    socket.send_bytes(b"")
    found = []
    while True:
        message = socket.receive()
        if message["type"] == "websocket.close":
            return found
        found.append(json.loads(message["text"]))


def test_streaming(client):
    wav = np.concatenate([hush(0.5), voice(2.5, 0.25), hush(0.8), voice(1, 0.02), hush(0.5)])
    with client.websocket_connect("/stream") as socket:
        found = stream(socket, wav)
    assert [s["emo"] for s in found if s["final"]] == ["ang", "sad"]
    assert any(not s["final"] for s in found)


@pytest.mark.parametrize("first", ["no json", "[]", '{"sample_rate": "x"}', '{"sample_rate": 1}',
                                   '{"model": "x"}', '{"model": 3}', '{"token": []}'])  # fmt: skip
def test_a_stream_that_begins_wrongly_is_refused(client, first):
    with client.websocket_connect("/stream") as socket:
        socket.send_text(first)
        assert "error" in socket.receive_json()


@pytest.mark.parametrize("chunk", [b"123", b"\xff" * 400, b"0" * (2 << 20)])
def test_chunks_that_are_no_samples(client, chunk):
    with client.websocket_connect("/stream") as socket:
        socket.send_json({})
        socket.send_bytes(chunk)
        assert "error" in socket.receive_json()
    assert client.app.state.streams == 0


def test_the_reason_of_a_refusal_fits_into_its_frame(client):
    with client.websocket_connect("/stream") as socket:
        socket.send_json({"model": "ß" * 100})
        assert "ß" * 100 in socket.receive_json()["error"]
        reason = socket.receive()["reason"]
    assert 100 < len(reason.encode()) <= 123 and "ß" in reason


def test_too_many_streams():
    limits = Limits(streams=1)
    with testclient.TestClient(make_app({"m": FakePredictor()}, limits, "energy")) as client:
        with client.websocket_connect("/stream"), client.websocket_connect("/stream") as second:
            assert "1 streams are open" in second.receive_json()["error"]


def test_page_and_documents_come_from_here(client):
    page = client.get("/").text
    documents = client.get("/docs").text
    for text in (page, documents):
        assert "https://" not in text and "http://" not in text
    assert client.get("/page/page.js").status_code == 200
    assert client.get("/swagger/swagger-ui-bundle.js").status_code == 200
    paths = client.get("/openapi.json").json()["paths"]
    assert {"/predict", "/timeline", "/health", "/models"} <= set(paths)
    assert client.get("/page/../app.py").status_code == 404
