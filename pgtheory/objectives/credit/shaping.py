"""What may happen to rewards before they are credited, and to advantages after."""

from __future__ import annotations

import torch

from pgtheory.mdp import validate

CORRECT, ABSTAINED, WRONG = 1, 0, -1
"""Labels of answers, for ``truthful_reward``."""


def truthful_reward(
    labels: torch.Tensor, *, abstain: float = 0.0, out_of_knowledge: torch.Tensor | None = None
) -> torch.Tensor:
    r"""Reward of correct (1), abstaining (0) and wrong (-1) answers, in the shape of the labels (arXiv:2509.25760).

    Correct answers earn 1, wrong ones -1, abstentions ``abstain``: 0 in TruthRL's ternary reward, -1 in the binary one.
    With c for abstaining the best rule answers if and only if its chance of being correct is above :math:`(1+c)/2`.

    Parameters
    ----------
    labels : integer tensor [...]
        ``CORRECT``, ``ABSTAINED`` or ``WRONG``.
    abstain : float
    out_of_knowledge : bool tensor, optional
        Knowledge-enhanced form: for questions marked so, abstaining earns 1 and everything else -1. As many axes as
        the labels: [P, 1] for labels [P, G].

    Returns
    -------
    tensor [...]
        In float64.

    Raises
    ------
    ValueError
        For other labels, and where the marks do not fit the labels axis by axis.
    """
    validate.finite("abstain", abstain)
    if not ((labels == WRONG) | (labels == ABSTAINED) | (labels == CORRECT)).all():
        raise ValueError("labels must be 1 (correct), 0 (abstained) or -1 (wrong)")
    if out_of_knowledge is not None and out_of_knowledge.ndim != labels.ndim:
        raise ValueError(
            f"out_of_knowledge must have as many axes as labels, {list(labels.shape)}, "
            f"got {list(out_of_knowledge.shape)}: mark questions by [P, 1]"
        )
    reward = torch.where(labels == ABSTAINED, abstain, labels.double())
    if out_of_knowledge is not None:
        reward = torch.where(out_of_knowledge, torch.where(labels == ABSTAINED, 1.0, -1.0), reward)
    return reward


def overlong_penalty(lengths: torch.Tensor, longest: int = 20480, margin: int = 4096) -> torch.Tensor:
    r"""DAPO's soft penalty for long answers (arXiv:2503.14476, Eq. 13), to add to the reward.

    0 up to :math:`L_{\max}-C` tokens, then linearly down to -1 at :math:`L_{\max}`, and -1 beyond.
    """
    longest, margin = (
        validate.positive_integer("longest", longest),
        validate.positive_integer("margin", margin),
    )
    if margin > longest:
        raise ValueError(f"margin must be at most longest, {longest}, got {margin}")
    return ((longest - margin - lengths) / margin).clamp(-1.0, 0.0)


def asymmetric(advantage: torch.Tensor, positive: float = 1.0, negative: float = 1.0) -> torch.Tensor:
    """Advantages with one factor for the positive ones and another for the negative ones."""
    validate.non_negative("positive", positive)
    validate.non_negative("negative", negative)
    return torch.where(advantage > 0, positive * advantage, negative * advantage)


def entropy_modulated(
    advantage: torch.Tensor,
    entropy: torch.Tensor,
    steps: torch.Tensor,
    *,
    k: float = 1.0,
    k_future: float = 1.0,
    zeta: float = 0.05,
    centred: bool = True,
) -> torch.Tensor:
    r"""Advantages of an agent's steps, scaled by how certain it was (EMPG, arXiv:2509.09265).

    .. math::
       A_{mod}=A\,\frac{e^{-k\bar H_t}}{\mathrm{mean}\,e^{-k\bar H}}+\zeta\,e^{-k'\bar H_{t+1}},

    with :math:`\bar H` the steps' entropies scaled to [0, 1] over the batch, no bonus at a trajectory's last step, and
    then the batch's mean subtracted.

    Parameters
    ----------
    advantage : tensor [n]
        Of each trajectory.
    entropy : tensor [n, T]
        Mean token entropy of each step under the sampling policy; no gradient is taken through it.
    steps : bool tensor [n, T]
        Which steps there are; a trajectory's come first.
    k, k_future, zeta : float
        :math:`k,k'` and :math:`\zeta`; at ``k=0`` nothing is scaled, at ``zeta=0`` nothing is added.
    centred : bool
        Subtract the batch's mean.

    Returns
    -------
    tensor [n, T]
        Zero where there is no step.

    Raises
    ------
    TypeError
        If ``steps`` is not boolean.
    ValueError
        If the shapes do not fit together.
    """
    for name, value in (("k", k), ("k_future", k_future), ("zeta", zeta)):
        validate.finite(name, value)
    if steps.dtype != torch.bool:
        raise TypeError(f"steps must be boolean, got {steps.dtype}: pass steps.bool()")
    if entropy.shape != steps.shape or advantage.shape != entropy.shape[:1]:
        raise ValueError(
            f"entropy and steps must have shape [n, T] for advantage [n]: got {list(entropy.shape)}, "
            f"{list(steps.shape)} and {list(advantage.shape)}"
        )
    there = steps.to(entropy.dtype)
    n = there.sum().clamp(min=1)
    H = entropy.detach()
    least = torch.where(steps, H, torch.inf).amin()
    most = torch.where(steps, H, -torch.inf).amax()
    H = torch.where(steps, (H - least) / (most - least + 1e-8), torch.zeros_like(H))
    scale = torch.exp(-k * H)
    total = (scale * there).sum()
    g = scale * n / torch.where(total > 0, total, torch.ones_like(total))
    follows = torch.cat([there[:, 1:], torch.zeros_like(there[:, :1])], 1)
    clarity = torch.cat([torch.exp(-k_future * H[:, 1:]), torch.zeros_like(H[:, :1])], 1) * follows
    modulated = (advantage[:, None] * g + zeta * clarity) * there
    return modulated - modulated.sum() / n * there if centred else modulated
