r"""Linear dynamics with Gaussian noise and quadratic cost.

.. math::
   s_{t+1}=As_t+Ba_t+w_t,\quad w_t\sim\mathcal N(0,W),\qquad r_t=-(s_t^\top Qs_t+a_t^\top Ra_t),\qquad
   J_H=\mathbb E\sum_{t<H}\gamma^tr_t .
"""

from __future__ import annotations

from typing import Any

import numpy as np

from pgtheory.mdp import validate


class LinearSystem:
    r"""A linear system, its cost and how long it is paid for; validated once and immutable.

    Parameters
    ----------
    A : array [n, n]
        How the state moves by itself.
    B : array [n, k]
        What an action adds to it.
    Q : array [n, n]
        Cost of states, symmetric and positive semi-definite.
    R : array [k, k]
        Cost of actions, symmetric and positive semi-definite.
    discount : float
        :math:`\gamma\in[0,1]`.
    horizon : int
        H, the number of decisions of an episode.
    noise : array [n, n], optional
        Covariance W of the process noise; none by default.
    start_mean : array [n], optional
        Mean of :math:`s_0`; zero by default.
    start_covariance : array [n, n], optional
        Covariance of :math:`s_0`; zero by default.
    name : str, optional
        Shown by ``repr``.

    Attributes
    ----------
    A, B, Q, R, discount, horizon, noise, start_mean, start_covariance, name
        As above; arrays are read-only.

    Raises
    ------
    TypeError, ValueError
        Naming the argument, what it held and what was expected.
    """

    def __init__(
        self,
        A: Any,
        B: Any,
        Q: Any,
        R: Any,
        discount: float,
        horizon: int,
        *,
        noise: Any = None,
        start_mean: Any = None,
        start_covariance: Any = None,
        name: str = "",
    ) -> None:
        self.horizon = validate.positive_integer("horizon", horizon)
        self.discount = validate.discount_factor(discount, self.horizon)
        self.A = validate.real_array("A", A, (None, None), "[n, n]")
        n = len(self.A)
        if self.A.shape != (n, n) or n == 0:
            raise ValueError(f"A must be square and not empty, got shape {list(self.A.shape)}")
        self.B = validate.real_array("B", B, (n, None), "[n, k]")
        k = self.B.shape[1]
        if k == 0:
            raise ValueError(f"B must have a column for each action, at least one, got shape {[n, 0]}")
        self.Q, self.R = semidefinite("Q", Q, n), semidefinite("R", R, k)
        nothing = np.zeros((n, n))
        self.noise = semidefinite("noise", nothing if noise is None else noise, n)
        mean = nothing[0] if start_mean is None else start_mean
        self.start_mean = validate.real_array("start_mean", mean, (n,), "[n]")
        spread = nothing if start_covariance is None else start_covariance
        self.start_covariance = semidefinite("start_covariance", spread, n)
        self.name = str(name)
        arrays = (self.A, self.B, self.Q, self.R, self.noise, self.start_mean, self.start_covariance)
        for array in arrays:
            array.setflags(write=False)

    @property
    def state_dim(self) -> int:
        """Length n of a state."""
        return self.B.shape[0]

    @property
    def action_dim(self) -> int:
        """Length k of an action."""
        return self.B.shape[1]

    @property
    def start_moment(self) -> np.ndarray:
        r""":math:`\mathbb E s_0s_0^\top` [n, n]."""
        return self.start_covariance + np.outer(self.start_mean, self.start_mean)

    def __repr__(self) -> str:
        name = f"{self.name!r}, " if self.name else ""
        sizes = f"state_dim={self.state_dim}, action_dim={self.action_dim}"
        return f"LinearSystem({name}{sizes}, discount={self.discount:g}, horizon={self.horizon})"


def double_integrator() -> LinearSystem:
    """A cart pushed along a line, position and velocity its state: the LQR of arXiv:2302.01734's study."""
    return LinearSystem(
        A=[[1.0, 0.2], [0.0, 1.0]],
        B=[[0.0], [0.5]],
        Q=np.diag([1.0, 0.1]),
        R=[[0.1]],
        discount=0.95,
        horizon=20,
        noise=0.05**2 * np.eye(2),
        start_covariance=0.25 * np.eye(2),
        name="double-integrator",
    )


def semidefinite(name: str, value: Any, size: int) -> np.ndarray:
    """``value`` as a fresh symmetric positive semi-definite matrix [size, size].

    Raises
    ------
    TypeError, ValueError
        If it is not one, up to rounding.
    """
    matrix = validate.real_array(name, value, (size, size), "[n, n]")
    scale = np.abs(matrix).max()
    skew = np.abs(matrix - matrix.T)
    if skew.max() > 1e-10 * scale:
        i, j = (int(x) for x in np.unravel_index(np.argmax(skew), skew.shape))
        raise ValueError(
            f"{name} must be symmetric, got {name}[{i}, {j}] = {matrix[i, j]:g} and "
            f"{name}[{j}, {i}] = {matrix[j, i]:g}; pass ({name} + {name}.T) / 2"
        )
    matrix = (matrix + matrix.T) / 2
    least = float(np.linalg.eigvalsh(matrix)[0])
    if least < -1e-10 * scale:
        raise ValueError(f"{name} must be positive semi-definite, its least eigenvalue is {least:g}")
    return matrix
