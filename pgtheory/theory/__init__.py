"""What is proven about stochastic policy gradients, as numbers and inequalities that run."""

from pgtheory.theory import ascent, assumptions, bounds, caution, complexity, constants, igt, linear_gaussian

__all__ = [
    "ascent",
    "assumptions",
    "bounds",
    "caution",
    "complexity",
    "constants",
    "igt",
    "linear_gaussian",
]
