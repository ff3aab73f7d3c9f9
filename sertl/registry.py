# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Names of one kind of thing: models, poolings, losses, encoder backends, PEFT modules.

A thing is registered where it is defined, in any file of the folder of its kind:

    @POOLINGS.register("mean")
    class MeanPooling(nn.Module): ...

There is no list to edit. A name is looked up among what is imported, then in the file of that name,
and only then in all files of the folder: what nobody asks for is not imported.
"""

import importlib
import inspect
import pkgutil
from collections.abc import Callable
from typing import Generic, TypeVar

from sertl.errors import SertlError, unknown_name
from sertl.schema.strict import check_value

Thing = TypeVar("Thing")


class Registry(Generic[Thing]):
    """One kind of thing.

    Args:
        kind: Named in errors, e.g. "pooling".
        package: Whose files hold them, e.g. "sertl.nn".
    """

    def __init__(self, kind: str, package: str):
        self.kind, self.package = kind, package
        self._things: dict[str, Thing] = {}

    def register(self, name: str) -> Callable[[Thing], Thing]:
        """A decorator that gives a thing its name.

        Raises:
            ValueError: If another thing has the name.
        """

        def keep(thing: Thing) -> Thing:
            other = self._things.setdefault(name, thing)
            if other is not thing and _origin(other) != _origin(thing):
                raise ValueError(f"two {self.kind}s are called '{name}': {other} and {thing}")
            self._things[name] = thing
            return thing

        return keep

    def get(self, name: str) -> Thing:
        """The thing of that name.

        Raises:
            SertlError: Unknown; with the nearest name.
        """
        if name not in self._things and isinstance(name, str) and name.isidentifier():
            module = f"{self.package}.{name}"
            if name in self._files():
                importlib.import_module(module)
        if name not in self._things and name not in self.names():
            raise unknown_name(self.kind, name, self.names())
        return self._things[name]

    def knows(self, name: str) -> bool:
        """Whether the name is likely one of this kind; imports nothing if a file is called so."""
        return name in self._things or name in self._files() or name in self.names()

    def names(self) -> list[str]:
        """Every name, after importing the whole folder."""
        for name in self._files():
            importlib.import_module(f"{self.package}.{name}")
        return sorted(self._things)

    def build(self, name: str, *args, conf: dict | None = None):
        """Call the thing with arguments and a configuration of keywords.

        Args:
            name: Its name.
            args: Positional arguments, which the configuration cannot set.
            conf: Keywords, as a user wrote them.

        Raises:
            SertlError: Unknown name or key, or a value that the thing refuses.
        """
        thing = self.get(name)
        check_keys(thing, conf or {}, len(args), f"{self.kind} {name}")
        try:
            return thing(*args, **(conf or {}))
        except (ValueError, TypeError) as error:
            raise SertlError(f"{self.kind} {name} with {conf or {}}: {error}") from error

    def _files(self) -> list[str]:
        folder = importlib.import_module(self.package).__path__
        return [module.name for module in pkgutil.iter_modules(folder)]


def check_keys(thing: Callable, conf: dict, positional: int, what: str) -> None:
    """Refuse keywords that a callable does not take, and values that its annotations do not allow.

    Raises:
        SertlError: Unknown key, with the nearest; a key without default that is missing; a value
            of another type or range.
    """
    known = keywords(thing, positional)
    for key, value in conf.items():
        if key not in known:
            raise unknown_name(f"key of {what}:", key, known)
        check_value(known[key].annotation, value, f"{what}: {key}")
    for name, parameter in known.items():
        if parameter.default is parameter.empty and name not in conf:
            raise SertlError(f"{what} needs {name}; it has no default")


def keywords(thing: Callable, positional: int) -> dict[str, inspect.Parameter]:
    """What a configuration may set of a callable's arguments, by name."""
    parameters = list(inspect.signature(thing, eval_str=True).parameters.values())
    return {p.name: p for p in parameters[positional:]}


def _origin(thing: object) -> tuple[str, str]:
    """Module and name; a module that is imported twice defines the same thing twice."""
    return getattr(thing, "__module__", ""), getattr(thing, "__qualname__", repr(thing))
