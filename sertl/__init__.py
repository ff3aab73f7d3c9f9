# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""sertl: transfer-learning recipes for speech emotion recognition."""

__version__ = "0.1.0"
