# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Configuration: merging, types, unknown keys, and that every conf of the repository resolves."""

from pathlib import Path

import pytest

from sertl.config import load_method, parse_overrides, phase_names, read_config
from sertl.errors import SertlError
from sertl.schema.strict import defaults
from sertl.schema.training_keys import Phase
from sertl.stages.experiment import resolve
from sertl.yaml_text import save_yaml

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
    (tmp_path / "method/two.yaml").write_text("phases: [{name: a}, {name: b}]\n")
    both = load_method(tmp_path, "two", parse_overrides(["optim_conf.lr=2"]))
    assert [p["optim_conf"]["lr"] for p in both["phases"]] == [2.0, 2.0]
    one = load_method(tmp_path, "two", parse_overrides(["b.optim_conf.lr=3"]))
    assert [p["optim_conf"]["lr"] for p in one["phases"]] == [1e-3, 3.0]


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
        (["optim_conf.epochs=many"], "epochs: 'many' is not a whole number"),
        (["optim_conf.epochs=1.5"], "epochs: 1.5 is not a whole number"),
        (["optim_conf=3"], "optim_conf must be a mapping"),
        (["input=mp3"], "input: 'mp3' is not feats . wav"),
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
        (["pseudo_labels.clusters=8"], "clusters: 8 is not a list"),
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
    (tmp_path / "method/one.yaml").write_text("phases: [{name: a}]\n")
    for text, message in (
        ("like: onee", "unknown method 'onee'; did you mean 'one'"),
        ("like: one\nb: {}", r"unknown key in .*two.yaml, 'b'"),
        ("like: one\nchanges: {a: {}}", "two.yaml.*'changes'; it is now written beside `like`"),
        ("like: one\nphases: []", "two.yaml.*phases"),
        ("phases: [{name: a}]\nteacher: probe", "teacher: 'probe' is not .*a mapping"),
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


def test_every_key_of_a_phase_is_read_somewhere():
    """A key that nothing reads would be a setting without effect."""
    sources = "\n".join(
        p.read_text() for p in (CONF.parent / "sertl").rglob("*.py") if p.parent.name != "schema"
    )

    def leaves(conf):
        for key, value in conf.items():
            if isinstance(value, dict) and value:
                yield from leaves(value)
            else:
                yield key

    unread = [k for k in leaves(defaults(Phase)) if f'"{k}"' not in sources]
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


def test_a_resolved_configuration_is_read_back_and_checked(tmp_path):
    conf = resolve(CONF, "tiny_hubert", "gmp_tl", ckpt=None)
    save_yaml(tmp_path / "config.yaml", conf)
    assert read_config(tmp_path) == conf and phase_names(tmp_path) == ["frames", "main"]
    plain = resolve(CONF, "tiny_hubert", "probe")
    save_yaml(tmp_path / "config.yaml", plain)
    assert read_config(tmp_path) == plain and "teacher" not in plain
    for change, message in (
        ({"phases": []}, "phases"),
        (
            {"phases": [{"name": "main", "optim_conf": {"lr": "x"}}]},
            r"phases\[0\].*lr: 'x'",
        ),
        ({"upstream": {**plain["upstream"], "dtype": 3}}, "upstream.dtype: 3 is not float32"),
        ({"inptu": "feats"}, "unknown key 'inptu'; did you mean 'input'"),
    ):
        save_yaml(tmp_path / "config.yaml", {**plain, **change})
        with pytest.raises(SertlError, match=message):
            read_config(tmp_path)
    with pytest.raises(SertlError, match="no such experiment"):
        read_config(tmp_path / "none")
