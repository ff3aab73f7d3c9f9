# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""A HuBERT of base size with random weights: speed and memory do not depend on what it learned."""

from pathlib import Path

import torch


def save_hubert_base(path: Path) -> None:
    """Write a checkpoint for S3PRL's `hubert_local` with HuBERT-base's sizes (its defaults)."""
    from s3prl.upstream.hubert import hubert_model as m

    torch.manual_seed(0)
    task, config = {"normalize": False, "sample_rate": 16000}, {"label_rate": 50.0}
    symbols = [[str(i) for i in range(504)]]
    model = m.HubertModel(m.HubertConfig(**config), m.HubertPretrainingConfig(**task), symbols)
    torch.save(
        {
            "task_cfg": task,
            "model_cfg": config,
            "model_weight": model.state_dict(),
            "dictionaries_symbols": symbols,
        },
        path,
    )
