# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""tools/tables: which experiments are the rows, what they share, and that their confs resolve."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from sertl.config import load_method, parse_overrides
from sertl.stages.group_starts import hands_over

ROOT = Path(__file__).resolve().parents[2]
WITH_REFERENCE = ("two_stage.sh", "gmp_tl.sh", "tuning.sh", "methods.sh")
# Leaves done phases as a training does: one folder each, made from nothing but its own settings
RUN = """#!/usr/bin/env python
import json, sys
from pathlib import Path
sys.path.insert(0, {root!r})
from sertl.config import load_method, parse_overrides
args = sys.argv[1:]
options = dict(method=args[args.index("--method") + 1], tag=args[args.index("--tag") + 1])
settings = [a for a in args if "=" in a]
own = [s for s in settings if not s.startswith("upstream.")]  # those are for the encoder's conf
conf = load_method({root!r} + "/conf", options["method"], parse_overrides(own))
names = [p["name"] for p in conf["phases"]]
names = ["teacher"] * ("teacher" in conf) + ["pseudo_labels"] * ("pseudo_labels" in conf) + names
made = []
for name in names:
    folder = Path("exp", options["tag"], "seed1/fold2", name)
    if not folder.is_dir():
        folder.mkdir(parents=True)
        (folder / "fingerprint.json").write_text(json.dumps({{"inputs": {{}}, "state": "done"}}))
        made.append(name)
call = dict(options, settings=settings, args=args, made=made)
with open("calls.jsonl", "a") as stream:
    stream.write(json.dumps(call) + "\\n")
"""


@pytest.fixture
def table(tmp_path):
    """A function: run a script of tools/tables in a fake recipe; the calls of run.sh, in order."""
    run = tmp_path / "run.sh"
    run.write_text(RUN.format(root=str(ROOT)))
    run.chmod(0o755)
    # the last command reads scores, which nobody made: it must be reached, and fails
    env = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}

    def call(script, *args):
        path = ROOT / "tools/tables" / script
        done = subprocess.run(
            ["bash", str(path), *args], cwd=tmp_path, env=env, capture_output=True, text=True
        )
        calls = tmp_path / "calls.jsonl"
        lines = calls.read_text().splitlines() if calls.is_file() else []
        found = [json.loads(line) for line in lines]
        if found and script in WITH_REFERENCE:  # which has nothing but the encoder of the settings
            assert found[0]["method"] == "linear" and found[0]["tag"].endswith("_linear")
            assert all(s.startswith("upstream.") for s in found[0]["settings"])
            found = found[1:]
        return done, found

    return call


def test_two_stage_has_every_row_and_trains_the_common_first_stage_once(table):
    done, calls = table("two_stage.sh", "gao", "--nj", "1")
    assert "holds no score_test.json" in done.stderr
    rows = [c["method"].removeprefix("two_stage/") for c in calls]
    confs = (ROOT / "conf/method/two_stage").glob("*.yaml")
    assert sorted(rows) == sorted(p.stem for p in confs)
    assert [c["tag"] for c in calls] == [f"gao_{row}" for row in rows]
    assert all(c["args"][-2:] == ["--nj", "1"] for c in calls)
    two = {c["tag"]: c["made"] for c in calls if "phase2" in c["made"]}
    own = {tag for tag, made in two.items() if "phase1" in made}
    assert len(two) == 7 and own == {"gao_adapters_adapters", "gao_all_all"}


def test_two_stage_settings_of_recognition_are_for_rows_that_have_it(table):
    """The settings that egs/iemocap/README.md advises for short trainings."""
    advice = [
        f"{phase}.{key}"
        for phase in ("main", "phase1")
        for key in ("optim_conf.lr_scale.ctc=10", "model_conf.weights.asr=0.3")
    ]
    _, calls = table("two_stage.sh", "gao", "--set", *advice, "optim_conf.epochs=2")
    assert len(calls) == 14
    for call in calls:
        conf = load_method(ROOT / "conf", call["method"], parse_overrides(call["settings"]))
        for phase in conf["phases"]:
            assert phase["optim_conf"]["epochs"] == 2
            has_asr = "asr" in phase["model_conf"]["tasks"]
            scale = phase["optim_conf"]["lr_scale"].get("ctc")
            assert (scale == 10) == (has_asr and phase["name"] != "phase2")


def test_the_adaptation_table(tmp_path):
    """Source only once; target only, pooled and two-stage at three shares."""
    script = ROOT / "egs/adaptation/local/run_table.sh"
    recipe = tmp_path / "egs/adaptation"
    (recipe / "local").mkdir(parents=True)
    (recipe / "local/run_table.sh").write_text(script.read_text())
    for name in ("tools", "path.sh", "sertl", "conf"):
        (tmp_path / name).symlink_to(ROOT / name)
    (recipe / "run.sh").write_text(RUN.format(root=str(ROOT)))
    (recipe / "run.sh").chmod(0o755)
    env = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    command = ["bash", str(recipe / "local/run_table.sh"), "t", "adapt_probe", "--seed", "1 2"]
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True)
    assert "no " in done.stderr and done.returncode != 0  # scores, which nobody made
    calls = [json.loads(line) for line in (recipe / "calls.jsonl").read_text().splitlines()]
    kinds = ("target_only", "pooled", "two_stage")
    rows = [f"t_{kind}_{share}" for share in ("0.1", "0.3", "1.0") for kind in kinds]
    assert [c["tag"] for c in calls] == ["t_source_only", *rows]
    for call in calls[1:]:
        conf = load_method(ROOT / "conf", call["method"], parse_overrides(call["settings"]))
        assert conf["phases"][-1]["data_conf"]["share"] == float(call["tag"].split("_")[-1])
        if "two_stage" in call["tag"]:
            assert conf["phases"][-1]["init"]["from"] == "exp/t_source_only"
            assert call["args"][call["args"].index("--phase") + 1] == "target"


def test_a_shared_first_stage_is_the_same_in_every_row():
    rows = ("all_all", "all_adapters", "no_fusion", "concat", "scl_norm", "scl_cos")
    confs = [load_method(ROOT / "conf", f"two_stage/{row}") for row in rows]
    assert all(conf["phases"][0] == confs[0]["phases"][0] for conf in confs)


def test_gmp_tl_adds_one_part_a_row(table):
    phases = ("teacher.optim_conf.epochs=1", "frames.optim_conf.epochs=3")
    options = ("--set", "optim_conf.epochs=2", *phases, "--nj", "1", "--set", phases[1])
    done, calls = table("gmp_tl.sh", "g", "6 9 12", "64 512 4096", *options)
    assert "holds no score_test.json" in done.stderr
    made = {c["tag"]: c["made"] for c in calls}
    whole = ["teacher", "pseudo_labels", "frames", "main"]
    assert made == {
        "g_finetune": ["main"],
        "g_single": whole,
        "g_multi": whole[1:],
        "g_gender": whole,
        "g_am_softmax": ["main"],
    }
    confs = {
        c["tag"]: load_method(ROOT / "conf", c["method"], parse_overrides(c["settings"]))
        for c in calls
    }
    loss = {tag: conf["phases"][-1]["model_conf"]["loss"] for tag, conf in confs.items()}
    assert loss.pop("g_am_softmax") == "am_softmax" and set(loss.values()) == {"ce"}
    teachers = {tag: conf["teacher"] for tag, conf in confs.items() if "teacher" in conf}
    gender = {tag: teacher["model_conf"]["gender_weight"] for tag, teacher in teachers.items()}
    assert gender == {"g_single": 0.0, "g_multi": 0.0, "g_gender": 0.1, "g_am_softmax": 0.1}
    single = confs["g_single"]["pseudo_labels"]
    assert (single["layers"], single["clusters"]) == ([9], [512])
    several = [confs[f"g_{row}"]["pseudo_labels"] for row in ("multi", "gender", "am_softmax")]
    assert all(p["layers"] == [6, 9, 12] and p["clusters"] == [64, 512, 4096] for p in several)
    assert all(c["phases"][-1]["optim_conf"]["epochs"] == 2 for c in confs.values())
    assert all(
        c["phases"][0]["optim_conf"]["epochs"] == 3 for t, c in confs.items() if "g_f" not in t
    )
    # fine-tuning alone has neither a teacher nor a frame stage to set
    assert calls[0]["args"][4:] == [
        "--set", "optim_conf.epochs=2", "--nj", "1", "--set", "main.model_conf.loss=ce"
    ]  # fmt: skip


def test_label_sets_has_a_row_for_each_pair(table):
    paths = ("--corpus-dir", "../corpus", "--ckpt", "./weights.pt")
    epochs = ("--set", "teacher.optim_conf.epochs=3", "optim_conf.epochs=2")
    done, calls = table("label_sets.sh", "g", "1 3", "8 16", *paths, "--nj", "1", *epochs)
    assert "holds no score_test.json" in done.stderr
    assert all(c["args"][4:10] == [*paths, "--nj", "1"] for c in calls)
    tags = [f"g_layer{layer}_k{k}" for layer in (1, 3) for k in (8, 16)]
    assert [c["tag"] for c in calls] == ["g_no_labels", *tags]
    assert [c["made"][0] for c in calls] == ["main", "teacher"] + ["pseudo_labels"] * 3
    assert calls[0]["settings"] == ["optim_conf.epochs=2"]  # there is no teacher
    own = ["pseudo_labels.layers=[3]", "pseudo_labels.clusters=[16]"]
    assert calls[-1]["settings"] == [*epochs[1:], *own]


def test_label_sets_takes_the_teacher_of_the_ablation(table):
    table("gmp_tl.sh", "g", "1 3", "8 16")
    _, calls = table("label_sets.sh", "g", "1 3", "8 16")
    assert not any("teacher" in c["made"] for c in calls if "layer" in c["tag"])


def test_only_finished_parts_are_shared(tmp_path):
    for fold, state in ((1, "done"), (2, "running")):
        folder = tmp_path / f"exp/a/seed1/fold{fold}/teacher"
        folder.mkdir(parents=True)
        (folder / "fingerprint.json").write_text(json.dumps({"inputs": {}, "state": state}))
        (folder / "best.pt").write_text("weights")
    script = f". {ROOT}/tools/tables/rows.sh; share a b teacher main"
    cut_short = tmp_path / "exp/b/seed1/fold1/teacher.copy"  # by a kill while it was linked
    cut_short.mkdir(parents=True)
    for _ in range(2):  # the second time, it is there
        subprocess.run(["bash", "-euc", script], cwd=tmp_path, check=True)
    shared = [p.relative_to(tmp_path).as_posix() for p in (tmp_path / "exp/b").rglob("*.pt")]
    assert shared == ["exp/b/seed1/fold1/teacher/best.pt"]
    assert not cut_short.exists()


@pytest.mark.parametrize("script", ["two_stage.sh", "gmp_tl.sh", "label_sets.sh", "methods.sh"])
def test_help_and_refusals(table, tmp_path, script):
    done, calls = table(script, "--help")
    assert done.returncode == 1 and not calls
    assert "Usage" in done.stderr and "Copyright" not in done.stderr and "set -e" not in done.stderr
    (tmp_path / "run.sh").unlink()
    done, _ = table(script, "name", "1", "8", "2", "all")
    assert done.returncode == 1 and "no recipe" in done.stderr


def test_tuning_rows_differ_in_what_they_name(table):
    _, calls = table(
        "tuning.sh", "t", "2", "all", "--nj", "1", "--set", "optim_conf.autocast=bf16",
        "upstream.dtype=bf16", "optim_conf.updates=300",
    )  # fmt: skip
    rows = {}
    for call in calls:
        settings = [s for s in call["settings"] if not s.startswith("upstream.")]
        conf = load_method(ROOT / "conf", call["method"], parse_overrides(settings))
        rows[call["tag"]] = conf["phases"][0]
        assert conf["phases"][0]["start"] == "solved"
        assert conf["phases"][0]["optim_conf"]["autocast"] == "bf16"
        assert len(conf["phases"][0]["select_conf"]["lambdas"]) == 5
    assert list(rows) == [
        "t_frozen", "t_all_ser", "t_all_ser_asr", "t_top_ser", "t_top_ser_asr", "t_lora",
        "t_lora_asr",
    ]  # fmt: skip
    budgets = {
        tag: (p["optim_conf"]["epochs"], p["optim_conf"]["updates"]) for tag, p in rows.items()
    }
    assert budgets.pop("t_frozen") == (0, 0) and {*budgets.values()} == {(0, 300)}
    for tag, phase in rows.items():
        assert ("asr" in phase["model_conf"]["tasks"]) == tag.endswith("_asr")
        assert (phase["upstream_conf"]["from_layer"] == 2) == ("top" in tag)
        assert bool(phase["upstream_conf"]["peft"].get("lora")) == ("lora" in tag)
        assert (phase["upstream_conf"]["tune"] == "all") == ("lora" not in tag)


def test_methods_are_tuned_alike(table):
    """One budget in every phase; of the last one groups of speakers choose the lambda, which the
    first of two stages has not seen either."""
    _, calls = table(
        "methods.sh",
        "t",
        "2",
        "[3,4] [8,16]",
        "40",
        "all",
        "--nj",
        "1",
        "--set",
        "optim_conf.lr=1e-4",
    )
    assert [c["tag"].removeprefix("t_") for c in calls] == [
        "frozen", "finetune", "last_blocks", "lora", "dora", "adapter", "prefix", "all_four", "wap",
        "wap_own", "two_stage", "two_stage_no_scl", "two_stage_emo", "gmp_tl",
    ]  # fmt: skip
    made = {c["tag"].removeprefix("t_"): c["made"] for c in calls}
    assert made["two_stage"] == ["phase1", "phase2"]
    assert made["two_stage_no_scl"] == made["two_stage_emo"] == ["phase2"]  # one first stage
    for call in calls:
        conf = load_method(ROOT / "conf", call["method"], parse_overrides(call["settings"]))
        phases = [*([conf["teacher"]] if "teacher" in conf else []), *conf["phases"]]
        updates = {p["optim_conf"]["updates"] for p in phases}
        assert updates == {0 if call["tag"] == "t_frozen" else 40}
        assert {(p["data_conf"]["batch_size"], p["optim_conf"]["lr"]) for p in phases} == {
            (16, 1e-4)
        }
        chosen = phases[-1]["select_conf"]
        assert phases[-1]["select"] == "last"
        if call["tag"] == "t_frozen":
            assert chosen == {"folds": 0, "refit": True, "lambdas": [1.0]}
        else:
            assert chosen == {"folds": 3, "refit": False, "lambdas": [0, 0.25, 0.5, 0.75, 1]}
        in_two_stages = call["tag"].startswith("t_two_stage")
        assert hands_over(conf, phases[0]) is in_two_stages
        assert phases[-1]["start"] == "solved"
        if call["tag"] == "t_gmp_tl":
            assert conf["pseudo_labels"]["layers"] == [3, 4]
