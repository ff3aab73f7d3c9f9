# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""YAML as sertl reads and writes it: the core schema of YAML 1.2, plain data, no surprises.

Only `true` and `false` are booleans, `1e-4` is a number, `03`, `no` and `2024-01-01` are text. A
key given twice, anchors, tags, deep nesting and huge files are refused.
"""

import re
from collections.abc import Hashable
from pathlib import Path

import yaml

from sertl.atomic import write_text
from sertl.errors import SertlError

MOST_BYTES = 4 * 2**20
DEEPEST = 40
LONGEST_NUMBER = 30  # digits
PLAIN = {  # what a plain word is, if not text; beside it the characters that it may begin with
    "null": (r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    "bool": (r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    "int": (r"[-+]?(?:0|[1-9][0-9]*)", list("-+0123456789")),
    "float": (
        r"[-+]?(?:\.[0-9]+|[0-9]+\.[0-9]*)(?:[eE][-+]?[0-9]+)?|[-+]?[0-9]+[eE][-+]?[0-9]+"
        r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
        list("-+.0123456789"),
    ),
}


class _Loader(yaml.SafeLoader):
    yaml_implicit_resolvers: dict = {}

    def __init__(self, stream: str):
        super().__init__(stream)
        self._depth = 0

    def compose_node(self, parent: yaml.Node | None, index: object) -> yaml.Node | None:
        event = self.peek_event()
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise yaml.composer.ComposerError(None, None, "anchors are not read", event.start_mark)
        self._depth += 1
        if self._depth > DEEPEST:
            raise yaml.composer.ComposerError(None, None, "nested too deeply", event.start_mark)
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        seen = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, Hashable):
                raise yaml.constructor.ConstructorError(None, None, "bad key", key_node.start_mark)
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key!r} stands here twice", key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep)

    def construct_int(self, node: yaml.ScalarNode) -> int:
        if len(node.value) > LONGEST_NUMBER:
            raise yaml.constructor.ConstructorError(
                None, None, "a number of too many digits", node.start_mark
            )
        return int(node.value)


_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.construct_int)


class _Dumper(yaml.SafeDumper):
    """Quotes what YAML 1.1 or 1.2 would not read as text."""

    yaml_implicit_resolvers = {
        first: list(known) for first, known in yaml.SafeDumper.yaml_implicit_resolvers.items()
    }

    def ignore_aliases(self, data: object) -> bool:
        return True


for _name, (_pattern, _first) in PLAIN.items():
    for _kind in (_Loader, _Dumper):
        _kind.add_implicit_resolver(
            f"tag:yaml.org,2002:{_name}", re.compile(rf"^(?:{_pattern})$"), _first
        )


def parse_yaml(text: str, where: str) -> object:
    """Read one document; None if there is none.

    Args:
        text: YAML.
        where: Named in errors.

    Raises:
        SertlError: Saying in one line where it is not YAML as above.
    """
    return next(iter(parse_documents(text, where)), None)


def parse_documents(text: str, where: str) -> list:
    """Read every document of a text.

    Raises:
        SertlError: As parse_yaml.
    """
    try:
        return list(yaml.load_all(text, _Loader))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f":{mark.line + 1}" if mark else ""
        problem = " ".join(str(error.problem or error.context).split())
        raise SertlError(f"{where}{line}: not valid YAML: {problem}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise SertlError(f"{where}: not valid YAML: {' '.join(str(error).split())}") from error


def read_text(path: str | Path) -> str:
    """The text of a YAML file.

    Raises:
        SertlError: If there is no such regular file, it is too large, or it is not UTF-8.
    """
    path = Path(path)
    if not path.is_file():
        raise SertlError(f"{path}: no such file")
    if path.stat().st_size > MOST_BYTES:
        raise SertlError(f"{path}: larger than {MOST_BYTES >> 20} MiB; not a configuration")
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise SertlError(f"{path}: not valid YAML: not UTF-8 at byte {error.start}") from error


def load_yaml(path: str | Path) -> dict:
    """Read a file that holds one mapping.

    Raises:
        SertlError: If the file is missing, is not YAML or does not hold a mapping.
    """
    value = parse_yaml(read_text(path), str(path))
    if not isinstance(value, dict):
        found = "nothing" if value is None else type(value).__name__
        raise SertlError(f"{path}: expected 'key: value' lines, found {found}")
    return value


def dump_yaml(value: dict) -> str:
    """Format plain data as YAML, keys in their order."""
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=10**6)


def save_yaml(path: str | Path, value: dict) -> None:
    """Write plain data atomically."""
    write_text(path, dump_yaml(value))
