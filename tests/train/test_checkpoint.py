# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Checkpoints: only what trained, strict loading, init that says what it did, damaged files."""

import errno
import io
import resource

import pytest
import torch
from torch import nn

from sertl.errors import SertlError
from sertl.train import checkpoint


class Net(nn.Module):
    def __init__(self, head=3):
        super().__init__()
        self.upstream = nn.Linear(4, 4)
        self.upstream.weight.requires_grad_(False)
        self.head = nn.Linear(4, head)
        self.register_buffer("counter", torch.zeros(1))


def test_only_what_trains_is_saved():
    assert sorted(checkpoint.trained_state(Net())) == [
        "counter",
        "head.bias",
        "head.weight",
        "upstream.bias",
    ]


def test_round_trip_is_exact(tmp_path):
    torch.manual_seed(0)
    first, second = Net(), Net()
    checkpoint.save(tmp_path / "a.pt", {"model": checkpoint.trained_state(first)})
    checkpoint.load_trained(second, checkpoint.load(tmp_path / "a.pt")["model"], "a.pt")
    assert torch.equal(first.head.weight, second.head.weight)
    assert not torch.equal(first.upstream.weight, second.upstream.weight)  # frozen: own source


def test_strict_load_names_what_is_wrong():
    state = checkpoint.trained_state(Net())
    del state["head.bias"]
    with pytest.raises(SertlError, match=r"missing \['head.bias'\]"):
        checkpoint.load_trained(Net(), state, "x")
    with pytest.raises(SertlError, match=r"other shapes \['head"):
        checkpoint.load_trained(Net(head=5), checkpoint.trained_state(Net()), "x")


def test_init_counts_and_refuses_to_load_nothing():
    state = checkpoint.trained_state(Net())
    state["old_head"] = torch.zeros(2)
    del state["counter"]
    counts = checkpoint.init_from(Net(), state, "x")
    assert counts == {"loaded": 3, "created": 1, "dropped": 1}
    with pytest.raises(SertlError, match="would load nothing"):
        checkpoint.init_from(Net(), {"other": torch.zeros(1)}, "x")


def test_init_takes_a_part_under_another_name():
    """head <- teacher; what is called head there is not taken."""
    torch.manual_seed(0)
    state = checkpoint.trained_state(Net())
    state["teacher.weight"], state["teacher.bias"] = torch.ones(3, 4), torch.zeros(3)
    model = Net()
    counts = checkpoint.init_from(model, state, "x", {"head": "teacher"})
    assert counts == {"loaded": 4, "created": 0, "dropped": 0}
    assert (model.head.weight == 1).all() and (model.head.bias == 0).all()
    for parts in ({"head": "techer"}, {"haed": "teacher"}):
        with pytest.raises(SertlError, match="the two hold different tensors"):
            checkpoint.init_from(Net(), state, "x", parts)
    del state["teacher.bias"]
    with pytest.raises(SertlError, match=r"only in this model: \['head.bias'\]"):
        checkpoint.init_from(Net(), state, "x", {"head": "teacher"})


def test_a_part_that_starts_at_random_beside_its_twin_is_named(caplog):
    """As `--method wap --set init.from=…` without init.map."""
    source = nn.ModuleDict({"mix": nn.Linear(1, 1), "teacher": nn.Linear(3, 2)})
    model = nn.ModuleDict({"mix": nn.Linear(1, 1), "adapter": nn.Linear(3, 2)})
    counts = checkpoint.init_from(model, source.state_dict(), "x.pt")
    assert counts == {"loaded": 2, "created": 2, "dropped": 2}
    assert "adapter starts from random weights, though 'teacher' of x.pt has" in caplog.text
    caplog.clear()
    checkpoint.init_from(model, source.state_dict(), "x.pt", {"adapter": "teacher"})
    checkpoint.init_from(model, source.state_dict(), "x.pt", only=["mix"])  # who says so means it
    assert not [r for r in caplog.records if r.levelname == "WARNING"]


def test_what_an_earlier_phase_tuned_of_the_upstream_stays_in_later_checkpoints():
    torch.manual_seed(0)
    tuned = Net()
    tuned.upstream.requires_grad_(True)
    for parameter in tuned.upstream.parameters():
        torch.nn.init.normal_(parameter)
    state = checkpoint.trained_state(tuned)
    for _ in range(2):  # also from a phase that only passed it on
        model = Net()
        model.upstream.requires_grad_(False)
        checkpoint.init_from(model, state, "x", only=["upstream"])
        assert not torch.equal(model.head.weight, tuned.head.weight)
        state = checkpoint.trained_state(model)
    decoder = Net()
    checkpoint.load_trained(decoder, state, "y")
    assert torch.equal(decoder.upstream.weight, tuned.upstream.weight)
    assert torch.equal(decoder.head.weight, model.head.weight)
    assert checkpoint.trained_state(decoder).keys() == state.keys()


def test_init_refuses_an_encoder_with_more_trained_tensors_and_parts_that_are_not_there():
    state = checkpoint.trained_state(Net())
    state["upstream.parts.lora.a"] = torch.zeros(2)
    with pytest.raises(SertlError, match="upstream.parts.lora.a; put the same"):
        checkpoint.init_from(Net(), state, "x")
    checkpoint.init_from(Net(), state, "x", only=["head"])
    with pytest.raises(SertlError, match="share nothing of 'haed'"):
        checkpoint.init_from(Net(), state, "x", only=["haed"])


def test_damaged_and_missing_files(tmp_path):
    with pytest.raises(SertlError, match="no such checkpoint"):
        checkpoint.load(tmp_path / "none.pt")
    path = tmp_path / "a.pt"
    checkpoint.save(path, {"model": {"x": torch.zeros(1000)}})
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(SertlError, match="damaged checkpoint"):
        checkpoint.load(path)


def test_random_state_round_trip():
    import random

    import numpy as np

    def draw():
        return random.random(), np.random.rand(), torch.rand(1).item()  # noqa: NPY002

    cpu = torch.device("cpu")
    state = checkpoint.random_state(cpu)
    first = draw()
    checkpoint.set_random_state(state, cpu)
    assert draw() == first


def test_a_write_that_fails_is_an_os_error_and_leaves_the_old_checkpoint(tmp_path):
    path = tmp_path / "a.pt"
    checkpoint.save(path, {"model": {"x": torch.zeros(3)}})
    before = path.read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, hard))  # as a disk that fills up
    try:
        with pytest.raises(OSError, match="too large.*a.pt"):
            checkpoint.save(path, {"model": {"x": torch.zeros(10_000)}})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("room", [0, 100, 10**5, 3 * 10**6])
def test_a_full_disk_is_named_and_the_old_checkpoint_stays(tmp_path, monkeypatch, room):
    path = tmp_path / "last.pt"
    checkpoint.save(path, {"model": {"x": torch.zeros(3)}})
    left = [room]

    class Full(io.FileIO):
        def write(self, data):
            left[0] -= len(data)
            if left[0] < 0:
                raise OSError(errno.ENOSPC, "No space left on device")
            return super().write(data)

    monkeypatch.setattr(checkpoint, "open", Full, raising=False)
    with pytest.raises(OSError, match="No space left on device.*last.pt"):
        checkpoint.save(path, {"model": {"x": torch.randn(1000, 1000)}})
    assert [p.name for p in tmp_path.iterdir()] == ["last.pt"]
    assert checkpoint.load(path, "model")["model"]["x"].tolist() == [0, 0, 0]
