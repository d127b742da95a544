r"""The assumptions of arXiv:2302.01734 as numbers, for softmax policies on finite MDPs.

Fisher-non-degeneracy (Assumption 3): :math:`F_\rho(\theta)\succeq\mu_FI`. Transferred compatible error (Assumption 4):

.. math::
   \varepsilon_{bias}(\theta)=\mathbb E_{s\sim d_\rho^{\pi^*},a\sim\pi^*}
   \big[(A^{\pi_\theta}(s,a)-(1-\gamma)w^*(\theta)^\top\nabla\log\pi_\theta(a|s))^2\big],\qquad
   w^*=F_\rho^\dagger\nabla J .

Together they give relaxed weak gradient domination,

.. math::
   \varepsilon'+\|\nabla J(\theta)\|\ge\sqrt{2\mu}\,(J^*-J(\theta)),\qquad
   \mu=\frac{\mu_F^2}{2M_g^2},\quad\varepsilon'=\frac{\mu_F\sqrt{\varepsilon_{bias}}}{M_g(1-\gamma)} .

The statements are second-hand (third-party notes of the paper); the inequality was re-derived here, by the
performance difference lemma and :math:`\|w^*\|\le\|\nabla J\|/\mu_F`. That step needs :math:`F_\rho` only on the
directions in which the policy changes, so :math:`\mu_F` may be the smallest eigenvalue *there*: tabular softmax, whose
Fisher matrix is always singular, is covered at each point, though by no constant that holds at all of them.
"""

from typing import Any, cast

import numpy as np

from pgtheory.mdp import validate
from pgtheory.mdp.evaluation import evaluate
from pgtheory.mdp.planning import Solution, solve
from pgtheory.policies.softmax import LinearSoftmax
from pgtheory.problems.exact import ExactProblem
from pgtheory.theory.constants import feature_differences


def fisher_floor(problem: ExactProblem, theta: Any, *, restricted: bool = False) -> np.ndarray:
    r""":math:`\mu_F(\theta)`, the smallest eigenvalue of the Fisher matrix [...] at parameters [..., dim].

    Parameters
    ----------
    problem : ExactProblem
    theta : array [..., dim]
    restricted : bool
        Only over directions in which the policy changes: the smallest *non-zero* eigenvalue, found without
        comparing rounding errors with zero.
    """
    validate.instance_of("problem", problem, ExactProblem)
    F = problem.fisher(theta)
    if restricted:
        basis = score_directions(problem.policy, ~problem.mdp.terminal)
        F = basis.T @ F @ basis
    return np.linalg.eigvalsh(F)[..., 0]


def score_directions(policy: LinearSoftmax, states: Any = None) -> np.ndarray:
    """Orthonormal basis [dim, rank] of the span of the scores in given states (all by default).

    It does not depend on the parameters. Tabular softmax loses one direction a state.
    """
    differences = feature_differences(policy, states)
    if len(differences) == 0:
        raise ValueError("policy must have a state with two permitted actions: there is nothing to decide")
    _, sizes, rows = np.linalg.svd(differences, full_matrices=False)
    return rows[sizes > sizes[0] * max(differences.shape) * np.finfo(float).eps].T


def transferred_error(problem: ExactProblem, theta: Any) -> np.ndarray:
    r""":math:`\varepsilon_{bias}(\theta)` [...] at parameters [..., dim], exactly.

    :math:`\pi^*` is the deterministic optimal policy that ``solve`` finds. Zero for tabular softmax.

    Raises
    ------
    ValueError
        For a truncated problem: the theory is about infinite horizons.
    """
    _infinite(problem)
    ev = problem.evaluation(theta)
    best = cast(Solution, solve(problem.mdp)).pi  # an infinite horizon gives no other kind
    d = np.where(problem.mdp.terminal, 0.0, evaluate(problem.mdp, best).distribution)
    w = problem.natural_gradient(theta)
    fitted = (1 - problem.mdp.discount) * problem.policy.directional(ev.pi, w)
    return (d[:, None] * best * (ev.A - fitted) ** 2).sum((-1, -2))


def domination_constants(
    mu_F: Any, eps_bias: Any, M_g: float, discount: float
) -> tuple[np.ndarray, np.ndarray]:
    r""":math:`\sqrt{2\mu}=\mu_F/M_g` and :math:`\varepsilon'` of the domination inequality.

    Parameters
    ----------
    mu_F, eps_bias : float or arrays
        Non-negative.
    M_g : float
        Positive; infinite for Gaussian policies, which makes both zero: the inequality says nothing.
    discount : float
    """
    mu_F, eps_bias = (_non_negative(name, x) for name, x in (("mu_F", mu_F), ("eps_bias", eps_bias)))
    if not validate.real("M_g", M_g) > 0:
        raise ValueError(f"M_g must be positive (inf allowed), got {M_g}")
    rate = mu_F / M_g
    return rate, rate * np.sqrt(eps_bias) / (1 - validate.discount_factor(discount, None))


def domination_slack(
    gap: Any, gradient_norm: Any, mu_F: Any, eps_bias: Any, M_g: float, discount: float
) -> np.ndarray:
    r""":math:`\varepsilon'+\|\nabla J\|-\sqrt{2\mu}(J^*-J)`: non-negative where the inequality holds.

    Parameters
    ----------
    gap : array
        :math:`J^*-J(\theta)`.
    gradient_norm : array
        :math:`\|\nabla J(\theta)\|`.
    mu_F, eps_bias, M_g, discount
        As in :func:`domination_constants`.
    """
    rate, relaxation = domination_constants(mu_F, eps_bias, M_g, discount)
    return relaxation + np.asarray(gradient_norm) - rate * np.asarray(gap)


def domination_along(
    problem: ExactProblem, path: Any, M_g: float, *, mu_F: Any = None, eps_bias: Any = None
) -> np.ndarray:
    r"""Slack of the domination inequality [...] along a path of parameters [..., dim].

    Parameters
    ----------
    problem : ExactProblem
        With an infinite horizon.
    path : array [..., dim]
    M_g : float
        Bound on the norm of the score, such as that of ``softmax_constants``.
    mu_F, eps_bias : optional
        By default those of each point by itself (``mu_F`` restricted), for which the inequality is a theorem.
        Give numbers to see whether they serve for the whole path.
    """
    _infinite(problem)
    floor = fisher_floor(problem, path, restricted=True) if mu_F is None else mu_F
    error = transferred_error(problem, path) if eps_bias is None else eps_bias
    gap = problem.optimum - problem.value(path)
    gradient = np.linalg.norm(problem.gradient(path), axis=-1)
    return domination_slack(gap, gradient, np.maximum(floor, 0.0), error, M_g, problem.mdp.discount)


def _infinite(problem: ExactProblem) -> None:
    validate.instance_of("problem", problem, ExactProblem)
    if problem.horizon is not None:
        raise ValueError(f"problem must have an infinite horizon, got horizon={problem.horizon}")


def _non_negative(name: str, value: Any) -> np.ndarray:
    array = np.asarray(validate.numbers(name, value), dtype=float)
    if not (array >= 0).all():
        raise ValueError(f"{name} must be non-negative, got {array.min()}")
    return array
