"""The unregularised problem of one state handed to a solver for linear programmes, as an independent route."""

from typing import Any

import numpy as np

from pgtheory.brrl.atoms import atoms
from pgtheory.brrl.box import RatioBox
from pgtheory.brrl.optimum import Optimum
from pgtheory.mdp import validate


def linear_programme(Q: Any, weights: Any, box: RatioBox) -> Optimum:
    r"""Maximise :math:`\mathbb E_w[\rho Q]` subject to :math:`\mathbb E_w\rho=1`, :math:`c_l\le\rho\le c_h` with HiGHS.

    A vertex of the optimal face: within a tie its ratios differ from the equal split of ``optimal_ratio``,
    with the same gain. The threshold is the multiplier of the equality.

    Parameters
    ----------
    Q, weights : array [A]
        Of one state, as for ``optimal_ratio``.
    box : RatioBox

    Raises
    ------
    ValueError
        As ``optimal_ratio``, and if there are batch axes.
    RuntimeError
        If HiGHS reports anything but an optimum.
    """
    from scipy.optimize import linprog

    Q, weights = atoms(Q, weights)
    validate.instance_of("box", box, RatioBox)
    if Q.ndim != 1:
        raise ValueError(f"Q must be one state's values [A], got {list(Q.shape)}; call once per state")
    result = linprog(
        -weights * Q,
        A_eq=weights[None],
        b_eq=[1.0],
        bounds=(box.low, box.high),
        method="highs",
        options={"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10},
    )
    if result.status != 0:
        raise RuntimeError(f"HiGHS did not solve the linear programme: {result.message}")
    return Optimum.of(Q, weights, result.x, np.array(-result.eqlin.marginals[0]))
