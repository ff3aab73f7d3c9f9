# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Stage 7: predictions of a trained run as Kaldi files, for scoring without the model."""

import logging
from pathlib import Path

import numpy as np

from sertl import fingerprint
from sertl.atomic import write_json, write_text
from sertl.data.ark import ArkWriter
from sertl.data.audio_hash import audio_hash
from sertl.data.datadir import write_table
from sertl.data.dataset import GENDERS, STYLES
from sertl.errors import SertlError
from sertl.train import checkpoint, distributed
from sertl.train.evaluate import predict
from sertl.train.inputs import Inputs, build, phase_data
from sertl.train.place import Place
from sertl.train.settings import AUTOCAST
from sertl.train.transcripts import phase_tokenizer, tokenizer_hash

logger = logging.getLogger(__name__)


def decode(conf: dict, place: Place, parts: list[str], use_gpu: bool, redo: bool) -> None:
    """Decode the parts (dev, test) of a fold with the last phase's selected checkpoint.

    Writes decode_<part>/ with logits.{ark,scp}, labels, hyp_emo and, as the model provides them,
    hyp_gender, hyp_style, hyp_vad, hyp_text.

    Raises:
        SertlError: If the phase is not finished, or its upstream or weights do not fit.
    """
    phase = conf["phases"][-1]
    folder = place.folder / phase["name"]
    trained_from = fingerprint.require_done(folder, "stage 6 (train)")
    todo = []
    for part in parts:
        if part == "dev" and not (place.fold_dir / "dev").is_dir():
            logger.info("fold %d has no dev set (its protocol uses none)", place.fold)
            continue
        data = place.part(part)
        made_from = {
            "checkpoint": fingerprint.file_hash(folder / "best.pt"),
            "upstream": trained_from["upstream"],
            "ids": fingerprint.ids_hash(data.utts),
            "beam": phase["decode_conf"]["beam"],
        }
        if conf["input"] == "wav":
            made_from["audio"] = audio_hash(data.utts.values())
        out = place.folder / f"decode_{part}"
        if fingerprint.begin(out, made_from, redo) is fingerprint.Progress.DONE:
            logger.info("%s: already decoded", out)
        else:
            todo.append((part, data, out))
    if not todo:
        return

    device = distributed.init(use_gpu)
    inputs = Inputs(conf, phase, place)
    if inputs.description != trained_from["upstream"]:
        lines = fingerprint.differences(trained_from["upstream"], inputs.description)
        raise SertlError(f"{folder} was trained on another upstream: " + "; ".join(lines))
    if trained_from.get("tokenizer") not in (None, tokenizer_hash(place)):
        raise SertlError(
            f"{folder} was trained with another tokenizer than {place.fold_dir}/tokenizer: its "
            "outputs cannot be read; train it anew (--redo)"
        )
    train = phase_data(conf, phase, place)
    tokenizer = phase_tokenizer(place, train)
    train_set = inputs.dataset(train, train.labels, phase)
    vocab_size = tokenizer.size if tokenizer else 0
    model = build(phase, inputs, train, train_set.classes, vocab_size)
    checkpoint.load_trained(model, checkpoint.load(folder / "best.pt")["model"], str(folder))
    model.to(device)
    dtype = AUTOCAST[phase["optim_conf"]["autocast"]]
    for part, data, out in todo:
        dataset = inputs.dataset(data, train.labels, phase, tokenizer=tokenizer)
        beam = phase["decode_conf"]["beam"]
        outputs, _ = predict(model, dataset, phase["data_conf"], device, dtype, beam=beam)
        write_outputs(out, outputs, train.labels)
        write_json(
            out / "decode.json",
            {
                "data_dir": str(data.path),
                "fold": place.fold,
                "seed": place.seed,
                "set": part,
                "phase": phase["name"],
            },
        )
        fingerprint.finish(out)
        logger.info("%s: %d utts", out, len(dataset))


def write_outputs(out: Path, outputs: dict[str, dict[str, np.ndarray]], labels: list[str]) -> None:
    """Write what predict returned, each kind to its file."""
    kinds = {kind for row in outputs.values() for kind in row}
    unknown = kinds - {"emo", "gender", "style", "vad", "text"}
    if unknown:
        raise ValueError(f"no file is defined for model outputs {sorted(unknown)}")
    if "emo" in kinds:
        with ArkWriter(out / "logits", compress=False) as writer:
            for utt in sorted(outputs):
                writer.write(utt, outputs[utt]["emo"].astype(np.float32))
        write_text(out / "labels", "".join(f"{label}\n" for label in labels))
    for kind, names in (("emo", labels), ("gender", GENDERS), ("style", STYLES)):
        if kind in kinds:
            hyp = {utt: names[int(row[kind].argmax())] for utt, row in outputs.items()}
            write_table(out / f"hyp_{kind}", hyp)
    if "vad" in kinds:
        rows = {utt: " ".join(f"{v:.4f}" for v in row["vad"]) for utt, row in outputs.items()}
        write_table(out / "hyp_vad", rows)
    if "text" in kinds:
        write_table(out / "hyp_text", {utt: row["text"] or "-" for utt, row in outputs.items()})
