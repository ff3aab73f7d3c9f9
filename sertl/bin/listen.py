# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Listen to the microphone and say what is heard, segment by segment, until Ctrl-C.

    sertl listen --model emotion.sertl          (pip install 'sertl[microphone]')

A segment is printed as JSON when it is complete (0.3 s after its speech ends); with --live also
while it is being said, with "final": false.
"""

import argparse
import json
import queue

from sertl.cli import run
from sertl.errors import SertlError
from sertl.use.opening import Opening
from sertl.use.stream import EmotionStream
from sertl.use.timeline import Plan, segment_fields

BLOCK_SEC = 0.1


def arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--model", required=True, help="exp/<tag>, a packed model, or a .onnx file")
    add("--ckpt", default="", help="where the encoder's weights lie now")
    add("--device", default="", help="of the microphone: number or a part of its name")
    add("--vad", default="silero", help="what finds speech: silero, or energy")
    add("--speaker", default="", help="who speaks, for models that normalise speakers")
    add("--live", action="store_true", help="also what is being said")
    return parser.parse_args()


def main() -> None:
    args = arguments()
    try:
        import sounddevice
    except (ImportError, OSError) as error:  # OSError: without the PortAudio library
        raise SertlError(
            f"the microphone needs the package sounddevice and the library PortAudio ({error}): "
            "pip install 'sertl[microphone]'"
        ) from error
    predictor = Opening(args.model, ckpt=args.ckpt or None).open()
    heard: queue.Queue = queue.Queue()
    device = int(args.device) if args.device.isdecimal() else args.device or None
    try:
        rate = int(sounddevice.query_devices(device, "input")["default_samplerate"])
        plan = Plan(vad=args.vad, curve_sec=0.0, spk=args.speaker or None)
        ear = EmotionStream(predictor, rate, plan, update_sec=1.0 if args.live else 0.0)
        options = {"samplerate": rate, "channels": 1, "device": device, "dtype": "float32"}
        with sounddevice.InputStream(
            blocksize=int(rate * BLOCK_SEC),
            callback=lambda samples, *_: heard.put(samples[:, 0].copy()),
            **options,
        ):
            while True:
                for segment in ear.feed(heard.get()):
                    shown = {**segment_fields(segment), "final": segment.final}
                    print(json.dumps(shown, ensure_ascii=False), flush=True)
    except (sounddevice.PortAudioError, ValueError) as error:
        raise SertlError(f"no microphone: {error}") from error


if __name__ == "__main__":
    run(main)
