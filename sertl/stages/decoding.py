# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Stage 7: predictions of a trained run as Kaldi files, for scoring without the model."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from sertl import fingerprint
from sertl.atomic import write_json, write_text
from sertl.data.ark import ArkWriter
from sertl.data.audio import audio_hash
from sertl.data.datadir import DataDir, write_table
from sertl.data.dataset import UttDataset
from sertl.data.feats import FeatsStore
from sertl.data.fields import field_of
from sertl.data.folds import FoldDir
from sertl.errors import SertlError
from sertl.runs import Run
from sertl.score.decoded import predictions_hash
from sertl.seed import derive_seed
from sertl.stages.inputs import open_lower, read_from
from sertl.stages.made_from import speakers_hash
from sertl.train import distributed
from sertl.train.evaluate import predict
from sertl.train.live_norm import LiveNorm
from sertl.train.settings import AUTOCAST
from sertl.train.trained import BEST, Trained, load_model

logger = logging.getLogger(__name__)


def decode(conf: dict, run: Run, parts: list[str], use_gpu: bool, redo: bool) -> None:
    """Decode the parts (dev, test) of a fold with the last phase's selected checkpoint.

    Writes decode_<part>/ with logits.{ark,scp}, labels, decode.json and, as the model provides
    them, hyp_emo, hyp_gender, hyp_style, hyp_vad, hyp_text and so on.

    Raises:
        SertlError: If the phase is not finished, or its upstream or weights do not fit.
    """
    phase, fold = conf["phases"][-1], FoldDir(Path(conf["data"]), run.fold)
    folder = run.phase(phase["name"])
    trained_from = fingerprint.require_done(folder, "stage 6 (train)")
    todo = []
    for part in parts:
        if part == "dev" and not fold.has("dev"):
            logger.info("fold %d has no dev set (its protocol uses none)", run.fold)
            continue
        data, out = fold.part(part), run.decoded(part)
        made_from = inputs_of(conf, folder, trained_from, data)
        if fingerprint.begin(out, made_from, redo) is fingerprint.Progress.DONE:
            logger.info("%s: already decoded", out)
        else:
            todo.append((part, data, out))
    if not todo:
        return
    device, trained = distributed.init(use_gpu), load_model(folder)
    trained.model.to(device)
    data_conf, dtype = trained.phase["data_conf"], AUTOCAST[trained.phase["optim_conf"]["autocast"]]
    beam = phase["decode_conf"]["beam"]
    norm = trained.speaker_norm
    before = norm is not None and not norm.inside
    live = LiveNorm(trained.model, data_conf, device, dtype, norm, before)
    for part, data, out in todo:
        dataset = open_dataset(trained, data, conf["dump"])
        orders = orders_of(trained, data, phase["decode_conf"]["orders"])
        with live.once():
            for number in range(1, orders + 1):
                seed = derive_seed(run.seed, "decode", number)
                if before:
                    dataset.normalise_speakers(norm, seed)
                live.refresh(dataset, seed)
                outputs, _ = predict(trained.model, dataset, data_conf, device, dtype, beam=beam)
                if number == 1:
                    classes = write_outputs(out, outputs, trained.spec.all_classes)
                    if any(u.votes for u in data.utts.values()):
                        write_shares(out, outputs)
                else:
                    write_order(out, number, outputs, trained.spec.labels)
        facts = {"data_dir": str(data.path), "fold": run.fold, "seed": run.seed, "set": part}
        facts |= {"phase": phase["name"], "classes": classes, "orders": orders}
        facts["predictions"] = predictions_hash(out)
        write_json(out / "decode.json", facts)
        fingerprint.finish(out)
        logger.info("%s: %d utts", out, len(dataset))


def inputs_of(conf: dict, folder: Path, trained_from: dict, data: DataDir) -> dict:
    """Everything that predictions depend on."""
    found = {
        "checkpoint": fingerprint.file_hash(folder / BEST),
        "upstream": trained_from["upstream"],
        "ids": fingerprint.ids_hash(data.utts),
        "beam": conf["phases"][-1]["decode_conf"]["beam"],
    }
    if conf["phases"][-1]["data_conf"]["speaker_norm"]["mode"] != "none":
        found["speakers"] = speakers_hash(data.utts.values())
        found["orders"] = conf["phases"][-1]["decode_conf"]["orders"]
    return found | ({"audio": audio_hash(data.utts.values())} if conf["input"] == "wav" else {})


def open_dataset(trained: Trained, data: DataDir, dump: str | Path) -> UttDataset:
    """The utterances of a data directory as a trained model reads them.

    Raises:
        SertlError: If the dump is not the one, or one like it, that the model was trained on.
    """
    store, statistics = None, ()
    if trained.input == "feats":
        store = FeatsStore(dump, trained.spec.layers)
        statistics = read_from(store, trained.phase, len(trained.spec.layers))
        lines = fingerprint.differences(trained.encoder, store.inputs)
        if lines:
            raise SertlError(f"{dump} is not what the model was trained on: " + "; ".join(lines))
    elif trained.spec.lower:
        store = open_lower(dump, list(trained.spec.lower), trained.encoder)
    return UttDataset(
        data,
        trained.spec.all_classes,
        feats=store,
        normalise=trained.spec.normalise and trained.input == "feats",
        statistics=statistics,
        resumed=bool(trained.spec.lower),
        tokenizer=trained.tokenizer,
    )


def orders_of(trained: Trained, data: DataDir, wanted: int) -> int:
    """In how many orders of a speaker's clips a set is decoded.

    One, unless the result depends on the order and the corpus does not say it.
    """
    norm = trained.speaker_norm
    ordered = all(u.order is not None for u in data.utts.values())
    return 1 if norm is None or norm.mode != "online" or ordered else wanted


def write_order(
    out: Path, number: int, outputs: dict[str, dict[str, np.ndarray]], labels: Sequence[str]
) -> None:
    """Write the emotions that another order of each speaker's clips gives, for their spread."""
    folder = out / f"order{number}"
    folder.mkdir(exist_ok=True)
    hyp = {u: labels[int(row["emo"].argmax())] for u, row in outputs.items() if "emo" in row}
    if hyp:
        write_table(folder / field_of("emo").hyp, hyp)


def write_shares(out: Path, outputs: dict[str, dict[str, np.ndarray]]) -> None:
    """Write the probability of each emotion, to be compared with the raters' votes."""
    rows = {}
    for utt, row in outputs.items():
        if "emo" in row:
            logits = row["emo"].astype(np.float64)
            shares = np.exp(logits - logits.max())
            rows[utt] = " ".join(f"{p:.6f}" for p in shares / shares.sum())
    if rows:
        write_table(out / field_of("votes").hyp, rows)


def write_outputs(
    out: Path, outputs: dict[str, dict[str, np.ndarray]], classes: Mapping[str, Sequence[str]]
) -> dict[str, list[str]]:
    """Write what predict returned, each kind to its file.

    Args:
        out: decode_<set>/.
        outputs: Utterance -> output -> array or text.
        classes: Of each class field that the model may tell.

    Returns:
        The classes of those that it told.
    """
    kinds = sorted({kind for row in outputs.values() for kind in row})
    for kind in kinds:
        rows = {utt: row[kind] for utt, row in outputs.items()}
        if kind in classes:
            hyp = {utt: classes[kind][int(row.argmax())] for utt, row in rows.items()}
        elif kind == "vad":
            hyp = {utt: " ".join(f"{v:.4f}" for v in row) for utt, row in rows.items()}
        elif kind == "text":
            hyp = {utt: row or "-" for utt, row in rows.items()}
        else:
            raise ValueError(f"no field is called as the model's output '{kind}'")
        write_table(out / field_of(kind).hyp, hyp)
    if "emo" in kinds:
        with ArkWriter(out / "logits", compress=False) as writer:
            for utt in sorted(outputs):
                writer.write(utt, outputs[utt]["emo"].astype(np.float32))
        write_text(out / "labels", "".join(f"{label}\n" for label in classes["emo"]))
    return {kind: list(classes[kind]) for kind in kinds if kind in classes}
