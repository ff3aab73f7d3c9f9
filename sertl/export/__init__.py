# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Trained models as ONNX graphs, for machines without torch."""
