r"""The assumptions on an LQR with a linear-Gaussian policy, in closed form (derived here).

For :math:`a\sim\mathcal N(Ks,\Sigma)` and an infinite horizon, with costs to go
:math:`P=Q+K^\top RK+\gamma A_K^\top PA_K` and :math:`M=R+\gamma B^\top PB`, the advantage is quadratic in
:math:`y=a-Ks` and its part that is linear in y is exactly what the compatible weights fit. What is left is

.. math::
   A^{\pi_\theta}(s,a)-(1-\gamma)\,w^{*\top}\nabla\log\pi_\theta(a|s)=\mathrm{tr}(M\Sigma)-y^\top My,

so at :math:`a=K^*s`, :math:`\varepsilon_{bias}=\mathbb E_{d^*}[(\mathrm{tr}M\Sigma-s^\top Ds)^2]` with
:math:`D=(K^*-K)^\top M(K^*-K)`: positive even at :math:`K^*`, where it is what exploring costs.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from pgtheory.continuous.linear_system import LinearSystem
from pgtheory.mdp import validate

SMALLEST_WEIGHT = 1e-14  # of a time step in a discounted mean


@dataclass(frozen=True, eq=False)
class GaussianTheory:
    r"""The theory's quantities for one linear system and exploration noise; the system's horizon is not used.

    Parameters
    ----------
    system : LinearSystem
        With a discount below one.
    covariance : array [k, k]
        :math:`\Sigma`, positive definite.
    """

    system: LinearSystem
    covariance: np.ndarray

    def __post_init__(self) -> None:
        validate.instance_of("system", self.system, LinearSystem)
        validate.discount_factor(self.system.discount, None)
        k = self.system.action_dim
        sigma = validate.real_array("covariance", self.covariance, (k, k), "[k, k]")
        if np.linalg.eigvalsh((sigma + sigma.T) / 2)[0] <= 0 or not np.allclose(sigma, sigma.T):
            raise ValueError(f"covariance must be symmetric and positive definite, got {sigma.tolist()}")
        object.__setattr__(self, "covariance", sigma)

    @property
    def best_gain(self) -> np.ndarray:
        r""":math:`K^*` [k, n] of :math:`\pi^*`: optimal among all policies, and it does not explore."""
        from scipy.linalg import solve_discrete_are

        s, root = self.system, self.system.discount**0.5
        P = solve_discrete_are(root * s.A, root * s.B, s.Q, s.R)
        return -s.discount * np.linalg.solve(s.R + s.discount * s.B.T @ P @ s.B, s.B.T @ P @ s.A)

    def cost_to_go(self, K: np.ndarray) -> np.ndarray:
        """P [n, n] of a gain K [k, n] whose discounted return is finite."""
        from scipy.linalg import solve_discrete_lyapunov

        s = self.system
        K = validate.real_array("K", K, (s.action_dim, s.state_dim), "[k, n]")
        closed = s.discount**0.5 * (s.A + s.B @ K)
        radius = float(np.abs(np.linalg.eigvals(closed)).max())
        if radius >= 1:
            raise ValueError(
                f"K must give a finite return: sqrt(discount) (A + B K) has spectral radius {radius:.4g}"
            )
        return solve_discrete_lyapunov(closed.T, s.Q + K.T @ s.R @ K)

    def fisher_floor(self, K: np.ndarray) -> float:
        r""":math:`\mu_F`, least eigenvalue of :math:`F_\rho=\mathbb E_d[ss^\top]\otimes\Sigma^{-1}`."""
        K = validate.real_array("K", K, (self.system.action_dim, self.system.state_dim), "[k, n]")
        self.cost_to_go(K)
        moments = sum(
            weight * (spread + np.outer(mean, mean))
            for weight, mean, spread in self._visited(K, self.covariance)
        )
        return float(np.linalg.eigvalsh(moments)[0] / np.linalg.eigvalsh(self.covariance)[-1])

    def transferred_error(self, K: np.ndarray) -> float:
        r""":math:`\varepsilon_{bias}(K)`, with the fourth moments of the Gaussian states that :math:`\pi^*` visits."""
        P, s = self.cost_to_go(K), self.system
        M, best = s.R + s.discount * s.B.T @ P @ s.B, self.best_gain
        D = (best - K).T @ M @ (best - K)
        explored = np.trace(M @ self.covariance)
        total = 0.0
        for weight, mean, spread in self._visited(best, np.zeros_like(self.covariance)):
            centre = np.trace(D @ spread) + mean @ D @ mean
            variance = 2 * np.trace(D @ spread @ D @ spread) + 4 * mean @ D @ spread @ D @ mean
            total += weight * ((explored - centre) ** 2 + variance)
        return float(total)

    def _visited(self, K: np.ndarray, noise: np.ndarray) -> Iterator[tuple[float, np.ndarray, np.ndarray]]:
        """Weight, mean and covariance of the state at each time that matters to a discounted mean."""
        s = self.system
        closed, inflow = s.A + s.B @ K, s.B @ noise @ s.B.T + s.noise
        mean, spread, weight = s.start_mean, s.start_covariance, 1 - s.discount
        while weight > SMALLEST_WEIGHT * (1 - s.discount):
            yield weight, mean, spread
            mean, spread = closed @ mean, closed @ spread @ closed.T + inflow
            weight *= s.discount
