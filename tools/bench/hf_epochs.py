# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Some epochs of Hugging Face's Trainer, timed in a process of its own: for bench_live.py."""

import tempfile
import time

import soundfile
import torch
import worker
from machine import peak_gib
from torch.nn.utils.rnn import pad_sequence
from train_epochs import LABELS, make_data, resident_gib
from transformers import (
    HubertForSequenceClassification,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)

from sertl.data.batching import epoch_batches


class Clock(TrainerCallback):
    """When each epoch begins and ends, and the memory then."""

    def __init__(self):
        self.seconds, self.gib = [], []

    def on_epoch_begin(self, *_, **__) -> None:
        self.begun = time.monotonic()

    def on_epoch_end(self, *_, **__) -> None:
        self.seconds.append(time.monotonic() - self.begun)
        self.gib.append(resident_gib())


def main() -> None:
    args = worker.start(__doc__)
    utts = list(make_data(args["wav_dir"], args["clips"]).utts.values())
    lengths = [u.dur_sec for u in utts]
    batches = [
        batch
        for epoch in range(1, args["epochs"] + 1)
        for batch in epoch_batches(lengths, args["batch"], 8, 1, epoch)
    ]

    def collate(items: list[list[int]]) -> dict:
        (indices,) = items  # the Trainer's batches are of one item, ours
        wavs = [torch.from_numpy(soundfile.read(utts[i].wav, dtype="float32")[0]) for i in indices]
        labels = [LABELS.index(utts[i].emo) for i in indices]
        padded = pad_sequence(wavs, batch_first=True)
        return {"input_values": padded, "labels": torch.tensor(labels)}

    model = HubertForSequenceClassification.from_pretrained(
        args["ckpt"], num_labels=len(LABELS), final_dropout=0.0
    )
    model.freeze_feature_encoder()
    clock = Clock()
    with tempfile.TemporaryDirectory() as folder:
        settings = TrainingArguments(
            folder,
            per_device_train_batch_size=1,
            num_train_epochs=1,
            learning_rate=2e-5,
            max_grad_norm=1.0,
            optim="adamw_torch",
            save_strategy="no",
            logging_strategy="no",
            report_to=[],
            remove_unused_columns=False,
            disable_tqdm=True,
            bf16=args["bf16"],
            use_cpu=True,
        )
        per_epoch = len(batches) // args["epochs"]
        for epoch in range(args["epochs"]):
            own = batches[epoch * per_epoch : (epoch + 1) * per_epoch]
            Trainer(
                model, settings, data_collator=collate, train_dataset=own, callbacks=[clock]
            ).train()
    worker.report(
        sec=clock.seconds,
        updates=per_epoch,
        peak_gib=peak_gib(),
        first_gib=clock.gib[0],
        later_gib=clock.gib[-1],
    )


if __name__ == "__main__":
    main()
