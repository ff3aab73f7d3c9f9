# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""A copy of the repository to run recipes in, shared by the tests of one worker."""

import pytest
from copies import Recipe, copy_repository


@pytest.fixture(scope="session")
def repository(tmp_path_factory):
    """A copy shared by the tests of one worker."""
    return copy_repository(tmp_path_factory.mktemp("repository") / "sertl")


@pytest.fixture(scope="session")
def recipe(repository):
    """A function: the recipe of that name in the copy."""
    return lambda name: Recipe(repository / "egs" / name)
