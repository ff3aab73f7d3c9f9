# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Export a trained model to ONNX: waveforms in, probabilities out, checked against PyTorch.

The file needs nothing else: `sertl predict --model emotion.onnx` runs it with onnxruntime alone
(pip install 'sertl[onnx]', no torch). All folds and seeds of an experiment are averaged in it.

    sertl export --model exp/mini --out mini.onnx
    sertl export --model exp/mini --folds 1 --int8 --out mini.int8.onnx
"""

import argparse
from pathlib import Path

from sertl.cli import run
from sertl.errors import SertlError
from sertl.use.opening import numbers


def arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--model", required=True, help="exp/<tag>, a fold of it, a phase, or a packed model")
    add("--out", required=True, help="NAME.onnx")
    add("--seeds", default="", help='only these of an experiment, as in "1 2"')
    add("--folds", default="", help="likewise")
    add("--ckpt", default="", help="where the encoder's weights lie now")
    add("--int8", action="store_true", help="weights of matrix products in 8 bits")
    return parser.parse_args()


def main() -> None:
    args = arguments()
    if Path(args.out).suffix != ".onnx":
        raise SertlError(f"--out {args.out}: expected a name that ends with .onnx")
    seeds, folds = numbers(args.seeds, "--seeds"), numbers(args.folds, "--folds")
    from sertl.export.onnx_export import export_onnx
    from sertl.use.predictor import Predictor

    predictor = Predictor.load(args.model, seeds, folds, args.ckpt or None)
    made = export_onnx(predictor, args.out, Path(args.model).stem, args.int8)
    print(
        f"{args.out}: {made['mib']} MiB, largest difference from PyTorch {made['difference']:.1e} "
        "in a probability"
    )


if __name__ == "__main__":
    run(main)
