# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""sertl: transfer-learning recipes for speech emotion recognition.

    from sertl import Predictor

`Predictor` is imported when it is first asked for, so that `import sertl` costs nothing.
"""

__version__ = "0.1.0"
__all__ = ["Predictor"]


def __getattr__(name: str):
    if name == "Predictor":
        from sertl.use.predictor import Predictor

        return Predictor
    raise AttributeError(f"module 'sertl' has no attribute '{name}'")
