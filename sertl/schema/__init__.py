# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Every key that a configuration file or `--set` may hold: type, range, choices, default, meaning.

A key is declared here and nowhere else. Checks, messages, `python -m sertl.bin.keys` and
docs/keys.md are made from the declaration.
"""
