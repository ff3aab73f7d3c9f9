# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Two processes give what one gives: same batches, same updates, same dev scores."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from sertl.train import checkpoint

WORKER = """
import sys
from pathlib import Path
import torch
sys.path.insert(0, {tests!r})
sys.path.insert(0, {tests!r} + "/train")
from sertl.config import load_yaml
from sertl.train import distributed
from test_loop import MODEL, make
out = Path(sys.argv[1])
distributed.init(use_gpu=False)
conf = load_yaml({tests!r} + "/../conf/train.yaml")
conf["optim_conf"].update(epochs=3, lr=0.01)
conf["data_conf"].update(batch_size=9)  # 24 utts: 9, 9, 6; odd, so the shares differ
make(out, conf, model_conf={{**MODEL, "dropout": 0.0}}).run()
distributed.close()
"""


@pytest.mark.parametrize("batch", [9])
def test_two_processes_equal_one(tmp_path, batch):
    script = tmp_path / "worker.py"
    script.write_text(WORKER.format(tests=str(Path(__file__).resolve().parents[1])))
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    single = [sys.executable, str(script), str(tmp_path / "one")]
    double = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    double += ["--nproc-per-node", "2", str(script), str(tmp_path / "two")]
    for command in (single, double):
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=600)
        assert done.returncode == 0, done.stderr[-2000:]
    one, two = (checkpoint.load(tmp_path / d / "last.pt") for d in ("one", "two"))
    for name, tensor in one["model"].items():
        torch.testing.assert_close(tensor, two["model"][name], rtol=1e-4, atol=1e-5)
    logs = [(tmp_path / d / "log.jsonl").read_text().splitlines() for d in ("one", "two")]
    for a, b in zip(*(map(json.loads, log) for log in logs), strict=True):
        assert (a["kind"], a["epoch"]) == (b["kind"], b["epoch"])
        assert a["loss"] == pytest.approx(b["loss"], rel=1e-3)
