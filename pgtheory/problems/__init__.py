"""A policy class on an environment, as an optimisation problem in its parameters."""

from pgtheory.problems.exact import ExactProblem

__all__ = ["ExactProblem"]
