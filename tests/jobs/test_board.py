# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""A line for each stage while jobs run."""

import io
import json
from dataclasses import replace

from fake_jobs import shell

from sertl.jobs.board import StageBoard, best_dev
from sertl.jobs.schedule import SKIPPED


class Terminal(io.StringIO):
    def isatty(self):
        return True


def jobs():
    train = [shell("/r", f"train{n}", "true") for n in range(4)]
    return [*train, *(shell("/r", f"decode{n}", "true", stage="decode") for n in range(4))]


def test_lines_count_what_happened():
    every = jobs()
    board = StageBoard(every, io.StringIO(), lambda job: {"train0.log": 0.5}.get(job.log))
    board.started(every[:3])
    board.ended(every[0], "")
    board.ended(every[1], "status 1")
    board.ended(every[5], SKIPPED)
    board.look(every[2:3])
    first, second = board.lines()
    assert first.startswith("train   1 of 4 done, 1 failed, best dev UA 50.00, about 0 s left")
    assert second == "decode  0 of 4 done, 1 skipped"


def test_the_time_left_is_that_of_jobs_begun_meanwhile(tmp_path, monkeypatch):
    clock = [0.0]
    monkeypatch.setattr("sertl.jobs.board.time.monotonic", lambda: clock[0])
    train = [shell(tmp_path, f"train{n}", "true") for n in range(5)]
    decode = [shell(tmp_path, f"decode{n}", "true", stage="decode") for n in range(5)]
    (tmp_path / "train0.log").touch()
    (tmp_path / "train1.log").touch()
    board = StageBoard([*train, *decode], io.StringIO(), lambda job: None)

    def took(sec, *jobs):
        board.started(jobs)
        clock[0] += sec
        for job in jobs:
            board.ended(job, "")
        return [line.split(", ")[1:] for line in board.lines()]

    # Finished before, or in part: nothing to judge by, nor for what waits for it.
    assert took(3, train[0]) == [[], []]
    assert took(4, decode[0], train[1]) == [[], []]
    # Two trainings more of 45 s, and decoding is not over before them.
    assert took(45, train[2]) == [["about 90 s left"]] * 2
    assert took(60, train[3], train[4]) == [[], ["about 16 s left"]]


def test_a_log_gets_lines_when_something_has_changed():
    stream, every = io.StringIO(), jobs()
    board = StageBoard(every, stream, lambda job: None, every_sec=0)
    board.look([])
    board.look([])
    assert stream.getvalue().count("train") == 1 and "\x1b" not in stream.getvalue()
    board.look(every[:1])
    assert "0 of 4 done, 1 running" in stream.getvalue()


def test_on_a_terminal_they_change_in_place():
    stream, every = Terminal(), jobs()
    board = StageBoard(every, stream, lambda job: None, every_sec=0)
    board.look([])
    assert "\x1b[2A" not in stream.getvalue()
    board.look([])
    assert stream.getvalue().count("\x1b[2A") == 1


def test_scores_of_several_experiments_are_not_mixed():
    every = jobs()
    every[1] = replace(every[1], exp="exp/other")
    board = StageBoard(every, io.StringIO(), lambda job: 0.5)
    board.started(every[:1])
    board.ended(every[0], "")
    assert "dev" not in board.lines()[0]


def test_dev_is_the_best_that_a_job_s_log_has_marked(tmp_path):
    job = shell(tmp_path, "a", "true")
    assert best_dev(job) is None
    folder = tmp_path / "exp/t/seed1/fold1/main"
    folder.mkdir(parents=True)
    (folder / "fingerprint.json").write_text(json.dumps({"state": "running", "inputs": {}}))
    marked = ((0.4, True), (0.6, True), (0.5, False))
    entries = [{"kind": "dev", "epoch": 1, "ua": ua, "best": best} for ua, best in marked]
    (folder / "log.jsonl").write_text("".join(json.dumps(e) + "\n" for e in entries))
    assert best_dev(job) == 0.6
    (folder / "log.jsonl").write_text("{")
    assert best_dev(job) is None  # the job itself says what is wrong
