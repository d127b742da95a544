"""PPO's clipped surrogate."""

from dataclasses import dataclass

import torch

from pgtheory.mdp import validate
from pgtheory.objectives.decisions import Decisions


@dataclass(frozen=True)
class Clip:
    r"""The clipped surrogate of PPO (Schulman et al. 2017, arXiv:1707.06347, Eq. 7).

    .. math:: \ell=-\min\{\rho A,\ \mathrm{clip}(\rho,1-\epsilon_l,1+\epsilon_h)\,A\}

    With ``dual`` :math:`=c>1` the objective is also kept above :math:`cA` where :math:`A<0` (dual clip,
    Ye et al. 2020, arXiv:1912.09729, Eq. 5): :math:`\ell=\min\{\ell,-cA\}` there.

    Parameters
    ----------
    low, high : float
        :math:`\epsilon_l\in(0,1]` and :math:`\epsilon_h>0`; ``high`` is ``low`` by default.
    dual : float, optional
        :math:`c`.

    Raises
    ------
    ValueError
        For bounds outside these ranges.
    """

    low: float = 0.2
    high: float | None = None
    dual: float | None = None

    def __post_init__(self) -> None:
        if not 0 < validate.finite("low", self.low) <= 1:
            raise ValueError(f"low must lie in (0, 1], got {self.low}: ratios below 0 do not exist")
        object.__setattr__(
            self, "high", self.low if self.high is None else validate.positive("high", self.high)
        )
        if self.dual is not None and not validate.finite("dual", self.dual) > 1:
            raise ValueError(f"dual must be above 1, got {self.dual}")

    def __call__(self, decisions: Decisions) -> torch.Tensor:
        """Loss per decision, in the shape of ``decisions.log_prob``."""
        ratio, A = decisions.ratio, decisions.masked(decisions.advantage)
        assert self.high is not None
        loss = -torch.minimum(ratio * A, ratio.clamp(1 - self.low, 1 + self.high) * A)
        if self.dual is not None:
            loss = torch.minimum(loss, -self.dual * A.clamp(max=0))  # where A > 0 the loss is below 0 anyway
        return loss
