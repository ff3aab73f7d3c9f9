# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Two-stage fine-tuning with speech recognition (Gao et al. 2024)."""

from sertl.models.two_stage.two_stage import TwoStage

__all__ = ["TwoStage"]
