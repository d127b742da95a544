"""Finite Markov decision processes: building, solving and evaluating them exactly."""

from pgtheory.mdp import instances
from pgtheory.mdp.evaluation import PolicyEvaluation, evaluate, expected_return
from pgtheory.mdp.finite import FiniteMDP
from pgtheory.mdp.gym import FiniteMDPEnv, from_gymnasium
from pgtheory.mdp.instances import describe, make, names
from pgtheory.mdp.layered import layered, unroll
from pgtheory.mdp.planning import METHODS, HorizonSolution, Solution, backward_induction, solve

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
