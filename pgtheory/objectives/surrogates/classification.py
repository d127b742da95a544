"""REAL: rewards as labels of a classifier whose logits are log-ratios."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F

from pgtheory.mdp import validate
from pgtheory.objectives.decisions import Decisions
from pgtheory.objectives.surrogates.sequence_clip import sequence_log_ratio

STYLES = ("anchored", "bce", "product")


@dataclass(frozen=True)
class Classification:
    r"""Rewards as labels (REAL, arXiv:2602.05630): answers are classified by :math:`\bar s/\tau`, their mean log-ratio.

    .. math:: \log\Big(1+\sum_{+}e^{-\bar s/\tau}\Big)+\log\Big(1+\sum_{-}e^{\bar s/\tau}\Big)

    for each prompt, with an anchor at 0 on both sides; a prompt whose answers are all alike adds nothing, and still
    counts in the mean. The sign of the advantage is the label (``Labels``). Every token carries its prompt's loss,
    which makes ``sequence_mean`` the mean over prompts (each counts by its answers, where some have no token).

    Parameters
    ----------
    tau : float
    style : {"anchored", "bce", "product"}
        ``bce``: each answer alone against the anchor, the mean over answers of all mixed groups.
        ``product``: no anchor, :math:`\log(1+\sum_-e^{\bar s/\tau}\sum_+e^{-\bar s/\tau})`.
    keep_one_sided : bool
        Keep prompts whose answers are all alike (anchored style only).

    Raises
    ------
    ValueError
        For other styles, and for decisions without the axes [..., P, G, T].
    """

    tau: float = 0.5
    style: str = "anchored"
    keep_one_sided: bool = False

    def __post_init__(self) -> None:
        validate.positive("tau", self.tau)
        validate.flag("keep_one_sided", self.keep_one_sided)
        if self.style not in STYLES:
            raise ValueError(f"style must be one of {', '.join(STYLES)}, got {self.style!r}")
        if self.keep_one_sided and self.style != "anchored":
            raise ValueError("keep_one_sided belongs to the anchored style")

    def __call__(self, decisions: Decisions) -> torch.Tensor:
        """Loss per token, in the shape of ``decisions.log_prob`` [..., P, G, T]."""
        if decisions.log_prob.ndim < 3:
            raise ValueError(
                f"decisions must have shape [..., P, G, T], got {list(decisions.log_prob.shape)}: "
                "answers are classified within their prompt's group"
            )
        weights = decisions.weights
        there = (weights > 0).any(-1)  # [..., P, G]
        logit = sequence_log_ratio(decisions) / self.tau
        positive = (decisions.masked(decisions.advantage).sum(-1) > 0) & there
        negative = there & ~positive
        mixed = positive.any(-1) & negative.any(-1)
        if self.style == "bce":
            loss = F.binary_cross_entropy_with_logits(logit, positive.to(logit.dtype), reduction="none")
            counted = (there & mixed[..., None]).to(logit.dtype)
            mean = (loss * counted).sum((-2, -1)) / counted.sum((-2, -1)).clamp(min=1)
            of_prompt = mean[..., None].expand(logit.shape[:-1])
        else:
            pull, push = _log_sum(-logit, positive), _log_sum(logit, negative)
            anchored = self.style == "anchored"
            of_prompt = F.softplus(pull) + F.softplus(push) if anchored else F.softplus(pull + push)
            if not self.keep_one_sided:
                of_prompt = torch.where(mixed, of_prompt, torch.zeros_like(of_prompt))
        return decisions.masked(of_prompt[..., None, None].expand(decisions.log_prob.shape))


def _log_sum(logit: torch.Tensor, side: torch.Tensor) -> torch.Tensor:
    """Logarithm of the sum of exponentials over one side of each group; very negative for an empty side."""
    lowest = torch.full_like(logit, -1e4)
    return torch.logsumexp(torch.where(side, logit, lowest), -1)
