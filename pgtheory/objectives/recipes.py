"""Objectives of language-model papers as recipes, by name."""

from __future__ import annotations

from pgtheory.objectives.aggregation import SequenceSum, sequence_mean, sequence_sum, weighted_mean
from pgtheory.objectives.credit.group_targets import GroupMedian, GroupTarget
from pgtheory.objectives.credit.outcome import (
    BatchScale,
    GroupMean,
    GroupZScore,
    Labels,
    LeaveOneOut,
    NoBaseline,
    TokenWhitened,
)
from pgtheory.objectives.regularisers import KLPenalty
from pgtheory.objectives.stages import Recipe
from pgtheory.objectives.surrogates import (
    CISPO,
    BoundedRatio,
    Classification,
    Clip,
    ImportanceWeighted,
    RatioVariance,
    SequenceClip,
    SoftGate,
)

LONGEST = 1024
"""The constant length that Dr. GRPO divides by, where nothing else is said."""

_ALL = (
    Recipe(NoBaseline(), ImportanceWeighted(), sequence_sum, name="reinforce", paper="Williams 1992"),
    Recipe(LeaveOneOut(), ImportanceWeighted(), sequence_sum, name="rloo", paper="arXiv:2402.14740"),
    Recipe(GroupZScore(), Clip(0.2, dual=3.0), weighted_mean, name="grpo", paper="arXiv:2402.03300, as verl runs it"),
    Recipe(GroupZScore(ddof=0, epsilon=1e-12), Clip(0.2), sequence_mean, KLPenalty("k3", 0.04),
           name="grpo-paper", paper="arXiv:2402.03300, as written"),
    Recipe(GroupZScore(epsilon=1e-4), Clip(0.2), weighted_mean, name="grpo-trl",
           paper="arXiv:2402.03300, as TRL runs it"),
    Recipe(BatchScale(), Clip(0.2), weighted_mean, name="grpo-batch", paper="TRL, scale_rewards='batch'"),
    Recipe(GroupMean(), Clip(0.2), SequenceSum(LONGEST), name="dr-grpo", paper="arXiv:2503.20783"),
    Recipe(GroupZScore(), Clip(0.2, 0.28, dual=10.0), weighted_mean, mixed_only=True, name="dapo",
           paper="arXiv:2503.14476"),
    Recipe(GroupZScore(), SequenceClip(), sequence_mean, name="gspo", paper="arXiv:2507.18071"),
    Recipe(GroupZScore(), SequenceClip(token=True), sequence_mean, name="gspo-token", paper="arXiv:2507.18071"),
    Recipe(GroupZScore(), CISPO(), weighted_mean, name="cispo", paper="arXiv:2506.13585"),
    Recipe(GroupZScore(epsilon=1e-4), SoftGate(), sequence_mean, name="sapo", paper="SAPO, as TRL implements it"),
    Recipe(TokenWhitened(), Clip(0.2), weighted_mean, name="reinforce++", paper="arXiv:2501.03262"),
    Recipe(TokenWhitened(group_baseline=True), Clip(0.2), weighted_mean, name="reinforce++-baseline",
           paper="arXiv:2501.03262"),
    Recipe(GroupMedian(), BoundedRatio(0.2, temperature=1e-4), weighted_mean, name="gbpo-median",
           paper="arXiv:2604.18578, official code"),
    Recipe(GroupTarget(0.2), BoundedRatio(0.2, temperature=1e-4), weighted_mean, name="gbpo",
           paper="arXiv:2604.18578, targets of Thm 4.1"),
    Recipe(GroupZScore(), RatioVariance(), weighted_mean, name="r2vpo", paper="arXiv:2601.03320"),
    Recipe(Labels(), Classification(), sequence_mean, name="real", paper="arXiv:2602.05630"),
    Recipe(Labels(), Classification(style="bce"), sequence_mean, name="real-bce", paper="arXiv:2602.05630"),
)  # fmt: skip

RECIPES = {recipe.name: recipe for recipe in _ALL}


def recipe(name: str) -> Recipe:
    """A recipe by name, such as ``"grpo"``.

    Raises
    ------
    ValueError
        For a name that is not among them, with those that are.
    """
    if name not in RECIPES:
        raise ValueError(f"name must be one of {', '.join(RECIPES)}, got {name!r}")
    return RECIPES[name]
