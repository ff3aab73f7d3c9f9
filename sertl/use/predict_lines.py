# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""`sertl predict` without --timeline: a line for each recording."""

import argparse
import json
from collections.abc import Sequence

from sertl.use.opening import AnyPredictor, Opening
from sertl.use.output import Output
from sertl.use.prediction import Prediction, as_line
from sertl.use.progress import Progress
from sertl.use.recordings import Recording, Work, batches, predict_batch
from sertl.use.workers import each

IDS = {
    "json": lambda line: json.loads(line)["utt"],
    "tsv": lambda line: line.partition("\t")[0],
    "kaldi": lambda line: line.partition(" ")[0],
}


def predict_lines(
    args: argparse.Namespace,
    predictor: AnyPredictor,
    opening: Opening,
    recordings: Sequence[Recording],
) -> tuple[float, list[str]]:
    """Predict recordings and write what is said of them.

    Args:
        args: format, out, embeddings, keep_going, nj, batch_sec.
        predictor, opening: The model, and how it was opened.
        recordings: In the order of the lines.

    Returns:
        Seconds of audio, and why recordings were left out.

    Raises:
        SertlError: A recording that cannot be read, unless keep_going.
    """
    named = any(one.spk is not None for one in recordings)
    key = {"opening": repr(opening), "format": args.format, "embeddings": bool(args.embeddings)}
    sec, failed = 0.0, []
    with Output(args.out, key, IDS[args.format], args.embeddings) as output:
        if predictor.remembers and named and output.done:
            output.restart()  # what is known of speakers was known to the process that died
        done = set(output.done)
        left = [one for one in recordings if one.utt not in done]
        progress = Progress(len(recordings), len(recordings) - len(left))
        works = (
            Work(batch, bool(args.embeddings), args.keep_going)
            for batch in batches(left, args.batch_sec)
        )
        for results in each(predictor, opening, predict_batch, works, args.nj):
            for one, said in results:
                if isinstance(said, Prediction):
                    line = as_line(one.utt, one.path, said, args.format, predictor.labels)
                    output.write(one.utt, line, said.vector)
                    sec += said.dur_sec
                else:
                    failed.append(said)
            output.flush()
            progress.add(len(results))
        progress.close()
    return sec, failed
