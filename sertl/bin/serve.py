# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Serve trained models over HTTP (predict, timeline) and WebSocket (stream).

    sertl serve --model emotion.sertl
    curl -F files=@a.wav http://127.0.0.1:8000/predict

/docs explains the requests. Only this machine can reach it unless --host says otherwise; then set a
token, in the variable SERTL_TOKEN. sertl demo is the same server with a page at /.
"""

from sertl.cli import run
from sertl.serve.running import arguments, serve


def main() -> None:
    serve(arguments(__doc__), page=False)


if __name__ == "__main__":
    run(main)
