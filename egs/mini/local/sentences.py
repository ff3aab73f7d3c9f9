# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""What the synthetic voices say: a fixed script, or sentences put together at random."""

import numpy as np

# Scripted: said in every emotion, so words give no cue.
SCRIPT = (
    "The letter is on the kitchen table.",
    "They bring the boxes on Monday.",
    "She put the key under the stone.",
    "The train will be here by seven.",
    "He carried the chair upstairs.",
)
# Improvised: one of each column.
GRAMMAR = (
    ("My brother", "The teacher", "Our neighbour", "The doctor", "Her friend", "Somebody"),
    ("has found", "will sell", "wants", "forgot", "has painted", "asked about"),
    ("the old car", "a green door", "the garden wall", "that picture", "two bicycles", "my coat"),
    ("today.", "again.", "at last.", "once more.", "over there.", "this time."),
)


def improvise(rng: np.random.Generator) -> str:
    """Draw one of 1296 sentences."""
    return " ".join(column[rng.integers(len(column))] for column in GRAMMAR)
