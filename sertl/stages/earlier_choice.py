# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Layers and strength of a start, chosen while the encoder knew none of the training speakers.

A start is chosen by leaving training speakers out. On an encoder that an earlier phase has tuned on
their emotions that says little: the layers that know them best win. So a later phase starts from
what the earlier one chose, solved anew on the hidden states as they are now.
"""

import json
import logging
from pathlib import Path

from sertl.data.datadir import DataDir
from sertl.models.base import SERModel
from sertl.stages.training_data import known_to
from sertl.train import checkpoint
from sertl.train.trained import BEST

logger = logging.getLogger(__name__)


def earlier_choice(start: Path | None, train: DataDir, model: SERModel) -> dict[str, list[dict]]:
    """What the start of an earlier phase chose, for a phase on speakers that it has learned.

    Args:
        start: Folder of the phase that another one starts from.
        train: What that other one trains on.
        model: Its model.

    Returns:
        The parts of the head of each task that started solved there; {} where that phase has seen
        none of the speakers, or its heads read other vectors.
    """
    if start is None or not known_to(start, train):
        return {}
    saved = checkpoint.load(start / BEST, "model")
    if "started" not in saved:
        return {}
    started = json.loads(saved["started"])
    read = [*saved["spec"]["layers"]], started["shape"]
    if read != ([*model.spec.layers], [*model.start_shape]):
        logger.info("the head of %s reads other vectors: its layers are chosen anew", start)
        return {}
    return started["parts"]
