r"""Step sizes and momenta as functions of the iteration t = 0, 1, ….

The theory's schedules are powers of :math:`x_t=2/(t+2)`, which starts at 1.
"""

from collections.abc import Callable
from dataclasses import dataclass

Schedule = Callable[[int], float]


@dataclass(frozen=True)
class power:
    r""":math:`c\,x_t^p` with :math:`x_t=2/(t+2)`."""

    c: float
    p: float

    def __call__(self, t: int) -> float:
        return self.c * (2 / (t + 2)) ** self.p


@dataclass(frozen=True)
class constant:
    """The same value for ever."""

    c: float

    def __call__(self, t: int) -> float:
        return self.c


def momentum(eta: Schedule, t: int) -> float:
    r""":math:`\min(1,\eta_t)`, and 1 at t = 0: the first estimate is taken whole."""
    return 1.0 if t == 0 else min(1.0, eta(t))
