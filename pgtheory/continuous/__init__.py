"""Continuous states and actions: linear systems and their closed forms."""

from pgtheory.continuous.linear_system import LinearSystem, double_integrator
from pgtheory.continuous.lqr import BestGain, Evaluation, Tangent, best_gain, differentiate, evaluate

__all__ = [
    "BestGain",
    "Evaluation",
    "LinearSystem",
    "Tangent",
    "best_gain",
    "differentiate",
    "double_integrator",
    "evaluate",
]
