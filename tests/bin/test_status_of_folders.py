# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Which experiments are meant."""

import pytest

from sertl.bin.status import experiments
from sertl.errors import SertlError


def test_a_folder_of_experiments_and_what_lies_beside_them(tmp_path):
    for name in ("first_a", "first_b", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.yaml").write_text("")
    (tmp_path / "first_table.md").write_text("")
    assert [one.name for one in experiments([tmp_path])] == ["first_a", "first_b", "other"]
    of_shell = sorted(tmp_path.glob("first_*"))  # as the shell expands it
    assert [one.name for one in experiments(of_shell)] == ["first_a", "first_b"]
    nothing = tmp_path / "nothing"
    assert experiments([nothing]) == [nothing]  # which is then named as no experiment
    with pytest.raises(SertlError, match="first_table.md: no experiment, expected exp/<tag>"):
        experiments([tmp_path / "first_table.md"])
