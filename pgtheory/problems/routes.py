"""Independent routes to the same exact quantities, for checking the closed forms (and anybody's new ones).

Each route shares no formula with ``ExactProblem``: automatic differentiation (torch, float64) of the solved
Bellman equation, finite differences, and enumeration of every trajectory.
"""

from collections.abc import Callable
from itertools import pairwise, product

import numpy as np

from pgtheory.mdp import validate
from pgtheory.problems.exact import ExactProblem

MOST_TRAJECTORIES = 2_000_000


def autodiff(problem: ExactProblem, theta: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
    """J, gradient [dim] and Hessian [dim, dim] at one theta [dim] by torch in float64."""
    import torch

    mdp, policy = problem.mdp, problem.policy
    theta = validate.real_array("theta", theta, (policy.dim,), "[dim]")
    P = torch.tensor(np.array(mdp.to_dense().P))
    r, start = torch.tensor(np.array(mdp.r)), torch.tensor(np.array(mdp.start))
    # The logits are linear in theta, so their matrix is the image of the identity.
    basis = torch.tensor(np.moveaxis(policy.logits(np.eye(policy.dim)), 0, -1).copy())
    forbidden = torch.tensor(~policy.actions)

    def J(x: "torch.Tensor") -> "torch.Tensor":
        pi = torch.softmax((basis @ x).masked_fill(forbidden, -torch.inf), -1)
        P_pi, r_pi = torch.einsum("sa,sat->st", pi, P), (pi * r).sum(-1)
        if problem.horizon is None:
            V = torch.linalg.solve(torch.eye(len(r_pi), dtype=torch.float64) - mdp.discount * P_pi, r_pi)
        else:
            V = torch.zeros_like(r_pi)
            for _ in range(problem.horizon):
                V = r_pi + mdp.discount * P_pi @ V
        return start @ V

    x = torch.tensor(theta, requires_grad=True)
    value = J(x)
    (gradient,) = torch.autograd.grad(value, x)
    hessian = torch.autograd.functional.hessian(J, x.detach())
    return float(value.detach()), gradient.numpy(), hessian.numpy()


def finite_difference(
    f: Callable[[np.ndarray], np.ndarray], theta: np.ndarray, v: np.ndarray, h: float = 1e-3
):
    """Directional derivative of f at theta along v: central differences with two Richardson steps, O(h^6)."""
    theta, v, h = np.asarray(theta), np.asarray(v), validate.positive("h", h)
    central = [(f(theta + s * v) - f(theta - s * v)) / (2 * s) for s in (h, h / 2, h / 4)]
    first = [(4 * fine - coarse) / 3 for coarse, fine in pairwise(central)]
    return (16 * first[1] - first[0]) / 15


def enumeration(problem: ExactProblem, theta: np.ndarray) -> tuple[float, np.ndarray]:
    r"""J and gradient [dim] of a truncated problem by summing over every trajectory.

    :math:`\nabla J_H=\sum_\tau p(\tau)\,R(\tau)\sum_{t<H}\nabla\log\pi(a_t|s_t)`, the score-function identity.

    Raises
    ------
    ValueError
        If the problem has no horizon or more than two million trajectories.
    """
    mdp, policy, H = problem.mdp.to_dense(), problem.policy, problem.horizon
    theta = validate.real_array("theta", theta, (policy.dim,), "[dim]")
    if H is None:
        raise ValueError(
            "problem must have a horizon: an infinite horizon has no finite list of trajectories"
        )
    S, A = mdp.n_states, mdp.n_actions
    if (S * A) ** H > MOST_TRAJECTORIES:
        raise ValueError(f"problem has {(S * A) ** H:.3g} trajectories, more than {MOST_TRAJECTORIES:.0e}")
    pi = policy.probabilities(theta)
    scores = {(s, a): policy.score(theta, s, a) for s in range(S) for a in range(A) if policy.actions[s, a]}
    J, gradient = 0.0, np.zeros(policy.dim)
    for path in product(scores, repeat=H):
        p, total, score, at = 1.0, 0.0, np.zeros(policy.dim), mdp.start
        for t, (s, a) in enumerate(path):
            p *= at[s] * pi[s, a]
            if p == 0.0:
                break
            total += mdp.discount**t * mdp.r[s, a]
            score += scores[s, a]
            at = mdp.P[s, a]
        J += p * total
        gradient += p * total * score
    return J, gradient
