"""Agnostic policy learning: classes as finite sets, their capacities, access models, algorithms and hard instances.

Everything here is about one question: with no assumption but that a finite class of policies is given, how many
samples does it take to find a policy nearly as good as the best of the class (arXiv:2506.01884)?
"""

from importlib import import_module
from typing import Any

_HOME = {
    "LayeredEvaluation": "layered_mdp",
    "LayeredMDP": "layered_mdp",
    "PolicyClass": "policy_class",
    "from_finite": "finite_layers",
    "to_finite": "finite_layers",
}

__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
