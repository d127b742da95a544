"""The exact law of group objectives on problems small enough to enumerate. PyTorch is imported on first use."""

from importlib import import_module
from typing import Any

_HOME = {
    "Problem": "problem",
    "bandit": "problem",
    "contextual_bandit": "problem",
    "success": "problem",
    "token_tree": "problem",
    "of_module": "network",
    "Law": "expectation",
    "law": "expectation",
    "effective_scale": "scale",
    "Flow": "dynamics",
    "flow": "dynamics",
    "InnerEpochs": "dynamics",
    "inner_epochs": "dynamics",
    "Examination": "examination",
    "examine": "examination",
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
