"""Every decision of a finite MDP, with its probability: the batch that makes an objective's loss exact."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from pgtheory.mdp.evaluation import evaluate_stationary
from pgtheory.mdp.finite import FiniteMDP

if TYPE_CHECKING:
    import torch

    from pgtheory.objectives import Decisions


def exact_decisions(mdp: FiniteMDP, log_pi: Any, pi_old: Any) -> Decisions:
    r"""All pairs (s, a) of an MDP, with advantages and weights of the policy that the data come from.

    With weights :math:`d_{\pi_0}(s)\,\pi_0(a|s)`, *d* the unnormalised discounted visits, ``weighted_sum`` of any
    surrogate is its exact expected loss, and autodiff through ``log_pi`` gives its exact gradient: at
    :math:`\pi=\pi_0` the importance-weighted surrogate's is :math:`-\nabla J`. Nothing is decided in terminal
    states: their weight is zero.

    The logarithm of ``pi_old`` may differ from ``log_pi`` by rounding where the policies agree. A loss with a kink
    at ratio 1 wants ``decisions.replace(log_prob_old=log_pi_old)`` from the code that computed ``log_pi``.

    Parameters
    ----------
    mdp : FiniteMDP
    log_pi : tensor [..., S, A]
        :math:`\log\pi_\theta(a|s)`, differentiable; anything at pairs that ``pi_old`` never takes.
    pi_old : array [..., S, A]
        The policy :math:`\pi_0`; batch axes as in ``log_pi``.

    Returns
    -------
    Decisions [..., S, A], in the dtype of ``log_pi``

    Raises
    ------
    TypeError
        If ``mdp`` is no FiniteMDP or ``log_pi`` no floating-point tensor.
    ValueError
        If the shapes differ, ``pi_old`` is no policy of the MDP, or the MDP has a finite horizon.
    """
    import torch

    from pgtheory.objectives import Decisions

    if not isinstance(log_pi, torch.Tensor) or not log_pi.is_floating_point():
        got = getattr(log_pi, "dtype", type(log_pi).__name__)
        raise TypeError(f"log_pi must be a tensor of floating-point numbers, got {got}")
    ev = evaluate_stationary(mdp, pi_old)
    if log_pi.shape != ev.pi.shape:
        raise ValueError(
            f"log_pi must have the shape of pi_old, {list(ev.pi.shape)}, got {list(log_pi.shape)}"
        )

    def constant(array: np.ndarray) -> torch.Tensor:
        return torch.as_tensor(array, dtype=log_pi.dtype, device=log_pi.device)

    weight = np.where(mdp.terminal, 0.0, ev.visits)[..., None] * ev.pi
    with np.errstate(divide="ignore"):
        log_old = np.log(ev.pi)
    return Decisions(log_pi, constant(log_old), constant(ev.A), weight=constant(weight))
