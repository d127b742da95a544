"""Finite Markov decision processes: building, solving and evaluating them exactly.

Gymnasium is imported on first use.
"""

from typing import TYPE_CHECKING

from pgtheory.lazy import door
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

__getattr__ = door(__name__, {"FiniteMDPEnv": "gym", "from_gymnasium": "gym"})[0]
