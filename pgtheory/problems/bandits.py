r"""One decision, a real number a, rewarded with :math:`c^2/(c^2+a^2)`: the smallest continuous problems.

The best policy is the point mass at 0, worth 1. With noise around a learned location :math:`\theta`, value and
derivatives have closed forms: a Lorentz curve widened by the noise.
"""

from __future__ import annotations

import numpy as np

from pgtheory.continuous.linear_system import LinearSystem
from pgtheory.mdp import validate
from pgtheory.problems.location import LocationProblem

FAR = 8.0  # where the Faddeeva function is given by its asymptotic series


class GaussianBandit(LocationProblem):
    r"""Maximise :math:`J(\theta)=\mathbb E\,c^2/(c^2+a^2)` over :math:`a\sim\mathcal N(\theta,\sigma^2)`.

    J is a Voigt profile: :math:`J=c\sqrt{\pi/2}\,\mathrm{Re}\,w(z)/\sigma` with Faddeeva's function w at
    :math:`z=(\theta+ic)/(\sigma\sqrt2)`. Parameters are [seeds, 1].

    Parameters
    ----------
    sigma : float
        Standard deviation of the action.
    c : float
        Width of the reward.

    Raises
    ------
    TypeError, ValueError
        If one is not a positive number.
    """

    optimum = 1.0  # the point mass at 0

    def __init__(self, sigma: float = 0.5, c: float = 1.0) -> None:
        self.sigma, self.c = validate.positive("sigma", sigma), validate.positive("c", c)
        super().__init__(_one_decision(), "gaussian", np.array([[self.sigma]]), saturation=self.c)

    def __repr__(self) -> str:
        return f"GaussianBandit(sigma={self.sigma:g}, c={self.c:g})"

    def value(self, theta: np.ndarray) -> np.ndarray:
        """Exact J [...] of parameters [..., 1]."""
        return self._derivative(0, theta)[..., 0]

    def exact_gradient(self, theta: np.ndarray) -> np.ndarray:
        """Exact J' [..., 1]."""
        return self._derivative(1, theta)

    def exact_hvp(self, theta: np.ndarray, v: np.ndarray) -> np.ndarray:
        """Exact J'' v [..., 1]."""
        return self._derivative(2, theta) * v

    def _derivative(self, order: int, theta: np.ndarray) -> np.ndarray:
        from scipy import special

        width = self.sigma * np.sqrt(2)
        z = (validate.trailing("theta", theta, (1,), "[..., dim]") + 1j * self.c) / width
        w = special.wofz(z)
        first = 2j / np.sqrt(np.pi) - 2 * z * w
        derivative = (w, first, -2 * (w + z * first))[order]
        # Far from the origin these differences cancel, and the asymptotic series is exact to rounding.
        far = np.abs(z) > FAR
        derivative = np.where(far, _asymptotic(np.where(far, z, FAR), order), derivative).real
        return self.c * np.sqrt(np.pi / 2) / self.sigma * derivative / width**order


def _asymptotic(z: np.ndarray, order: int) -> np.ndarray:
    r"""Derivative of the Faddeeva function for large z.

    .. math:: w(z)\sim\frac i{\sqrt\pi}\sum_k\frac{(2k-1)!!}{2^kz^{2k+1}}
    """
    total, factor = np.zeros_like(z), 1.0
    for k in range(13):
        falling = np.prod(np.arange(2 * k + 1, 2 * k + 1 + order))
        total = total + (-1) ** order * factor * falling / z ** (2 * k + 1 + order)
        factor *= (2 * k + 1) / 2
    return 1j / np.sqrt(np.pi) * total


class CauchyBandit(LocationProblem):
    r"""Maximise :math:`J(\theta)=\mathbb E\,c^2/(c^2+a^2)` over :math:`a=\theta+\sigma\,\mathrm{Cauchy}`.

    :math:`J=c\,b/(\theta^2+b^2)` with :math:`b=c+\sigma`. The policy meets every regularity assumption of
    arXiv:2302.01734. Parameters are [seeds, 1].

    Parameters
    ----------
    sigma : float
        Scale of the noise.
    c : float
        Width of the reward.

    Raises
    ------
    TypeError, ValueError
        If one is not a positive number.
    """

    optimum = 1.0  # the point mass at 0

    def __init__(self, sigma: float = 0.5, c: float = 1.0) -> None:
        self.sigma, self.c = validate.positive("sigma", sigma), validate.positive("c", c)
        super().__init__(_one_decision(), "cauchy", np.array([[self.sigma]]), saturation=self.c)

    def __repr__(self) -> str:
        return f"CauchyBandit(sigma={self.sigma:g}, c={self.c:g})"

    @property
    def score_bound(self) -> float:
        r""":math:`M_g=\max|\partial_\theta\log\pi|`."""
        return 1 / self.sigma

    @property
    def curvature_bound(self) -> float:
        r""":math:`M_h=\max|\partial^2_\theta\log\pi|`."""
        return 2 / self.sigma**2

    @property
    def fisher_information(self) -> float:
        r""":math:`\mu_F=F(\theta)`, the same everywhere."""
        return 1 / (2 * self.sigma**2)

    def value(self, theta: np.ndarray) -> np.ndarray:
        """Exact J [...] of parameters [..., 1]."""
        theta, b = self._checked(theta)[..., 0], self.c + self.sigma
        return self.c * b / (theta**2 + b**2)

    def exact_gradient(self, theta: np.ndarray) -> np.ndarray:
        """Exact J' [..., 1]."""
        theta, b = self._checked(theta), self.c + self.sigma
        return -2 * self.c * b * theta / (theta**2 + b**2) ** 2

    def exact_hvp(self, theta: np.ndarray, v: np.ndarray) -> np.ndarray:
        """Exact J'' v [..., 1]."""
        theta, b = self._checked(theta), self.c + self.sigma
        return self.c * b * (6 * theta**2 - 2 * b**2) / (theta**2 + b**2) ** 3 * v

    def transfer_error(self, theta: np.ndarray) -> np.ndarray:
        r"""Squared error [...] of the compatible advantage where the best policy acts, at a = 0.

        :math:`(A^{\pi_\theta}(0)-w^*\partial_\theta\log\pi_\theta(0))^2` with :math:`w^*=J'/F`; its supremum over
        theta is the :math:`\varepsilon_{bias}` of the paper's fourth assumption.
        """
        at = self._checked(theta)
        advantage = 1.0 - self.value(theta)
        w = self.exact_gradient(theta) / self.fisher_information
        score = -2 * at / (self.sigma**2 + at**2)
        return (advantage - (w * score)[..., 0]) ** 2

    def _checked(self, theta: np.ndarray) -> np.ndarray:
        return validate.trailing("theta", theta, (1,), "[..., dim]")


def _one_decision() -> LinearSystem:
    """A state that is always 1, and an action that costs its square."""
    return LinearSystem([[0.0]], [[0.0]], [[0.0]], [[1.0]], 0.0, 1, start_mean=[1.0], name="one decision")
