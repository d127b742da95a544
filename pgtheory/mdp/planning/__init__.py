"""Exact solution of finite MDPs, each with a certified error."""

from pgtheory.mdp.planning.backward_induction import HorizonSolution, backward_induction
from pgtheory.mdp.planning.certificate import Solution
from pgtheory.mdp.planning.solve import METHODS, solve

__all__ = ["METHODS", "HorizonSolution", "Solution", "backward_induction", "solve"]
