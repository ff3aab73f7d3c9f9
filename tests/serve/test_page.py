# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""The page in a real browser: upload and see the label, hear a segment, see why a file is bad."""

import shutil
import socket
import threading
import time

import numpy as np
import pytest
import soundfile
from fake_predictor import FakePredictor, hush, voice

uvicorn = pytest.importorskip("uvicorn")
pytest.importorskip("fastapi")
browsers = pytest.importorskip("playwright.sync_api")
NAMES = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM = next(filter(None, map(shutil.which, NAMES)), None)
OPTIONS = [
    "--no-sandbox",
    "--autoplay-policy=no-user-gesture-required",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
]


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    from sertl.serve.app import make_app

    folder = tmp_path_factory.mktemp("examples")
    soundfile.write(folder / "soft.wav", np.concatenate([hush(0.5), voice(1.5, 0.02)]), 16000)
    models = {"first": FakePredictor(), "second": FakePredictor()}
    app = make_app(models, vad="energy", page=True, examples={"soft.wav": folder / "soft.wav"})
    own = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="error"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [own]}, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield f"http://127.0.0.1:{own.getsockname()[1]}"
    server.should_exit = True
    thread.join(30)


@pytest.fixture
def page(served):
    if CHROMIUM is None:
        pytest.skip("no chromium on this machine")
    with browsers.sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=OPTIONS)
        page = browser.new_page()
        page.set_default_timeout(120_000)
        page.elsewhere, page.errors = [], []
        allowed = (served, "blob:", "data:")
        page.on("request", lambda r: r.url.startswith(allowed) or page.elsewhere.append(r.url))
        page.on("pageerror", lambda e: page.errors.append(str(e)))
        page.goto(served)
        page.wait_for_selector("#limits:not(:empty)")
        yield page
        assert page.elsewhere == [] and page.errors == []
        browser.close()


def emotions(page):
    found = page.eval_on_selector_all(
        ".model", "all => all.map(m => [m.dataset.model, m.dataset.emo])"
    )
    return dict(found)


def test_upload_shows_the_right_label_of_every_model(page, tmp_path):
    wav = np.concatenate([hush(0.5), voice(3.0, 0.25), hush(0.8), voice(1.0, 0.02)])
    soundfile.write(tmp_path / "loud.wav", wav, 16000)
    page.set_input_files("#file", tmp_path / "loud.wav")
    page.wait_for_selector(".model .bar")
    assert emotions(page) == {"first": "ang", "second": "ang"}
    assert "loud.wav, 5.3 s" in page.inner_text("#name")
    assert page.locator(".model").first.locator(".segments button").count() == 2
    drawn = "c => c.getContext('2d').getImageData(0, 0, c.width, c.height).data.some(v => v > 0)"
    for canvas in ("#wave", "#spectrogram", ".model .curve"):
        assert page.eval_on_selector(canvas, drawn)
    page.locator(".segments button").first.click()
    page.wait_for_function("document.getElementById('player').currentTime > 0.3")


def test_an_example_clip(page):
    page.select_option("#examples", "soft.wav")
    page.wait_for_selector(".model .bar")
    assert emotions(page) == {"first": "sad", "second": "sad"}


def test_a_bad_file_shows_the_reason(page, tmp_path):
    (tmp_path / "bad.wav").write_bytes(b"RIFF and no more")
    page.set_input_files("#file", tmp_path / "bad.wav")
    page.wait_for_selector("#problem:not([hidden])")
    assert page.inner_text("#problem").startswith("bad.wav: ")
    assert page.is_hidden("#view")


def test_recording(page):
    page.click("#record")
    page.wait_for_selector("#record.on")
    page.wait_for_timeout(1500)
    page.click("#record")
    page.wait_for_selector("#name:has-text('recording.wav')")
