r"""What a planner returns, and the bounds that certify it.

For any V and :math:`\delta=TV-V` (T the Bellman optimality operator), MacQueen's bounds hold,

.. math::
   TV+\tfrac{\gamma}{1-\gamma}\min\delta\;\le\;V^*\;\le\;TV+\tfrac{\gamma}{1-\gamma}\max\delta ,

so the midpoint is within half their distance of :math:`V^*`, and the policy greedy for V loses at most the
whole distance (Puterman 1994, Sec. 6.6.3). The certificate adds a bound on rounding errors, so it holds for
the floating-point numbers returned, whichever method produced V.
"""

from dataclasses import dataclass

import numpy as np

from pgtheory.mdp.finite import FiniteMDP
from pgtheory.mdp.planning.bellman import Bellman


@dataclass(frozen=True, eq=False)
class Solution:
    r"""A solved MDP.

    Attributes
    ----------
    V : array [S]
        Optimal values, within ``error`` of :math:`V^*` in every state.
    policy : int array [S]
        A greedy deterministic policy; it loses at most ``policy_loss`` in any state.
    error, policy_loss : float
        Certified bounds, rounding included.
    method : str
        Name of the planner.
    iterations : int
        Improvement steps (policy iterations, backups with a maximum; simplex/IPM iterations for ``lp``).
    sweeps : int
        Evaluation backups between them (``mpi`` only).
    history : list of float
        Certified error after each improvement step, where the method has one.
    """

    mdp: FiniteMDP
    V: np.ndarray
    policy: np.ndarray
    error: float
    policy_loss: float
    method: str
    iterations: int
    sweeps: int = 0
    history: tuple[float, ...] = ()

    @property
    def Q(self) -> np.ndarray:
        """Look-ahead action values of ``V`` [S, A]; -inf for forbidden actions."""
        return self.mdp.lookahead(self.V)

    @property
    def J(self) -> float:
        r"""Optimal return :math:`\rho^\top V`."""
        return float(self.V @ self.mdp.start)

    @property
    def pi(self) -> np.ndarray:
        """The greedy policy as probabilities [S, A]."""
        return np.eye(self.mdp.n_actions)[self.policy]

    def __repr__(self) -> str:
        return (
            f"Solution({self.method}: J={self.J:.6g}, error<={self.error:.1e}, "
            f"policy loses<={self.policy_loss:.1e}, {self.iterations} iterations)"
        )


def gap(bellman: Bellman, V: np.ndarray, low: float, high: float) -> float:
    """Certified distance between MacQueen's bounds after a backup of V whose change lay in [low, high]."""
    gamma = bellman.gamma
    shift = max(-low, high) / (1 - gamma)
    return (gamma * (high - low) + 2 * bellman.rounding(V, shift)) / (1 - gamma)


def midpoint(bellman: Bellman, TV: np.ndarray, low: float, high: float) -> np.ndarray:
    """The midpoint of MacQueen's bounds."""
    gamma = bellman.gamma
    shifted = TV + gamma / (1 - gamma) * (high + low) / 2
    shifted[bellman.mdp.terminal] = 0.0
    return shifted


def certify(
    bellman: Bellman,
    V: np.ndarray,
    method: str,
    iterations: int,
    sweeps: int = 0,
    history: tuple[float, ...] = (),
) -> Solution:
    """A solution from any approximate V: one backup, its midpoint and the certificate."""
    TV, policy, low, high = bellman.improve(V)
    distance = gap(bellman, V, low, high)
    return Solution(
        bellman.mdp,
        midpoint(bellman, TV, low, high),
        policy,
        distance / 2,
        distance,
        method,
        iterations,
        sweeps,
        history,
    )
