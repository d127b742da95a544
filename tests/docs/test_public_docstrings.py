"""Whatever a reader can call says what it does, and documents only parameters that it has."""

import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterator
from functools import cached_property
from types import ModuleType
from typing import Any

import pytest

import pgtheory
from pgtheory.methods import Method

ROOMS = [room.name for room in pkgutil.iter_modules(pgtheory.__path__) if room.name != "cli"]
METHOD_KINDS = (classmethod, staticmethod, property, cached_property)


def modules() -> list[ModuleType]:
    """Every module of the rooms."""
    found = []
    for room in ROOMS:
        module = importlib.import_module(f"pgtheory.{room}")
        inside = pkgutil.walk_packages(getattr(module, "__path__", ()), f"{module.__name__}.")
        found += [module, *(importlib.import_module(info.name) for info in inside)]
    return found


def defined(module: ModuleType) -> list[Any]:
    """Public functions and classes that a module defines itself."""
    things = [thing for name, thing in vars(module).items() if not name.startswith("_")]
    return [
        thing
        for thing in things
        if (inspect.isfunction(thing) or inspect.isclass(thing)) and thing.__module__ == module.__name__
    ]


def offered_classes() -> list[type]:
    """Classes in the ``__all__`` of a room."""
    rooms = [importlib.import_module(f"pgtheory.{room}") for room in ROOMS]
    things = [getattr(room, name) for room in rooms for name in getattr(room, "__all__", ())]
    return [thing for thing in things if inspect.isclass(thing)]


def public_methods(cls: type) -> Iterator[str]:
    """Public methods and properties of a class, as far as this package defines them."""
    for name in dir(cls):
        owner = next((base for base in cls.__mro__ if name in vars(base)), object)
        if owner.__module__.startswith("pgtheory.") and not name.startswith("_"):
            member = vars(owner)[name]
            if inspect.isfunction(member) or isinstance(member, METHOD_KINDS):
                yield name


def undescribed(things: list[Any]) -> list[str]:
    """Functions and classes without words of their own; a dataclass's generated signature is none."""
    texts = {thing.__qualname__: (thing.__doc__ or "").strip() for thing in things}
    return [name for name, text in texts.items() if not text or text.startswith(f"{name}(")]


def undescribed_methods(cls: type) -> list[str]:
    """Methods that have no docstring, nor override one that has."""
    return [name for name in public_methods(cls) if not inspect.getdoc(getattr(cls, name))]


def invented_parameters(thing: Any) -> set[str]:
    """Names under "Parameters" (``x : array``, ``a, b : int`` or, without a type, ``x``) that do not exist."""
    section = re.search(
        r"^Parameters\n-+\n(.*?)(?=^\w[^\n]*\n-+\n|\Z)", inspect.getdoc(thing) or "", re.MULTILINE | re.DOTALL
    )
    lines = section[1].splitlines() if section else []
    heads = [line.split(" : ")[0] for line in lines if line and not line.startswith(" ")]
    documented = {name.strip(" *") for head in heads for name in head.split(",")}
    return documented - inspect.signature(thing).parameters.keys() if documented else set()


@pytest.mark.parametrize("module", modules(), ids=lambda module: module.__name__)
def test_modules_functions_and_classes_say_what_they_are(module):
    assert (module.__doc__ or "").strip()
    assert undescribed(defined(module)) == []


@pytest.mark.parametrize("cls", offered_classes(), ids=lambda cls: cls.__name__)
def test_public_methods_say_what_they_do(cls):
    shared = {"init", "step"} if issubclass(cls, Method) else set()  # documented once, by the protocol
    assert set(undescribed_methods(cls)) <= shared


@pytest.mark.parametrize("module", modules(), ids=lambda module: module.__name__)
def test_documented_parameters_exist(module):
    invented = {thing.__qualname__: invented_parameters(thing) for thing in defined(module)}
    assert {name: names for name, names in invented.items() if names} == {}


def test_the_checks_notice_what_is_missing():
    class Silent:
        def method(self):
            pass

        @property
        def number(self):
            return 1

        @cached_property
        def other(self):
            return 2

        @classmethod
        def make(cls):
            """A new one."""
            return cls()

    def wrong(x):
        """Do something.

        Parameters
        ----------
        x, y : int
            Two numbers.
        z
            One more: it has a colon : too.

        Returns
        -------
        nothing
        """

    Silent.__module__ = "pgtheory.somewhere"
    assert [name.rpartition(".")[2] for name in undescribed([Silent, wrong])] == ["Silent"]
    assert undescribed_methods(Silent) == ["method", "number", "other"]
    assert invented_parameters(wrong) == {"y", "z"}
