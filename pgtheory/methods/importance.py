"""Gradients at one policy from trajectories of another."""

from typing import Any

import numpy as np

from pgtheory.methods.protocol import Problem

EXPLODED = 700.0  # the largest logarithm whose exponential is finite


def weighted_gradient(
    problem: Problem, theta: np.ndarray, behaviour: np.ndarray, tau: Any, *, per_decision: bool = False
) -> np.ndarray:
    r"""Importance-weighted gradient estimate at theta from trajectories of ``behaviour`` [seeds, dim].

    :math:`\frac1B\sum_iw(\tau_i|\theta,\theta')g(\tau_i,\theta)` with full-trajectory weights (REINFORCE form), or
    with :math:`w_{0:t}` on the reward of time t (lower variance). The weights are plain numbers: no gradient
    flows through them. Both are unbiased: :math:`\mathbb E_{\tau\sim\theta'}[w\,g(\tau,\theta)]=\nabla J_H(\theta)`.
    """
    log_w = problem.log_ratio(theta, behaviour, tau, per_decision=per_decision)
    return problem.gradient(theta, tau, np.exp(np.minimum(log_w, EXPLODED)))
