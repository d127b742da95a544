r"""The constants of the theory of arXiv:2302.01734: of policy classes, and of the problems built on them.

The formulas for :math:`L_g,\sigma_g,\sigma_h,D_g,D_h` are second-hand (third-party notes of the paper); those for
:math:`L_g,\sigma_g,D_g,D_h` were re-derived here. The constants of the policy classes and :math:`L_h` are derived here.
All are worst cases, often far from what a given problem shows.
"""

import math
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from pgtheory.mdp import validate
from pgtheory.policies.softmax import LinearSoftmax


@dataclass(frozen=True)
class PolicyConstants:
    r"""Bounds on the derivatives of :math:`\log\pi_\theta(a|s)`, over all parameters, states and actions.

    Attributes
    ----------
    M_g : float
        :math:`\|\nabla\log\pi\|\le M_g`.
    M_h : float
        :math:`\|\nabla^2\log\pi\|\le M_h` (operator norm).
    l_2 : float
        :math:`\|\nabla^2\log\pi_\theta-\nabla^2\log\pi_{\theta'}\|\le l_2\|\theta-\theta'\|`.
    """

    M_g: float
    M_h: float
    l_2: float

    def __post_init__(self) -> None:
        for name in ("M_g", "M_h", "l_2"):
            if not validate.real(name, getattr(self, name)) >= 0:
                raise ValueError(f"{name} must be non-negative (inf allowed), got {getattr(self, name)}")


def softmax_constants(policy: LinearSoftmax) -> PolicyConstants:
    r"""Constants of a softmax class from the diameter D of the features of a state's permitted actions.

    :math:`M_g=D`, :math:`M_h=D^2/4`, :math:`l_2=D^3/(6\sqrt3)`: score, variance and third central moment of a variable
    with range D (derived here). Suprema over all distributions on the actions, so attained by tabular softmax, where
    :math:`D=\sqrt2` gives :math:`\sqrt2,\tfrac12,\tfrac{\sqrt2}{3\sqrt3}`, and upper bounds for few features.
    """
    validate.instance_of("policy", policy, LinearSoftmax)
    diameter = float(np.linalg.norm(feature_differences(policy), axis=-1).max(initial=0.0))
    return PolicyConstants(diameter, diameter**2 / 4, diameter**3 / (6 * math.sqrt(3)))


def gaussian_constants(sigma: float, state_norm: float) -> PolicyConstants:
    r"""Linear-Gaussian policy :math:`a\sim\mathcal N(Ks,\Sigma)` with fixed :math:`\Sigma\succeq\sigma^2I`.

    The score :math:`\Sigma^{-1}(a-Ks)s^\top` is unbounded, :math:`M_g=\infty`: the assumption fails, strictly. The
    Hessian does not depend on the parameters: :math:`M_h=\|s\|^2_{max}/\sigma^2`, :math:`l_2=0` (derived here).
    """
    sigma, state_norm = validate.positive("sigma", sigma), validate.real("state_norm", state_norm)
    return PolicyConstants(math.inf, (state_norm / sigma) ** 2, 0.0)


def cauchy_constants(sigma: float) -> PolicyConstants:
    r"""Cauchy location policy :math:`a=\theta+\sigma\,\mathrm{Cauchy}`: every regularity assumption holds.

    :math:`M_g=1/\sigma`, :math:`M_h=2/\sigma^2`, :math:`l_2=(\tfrac32+\sqrt2)/\sigma^3` (derived here).
    """
    sigma = validate.positive("sigma", sigma)
    return PolicyConstants(1 / sigma, 2 / sigma**2, (1.5 + math.sqrt(2)) / sigma**3)


@dataclass(frozen=True)
class Constants:
    r"""Worst-case constants of :math:`J` and of the estimators g and B, one trajectory of length H.

    Parameters
    ----------
    policy : PolicyConstants
    discount : float
        :math:`\gamma` in [0, 1).
    horizon : int
        H, at which trajectories are truncated.
    r_max : float
        Bound on absolute rewards.
    """

    policy: PolicyConstants
    discount: float
    horizon: int
    r_max: float = 1.0

    def __post_init__(self) -> None:
        validate.instance_of("policy", self.policy, PolicyConstants)
        validate.discount_factor(self.discount, None)
        validate.positive_integer("horizon", self.horizon)
        validate.non_negative("r_max", self.r_max)

    @classmethod
    def of(cls, problem: Any) -> "Constants":
        """Constants of an ``ExactProblem`` with a horizon, or of a ``SampledProblem``."""
        problem = getattr(problem, "exact", problem)
        if problem.horizon is None:
            raise ValueError("problem must have a horizon, got None: pass horizon= when making it")
        return cls(
            softmax_constants(problem.policy), problem.mdp.discount, problem.horizon, problem.mdp.r_max
        )

    @property
    def length(self) -> float:
        r"""Effective horizon :math:`1/(1-\gamma)`."""
        return 1 / (1 - self.discount)

    @property
    def L_g(self) -> float:
        r"""Smoothness, :math:`\|\nabla^2J\|\le L_g=r_{max}(M_g^2+M_h)/(1-\gamma)^2` (second-hand, re-derived)."""
        return self.r_max * (self.policy.M_g**2 + self.policy.M_h) * self.length**2

    @property
    def L_h(self) -> float:
        r"""Lipschitz constant of the Hessian, an upper bound derived here.

        The paper's own form is not known to us, only that it is :math:`O((1-\gamma)^{-3})`. With the score
        :math:`U_t` of the first t+1 decisions a martingale, the third derivative of :math:`\mathbb E[r_t]` is at most
        :math:`r_{max}\big[(t+1)^2M_g^3+3(t+1)^{3/2}M_gM_h+(t+1)l_2\big]`; summed with :math:`\gamma^t`,

        .. math:: L_h=r_{max}\Big[\tfrac{(1+\gamma)M_g^3}{(1-\gamma)^3}
                  +\tfrac{3\sqrt{1+\gamma}\,M_gM_h}{(1-\gamma)^{5/2}}+\tfrac{l_2}{(1-\gamma)^2}\Big].
        """
        M_g, M_h, n = self.policy.M_g, self.policy.M_h, self.length
        mixed = 3 * math.sqrt(1 + self.discount) * M_g * M_h * n**2.5
        return self.r_max * ((1 + self.discount) * M_g**3 * n**3 + mixed + self.policy.l_2 * n**2)

    @property
    def sigma_g(self) -> float:
        r""":math:`\mathbb E\|g-\nabla J_H\|^2\le\sigma_g^2=r_{max}^2M_g^2/(1-\gamma)^3` (second-hand, re-derived)."""
        return self.r_max * self.policy.M_g * self.length**1.5

    @property
    def sigma_h(self) -> float:
        r""":math:`\mathbb E\|B-\nabla^2J_H\|^2\le\sigma_h^2` (second-hand).

        .. math:: \sigma_h^2=r_{max}^2(H^2M_g^4+M_h^2)/(1-\gamma)^4
        """
        return self.r_max * math.hypot(self.horizon * self.policy.M_g**2, self.policy.M_h) * self.length**2

    @property
    def D_g(self) -> float:
        r""":math:`\|\nabla J_H-\nabla J\|\le D_g\gamma^H` (second-hand, re-derived).

        .. math:: D_g=\tfrac{M_gr_{max}}{1-\gamma}\sqrt{\tfrac1{1-\gamma}+H}
        """
        return self.policy.M_g * self.r_max * self.length * math.sqrt(self.length + self.horizon)

    @property
    def D_h(self) -> float:
        r""":math:`\|\nabla^2J_H-\nabla^2J\|\le D_h\gamma^H` (second-hand, re-derived).

        .. math:: D_h=\tfrac{r_{max}(M_g^2+M_h)}{1-\gamma}\big(\tfrac1{1-\gamma}+H\big)
        """
        return (
            self.r_max * (self.policy.M_g**2 + self.policy.M_h) * self.length * (self.length + self.horizon)
        )

    @property
    def truncation(self) -> float:
        r""":math:`\gamma^H`, what multiplies :math:`D_g` and :math:`D_h`."""
        return self.discount**self.horizon


def feature_differences(policy: LinearSoftmax, states: Any = None) -> np.ndarray:
    """phi(s, a) - phi(s, b) [pairs, dim] of every two permitted actions of given states (a mask [S], all if None)."""
    validate.instance_of("policy", policy, LinearSoftmax)
    chosen = np.ones(len(policy.actions), bool) if states is None else states
    chosen = validate.boolean_array("states", chosen, (len(policy.actions),))
    pairs = [
        (s, a, b)
        for s in np.flatnonzero(chosen)
        for a, b in combinations(np.flatnonzero(policy.actions[s]), 2)
    ]
    w = np.zeros((len(pairs), *policy.actions.shape))
    for row, (s, a, b) in zip(w, pairs):
        row[s, a], row[s, b] = 1.0, -1.0
    return policy.pullback(w)
