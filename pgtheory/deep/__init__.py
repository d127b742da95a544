"""Deep on-policy actor-critic: one loop over vector environments, and algorithms that differ in their loss.

PyTorch and Gymnasium are imported on first use.
"""

from importlib import import_module
from typing import Any

_HOME = {
    "train": "training",
    "Run": "training",
    "Network": "actor_critic",
    "Agent": "actor_critic",
    "OnPolicy": "algorithms",
    "PPO": "algorithms",
    "BPO": "algorithms",
    "R2VPO": "algorithms",
    "TRPO": "algorithms",
    "evaluate": "evaluation",
    "record": "video",
    "open_environments": "environments",
    "Diverged": "rollout",
    "Preset": "presets",
    "preset": "presets",
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
