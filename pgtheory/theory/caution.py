r"""Why the assumptions of arXiv:2302.01734 can hold on a region only (derived here).

If gradient domination :math:`\varepsilon'+\|\nabla J\|\ge\sqrt{2\mu}\,\delta` held at *every* parameter, one could walk
downhill from any :math:`\theta` with :math:`\delta=J^*-J(\theta)>\varepsilon'/\sqrt{2\mu}`: along
:math:`\dot\theta=-\nabla J` the gap would grow by

.. math:: \dot\delta=\|\nabla J\|^2\ge(\sqrt{2\mu}\,\delta-\varepsilon')^2,

to infinity in finite time, while :math:`|J|\le r_{max}/(1-\gamma)`. So every parameter, the starting point included,
already satisfies :math:`\delta\le\varepsilon'/\sqrt{2\mu}=\sqrt{\varepsilon_{bias}}/(1-\gamma)`, which is all that the
theorems promise in the limit. Read them as: the assumptions hold on the region that the iterates visit.
"""

from typing import Any

import numpy as np

from pgtheory.mdp import validate
from pgtheory.problems.bandits import CauchyBandit
from pgtheory.theory.assumptions import domination_slack


def descent_flow(bandit: CauchyBandit, theta: float, times: Any) -> np.ndarray:
    r"""Parameters [times] of :math:`\dot\theta=-J'(\theta)` from one parameter at time 0.

    Parameters
    ----------
    bandit : CauchyBandit
    theta : float
    times : array [times]
        Increasing and non-negative.
    """
    from scipy.integrate import solve_ivp

    validate.instance_of("bandit", bandit, CauchyBandit)
    times = validate.real_array("times", times, (None,), "[times]")
    if len(times) == 0 or times[0] < 0 or (np.diff(times) <= 0).any():
        raise ValueError(f"times must be non-negative, increasing and at least one, got {times.tolist()}")
    field = lambda _, x: -bandit.exact_gradient(x)
    start = [validate.finite("theta", theta)]
    flow = solve_ivp(field, (0.0, times[-1]), start, "DOP853", times, rtol=1e-10, atol=1e-12)
    return flow.y[0]


def forced_gap(start: float, rate: float, relaxation: float, times: Any) -> np.ndarray:
    r"""What the inequality would force the gap to be at least [times], if it held everywhere; inf after it blows up.

    The solution of :math:`\dot y=(\sqrt{2\mu}\,y-\varepsilon')^2`, in closed form.

    Parameters
    ----------
    start : float
        :math:`\delta` at time 0.
    rate, relaxation : float
        :math:`\sqrt{2\mu}` and :math:`\varepsilon'`, as ``assumptions.domination_constants`` gives them.
    times : array [times]
    """
    rate = validate.positive("rate", rate)
    excess = rate * validate.finite("start", start) - validate.non_negative("relaxation", relaxation)
    if excess <= 0:
        raise ValueError(
            f"start must exceed relaxation / rate = {relaxation / rate:.6g} for the gap to grow, got {start}"
        )
    left = 1 - rate * excess * validate.real_array("times", times, (None,), "[times]")
    grown = np.divide(excess, left, out=np.full(left.shape, np.inf), where=left > 0)
    return (grown + relaxation) / rate


def cauchy_slack(bandit: CauchyBandit, theta: Any, eps_bias: float) -> np.ndarray:
    r"""Slack of gradient domination [...] at parameters [..., 1], were ``eps_bias`` a bound; negative where it fails.

    The Fisher information is the same at every parameter: only Assumption 4 depends on the region.
    """
    validate.instance_of("bandit", bandit, CauchyBandit)
    gap = bandit.optimum - bandit.value(theta)
    slope = np.abs(bandit.exact_gradient(theta))[..., 0]
    return domination_slack(gap, slope, bandit.fisher_information, eps_bias, bandit.score_bound, discount=0.0)
