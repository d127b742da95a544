r"""Bounded-ratio surrogates: regress the ratio onto the best one inside a box.

The best policy with :math:`c_l\le\rho\le c_h` is :math:`\rho^*\pi_0`, with :math:`\rho^*` a sigmoid of the
advantage over the soft median (arXiv:2604.18578, Thm 4.1; ``pgtheory.brrl`` has it exactly). These losses pull
:math:`\rho` towards it from both sides.
"""

from dataclasses import dataclass
from math import log

import torch

from pgtheory.mdp import validate
from pgtheory.objectives.decisions import Decisions

DIVERGENCES = ("atv", "tv", "log-tv", "mse", "rkl", "fkl", "js")


def target_ratio(
    centred: torch.Tensor, low: float, high: float, temperature: float, *, limit: float | None = None
) -> torch.Tensor:
    r"""Target :math:`\rho^*` of advantages over the median, in their shape.

    .. math::
       \rho^*=1+\epsilon\tanh\frac{\tilde A}{2\lambda}\quad(\epsilon_l=\epsilon_h=\epsilon),\qquad
       \rho^*=1-\epsilon_l+(\epsilon_l+\epsilon_h)\,\sigma(\tilde A/\lambda)\quad\text{otherwise.}

    The second is the official code's; it reaches 1 not at :math:`\tilde A=0` but at
    :math:`\tilde A=\lambda\log(\epsilon_l/\epsilon_h)`. The first is exactly 1 at 0.

    Parameters
    ----------
    centred : tensor
        :math:`\tilde A`.
    low, high, temperature : float
        :math:`\epsilon_l,\epsilon_h,\lambda`; at :math:`\lambda=0` the limit, with :math:`\sigma(0)=1/2`.
    limit : float, optional
        Bound on :math:`|\tilde A/\lambda|` (10 in the authors' RSL-RL variant).
    """
    logit = centred / temperature if temperature > 0 else torch.sign(centred) * torch.inf
    if temperature == 0:
        logit = torch.where(centred == 0, torch.zeros_like(centred), logit)
    if limit is not None:
        logit = logit.clamp(-limit, limit)
    if low == high:
        return 1 + low * torch.tanh(logit / 2)
    return 1 - low + (low + high) * torch.sigmoid(logit)


@dataclass(frozen=True)
class BoundedRatio:
    r"""The surrogate of BPO, and of GBPO per token (arXiv:2604.18578, Eq. 16).

    .. math:: \ell=(|A|+\alpha_1)\,|\rho-\rho^*|

    Advantage-weighted total variation to the target; PPO's loss is its one-sided version. The other
    divergences are the paper's ablation, unweighted and in the form that is non-negative for every decision
    and zero only at :math:`\rho=\rho^*`; what was added to the two KL divergences has mean zero under :math:`\pi_0`
    when both policies are normalised.

    =========  =======================================================================
    ``atv``    :math:`(|A|+\alpha_1)\,|\rho-\rho^*|`
    ``tv``     :math:`|\rho-\rho^*|`
    ``log-tv`` :math:`|\log\rho-\log\rho^*|`
    ``mse``    :math:`(\rho-\rho^*)^2`
    ``rkl``    :math:`\rho\log(\rho/\rho^*)-\rho+\rho^*`, that is KL(new ‖ target)
    ``fkl``    :math:`\rho^*\log(\rho^*/\rho)-\rho^*+\rho`, that is KL(target ‖ new)
    ``js``     :math:`\frac12\rho\log\frac{2\rho}{\rho+\rho^*}+\frac12\rho^*\log\frac{2\rho^*}{\rho+\rho^*}`
    =========  =======================================================================

    Parameters
    ----------
    low, high : float
        :math:`\epsilon_l\in(0,1)` and :math:`\epsilon_h>0`; ``high`` is ``low`` by default.
    temperature : float
        :math:`\lambda\ge0` of the target, in the units of the advantage.
    divergence : str
    tv_weight : float
        :math:`\alpha_1\ge0`, in the units of the advantage; the paper finds 0 best.
    limit : float, optional
        Bound on :math:`|\tilde A/\lambda|`.

    Raises
    ------
    ValueError
        For :math:`\epsilon_l\ge1`, :math:`\lambda<0` and unknown divergences.
    """

    low: float = 0.3
    high: float | None = None
    temperature: float = 1e-3
    divergence: str = "atv"
    tv_weight: float = 0.0
    limit: float | None = None

    def __post_init__(self) -> None:
        if not 0 < validate.finite("low", self.low) < 1:
            raise ValueError(
                f"low must lie in (0, 1), got {self.low}: the smallest ratio 1 - low must stay above 0"
            )
        high = self.low if self.high is None else validate.positive("high", self.high)
        object.__setattr__(self, "high", high)
        validate.non_negative("temperature", self.temperature)
        validate.non_negative("tv_weight", self.tv_weight)
        if self.limit is not None:
            validate.positive("limit", self.limit)
        if self.divergence not in DIVERGENCES:
            raise ValueError(f"divergence must be one of {', '.join(DIVERGENCES)}, got {self.divergence!r}")

    def target(self, decisions: Decisions) -> torch.Tensor:
        r""":math:`\rho^*` of each decision: ``decisions.target`` where given."""
        if decisions.target is not None:
            return decisions.target
        assert self.high is not None
        return target_ratio(decisions.centred, self.low, self.high, self.temperature, limit=self.limit)

    def __call__(self, decisions: Decisions) -> torch.Tensor:
        """Loss per decision, in the shape of ``decisions.log_prob``."""
        log_ratio, target = decisions.log_ratio, decisions.masked(self.target(decisions), 1.0)
        ratio = log_ratio.exp()
        match self.divergence:
            case "atv":
                weight = decisions.masked(decisions.advantage).abs() + self.tv_weight
                loss = weight * (ratio - target).abs()
            case "tv":
                loss = (ratio - target).abs()
            case "log-tv":
                loss = (log_ratio - target.log()).abs()
            case "mse":
                loss = (ratio - target) ** 2
            case "rkl":
                loss = ratio * (log_ratio - target.log()) - ratio + target
            case "fkl":
                loss = torch.xlogy(target, target) - target * log_ratio - target + ratio
            case _:
                to_middle = torch.logaddexp(log_ratio, target.log()) - log(2)
                to_target = torch.xlogy(target, target) - target * to_middle
                loss = (ratio * (log_ratio - to_middle) + to_target) / 2
        return loss
