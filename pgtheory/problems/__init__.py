"""A policy class on an environment, as an optimisation problem in its parameters."""

from pgtheory.problems.exact import ExactProblem
from pgtheory.problems.sampled import SampledProblem
from pgtheory.problems.streams import Streams

__all__ = ["ExactProblem", "SampledProblem", "Streams"]
