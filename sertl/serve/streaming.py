# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Speech over a WebSocket: little-endian float32 samples in, segments out as JSON.

The first message is JSON: {"sample_rate": 16000, "model": "", "speaker": "", "token": ""}; then
binary chunks; an empty one ends the stream, after which the last segments come and the socket
closes.
"""

import asyncio
import json

import numpy as np
from fastapi import APIRouter, WebSocket, WebSocketDisconnect

from sertl.errors import SertlError, unknown_name
from sertl.serve.limits import Limits, authorised
from sertl.use.stream import EmotionStream
from sertl.use.timeline import Plan, Segment, segment_fields

LONGEST_CHUNK = 1 << 20  # bytes
LONGEST_REASON = 123  # bytes, of a frame that closes
REFUSED, TOO_MANY = 1008, 1013  # of RFC 6455's registry

router = APIRouter()


@router.websocket("/stream")
async def stream(socket: WebSocket) -> None:
    """See the module's docstring."""
    state = socket.app.state
    await socket.accept()
    if state.streams >= state.limits.streams:
        await _refuse(socket, TOO_MANY, f"{state.limits.streams} streams are open already")
        return
    state.streams += 1
    try:
        await _serve(socket)
    except WebSocketDisconnect:
        pass
    except SertlError as error:
        await _refuse(socket, REFUSED, str(error))
    except TimeoutError:
        await _refuse(socket, REFUSED, f"nothing heard for {state.limits.timeout_sec:g} s")
    finally:
        state.streams -= 1


async def _serve(socket: WebSocket) -> None:
    limits: Limits = socket.app.state.limits
    ear = await _begin(socket, limits)
    while True:
        message = await asyncio.wait_for(socket.receive(), limits.timeout_sec)
        if message["type"] == "websocket.disconnect":
            return
        chunk = message.get("bytes")
        if chunk is None or len(chunk) % 4 or len(chunk) > LONGEST_CHUNK:
            raise SertlError(
                f"expected binary float32 samples, at most {LONGEST_CHUNK} bytes a message"
            )
        if not chunk:
            for segment in await asyncio.to_thread(ear.finish):
                await _send(socket, segment)
            await socket.close()
            return
        samples = np.frombuffer(chunk, "<f4")
        for segment in await asyncio.to_thread(ear.feed, samples):
            await _send(socket, segment)


async def _begin(socket: WebSocket, limits: Limits) -> EmotionStream:
    """The stream that the first message asks for."""
    message = await asyncio.wait_for(socket.receive(), limits.timeout_sec)
    if message["type"] == "websocket.disconnect":
        raise WebSocketDisconnect
    try:
        asked = json.loads(message.get("text") or "")
        rate = asked.get("sample_rate", 16000)
        given, name = asked.get("token", ""), asked.get("model", "")
        speaker = asked.get("speaker") or None
        if not all(isinstance(x, str) for x in (given, name, speaker or "")):
            raise TypeError("token, model and speaker are texts")
        rate = int(rate)
    except (ValueError, TypeError, AttributeError) as error:
        raise SertlError(f"expected JSON with sample_rate first ({error})") from error
    header = socket.headers.get("authorization")
    if not (authorised(header, limits) or authorised(f"Bearer {given}", limits)):
        raise SertlError("this server wants its token, in the first message or as a header")
    models = socket.app.state.models
    if name and name not in models:
        raise unknown_name("model", name, models)
    predictor = models[name or next(iter(models))]
    plan = Plan(vad=socket.app.state.vad, curve_sec=0.0, spk=speaker)
    return await asyncio.to_thread(EmotionStream, predictor, rate, plan)


async def _send(socket: WebSocket, segment: Segment) -> None:
    await socket.send_json({**segment_fields(segment), "final": segment.final})


async def _refuse(socket: WebSocket, code: int, reason: str) -> None:
    try:
        await socket.send_json({"error": reason})
        await socket.close(code, reason.encode()[:LONGEST_REASON].decode(errors="ignore"))
    except (RuntimeError, WebSocketDisconnect):  # the other side has gone already
        pass
