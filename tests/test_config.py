# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Configuration: merging, types, unknown keys, and that every conf of the repository resolves."""

from pathlib import Path

import pytest

from sertl.config import load_method, load_yaml, merge, parse_overrides
from sertl.errors import SertlError

CONF = Path(__file__).resolve().parents[1] / "conf"
METHODS = sorted(
    str(p.relative_to(CONF / "method").with_suffix("")) for p in (CONF / "method").rglob("*.yaml")
)


@pytest.mark.parametrize("method", METHODS)
def test_every_method_conf_resolves(method):
    conf = load_method(CONF, method)
    assert conf["description"]
    for phase in conf["phases"]:
        assert phase["optim_conf"]["lr"] > 0


def test_scientific_notation_is_a_number():
    assert parse_overrides(["optim_conf.lr=1e-4"]) == {"optim_conf": {"lr": 1e-4}}


def test_overrides_reach_every_phase_or_the_named_one(tmp_path):
    (tmp_path / "method").mkdir()
    (tmp_path / "train.yaml").write_text("name: main\nmodel: probe\noptim_conf: {lr: 1.0}\n")
    (tmp_path / "method/two.yaml").write_text("phases: [{name: a}, {name: b}]\n")
    both = load_method(tmp_path, "two", parse_overrides(["optim_conf.lr=2"]))
    assert [p["optim_conf"]["lr"] for p in both["phases"]] == [2.0, 2.0]
    one = load_method(tmp_path, "two", parse_overrides(["b.optim_conf.lr=3"]))
    assert [p["optim_conf"]["lr"] for p in one["phases"]] == [1.0, 3.0]


def test_one_key_of_a_nested_mapping_changes_alone():
    settings = ["model_conf.wap.width=128", "pretrain.model_conf.wap.blocks=2"]
    phases = load_method(CONF, "local_attributes", parse_overrides(settings))["phases"]
    plain = load_method(CONF, "local_attributes")["phases"]
    for phase, before, blocks in zip(phases, plain, (2, 3), strict=True):
        wanted = {**before["model_conf"]["wap"], "width": 128, "blocks": blocks}
        assert phase["model_conf"] == {**before["model_conf"], "wap": wanted}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["optim_conf.lrr=1"], "did you mean 'lr'"),
        (["optim_cnf.lr=1"], "did you mean 'optim_conf'"),
        (["optim_conf.epochs=many"], "epochs must be int"),
        (["optim_conf.epochs=1.5"], "epochs must be int"),
        (["optim_conf=3"], "optim_conf must be a mapping"),
        (["input=mp3"], "unknown input 'mp3'"),
        (["name=x"], "unknown key in --set 'name'"),
    ],
)
def test_bad_override_is_refused(settings, message):
    with pytest.raises(SertlError, match=message):
        load_method(CONF, "probe", parse_overrides(settings))


def test_teacher_and_pseudo_labels_are_complete_and_can_be_set():
    settings = ["teacher.optim_conf.epochs=2", "pseudo_labels.clusters=[8,16]"]
    conf = load_method(CONF, "gmp_tl", parse_overrides(settings))
    assert conf["teacher"]["name"] == "teacher" and conf["teacher"]["optim_conf"]["epochs"] == 2
    assert conf["pseudo_labels"]["clusters"] == [8, 16] and conf["pseudo_labels"]["restarts"] == 20
    assert [p["optim_conf"]["epochs"] for p in conf["phases"]] == [0, 20]
    every = load_method(CONF, "gmp_tl", parse_overrides(["optim_conf.epochs=3"]))
    assert (
        every["teacher"]["optim_conf"]["epochs"] == 3
    )  # a key of every phase is the teacher's too
    plain = load_method(CONF, "probe")
    assert "teacher" not in plain and "pseudo_labels" not in plain
    for settings, message in (
        (["pseudo_labels.cluster=[8]"], "did you mean 'clusters'"),
        (["pseudo_labels.clusters=8"], "clusters must be list"),
        (["teachr.optim_conf.lr=1"], "did you mean 'teacher'"),
    ):
        with pytest.raises(SertlError, match=message):
            load_method(CONF, "gmp_tl", parse_overrides(settings))
    with pytest.raises(SertlError, match="unknown key in --set 'pseudo_labels'"):
        load_method(CONF, "probe", parse_overrides(["pseudo_labels.clusters=[8]"]))


def test_a_variant_is_its_method_with_changes():
    base, variant = load_method(CONF, "gmp_tl"), load_method(CONF, "gmp_tl/ce")
    assert variant["method"] == "gmp_tl/ce" and variant["description"] != base["description"]
    assert variant["phases"][1]["model_conf"] == {**base["phases"][1]["model_conf"], "loss": "ce"}
    for key in ("teacher", "pseudo_labels", "input"):
        assert variant[key] == base[key]
    settings = parse_overrides(["main.model_conf.loss=am_softmax"])
    assert load_method(CONF, "gmp_tl/ce", settings)["phases"] == base["phases"]


def test_a_variants_mistakes_name_its_file(tmp_path):
    (tmp_path / "method").mkdir()
    (tmp_path / "train.yaml").write_text("name: main\nmodel: probe\noptim_conf: {lr: 1.0}\n")
    (tmp_path / "method/one.yaml").write_text("phases: [{name: a}]\n")
    for text, message in (
        ("like: onee", "unknown method 'onee'; did you mean 'one'"),
        ("like: one\nb: {}", r"unknown key in .*two.yaml, 'b'"),
        ("like: one\nchanges: {a: {}}", "two.yaml.*'changes'; it is now written beside `like`"),
        ("like: one\nphases: []", "two.yaml.*phases"),
        ("phases: [{name: a}]\nteacher: probe", "teacher must be a mapping"),
    ):
        (tmp_path / "method/two.yaml").write_text(text + "\n")
        with pytest.raises(SertlError, match=message):
            load_method(tmp_path, "two")


@pytest.mark.parametrize(
    ("method", "setting", "message"),
    [
        ("two_stage", "phase2.upstream_conf.parts.lora.rank=4", "it is now peft"),
        ("two_stage", "stage2.optim_conf.lr=1", "it is now phase2"),
        ("probe", "init_map.wap=teacher", "it is now init.map"),
        ("probe", "init_parts=[upstream]", "it is now init.only"),
        ("probe", "freeze=[wap]", "it is now init.freeze"),
        ("probe", "init=exp/other", "write init.from=exp/other"),
    ],
)
def test_an_old_key_names_the_new_one(method, setting, message):
    with pytest.raises(SertlError, match=message):
        load_method(CONF, method, parse_overrides([setting]))


def test_override_without_equals_sign():
    with pytest.raises(SertlError, match="takes key=value, got 'lr'"):
        parse_overrides(["lr"])


def test_unknown_method_names_the_nearest():
    with pytest.raises(SertlError, match="unknown method 'prob'; did you mean 'probe'"):
        load_method(CONF, "prob")


def test_merge_leaves_its_arguments_alone():
    base = {"a": {"b": 1}, "model_conf": {}}
    merged = merge(base, {"a": {"b": 2}, "model_conf": {"x": 1}}, "test")
    assert merged == {"a": {"b": 2}, "model_conf": {"x": 1}}
    assert base == {"a": {"b": 1}, "model_conf": {}}


def test_yaml_errors_name_the_file(tmp_path):
    bad = tmp_path / "bad.yaml"
    bad.write_text("a: [1\n")
    with pytest.raises(SertlError, match="bad.yaml: not valid YAML"):
        load_yaml(bad)
    bad.write_text("- 1\n")
    with pytest.raises(SertlError, match="expected 'key: value'"):
        load_yaml(bad)


def test_every_key_of_train_yaml_is_read_somewhere():
    """A key that nothing reads would be a setting without effect."""
    sources = "\n".join(
        p.read_text() for p in (CONF.parent / "sertl").rglob("*.py") if p.name != "config.py"
    )

    def leaves(conf):
        for key, value in conf.items():
            if isinstance(value, dict) and value:
                yield from leaves(value)
            else:
                yield key

    unread = [k for k in leaves(load_yaml(CONF / "train.yaml")) if f'"{k}"' not in sources]
    assert unread == []


def test_the_budget_given_last_holds():
    """Methods say updates or epochs; a setting of either takes the other's place."""
    budget = ("epochs", "updates", "frames_per_update")
    for method, setting, expected in (
        ("probe", [], (60, 0, 0)),
        ("peft", [], (0, 2000, 0)),
        ("peft", ["optim_conf.epochs=4"], (4, 0, 0)),
        ("finetune", ["optim_conf.updates=90"], (0, 90, 0)),
        ("peft", ["optim_conf.updates=0"], (0, 0, 0)),
    ):
        conf = load_method(CONF, method, parse_overrides(setting))
        assert tuple(conf["phases"][0]["optim_conf"][key] for key in budget) == expected
