r"""Conservative policy iteration (Kakade and Langford 2002), for layered MDPs.

The policy is a mixture, per state and step, that moves a little towards the policy of the class with the largest
advantage under restarts. With restarts :math:`\nu` (a uniform layer h, then :math:`\mu_h`) and
:math:`\mathbb A=\sum_h\mathbb E_{d^\pi_{\nu,h}}A^\pi_h(x,\pi'(x))` a step of
:math:`\alpha=\min\{1,\mathbb A/(2H(H-1)A_{\max})\}` gains

.. math:: V_\nu(\pi_\alpha)-V_\nu(\pi)\ge\alpha\mathbb A-\alpha^2H(H-1)A_{\max}

(the layered constants are derived here). It stops where no policy of the class has an advantage: near the
optimum if the class is complete, and anywhere at all if it is not
(:func:`pgtheory.agnostic.instances.advantage_trap`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from pgtheory.agnostic.access import MuReset
from pgtheory.agnostic.advantages import estimate_advantages, exact_advantages
from pgtheory.agnostic.layered_mdp import Layers
from pgtheory.agnostic.observed import ObservedMDP, check_class
from pgtheory.agnostic.policy_class import PolicyClass
from pgtheory.mdp import validate


@dataclass(frozen=True, eq=False)
class CPIResult:
    """Where CPI stopped.

    Attributes
    ----------
    steps : tuple of (alpha, policy)
        The mixture: begin at the first policy, then move by each alpha towards that policy of the class.
    policy : tuple of H arrays [V_h, A]
        The same as action probabilities on views.
    advantages : array [iterations + 1, n]
        Advantage (exact or estimated) of every policy of the class, at every iteration and where it stopped.
    values : array [iterations + 1]
        Exact value from the start; empty for estimates, which do not know it.
    converged : bool
        Whether it stopped for want of an advantage; otherwise its iterations ran out.
    """

    steps: tuple[tuple[float, int], ...]
    policy: Layers
    advantages: np.ndarray
    values: np.ndarray
    converged: bool


def exact_cpi(
    env: ObservedMDP,
    policies: PolicyClass,
    *,
    first: int = 0,
    tolerance: float = 1e-9,
    advantage_bound: float = 1.0,
    iterations: int = 1000,
) -> CPIResult:
    r"""CPI with exact advantages.

    Parameters
    ----------
    env : ObservedMDP
        With reset distributions.
    policies : PolicyClass
    first : int
        The policy of the class to begin at.
    tolerance : float
        Stop once the largest advantage is at most this.
    advantage_bound : float
        :math:`A_{\max}\ge\|A^\pi\|_\infty`; 1 for returns in [0, 1].
    iterations : int
        At most so many steps.
    """
    validate.instance_of("env", env, ObservedMDP)
    env.check_class(policies)
    values: list[float] = []

    def advantage(policy: Layers) -> np.ndarray:
        values.append(_value(env, policy))
        return exact_advantages(env, policies, policy)

    return _climb(policies, advantage, values, first, tolerance, advantage_bound, iterations)


def cpi(
    access: MuReset,
    policies: PolicyClass,
    n: int,
    rng: np.random.Generator,
    *,
    first: int = 0,
    tolerance: float,
    advantage_bound: float = 1.0,
    iterations: int = 1000,
) -> CPIResult:
    """CPI from n episodes an iteration; parameters otherwise as :func:`exact_cpi`.

    Raises
    ------
    TypeError, ValueError
        For arguments that do not fit.
    BudgetExhausted
        If the access object's budget is too small.
    """
    validate.instance_of("access", access, MuReset)
    check_class(policies, access.views, access.n_actions)
    n = validate.positive_integer("n", n)
    validate.instance_of("rng", rng, np.random.Generator)

    def advantage(policy: Layers) -> np.ndarray:
        return estimate_advantages(access, policies, policy, n, rng)

    return _climb(policies, advantage, [], first, tolerance, advantage_bound, iterations)


def _climb(
    policies: PolicyClass,
    advantage: Callable[[Layers], np.ndarray],
    values: list[float],
    first: int,
    tolerance: float,
    bound: float,
    iterations: int,
) -> CPIResult:
    """The loop, for any way to know advantages; ``values`` is what that way has noted of each policy."""
    tolerance = validate.non_negative("tolerance", tolerance)
    bound = validate.positive("advantage_bound", bound)
    iterations = validate.positive_integer("iterations", iterations)
    first = validate.index("first", first, len(policies))
    H, A = policies.horizon, policies.n_actions
    one_hot = lambda i: tuple(np.eye(A)[table[i]] for table in policies.actions)
    policy, steps = one_hot(first), [(1.0, first)]
    seen = [advantage(policy)]
    while seen[-1].max() > tolerance and len(steps) <= iterations:
        best = int(seen[-1].argmax())
        # for H = 1 there is no curvature and the whole step is safe
        alpha = min(1.0, float(seen[-1][best]) / (2 * H * (H - 1) * bound)) if H > 1 else 1.0
        policy = tuple((1 - alpha) * p + alpha * q for p, q in zip(policy, one_hot(best)))
        steps.append((alpha, best))
        seen.append(advantage(policy))
    return CPIResult(
        tuple(steps), policy, np.stack(seen), np.array(values), bool(seen[-1].max() <= tolerance)
    )


def _value(env: ObservedMDP, policy: Layers) -> float:
    return float(env.mdp.values([(e @ p)[None] for e, p in zip(env.emissions, policy)])[0])
