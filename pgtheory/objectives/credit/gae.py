"""Generalised advantage estimation, and Monte-Carlo credit as its end point."""

from dataclasses import dataclass

from pgtheory.mdp import validate
from pgtheory.objectives.credit.scan import backward_scan
from pgtheory.objectives.credit.steps import Credit, Steps


@dataclass(frozen=True)
class GAE:
    r"""Generalised advantage estimation (Schulman et al. 2016, arXiv:1506.02438, Eq. 16).

    .. math:: \delta_t=r_t+\gamma V(s_{t+1})-V(s_t),\qquad \hat A_t=\delta_t+\gamma\lambda\hat A_{t+1}

    with :math:`V(s_{t+1})=0` after a termination and :math:`\hat A_{t+1}=0` after the end of an episode, whether it
    terminated or was cut. The critic's target is :math:`\hat A_t+V(s_t)`.

    Parameters
    ----------
    discount, lam : float
        :math:`\gamma,\lambda\in[0,1]`.
    """

    discount: float = 0.99
    lam: float = 0.95

    def __post_init__(self) -> None:
        unit_interval("discount", self.discount)
        unit_interval("lam", self.lam)

    def __call__(self, steps: Steps) -> Credit:
        """Credit of steps [T, ...]."""
        delta = steps.rewards + self.discount * steps.successors() - steps.values
        advantage = backward_scan(delta, self.discount * self.lam * steps.continues())
        return Credit(advantage, advantage + steps.values)


@dataclass(frozen=True)
class MonteCarlo:
    r"""Discounted return to the end of the episode, minus the value: :math:`\hat A_t=G_t-V(s_t)`.

    Where a time limit or the rollout's end cuts an episode, the value stands for what would have followed. Equal to
    ``GAE(discount, lam=1)``, written as the sum of rewards that it is.
    """

    discount: float = 0.99

    def __post_init__(self) -> None:
        unit_interval("discount", self.discount)

    def __call__(self, steps: Steps) -> Credit:
        """Credit of steps [T, ...]."""
        cut = 1 - steps.continues()
        cut[-1] = 1.0
        rewards = steps.rewards + self.discount * cut * steps.successors()
        target = backward_scan(rewards, self.discount * (1 - cut))
        return Credit(target - steps.values, target)


def unit_interval(name: str, value: float) -> None:
    """Refuse what does not lie in [0, 1]."""
    if not 0 <= validate.finite(name, value) <= 1:
        raise ValueError(f"{name} must lie in [0, 1], got {value}")
