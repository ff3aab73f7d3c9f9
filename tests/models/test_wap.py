# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""The WAP adapter as a classifier: what it was built for, whatever its own width."""

import torch
from fakes import LABELS, build_model
from test_base import LAYERS, SIZE, TinyEncoder, make_batch

from sertl.models.base import Spec

NARROW = {"wap": {"width": 4, "heads": 2, "ffn": 8, "blocks": 2}}


def test_a_narrow_adapter_reads_the_encoders_size():
    """On audio too, where masked frames become zeros of that size."""
    spec = Spec(LABELS, SIZE, [LAYERS - 1], time_mask=0.5, time_mask_span=2)
    model = build_model("wap", spec, TinyEncoder(), NARROW)
    assert model.spec == spec
    batch = make_batch(model, "wav")
    mask, vector = model.time_mask(batch)
    assert mask.any() and torch.equal(vector, torch.zeros(SIZE))
    assert model.train()(batch)[0].isfinite()
