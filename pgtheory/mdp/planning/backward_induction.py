r"""Backward induction: :math:`Q_h=r+\gamma PV_{h+1}`, :math:`V_h=\max_aQ_h`, :math:`V_H=0`."""

from dataclasses import dataclass

import numpy as np

from pgtheory.mdp import validate
from pgtheory.mdp.finite import FiniteMDP


@dataclass(frozen=True, eq=False)
class HorizonSolution:
    """A solved finite-horizon problem.

    Attributes
    ----------
    V_steps : array [H + 1, S]
        Optimal value with ``H - h`` decisions to go; the last row is zero.
    Q_steps : array [H, S, A]
        Optimal action values; -inf for forbidden actions.
    policy_steps : int array [H, S]
        An optimal decision at each time (ties to the lowest action).
    """

    mdp: FiniteMDP
    V_steps: np.ndarray
    Q_steps: np.ndarray
    policy_steps: np.ndarray

    @property
    def V(self) -> np.ndarray:
        """Optimal values from time 0 [S]."""
        return self.V_steps[0]

    @property
    def J(self) -> float:
        r"""Optimal return :math:`\rho^\top V_0`."""
        return float(self.V @ self.mdp.start)

    def __repr__(self) -> str:
        return f"HorizonSolution(J={self.J:.6g}, horizon={len(self.Q_steps)})"


def backward_induction(mdp: FiniteMDP, horizon: int | None = None) -> HorizonSolution:
    """Solve a finite-horizon MDP exactly.

    Parameters
    ----------
    mdp : FiniteMDP
    horizon : int, optional
        Number of decisions H; the MDP's own horizon by default.
    """
    validate.instance_of("mdp", mdp, FiniteMDP)
    H = mdp.horizon if horizon is None else validate.positive_integer("horizon", horizon)
    if H is None:
        raise ValueError("horizon must be given for backward induction on an infinite-horizon MDP, got None")
    V = np.zeros((H + 1, mdp.n_states))
    Q = np.empty((H, mdp.n_states, mdp.n_actions))
    for h in range(H - 1, -1, -1):
        Q[h] = mdp.lookahead(V[h + 1])
        V[h] = Q[h].max(-1)
    return HorizonSolution(mdp, V, Q, Q.argmax(-1))
