# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""The server: predict, timeline, stream, health; and the page.

POST /predict            files -> what is said of each
POST /timeline           one file -> its segments
WS   /stream             float32 samples -> segments as they come
GET  /health, /models, /docs, /openapi.json
"""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Mapping
from concurrent.futures import Future
from contextlib import asynccontextmanager
from pathlib import Path

import soundfile
from fastapi import APIRouter, Depends, FastAPI, Form, HTTPException, Request, UploadFile
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import FileResponse, HTMLResponse, JSONResponse
from fastapi.staticfiles import StaticFiles

from sertl import __version__
from sertl.data.audio import read_audio
from sertl.errors import SertlError, unknown_name
from sertl.serve.limits import Limits, check_length, check_size, check_token, keep
from sertl.serve.request_queue import Batcher, Busy
from sertl.serve.streaming import router as streaming
from sertl.serve.timelines import Timelines
from sertl.use.opening import AnyPredictor
from sertl.use.prediction import as_fields
from sertl.use.speech_detector import DETECTORS
from sertl.use.timeline import Plan, segment_fields

PAGE = Path(__file__).parent / "page"
guarded = APIRouter(dependencies=[Depends(check_token)])


def make_app(
    models: Mapping[str, AnyPredictor],
    limits: Limits | None = None,
    vad: str = "silero",
    page: bool = False,
    examples: Mapping[str, Path] | None = None,
) -> FastAPI:
    """The application.

    Args:
        models: By name; the first is asked where a request names none.
        limits: Of requests.
        vad: Speech detector of timelines and streams.
        page: Whether / is the page.
        examples: Clips that the page offers, by name.

    Raises:
        SertlError: No detector of that name.
    """
    DETECTORS.get(vad)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        with tempfile.TemporaryDirectory(prefix="sertl-serve-") as folder:
            app.state.folder = Path(folder)
            yield
        for batcher in app.state.batchers.values():
            batcher.close()
        app.state.timelines.close()

    app = FastAPI(title="sertl", version=__version__, lifespan=lifespan, docs_url=None)
    app.openapi_version = "3.0.2"  # which the bundled page of /docs can show
    app.state.models, app.state.limits = dict(models), limits or Limits()
    app.state.vad, app.state.examples = vad, dict(examples or {})
    app.state.batchers = {name: Batcher(model) for name, model in models.items()}
    app.state.timelines = Timelines(app.state.limits.timelines)
    app.state.streams = 0
    app.middleware("http")(_before_reading)
    app.include_router(guarded)
    app.include_router(streaming)
    app.add_exception_handler(SertlError, _refused)
    _offline_docs(app)
    if page:
        app.mount("/page", StaticFiles(directory=PAGE), name="page")

        @app.get("/", include_in_schema=False)
        async def index() -> FileResponse:
            return FileResponse(PAGE / "index.html")

    return app


async def _before_reading(request: Request, call_next):
    """Token and size are looked at before a body is taken in."""
    try:
        await check_size(request)
        if request.method == "POST":
            await check_token(request)
    except HTTPException as error:
        return JSONResponse({"detail": error.detail}, error.status_code)
    return await call_next(request)


async def _refused(_request: Request, error: Exception) -> JSONResponse:
    status = 503 if isinstance(error, Busy) else 422
    return JSONResponse({"detail": str(error)}, status_code=status)


def _offline_docs(app: FastAPI) -> None:
    """/docs from files on this machine: no script from elsewhere."""
    import swagger_ui_bundle

    folder = next(Path(swagger_ui_bundle.__file__).parent.glob("vendor/swagger-ui-*"))
    app.mount("/swagger", StaticFiles(directory=folder), name="swagger")

    @app.get("/docs", include_in_schema=False)
    async def docs() -> HTMLResponse:
        return get_swagger_ui_html(
            openapi_url="/openapi.json",
            title="sertl",
            swagger_js_url="/swagger/swagger-ui-bundle.js",
            swagger_css_url="/swagger/swagger-ui.css",
            swagger_favicon_url="data:,",
        )


@guarded.get("/health")
async def health(request: Request) -> dict:
    """Whether it runs, and how many clips wait."""
    waiting = sum(b.waiting for b in request.app.state.batchers.values())
    return {"status": "ok", "version": __version__, "waiting": waiting}


@guarded.get("/models")
async def models(request: Request) -> dict:
    """Models with their labels, limits, and the page's example clips."""
    limits: Limits = request.app.state.limits
    return {
        "models": {n: {"labels": list(m.labels)} for n, m in request.app.state.models.items()},
        "limits": {
            "upload_mib": limits.upload_mib,
            "clip_sec": limits.clip_sec,
            "recording_sec": limits.recording_sec,
            "files": limits.files,
        },
        "examples": list(request.app.state.examples),
    }


@guarded.get("/examples/{name}")
async def example(request: Request, name: str) -> FileResponse:
    """An example clip of the page."""
    found = request.app.state.examples.get(name)
    if found is None:
        raise HTTPException(404, f"no example '{name}'")
    return FileResponse(found)


@guarded.post("/predict")
async def predict(
    request: Request,
    files: list[UploadFile],
    model: str = Form(""),
    speaker: str = Form(""),
) -> dict:
    """Predict audio files; a bad one is answered with its reason, the others as usual.

    The status is 200 if at least one could be predicted, else that of the first reason.
    """
    state = request.app.state
    limits: Limits = state.limits
    name, _ = _model(request, model)
    if len(files) > limits.files:
        raise HTTPException(413, f"{len(files)} files; at most {limits.files} in a request")
    results, errors, waiting = [], [], []
    for upload in files:
        shown = upload.filename or "audio"
        try:
            wav = await _wav(upload, shown, state.folder, limits)
            future = state.batchers[name].submit(wav, speaker or None)
            waiting.append((shown, future))
        except (HTTPException, SertlError) as error:
            waiting.append((shown, error))
    for shown, one in waiting:
        try:
            if isinstance(one, Exception):
                raise one
            said = await _in_time(one, limits)
            results.append({"file": shown, "dur_sec": round(said.dur_sec, 3), **as_fields(said)})
        except (HTTPException, SertlError) as error:
            errors.append(error)
            detail = getattr(error, "detail", str(error))
            results.append({"file": shown, "error": detail})
    if errors and len(errors) == len(files):
        raise errors[0]
    return {"model": name, "results": results}


async def _in_time(future: Future, limits: Limits):
    try:
        return await asyncio.wait_for(asyncio.wrap_future(future), limits.timeout_sec)
    except TimeoutError as error:
        raise HTTPException(504, f"no prediction within {limits.timeout_sec:g} s") from error


def _model(request: Request, name: str) -> tuple[str, AnyPredictor]:
    found = request.app.state.models
    name = name or next(iter(found))
    if name not in found:
        raise unknown_name("model", name, found)
    return name, found[name]


async def _wav(upload: UploadFile, shown: str, folder: Path, limits: Limits):
    path = await keep(upload, folder, limits)
    try:
        check_length(path, shown, limits.clip_sec)
        return await asyncio.to_thread(_read, path, shown)
    finally:
        path.unlink(missing_ok=True)


def _read(path: Path, shown: str):
    try:
        return read_audio(path)
    except SertlError as error:
        raise SertlError(str(error).replace(str(path), shown)) from error


@guarded.post("/timeline")
async def recording_timeline(
    request: Request,
    file: UploadFile,
    model: str = Form(""),
    speaker: str = Form(""),
) -> dict:
    """Segments of a recording, with a curve inside each."""
    state = request.app.state
    limits: Limits = state.limits
    name, predictor = _model(request, model)
    shown = file.filename or "audio"
    path = await keep(file, state.folder, limits)
    try:
        check_length(path, shown, limits.recording_sec)
        plan = Plan(vad=state.vad, spk=speaker or None)
        try:
            found = await state.timelines.make(predictor, str(path), plan, limits.timeout_sec)
        except TimeoutError as error:
            raise HTTPException(504, f"no timeline within {limits.timeout_sec:g} s") from error
        except Busy:
            raise
        except (SertlError, soundfile.SoundFileError) as error:
            raise SertlError(str(error).replace(str(path), shown)) from error
    finally:
        path.unlink(missing_ok=True)
    segments = [segment_fields(one) for one in found.segments]
    return {"model": name, "file": shown, "dur_sec": found.dur_sec, "segments": segments}
