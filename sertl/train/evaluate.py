# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Predictions of a model over a data set, and the dev scores that choose a checkpoint."""

import numpy as np
import torch

from sertl.data.batch import prefetch
from sertl.data.batching import ordered_batches
from sertl.data.dataset import UttDataset
from sertl.data.own_classes import heads_of
from sertl.models.base import SERModel
from sertl.nn.own_heads import of_head
from sertl.score import metrics
from sertl.score.calibrated import calibrated_loss
from sertl.train import distributed
from sertl.train.ctc_text import to_text


@torch.inference_mode()
def predict(
    model: SERModel,
    data: UttDataset,
    data_conf: dict,
    device: torch.device,
    dtype: torch.dtype | None = None,
    with_loss: bool = False,
    beam: int = 1,
) -> tuple[dict[str, dict[str, np.ndarray]], dict[str, float]]:
    """Predict every utterance, in whole clips, without dropout.

    Args:
        model: Left in evaluation mode.
        data: Utterances; in a multi-process run each process takes a share.
        data_conf: batch_size and batch_sec of the phase.
        device: Where batches go.
        dtype: Of autocast, or None.
        with_loss: Also average loss and stats (needs labels).
        beam: Of CTC outputs, see ctc_text.to_text; what was read is the output `text`.

    Returns:
        {utt: {output name: array}} and the averaged loss and stats ({} without with_loss).
    """
    model.eval()
    rank, world = distributed.rank_and_world()
    batches = ordered_batches(
        range(rank, len(data), world),
        data.durs_sec,
        data_conf["batch_size"],
        data_conf["batch_sec"],
    )
    outputs: dict[str, dict[str, np.ndarray]] = {}
    sums: dict[str, float] = {}
    total = 0.0
    heads = heads_of(data.classes.get("emo", ()))
    for batch in prefetch((data.batch(indices) for indices in batches), data.depth):
        batch = batch.to(device)
        with torch.autocast(device.type, dtype, enabled=dtype is not None):
            if not with_loss:
                out = model.predict(batch)
            else:
                loss, stats, out = model.evaluate(batch)
                weight = float(stats.pop("weight"))
                total += weight
                for name, value in {"loss": loss, **stats}.items():
                    sums[name] = sums.get(name, 0.0) + weight * float(value)
        if "ctc" in out:
            out["text"] = to_text(out.pop("ctc"), data.tokenizer, beam)
        if "emo" in out and heads is not None:
            out["emo"] = of_head(out["emo"], heads, data.own_heads(batch.utt))
        for name, values in out.items():
            rows = values.float().cpu().numpy() if isinstance(values, torch.Tensor) else values
            for utt, row in zip(batch.utt, rows, strict=True):
                outputs.setdefault(utt, {})[name] = row
    parts = distributed.gather((outputs, sums, total))
    merged = {utt: out for part, _, _ in parts for utt, out in part.items()}
    weight = sum(t for _, _, t in parts)
    names = sorted({n for _, s, _ in parts for n in s})
    return merged, {n: sum(s.get(n, 0.0) for _, s, _ in parts) / max(weight, 1e-12) for n in names}


def evaluate(
    model: SERModel,
    data: UttDataset,
    data_conf: dict,
    device: torch.device,
    dtype: torch.dtype | None = None,
) -> dict[str, float]:
    """Score a model on dev: loss and stats; ua, wa and calibrated loss (score/calibrated.py) of
    emotion, mean ccc of V/A/D, wer (greedy).

    Only the scores that the model's outputs and the data's labels allow are returned.
    """
    outputs, values = predict(model, data, data_conf, device, dtype, with_loss=True)
    labelled = [i for i, c in enumerate(data.emo) if c >= 0]
    if outputs and labelled and "emo" in next(iter(outputs.values())):
        ref = np.array([data.emo[i] for i in labelled])
        logits = np.stack([outputs[data.utts[i].utt]["emo"] for i in labelled])  # (N, C)
        confusion = metrics.confusion_matrix(ref, logits.argmax(axis=1), len(data.classes["emo"]))
        values["ua"] = float(metrics.ua(confusion))
        values["wa"] = float(metrics.wa(confusion))
        values["loss_calibrated"] = calibrated_loss(logits, ref)
    rated = [u for u in data.utts if u.vad is not None]
    if rated and "vad" in outputs.get(rated[0].utt, {}):
        ref = np.array([u.vad for u in rated])
        hyp = np.stack([outputs[u.utt]["vad"] for u in rated])
        if len(rated) > 1:
            values["ccc"] = float(np.mean([metrics.ccc(hyp[:, a], ref[:, a]) for a in range(3)]))
    spoken = [u for u in data.utts if u.text]
    if spoken and "text" in outputs.get(spoken[0].utt, {}):
        hyps = [outputs[u.utt]["text"] for u in spoken]
        wer = metrics.word_errors([u.text for u in spoken], hyps)["wer"]
        values |= {"wer": wer} if wer is not None else {}
    return values
