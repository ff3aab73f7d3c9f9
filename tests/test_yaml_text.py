# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""YAML as it is read: plain data of YAML 1.2, and one line for what is not."""

import pytest

from sertl.errors import SertlError
from sertl.yaml_text import MOST_BYTES, dump_yaml, load_yaml, parse_documents, parse_yaml


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-4", 1e-4),
        ("1.5", 1.5),
        ("-3", -3),
        (".inf", float("inf")),
        ("true", True),
        ("null", None),
        ("", None),
        ("03", "03"),
        ("0x1f", "0x1f"),
        ("1:30", "1:30"),
        ("1_000", "1_000"),
        ("no", "no"),
        ("on", "on"),
        ("2024-01-01", "2024-01-01"),
        ("<<", "<<"),
        ("'1e-4'", "1e-4"),
        ("{a: [1, b], c: {d: 0.5}}", {"a": [1, "b"], "c": {"d": 0.5}}),
    ],
)
def test_plain_words(text, value):
    assert parse_yaml(text, "here") == value and type(parse_yaml(text, "here")) is type(value)
    again = parse_yaml(dump_yaml({"x": value}), "here")["x"]
    assert again == value and type(again) is type(value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: [2\n", "here:3: not valid YAML"),
        ("a: 1\na: 2\n", "here:2: not valid YAML: the key 'a' stands here twice"),
        ("a: &x [1]\nb: *x\n", "here:1: not valid YAML: anchors are not read"),
        ("? [1]\n: 2\n", "bad key"),
        ("!!python/object:os.system x", "here:1: not valid YAML: could not determine"),
        ("[" * 500, "nested too deeply"),
        ("9" * 5000, "too many digits"),
        ("a: \x00", "not valid YAML"),
        ("a: @x", "here:1: not valid YAML"),
    ],
)
def test_refused_in_one_line(text, message):
    with pytest.raises(SertlError) as error:
        parse_yaml(text, "here")
    assert message in str(error.value) and "\n" not in str(error.value)


def test_documents():
    assert parse_documents("a: 1\n---\nb: 2\n", "here") == [{"a": 1}, {"b": 2}]


def test_files(tmp_path):
    path = tmp_path / "x.yaml"
    for content, message in (
        (None, "x.yaml: no such file"),
        (b"", "expected 'key: value' lines, found nothing"),
        (b"- 1\n", "expected 'key: value' lines, found list"),
        (b"a: \xff\n", "x.yaml: not valid YAML: not UTF-8 at byte 3"),
        (b"#" * (MOST_BYTES + 1), "larger than 4 MiB"),
    ):
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(SertlError, match=message):
            load_yaml(path)
