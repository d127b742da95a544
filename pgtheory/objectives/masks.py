"""Which decisions to learn from, given what was predicted for each: weights from scores."""

from __future__ import annotations

import torch

from pgtheory.mdp import validate


def capo_mask(
    m_H: torch.Tensor,
    m_F: torch.Tensor,
    delta_H: float,
    delta_F: float,
    *,
    one_sided: bool = False,
    most_H: float = float("inf"),
) -> torch.Tensor:
    r"""1 for decisions whose predicted step is safe, 0 for the others (CAPO, arXiv:2510.00819).

    The official code keeps :math:`|m_H|<\delta_H` and :math:`m_F<\delta_F`; the paper's Theorem 5.1, with
    ``one_sided``, :math:`\delta_H\le m_H\le\delta_H^{high}` and :math:`m_F\le\delta_F`. The guarantee is that of the
    second only. A score that is not a number is not safe.

    Parameters
    ----------
    m_H, m_F : tensor [...]
        Change of the objective and of the policy (half its squared Fisher length) that a step on this decision alone
        would make, to second order.
    delta_H, delta_F : float
        Thresholds; infinite ones keep everything in the code's form.
    one_sided : bool
        The paper's rule.
    most_H : float
        :math:`\delta_H^{high}`, for the paper's rule only.

    Returns
    -------
    tensor [...]
        Weights, in the dtype of the scores: multiply them into ``Decisions.weight``.

    Raises
    ------
    ValueError
        If the shapes differ or no score could pass.
    """
    validate.flag("one_sided", one_sided)
    if m_H.shape != m_F.shape:
        raise ValueError(f"m_F must have the shape of m_H, {list(m_H.shape)}, got {list(m_F.shape)}")
    if not delta_F > 0:
        raise ValueError(f"delta_F must be positive, got {delta_F}")
    if one_sided:
        if not delta_H <= most_H:
            raise ValueError(f"delta_H must be at most most_H, {most_H}, got {delta_H}")
        return ((delta_H <= m_H) & (m_H <= most_H) & (m_F <= delta_F)).to(m_H.dtype)
    if not delta_H > 0:
        raise ValueError(f"delta_H must be positive, got {delta_H}: it bounds |m_H|")
    return ((m_H.abs() < delta_H) & (m_F < delta_F)).to(m_H.dtype)
