# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""A section of keys that refuses what it does not declare, in one line that a user can mend."""

import copy
import difflib
import inspect
import math
from collections.abc import Mapping, Sequence
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt, MaxLen, MinLen
from pydantic import BaseModel, ConfigDict, Field, JsonValue, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from sertl.errors import SertlError, unknown_name

MANY = 10**9  # no count is larger

Whole = Annotated[int, Field(ge=0, le=MANY)]
Count = Annotated[int, Field(ge=1, le=MANY)]
Number = Annotated[float, Field(ge=0.0, le=1e12)]
Share = Annotated[float, Field(ge=0.0, le=1.0)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.+-]*$", max_length=100)]
Word = Annotated[str, Field(pattern=r"^[^\x00-\x1f\x7f]*$", max_length=4000)]
Text = Annotated[str, Field(pattern=r"^[^\x00]*$", max_length=20000)]
Width = Annotated[int, Field(ge=0, le=100_000)]  # units of a layer, frames of a span
Size = Annotated[int, Field(ge=1, le=100_000)]
Positive = Annotated[float, Field(gt=0.0, le=1e12)]
Dropout = Annotated[float, Field(ge=0.0, lt=1.0)]
Two = Field(min_length=2, max_length=2)
Options = dict[str, JsonValue]  # keys that somebody else declares: a model's, a module's


class Section(BaseModel):
    """Keys with their types. A field called `x_` is the key `x`, where Python keeps the word."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        allow_inf_nan=False,
        protected_namespaces=(),
        alias_generator=lambda name: name.removesuffix("_"),
        populate_by_name=True,
        frozen=True,
    )

    @classmethod
    def adjust(cls, changes: object, where: str) -> object:
        """Changes as a user wrote them, before they are merged; for rules between keys."""
        return changes

    @classmethod
    def keys(cls) -> dict[str, FieldInfo]:
        """Key -> its field."""
        return {field.alias or name: field for name, field in cls.model_fields.items()}

    def plain(self) -> dict:
        """All keys as plain data."""
        return self.model_dump(by_alias=True)


def defaults(kind: type[Section]) -> dict:
    """Every key with its default, for a section in which all have one."""
    return kind().plain()


def checked(kind: type[Section], values: object, where: str) -> dict:
    """Values of a section, complete and of the right types.

    Args:
        kind: The section.
        values: As read; keys that have a default may lack.
        where: Named in errors: a file, or a file and its part.

    Raises:
        SertlError: One line: where, key, value and what is allowed, or the nearest valid key.
    """
    values = _mapping(kind.adjust(values, where), where)
    try:
        return kind.model_validate(values).plain()
    except ValidationError as error:
        raise SertlError(f"{where}: {_line(kind, values, error)}") from error


def merged(kind: type[Section], base: dict, changes: object, where: str) -> dict:
    """base with changes applied, key by key, and checked.

    Sections merge key by key, mappings of free keys too, nested ones as well; anything else is
    replaced.

    Args:
        kind: The section.
        base: Complete values that hold; left as they are.
        changes: What differs, as a user wrote it.
        where: Named in errors.

    Raises:
        SertlError: As checked.
    """
    return checked(kind, _merge(kind, base, changes, where), where)


def _merge(kind: type[Section], base: dict, changes: object, where: str) -> dict:
    changes = _mapping(kind.adjust(changes, where), where)
    result, known = copy.deepcopy(base), kind.keys()
    for key, value in changes.items():
        if key not in known:
            raise SertlError(f"{where}: {unknown_name('key', key, known)}")
        part = section_of(known[key])
        if part is not None and not (value is None and _nullable(known[key])):
            result[key] = _merge(part, base.get(key) or {}, value, f"{where}: {key}")
        elif isinstance(value, dict) and isinstance(result.get(key), dict):
            result[key] = _merge_free(result[key], value)
        else:
            result[key] = copy.deepcopy(value)
    return result


def _merge_free(base: dict, changes: dict) -> dict:
    both = {
        k: v for k, v in base.items() if isinstance(v, dict) and isinstance(changes.get(k), dict)
    }
    return {**base, **changes, **{k: _merge_free(v, changes[k]) for k, v in both.items()}}


def _mapping(value: object, where: str) -> dict:
    if not isinstance(value, dict):
        raise SertlError(f"{where} must be a mapping, got {shown(value)}")
    for key in value:
        if not isinstance(key, str):
            raise SertlError(f"{where}: the key {key!r} is not text; write it in quotes")
    return value


def check_value(annotation: Any, value: object, where: str) -> None:
    """Refuse a value that an annotation does not allow; anything goes without one.

    Raises:
        SertlError: One line: where, value and what is allowed.
    """
    if annotation in (inspect.Parameter.empty, Any):
        return
    conf = ConfigDict(strict=True, allow_inf_nan=False, arbitrary_types_allowed=True)
    try:
        TypeAdapter(annotation, config=conf).validate_python(value)
    except ValidationError as error:
        found = error.errors(include_url=False)
        first = next((e for e in found if e["type"] == "value_error"), found[0])
        if first["type"] == "value_error":
            raise SertlError(f"{where}: {shown(value)} {first['ctx']['error']}") from error
        words, near = allowed(annotation), _near(annotation, value)
        raise SertlError(f"{where}: {shown(value)} is not {words}{near}") from error


def section_of(field: FieldInfo) -> type[Section] | None:
    """The section that a key holds, if it is one."""
    for kind in (field.annotation, *get_args(field.annotation)):
        if isinstance(kind, type) and issubclass(kind, Section):
            return kind
    return None


def _nullable(field: FieldInfo) -> bool:
    return NoneType in get_args(field.annotation)


def shown(value: object) -> str:
    """A value in a message, cut if it is long."""
    text = repr(value)
    return text if len(text) <= 80 else text[:76] + " ..."


def _line(kind: type[Section], values: dict, error: ValidationError) -> str:
    """The first thing that is wrong, and how many more are."""
    found = error.errors(include_url=False)
    # A misspelt key explains a missing one. Of the branches of a union, the one that takes the type
    # and refuses the value says most.
    order = ("extra_forbidden", "value_error")
    first = min(found, key=lambda e: order.index(e["type"]) if e["type"] in order else len(order))
    path, value, owner, field, annotation = [], values, kind, None, None
    if first["loc"][-1] == "[key]":
        key = first["loc"][-2]
        return f"{_dotted(list(first['loc'][:-2]))}the key {key!r} is not text; write it in quotes"
    for part in first["loc"]:
        if first["type"] == "extra_forbidden" and part == first["loc"][-1]:
            return _dotted(path) + str(unknown_name("key", part, owner.keys()))
        if owner is not None and part in owner.keys():
            field = owner.keys()[part]
            owner, annotation = section_of(field), Annotated[field.annotation, field]
        elif not (isinstance(value, dict) and part in value) and not _inside(value, part):
            continue  # the name of a branch of a union
        elif owner is None:
            annotation = _element(annotation)
            if isinstance(annotation, type) and issubclass(annotation, Section):
                owner = annotation
        path.append(part)
        missing = isinstance(value, dict) and part not in value
        value = None if missing else value[part]
    if first["type"] == "missing":
        words = (
            field.description if field is not None and field.description else "it has no default"
        )
        return f"{_dotted(path)}missing; {words}"
    if first["type"] == "value_error":
        return f"{_dotted(path)}{shown(value)} {first['ctx']['error']}"
    if annotation is None:
        return f"{_dotted(path)}{shown(value)}: {first['msg']}"
    return f"{_dotted(path)}{shown(value)} is not {allowed(annotation)}{_near(annotation, value)}"


def _element(annotation: Any) -> Any:
    """What a list or a mapping holds; of a union, its first branch that holds anything."""
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _element(parts[0])
    if origin in (list, Sequence):
        return parts[0]
    if origin in (dict, Mapping):
        return parts[1]
    if origin in (Union, UnionType):
        return next((found for part in parts if (found := _element(part)) is not None), None)
    return None


def _inside(value: object, part: object) -> bool:
    return isinstance(value, list) and isinstance(part, int) and part < len(value)


def _dotted(path: list) -> str:
    text = "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in path).lstrip(".")
    return f"{text}: " if text else ""


def _near(annotation: Any, value: object) -> str:
    choices = [str(c) for c in _choices(annotation)]
    near = difflib.get_close_matches(str(value), choices, n=1, cutoff=0.5)
    return f"; did you mean '{near[0]}'?" if near else ""


def _choices(annotation: Any) -> list:
    if get_origin(annotation) is Literal:
        return list(get_args(annotation))
    return [c for part in get_args(annotation) if not isinstance(part, str) for c in _choices(part)]


def allowed(annotation: Any, metadata: list | tuple = ()) -> str:
    """What a type allows, in words.

    Args:
        annotation: Of a field.
        metadata: Its constraints.
    """
    origin = get_origin(annotation)
    if origin is Annotated:
        base, *rest = get_args(annotation)
        found = [m for r in rest for m in (r.metadata if isinstance(r, FieldInfo) else [r])]
        return allowed(base, [*found, *metadata])
    words = next((m.words for m in metadata if isinstance(m, Words)), None)
    if words:
        return words
    if origin is Literal:
        return " | ".join(str(choice) for choice in get_args(annotation))
    if origin in (Union, UnionType):
        return " | ".join(allowed(part) for part in get_args(annotation))
    if origin in (list, tuple, Sequence):
        least = next((m.min_length for m in metadata if isinstance(m, MinLen)), 0)
        most = next((m.max_length for m in metadata if isinstance(m, MaxLen)), None)
        some = "a list of two, each" if least == most == 2 else "a list of one or more, each"
        return f"{some if least else 'a list, each'} {allowed(get_args(annotation)[0])}"
    if annotation in (int, float):
        return _number_words(annotation, metadata)
    names = {bool: "true | false", str: "text", NoneType: "null", JsonValue: "anything"}
    return names.get(annotation, "a mapping" if origin in (dict, Mapping) else f"{annotation}")


class Words:
    """Says what a field allows better than its type does."""

    def __init__(self, words: str):
        self.words = words


def _number_words(kind: type, metadata: list | tuple) -> str:
    least = next((m.ge for m in metadata if isinstance(m, Ge)), None)
    above = next((m.gt for m in metadata if isinstance(m, Gt)), None)
    most = next((m.le for m in metadata if isinstance(m, Le)), math.inf)
    below = next((m.lt for m in metadata if isinstance(m, Lt)), None)
    words = "a whole number" if kind is int else "a number"
    if least is not None and most < 100_000:
        return f"{words} from {least:g} to {most:g}"
    if least is not None:
        words += f" of at least {least:g}"
    if above is not None:
        words += f" above {above:g}"
    if below is not None:
        words += f" below {below:g}"
    return f"{words}, at most {most:g}" if most < 100_000 else words
