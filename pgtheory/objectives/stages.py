"""A recipe: the choices that make a policy-gradient objective, as data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any

import torch

from pgtheory.mdp import validate
from pgtheory.objectives.aggregation import weighted_mean
from pgtheory.objectives.decisions import Decisions
from pgtheory.objectives.groups import Groups
from pgtheory.objectives.regularisers import KLPenalty


@dataclass(frozen=True)
class Recipe:
    r"""Credit :math:`\to` surrogate :math:`\to` aggregation, with what else is done to the data.

    Parameters
    ----------
    credit : callable
        Rewards and what goes with them → advantages: ``GAE()`` for control, ``GroupZScore()`` for groups of answers.
    surrogate : callable
        ``Decisions`` → loss per decision, such as ``Clip(0.2)``.
    aggregate : callable
        Losses and weights → a scalar, ``weighted_mean`` by default.
    kl : KLPenalty, optional
        Added to the losses per token, or taken from the reward.
    mixed_only : bool
        Dynamic sampling: groups whose rewards are all equal (before a penalty) are dropped; so are answers alone.
    name, paper : str
        What it is called, and where it comes from.

    Raises
    ------
    TypeError
        If a part is not of these kinds.
    """

    credit: Callable[..., Any]
    surrogate: Callable[[Decisions], torch.Tensor]
    aggregate: Callable[[torch.Tensor, torch.Tensor], torch.Tensor] = weighted_mean
    kl: KLPenalty | None = None
    mixed_only: bool = False
    name: str = ""
    paper: str = ""

    def __post_init__(self) -> None:
        for name in ("credit", "surrogate", "aggregate"):
            if not callable(getattr(self, name)):
                raise TypeError(f"{name} must be callable, got {getattr(self, name)!r}")
        if self.kl is not None:
            validate.instance_of("kl", self.kl, KLPenalty)
        validate.flag("mixed_only", self.mixed_only)

    def loss(self, decisions: Decisions) -> torch.Tensor:
        """The scalar to minimise."""
        losses = self.surrogate(decisions)
        if self.kl is not None and not self.kl.in_reward:
            losses = losses + self.kl(decisions)
        return self.aggregate(losses, decisions.weights)

    def decisions(self, groups: Groups) -> Decisions:
        """Every token of every answer [..., P, G, T], with its answer's credit."""
        rewards, mask = groups.rewards, groups.mask
        if self.mixed_only:
            mixed = rewards.amax(-1, keepdim=True) > rewards.amin(-1, keepdim=True)
            mask = mask * mixed[..., None].to(mask.dtype)
        if self.kl is not None and self.kl.in_reward:
            zeros = torch.zeros_like(groups.log_prob)
            old, ref = groups.log_prob_old, groups.log_prob_ref
            sampled = Decisions(old, old, zeros, weight=groups.mask, log_prob_ref=ref)
            rewards = rewards - self.kl(sampled).sum(-1).detach()
        credit = self.credit(rewards, groups.lengths)
        shape = groups.log_prob.shape

        def spread(values: torch.Tensor | None) -> torch.Tensor | None:
            return None if values is None else values.to(groups.log_prob.dtype)[..., None].expand(shape)

        advantage = spread(credit.advantage)
        assert advantage is not None
        return Decisions(
            groups.log_prob,
            groups.log_prob_old,
            advantage,
            median_advantage=spread(credit.median_advantage),
            target=spread(credit.target),
            weight=mask,
            log_prob_ref=groups.log_prob_ref,
            log_prob_prox=groups.log_prob_prox,
        )

    def group_loss(self, groups: Groups) -> torch.Tensor:
        """The scalar to minimise for groups of answers."""
        return self.loss(self.decisions(groups))

    def replace(self, **changes: Any) -> Recipe:
        """The same recipe with other fields."""
        return replace(self, **changes)

    def to_dict(self) -> dict[str, Any]:
        """What JSON can hold; ``Recipe.from_dict`` is the way back.

        Raises
        ------
        TypeError
            If a part is not one of this library's.
        """
        return {field.name: _plain(getattr(self, field.name)) for field in fields(self)}

    @classmethod
    def from_dict(cls, record: dict[str, Any]) -> Recipe:
        """A recipe from what ``to_dict`` returned.

        Raises
        ------
        ValueError
            If it names a part that there is none of, or a part's field that it has not.
        """
        known = {field.name for field in fields(cls)}
        if not isinstance(record, dict) or not {"credit", "surrogate"} <= record.keys() <= known:
            rest = ", ".join(sorted(known - {"credit", "surrogate"}))
            raise ValueError(
                f"record must hold credit and surrogate, and of the rest only {rest}; got {record!r}"
            )
        return cls(**{key: _part(value) for key, value in record.items()})


def _plain(value: Any) -> Any:
    """A part by its name and its fields."""
    from pgtheory import objectives

    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    name = getattr(value, "__name__", type(value).__name__)
    home = getattr(objectives, name, None)
    if is_dataclass(value) and home is type(value):
        return {"part": name} | {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    if home is value:
        return {"part": name}
    raise TypeError(f"only parts of pgtheory.objectives can be written down, got {value!r}")


def _part(value: Any) -> Any:
    """The part that ``_plain`` described."""
    from pgtheory import objectives

    if not isinstance(value, dict):
        return value
    name = value.get("part")
    if name not in objectives.__all__:
        raise ValueError(f"part must be a name in pgtheory.objectives, got {name!r}")
    home = getattr(objectives, name)
    given = {key: _part(item) for key, item in value.items() if key != "part"}
    known = {field.name for field in fields(home)} if is_dataclass(home) else set()
    if not given.keys() <= known:
        raise ValueError(f"{name} has no field {', '.join(sorted(given.keys() - known))}")
    return home(**given) if isinstance(home, type) else home
