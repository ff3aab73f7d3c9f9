# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Trained models on new audio, outside their recipe."""
