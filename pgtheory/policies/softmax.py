r"""Softmax policies whose logits are linear in the parameters, and the tabular one.

With logits :math:`x(s,a)=\phi(s,a)^\top\theta` and :math:`\bar\phi_s=\sum_b\pi(b|s)\phi(s,b)`,

.. math::
   \nabla\log\pi(a|s)=\phi(s,a)-\bar\phi_s,\qquad
   \nabla^2\log\pi(a|s)=-\mathrm{Cov}_{b\sim\pi(\cdot|s)}\phi(s,b)\quad\text{(for every }a).

All derivative maps take the probabilities ``pi`` rather than ``theta``: for this family they determine
everything. ``w`` are weights on state–action pairs, ``v`` directions in parameter space.
"""

from abc import ABC, abstractmethod
from typing import Any

import numpy as np

from pgtheory.mdp import validate
from pgtheory.mdp.finite import FiniteMDP


class LinearSoftmax(ABC):
    """Softmax over logits that are linear in theta; subclasses say which linear map and how to invert it.

    Attributes
    ----------
    actions : bool array [S, A]
        Permitted actions; forbidden ones have probability zero and no score.
    dim : int
        Number of parameters.
    """

    actions: np.ndarray
    dim: int

    @abstractmethod
    def logits(self, theta: np.ndarray) -> np.ndarray:
        """Logits [..., S, A] of parameters [..., dim]: the linear map."""

    @abstractmethod
    def pullback(self, w: np.ndarray) -> np.ndarray:
        """The transpose of ``logits``: weights [..., S, A] -> [..., dim]."""

    # -- probabilities ----------------------------------------------------------------------------------

    def log_probabilities(self, theta: np.ndarray) -> np.ndarray:
        r""":math:`\log\pi_\theta` [..., S, A] of parameters [..., dim]; -inf for forbidden actions."""
        x = np.where(self.actions, self.logits(self.check(theta)), -np.inf)
        x = x - x.max(-1, keepdims=True)
        return x - np.log(np.exp(x).sum(-1, keepdims=True))

    def probabilities(self, theta: np.ndarray) -> np.ndarray:
        r""":math:`\pi_\theta` [..., S, A] of parameters [..., dim]."""
        from pgtheory.mdp.kernels import normalise_rows, shift_rows

        x = np.ascontiguousarray(self.logits(self.check(theta)))
        pi = np.empty_like(x)
        rows = pi.reshape(-1, x.shape[-1])
        shift_rows(x.reshape(rows.shape), self.actions, rows)
        np.exp(rows, out=rows)  # NumPy's exponential is vectorised, the compiler's is not
        normalise_rows(rows)
        return pi

    # -- derivatives of log pi --------------------------------------------------------------------------

    def directional(self, pi: np.ndarray, v: np.ndarray) -> np.ndarray:
        r""":math:`\nabla\log\pi(a|s)^\top v` [..., S, A] for directions v [..., dim]."""
        x = self._permitted(self.logits(v))
        return self._permitted(x - _over_actions(pi * x))

    def score_sum(self, pi: np.ndarray, w: np.ndarray) -> np.ndarray:
        r""":math:`\sum_{s,a}w(s,a)\nabla\log\pi(a|s)` [..., dim] for weights w [..., S, A]."""
        w = self._permitted(w)
        return self.pullback(w - pi * _over_actions(w))

    def curvature_sum(
        self, pi: np.ndarray, w: np.ndarray, v: np.ndarray, ell: np.ndarray | None = None
    ) -> np.ndarray:
        r""":math:`\sum_{s,a}w(s,a)\nabla^2\log\pi(a|s)\,v` [..., dim] for weights w [..., S, A].

        ``ell`` is ``directional(pi, v)``, for callers that have it already.
        """
        ell = self.directional(pi, v) if ell is None else ell
        return -self.pullback(_over_actions(self._permitted(w)) * pi * ell)

    def score(self, theta: np.ndarray, s: int, a: int) -> np.ndarray:
        r""":math:`\nabla\log\pi_\theta(a|s)` [..., dim] of one state–action pair."""
        s = validate.index("s", s, self.actions.shape[0])
        a = validate.index("a", a, self.actions.shape[1])
        if not self.actions[s, a]:
            raise ValueError(f"action {a} is forbidden in state {s}: it has no score")
        pi = self.probabilities(theta)
        w = np.zeros(pi.shape)
        w[..., s, a] = 1.0
        return self.score_sum(pi, w)

    def _permitted(self, x: np.ndarray) -> np.ndarray:
        return x if self.actions.all() else np.where(self.actions, x, 0.0)

    # -- the Fisher matrix ------------------------------------------------------------------------------

    def fisher(self, pi: np.ndarray, d: np.ndarray) -> np.ndarray:
        r""":math:`\sum_{s,a}d(s)\pi(a|s)\nabla\log\pi\,\nabla\log\pi^\top` [..., dim, dim] for weights d [..., S]."""
        eye = np.eye(self.dim)
        ell = self.directional(pi[..., None, :, :], eye)
        return self.score_sum(pi[..., None, :, :], (d[..., None] * pi)[..., None, :, :] * ell)

    @abstractmethod
    def compatible(self, pi: np.ndarray, d: np.ndarray, q: np.ndarray, damping: float = 0.0) -> np.ndarray:
        r"""Compatible weights :math:`\arg\min_w\mathbb E_{d,\pi}(q-w^\top\nabla\log\pi)^2`: q fitted by scores.

        The solution of minimum norm, or with ``damping`` :math:`\lambda` that of
        :math:`(F+\lambda I)w=\sum d\,\pi\,q\,\nabla\log\pi`. With q the advantage this is the natural gradient.

        Parameters
        ----------
        pi, q : arrays [..., S, A]
        d : array [..., S]
        """

    def check(self, theta: Any, name: str = "theta") -> np.ndarray:
        """``theta`` as a finite float64 array [..., dim], or an error that calls it ``name``."""
        theta = validate.trailing(name, theta, (self.dim,), "[..., dim]")
        if not np.isfinite(theta).all():
            raise ValueError(f"{name} must be finite, got a NaN or infinite entry")
        return theta.astype(np.float64, copy=False)


def _over_actions(x: np.ndarray) -> np.ndarray:
    """Sums over the short last axis, kept as an axis of length one (by BLAS: several times faster than sum)."""
    return (x @ np.ones(x.shape[-1]))[..., None]


class TabularSoftmax(LinearSoftmax):
    r"""One logit per state–action pair, :math:`\theta\in\mathbb R^{S A}` stored state by state.

    Parameters
    ----------
    n_states, n_actions : int
    actions : bool array [S, A], optional
        Permitted actions; all by default. Logits of forbidden ones are parameters without effect.
    """

    def __init__(self, n_states: int, n_actions: int, actions: Any = None) -> None:
        shape = (
            validate.positive_integer("n_states", n_states),
            validate.positive_integer("n_actions", n_actions),
        )
        self.actions = (
            np.ones(shape, bool) if actions is None else validate.boolean_array("actions", actions, shape)
        )
        if not self.actions.any(axis=1).all():
            state = int(np.argmin(self.actions.any(axis=1)))
            raise ValueError(f"actions must permit at least one action in state {state}, got none")
        self.dim = shape[0] * shape[1]

    @classmethod
    def on(cls, mdp: FiniteMDP) -> "TabularSoftmax":
        """The tabular softmax policy class of an MDP, with its action sets."""
        validate.instance_of("mdp", mdp, FiniteMDP)
        return cls(mdp.n_states, mdp.n_actions, mdp.actions)

    def __repr__(self) -> str:
        return f"TabularSoftmax(S={self.actions.shape[0]}, A={self.actions.shape[1]})"

    def logits(self, theta: np.ndarray) -> np.ndarray:
        return theta.reshape(*theta.shape[:-1], *self.actions.shape)

    def pullback(self, w: np.ndarray) -> np.ndarray:
        return w.reshape(*w.shape[:-2], self.dim)

    def compatible(self, pi: np.ndarray, d: np.ndarray, q: np.ndarray, damping: float = 0.0) -> np.ndarray:
        r"""In closed form, state by state: q centred over the permitted actions (zero where d is zero).

        With damping, :math:`(\mathrm{diag}(d\pi+\lambda)-d\,\pi\pi^\top)w=d\,\pi(q-\pi^\top q)` by Sherman–Morrison:
        :math:`w=z\,(q-z^\top q/\sum z)` with :math:`z=d\pi/(d\pi+\lambda)`.
        """
        q = np.where(self.actions, q, 0.0)
        if damping > 0:
            mass = d[..., None] * pi
            z = mass / (mass + damping)
            total = z.sum(-1, keepdims=True)
            return self.pullback(z * (q - (z * q).sum(-1, keepdims=True) / np.where(total > 0, total, 1.0)))
        centred = q - q.sum(-1, keepdims=True) / self.actions.sum(-1, keepdims=True)
        return self.pullback(np.where(self.actions & (d[..., None] > 0), centred, 0.0))
