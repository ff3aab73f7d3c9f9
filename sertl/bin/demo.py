# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Try trained models in the browser: record or upload, see emotions over time, compare models.

    sertl demo --model exp/mini
    sertl demo --model a.sertl b.onnx --examples clips/*.wav

The page needs nothing from elsewhere. Uploads lie in a temporary folder that goes with the server.
"""

from sertl.cli import run
from sertl.serve.running import arguments, serve


def main() -> None:
    serve(arguments(__doc__), page=True)


if __name__ == "__main__":
    run(main)
