"""Registers the named MDPs and the continuous lock with Gymnasium, without building or importing any of them.

``import pgtheory`` does this, so ``gymnasium.make("pgtheory/RiverSwim-v0")`` works afterwards, and
``gymnasium.make("pgtheory:pgtheory/RiverSwim-v0")`` even without the import. Where Gymnasium is missing nothing is
registered: a language model can be trained on a machine without it.
"""

from importlib.util import find_spec
from typing import Any

if AVAILABLE := find_spec("gymnasium") is not None:
    import gymnasium

SHIPPED = (
    "bandit",
    "chain",
    "cliff",
    "combination-lock",
    "diabolical-lock",
    "dirichlet",
    "frozen-lake",
    "garnet",
    "gridworld",
    "river-swim",
    "taxi",
    "two-state",
    "windy-gridworld",
)


def environment_id(name: str) -> str:
    """``"river-swim"`` -> ``"pgtheory/RiverSwim-v0"``."""
    if not isinstance(name, str) or not all(word.isalnum() for word in name.split("-")):
        raise ValueError(f"name must be words joined by dashes such as 'river-swim', got {name!r}")
    return f"pgtheory/{''.join(word.capitalize() for word in name.split('-'))}-v0"


def register(name: str) -> None:
    """Make a named MDP available as a Gymnasium environment; episodes are cut after 200 steps."""
    _add(environment_id(name), "pgtheory.mdp.gym:FiniteMDPEnv", kwargs={"mdp": name}, max_episode_steps=200)


def _add(identifier: str, entry_point: str, **rest: Any) -> None:
    if AVAILABLE and identifier not in gymnasium.registry:
        gymnasium.register(identifier, entry_point=entry_point, **rest)


for _name in SHIPPED:
    register(_name)
_add(
    "pgtheory/ContinuousLock-v0",
    "pgtheory.hybrid.lock_env:LockEnv",
    vector_entry_point="pgtheory.hybrid.lock_env:LockVectorEnv",
)
