# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""The fake recipe of fake_recipe.py."""

from fake_recipe import recipe  # noqa: F401 - a fixture
