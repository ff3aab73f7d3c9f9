# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Which jobs stages 4 to 7 of an experiment are."""

from pathlib import Path

import pytest

from sertl.jobs import experiment_jobs
from sertl.jobs.experiment_jobs import Asked, jobs_of
from sertl.jobs.job import check_order
from sertl.jobs.nodes import Placement
from sertl.shard import Shard

ALL = (4, 5, 6, 7)


@pytest.fixture
def made(monkeypatch):
    """A function: the jobs of an experiment whose configuration has these parts."""

    def make(pool=(), parts=(), source="wav", **asked):
        conf = {"pool": list(pool), "input": source, "phases": [{"name": "a"}, {"name": "b"}]}
        conf |= {part: {} for part in parts}
        monkeypatch.setattr(experiment_jobs, "read_config", lambda exp: conf)
        asked = {"stages": ALL, "seeds": (1, 2), "folds": (1, 2, 3)} | asked
        jobs = jobs_of(Asked(Path("exp/t"), **asked))
        check_order(jobs)
        return jobs

    return make


def runs(jobs, stage):
    return [(fold, job.seed) for job in jobs if job.stage == stage for fold in job.folds]


def test_stages_of_a_fold_follow_one_another(made):
    jobs = made(parts=("teacher", "pseudo_labels"), seeds=(1,), folds=(1, 2))
    names = ["teacher", "pseudo_labels", "train", "decode"]
    assert [job.stage for job in jobs] == names * 2
    assert [job.needs for job in jobs[:4]] == [(), *((job.key,) for job in jobs[:3])]
    assert not jobs[4].needs  # another fold
    assert jobs[0].log == "exp/t/seed1/fold1/teacher.log"
    assert jobs[0].command[1:5] == ("-m", "sertl.bin.train", "--phase", "teacher")
    assert jobs[2].phases == ("a", "b")


@pytest.mark.parametrize("pool", [(), ("mean",)])
@pytest.mark.parametrize("count", [1, 4, 9])
def test_each_fold_of_each_seed_is_one_shard_s(made, pool, count):
    seen = []
    for number in range(1, count + 1):
        jobs = made(pool, shard=Shard(number, count), slots=2)
        assert runs(jobs, "train") == runs(jobs, "decode")  # it decodes what it trained
        seen += runs(jobs, "train")
    assert sorted(seen) == [(fold, seed) for fold in (1, 2, 3) for seed in (1, 2)]


def test_every_fold_comes_before_the_second_seed(made):
    assert runs(made(), "train") == [(1, 1), (2, 1), (3, 1), (1, 2), (2, 2), (3, 2)]


def test_folds_that_take_seconds_share_processes(made):
    jobs = made(("mean",), seeds=(1,), slots=2, stages=(6, 7))
    assert [job.folds for job in jobs] == [(1, 3), (1, 3), (2,), (2,)]
    words = " ".join(jobs[0].command)
    assert "--fold 1 3 --seed 1" in words and jobs[2].log == "exp/t/seed1/train.2.log"


def test_some_stages_and_one_phase(made):
    jobs = made(parts=("teacher",), stages=(6,), phase="b", seeds=(1,), folds=(2,), redo=True)
    (job,) = jobs
    assert job.phases == ("b",) and not job.needs and job.command[-1] == "--redo"
    assert "--phase b" in " ".join(job.command)


def test_memory_of_cached_features_is_kept(made):
    jobs = made(source="feats", seeds=(1,), folds=(1,))
    assert all(job.command[:2] == ("env", "MALLOC_MMAP_MAX_=0") for job in jobs)


def test_cards_and_machines(made):
    jobs = made(seeds=(1,), folds=(1, 2), ngpu=4, place=Placement(2, "1", "node1:2000"))
    train = " ".join(jobs[2].command)
    assert jobs[0].nodes == 2 and jobs[1].nodes == 1  # decoding is one machine's
    assert {job.gpus for job in jobs} == {4}
    assert "--nnodes 2 --nproc 4 --job 2 --node-rank 1 --rendezvous node1:2000" in train
    (single, _) = made(seeds=(1,), folds=(1,), ngpu=2)
    assert "sertl.bin.launch --nnodes 1 --nproc 2 -m sertl.bin.train" in " ".join(single.command)
