"""Log-linear policies: softmax over features of state–action pairs."""

from typing import Any

import numpy as np

from pgtheory.mdp import validate
from pgtheory.policies.softmax import LinearSoftmax


class LogLinear(LinearSoftmax):
    r"""Log-linear policies :math:`\pi_\theta(a|s)\propto\exp(\phi(s,a)^\top\theta)`.

    Parameters
    ----------
    features : array [S, A, dim]
        :math:`\phi(s,a)`.
    actions : bool array [S, A], optional
        Permitted actions; all by default.
    """

    def __init__(self, features: Any, actions: Any = None) -> None:
        self.features = validate.real_array("features", features, (None, None, None), "[S, A, dim]")
        S, A, self.dim = self.features.shape
        if 0 in self.features.shape:
            raise ValueError(
                f"features must have at least one state, action and feature, got {[S, A, self.dim]}"
            )
        self.actions = (
            np.ones((S, A), bool) if actions is None else validate.boolean_array("actions", actions, (S, A))
        )
        if not self.actions.any(axis=1).all():
            state = int(np.argmin(self.actions.any(axis=1)))
            raise ValueError(f"actions must permit at least one action in state {state}, got none")
        self._flat = self.features.reshape(S * A, self.dim)

    def __repr__(self) -> str:
        S, A, dim = self.features.shape
        return f"LogLinear(S={S}, A={A}, dim={dim})"

    def logits(self, theta: np.ndarray) -> np.ndarray:
        return (theta @ self._flat.T).reshape(*theta.shape[:-1], *self.actions.shape)

    def pullback(self, w: np.ndarray) -> np.ndarray:
        return w.reshape(*w.shape[:-2], -1) @ self._flat

    def fisher(self, pi: np.ndarray, d: np.ndarray) -> np.ndarray:
        mean = np.einsum("...sa,sak->...sk", pi, self.features)
        second = np.einsum(
            "...sa,sai,saj->...ij", d[..., None] * pi, self.features, self.features, optimize=True
        )
        return second - np.einsum("...s,...si,...sj->...ij", d, mean, mean, optimize=True)
