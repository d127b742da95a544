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
        x = np.matmul(self._flat, theta[..., None])  # a product a row: the bits of one depend on no other
        return x.reshape(*theta.shape[:-1], *self.actions.shape)

    def pullback(self, w: np.ndarray) -> np.ndarray:
        return np.matmul(w.reshape(*w.shape[:-2], 1, -1), self._flat)[..., 0, :]

    def fisher(self, pi: np.ndarray, d: np.ndarray) -> np.ndarray:
        X = self._weighted_scores(pi, d)
        return X.swapaxes(-1, -2) @ X

    def compatible(self, pi: np.ndarray, d: np.ndarray, q: np.ndarray, damping: float = 0.0) -> np.ndarray:
        r"""By the singular values of the scores, not of F: squared, the small ones would drown in rounding."""
        X = self._weighted_scores(pi, d)
        y = (np.sqrt(d[..., None] * pi) * np.where(self.actions, q, 0.0)).reshape(*X.shape[:-1], 1)
        U, s, Vt = np.linalg.svd(X, full_matrices=False)
        real = s > max(X.shape[-2:]) * np.finfo(float).eps * s[..., :1]
        gain = np.divide(s, s**2 + damping, out=np.zeros_like(s), where=real)
        return (Vt.swapaxes(-1, -2) @ (gain[..., None] * (U.swapaxes(-1, -2) @ y)))[..., 0]

    def _weighted_scores(self, pi: np.ndarray, d: np.ndarray) -> np.ndarray:
        r""":math:`\sqrt{d(s)\pi(a|s)}\,\nabla\log\pi(a|s)` as rows [..., S * A, dim].

        Features count from those of the likeliest action, so nothing cancels as the policy becomes deterministic.
        """
        S, A, _ = self.features.shape
        likeliest = self.features[np.arange(S), pi.argmax(-1)]
        x = self.features - likeliest[..., None, :]
        scores = x - np.einsum("...sa,...sak->...sk", pi, x)[..., None, :]
        return (np.sqrt(d[..., None] * pi)[..., None] * scores).reshape(*pi.shape[:-2], S * A, self.dim)
