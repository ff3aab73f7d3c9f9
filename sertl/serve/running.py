# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Start the server: what the commands serve and demo share."""

import argparse
import logging
import math
import os
from pathlib import Path

from sertl.errors import SertlError
from sertl.use.opening import AnyPredictor, Opening

LOCAL = ("127.0.0.1", "localhost", "::1")
MOST_PORT = 65535


def arguments(doc: str) -> argparse.Namespace:
    """Parse the command line of serve and demo."""
    parser = argparse.ArgumentParser(
        description=doc, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--model", nargs="+", required=True, help="experiments, packed models, .onnx files")
    add("--ckpt", default="", help="where the encoder's weights lie now")
    add("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    add("--port", type=int, default=8000, help="(default: %(default)s; 0: any that is free)")
    add("--vad", default="silero", help="what finds speech: silero, or energy")
    add("--upload-mib", type=float, default=50.0, help="largest file (default: %(default)s)")
    add("--clip-sec", type=float, default=60.0, help="longest clip (default: %(default)s)")
    add("--recording-sec", type=float, default=600.0, help="longest recording of a timeline "
        "(default: %(default)s)")  # fmt: skip
    add("--timeout-sec", type=float, default=60.0, help="of a request (default: %(default)s)")
    add("--examples", nargs="*", default=[], help="of demo: audio files that the page offers")
    add("--ngpu", type=int, default=0, choices=(0, 1), help="1: on the GPU")
    return parser.parse_args()


def check(args: argparse.Namespace) -> None:
    """Refuse numbers that mean nothing, before models are opened.

    Raises:
        SertlError: Naming the option.
    """
    if not 0 <= args.port <= MOST_PORT:
        raise SertlError(f"--port is {args.port}, expected 0 to {MOST_PORT}")
    for name in ("upload_mib", "clip_sec", "recording_sec", "timeout_sec"):
        value = getattr(args, name)
        if not 0 < value < math.inf:
            raise SertlError(f"--{name.replace('_', '-')} is {value:g}, expected more than 0")


def open_models(args: argparse.Namespace) -> dict[str, AnyPredictor]:
    """The models by the last part of their names.

    Raises:
        SertlError: Two of one name; what opening raises.
    """
    found: dict[str, AnyPredictor] = {}
    for path in args.model:
        name = Path(path).resolve().stem if Path(path).is_file() else Path(path).resolve().name
        if name in found:
            raise SertlError(f"two models are called {name}; rename one")
        device = "cuda" if args.ngpu else "cpu"
        found[name] = Opening(path, ckpt=args.ckpt or None, device=device).open()
    return found


def serve(args: argparse.Namespace, page: bool) -> None:
    """Open the models and serve them until the process is ended.

    Raises:
        SertlError: Options out of range; packages, models or examples that are not there; an
            address in use.
    """
    check(args)
    try:
        import uvicorn

        from sertl.serve.app import make_app
        from sertl.serve.limits import Limits
    except ImportError as error:
        raise SertlError(
            f"{error.name} is not installed; to serve: pip install 'sertl[serve]'"
        ) from error
    token = os.environ.get("SERTL_TOKEN", "")
    limits = Limits(
        upload_mib=args.upload_mib,
        request_mib=4 * args.upload_mib,
        clip_sec=args.clip_sec,
        recording_sec=args.recording_sec,
        timeout_sec=args.timeout_sec,
        token=token,
    )
    examples = {Path(path).name: Path(path).resolve() for path in args.examples}
    for path in examples.values():
        if not path.is_file():
            raise SertlError(f"--examples {path}: no such file")
    app = make_app(open_models(args), limits, args.vad, page, examples)
    if args.host not in LOCAL and not token:
        logging.warning(
            "whoever reaches %s can use this server; SERTL_TOKEN sets a token", args.host
        )
    config = uvicorn.Config(
        app, args.host, args.port, log_level="warning", ws_max_size=1 << 20, timeout_keep_alive=5
    )
    server = uvicorn.Server(config)
    sockets = [_bound(config, args)]
    host, port = sockets[0].getsockname()[:2]
    print(f"http://{host}:{port}", "(Ctrl-C ends it)", flush=True)
    server.run(sockets)


def _bound(config, args: argparse.Namespace):
    try:
        return config.bind_socket()
    except SystemExit as error:  # as uvicorn ends where the port is taken
        raise SertlError(
            f"--port {args.port} of {args.host} cannot be had; is it in use?"
        ) from error
