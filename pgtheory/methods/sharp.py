"""SHARP: the momentum Hessian-aided method."""

from dataclasses import dataclass
from typing import ClassVar

from pgtheory.methods.harpg import HARPG
from pgtheory.methods.schedules import Schedule, power


@dataclass(frozen=True)
class SHARP(HARPG):
    r"""SHARP (arXiv:2205.08253): the N-HARPG recursion with :math:`\eta_t,\gamma_t\propto t^{-2/3}`."""

    gamma: Schedule = power(0.1, 2 / 3)
    eta: Schedule = power(1.0, 2 / 3)
    normalised: ClassVar[bool] = True
