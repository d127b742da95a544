"""Finite Markov decision processes: building, solving and evaluating them exactly.

Gymnasium is imported on first use.
"""

from typing import TYPE_CHECKING, Any

from pgtheory.mdp import instances
from pgtheory.mdp.evaluation import PolicyEvaluation, evaluate, expected_return
from pgtheory.mdp.finite import FiniteMDP
from pgtheory.mdp.instances import describe, make, names
from pgtheory.mdp.layered import layered, unroll
from pgtheory.mdp.planning import METHODS, HorizonSolution, Solution, backward_induction, solve

if TYPE_CHECKING:
    from pgtheory.mdp.gym import FiniteMDPEnv, from_gymnasium

__all__ = [
    "METHODS",
    "FiniteMDP",
    "FiniteMDPEnv",
    "HorizonSolution",
    "PolicyEvaluation",
    "Solution",
    "backward_induction",
    "describe",
    "evaluate",
    "expected_return",
    "from_gymnasium",
    "instances",
    "layered",
    "make",
    "names",
    "solve",
    "unroll",
]


def __getattr__(name: str) -> Any:
    if name not in ("FiniteMDPEnv", "from_gymnasium"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from pgtheory.mdp import gym

    globals()[name] = value = getattr(gym, name)
    return value
