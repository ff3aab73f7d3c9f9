# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Two processes give what one gives: same batches, same updates, same dev scores."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from sertl.train import checkpoint

ROOT = Path(__file__).resolve().parents[2]
WORKER = """
import os
import sys
from pathlib import Path
import torch
sys.path.insert(0, {tests!r})
sys.path.insert(0, {tests!r} + "/train")
from sertl.schema.strict import defaults
from sertl.schema.training_keys import Phase
from sertl.train import distributed
from test_loop import MODEL, make
out = Path(sys.argv[1])
distributed.init(use_gpu=False)
conf = defaults(Phase)
conf["optim_conf"].update(epochs=3, lr=0.01, save_updates=2)
conf["data_conf"].update(batch_size=9)  # 24 utts: 9, 9, 6; odd, so the shares differ
trainer = make(out, conf, model_conf={{**MODEL, "dropout": float(os.environ["DROPOUT"])}})
after_step, stop_at = trainer.model.after_step, int(os.environ.get("STOP_AT", "0"))
def step(update, total):
    after_step(update, total)
    if update == stop_at:
        distributed.barrier()
        os._exit(9)  # as kill -9
trainer.model.after_step = step
torch.manual_seed(int(os.environ["START"]) + distributed.rank_and_world()[0])
trainer.run()
distributed.close()
for task in Path("/proc/self/task").glob("*/comm"):  # a thread of the group that outlives it may
    assert "gloo" not in task.read_text()  # want Python's lock when Python is gone, and abort
"""


def command(tmp_path, name, processes):
    script = tmp_path / "worker.py"
    script.write_text(WORKER.format(tests=str(Path(__file__).resolve().parents[1])))
    start = [sys.executable]
    if processes > 1:
        start += ["-m", "torch.distributed.run", "--standalone"]
        start += ["--nproc-per-node", str(processes)]
    return [*start, str(script), str(tmp_path / name)]


def environment(settings):
    return {**os.environ, "OMP_NUM_THREADS": "1", "DROPOUT": "0.0", "START": "1", **settings}


def call(command, **settings):
    env = environment(settings)
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=600)


def call_on_two_nodes(tmp_path, name):
    """The launcher on each of two machines, which meet at a port of the first."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command(tmp_path, name, 1)  # writes the worker
    env, nodes = environment({"PYTHONPATH": f"{ROOT}:{tmp_path}"}), []
    for rank in "01":
        options = ["--nnodes", "2", "--node-rank", rank, "--rendezvous", f"127.0.0.1:{port}"]
        words = [sys.executable, "-m", "sertl.bin.launch", *options, "-m", "worker"]
        words.append(str(tmp_path / name))
        nodes.append(subprocess.Popen(words, env=env, stderr=subprocess.PIPE, text=True))
    errors = [node.communicate(timeout=600)[1] for node in nodes]
    assert [node.returncode for node in nodes] == [0, 0], errors


def logged(folder):
    lines = map(json.loads, (folder / "log.jsonl").read_text().splitlines())
    return [{k: v for k, v in e.items() if not k.endswith("sec")} for e in lines]


def test_two_processes_and_two_nodes_equal_one(tmp_path):
    for name, processes in (("one", 1), ("two", 2)):
        done = call(command(tmp_path, name, processes))
        assert done.returncode == 0, done.stderr[-8000:]
    call_on_two_nodes(tmp_path, "nodes")
    one, two, nodes = (checkpoint.load(tmp_path / d / "last.pt") for d in ("one", "two", "nodes"))
    for name, tensor in one["model"].items():
        torch.testing.assert_close(tensor, two["model"][name], rtol=1e-4, atol=1e-5)
        assert torch.equal(nodes["model"][name], two["model"][name])
    for a, b in zip(logged(tmp_path / "one"), logged(tmp_path / "two"), strict=True):
        assert (a["kind"], a["epoch"]) == (b["kind"], b["epoch"])
        assert a["loss"] == pytest.approx(b["loss"], rel=1e-3)


def test_two_processes_resume_exactly(tmp_path):
    """Killed in the middle of an epoch; with dropout, which differs from process to process."""
    whole, killed = (command(tmp_path, name, 2) for name in ("whole", "killed"))
    assert call(whole, DROPOUT="0.2").returncode == 0
    assert call(killed, DROPOUT="0.2", STOP_AT="5").returncode != 0
    done = call(killed, DROPOUT="0.2", START="9")  # a new process has another random state
    assert done.returncode == 0, done.stderr[-8000:]
    states = [checkpoint.load(tmp_path / d / "last.pt")["model"] for d in ("whole", "killed")]
    for name, tensor in states[0].items():
        assert torch.equal(tensor, states[1][name]), name
    assert logged(tmp_path / "whole") == logged(tmp_path / "killed")
