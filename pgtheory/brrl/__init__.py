"""Bounded-ratio improvement in closed form (arXiv:2604.18578): optimum, identity, bound and its neighbours."""

from pgtheory.brrl.bound import LowerBound, lower_bound
from pgtheory.brrl.box import RatioBox
from pgtheory.brrl.improvement import Improvement, improve
from pgtheory.brrl.iteration import History, iterate, iterations_to_close
from pgtheory.brrl.linear_programme import linear_programme
from pgtheory.brrl.optimum import Optimum, optimal_ratio
from pgtheory.brrl.regulariser import (
    fermi_dirac,
    regularised_value,
    relative_fermi_dirac,
    soft_absolute,
    soft_median,
)
from pgtheory.brrl.trust_regions import chi_square_ball, exponential_tilt, kl_ball, total_variation_ball

__all__ = [
    "History",
    "Improvement",
    "LowerBound",
    "Optimum",
    "RatioBox",
    "chi_square_ball",
    "exponential_tilt",
    "fermi_dirac",
    "improve",
    "iterate",
    "iterations_to_close",
    "kl_ball",
    "linear_programme",
    "lower_bound",
    "optimal_ratio",
    "regularised_value",
    "relative_fermi_dirac",
    "soft_absolute",
    "soft_median",
    "total_variation_ball",
]
