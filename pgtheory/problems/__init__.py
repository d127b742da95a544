"""A policy class on an environment, as an optimisation problem in its parameters."""

from pgtheory.problems.bandits import CauchyBandit, GaussianBandit
from pgtheory.problems.exact import ExactProblem
from pgtheory.problems.linear import CauchyProblem, LinearGaussianProblem
from pgtheory.problems.linear_exact import ExactLinearGaussian
from pgtheory.problems.sampled import SampledProblem
from pgtheory.problems.streams import Streams

__all__ = [
    "CauchyBandit",
    "CauchyProblem",
    "ExactLinearGaussian",
    "ExactProblem",
    "GaussianBandit",
    "LinearGaussianProblem",
    "SampledProblem",
    "Streams",
]
