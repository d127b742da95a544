"""Named MDPs: a function with the decorator is all it takes to add one."""

import inspect
from collections.abc import Callable
from typing import Any, TypeVar

from pgtheory.environments import register
from pgtheory.mdp.finite import FiniteMDP

Builder = TypeVar("Builder", bound=Callable[..., FiniteMDP])
_BUILDERS: dict[str, Callable[..., FiniteMDP]] = {}


def instance(build: Builder) -> Builder:
    """Register ``build`` under its name with dashes: ``def river_swim`` becomes ``make("river-swim")``
    and ``gymnasium.make("pgtheory/RiverSwim-v0")``.

    Every parameter needs a default, so that the name alone makes an MDP.
    """
    name = build.__name__.replace("_", "-")
    missing = [p.name for p in inspect.signature(build).parameters.values() if p.default is p.empty]
    if missing:
        raise TypeError(f"instance {name!r} must give every parameter a default, {missing} have none")
    _BUILDERS[name] = build
    register(name)
    return build


def names() -> list[str]:
    """Names that ``make`` knows, sorted."""
    return sorted(_BUILDERS)


def describe(name: str) -> str:
    """First line of the named instance's documentation."""
    return (inspect.getdoc(builder(name)) or "").split("\n")[0]


def builder(name: str) -> Callable[..., FiniteMDP]:
    """The function behind a name.

    Raises
    ------
    ValueError
        If there is none; the message lists the names.
    """
    if not isinstance(name, str) or name not in _BUILDERS:
        raise ValueError(f"unknown MDP {name!r}; known: {', '.join(names())}")
    return _BUILDERS[name]


def make(name: str, **parameters: Any) -> FiniteMDP:
    """Build a named MDP, e.g. ``make("garnet", n_states=50, seed=3)``.

    Raises
    ------
    ValueError, TypeError
        On an unknown name, an unknown parameter or a bad value.
    """
    build = builder(name)
    known = inspect.signature(build).parameters
    unknown = parameters.keys() - known.keys()
    if unknown:
        raise TypeError(f"{name!r} got unknown parameters {sorted(unknown)}; known: {', '.join(known)}")
    return build(**parameters)
