"""Which settings of TRL's trainer, and which recipes, go together."""

from __future__ import annotations

from dataclasses import MISSING, fields
from typing import Any

from pgtheory.objectives import (
    CISPO,
    BoundedRatio,
    Clip,
    Decoupled,
    ImportanceWeighted,
    RatioVariance,
    Recipe,
    SequenceClip,
    SequenceSum,
    SoftGate,
    sequence_mean,
    sequence_sum,
    weighted_mean,
)

OF_THE_RECIPE = (
    "beta",
    "delta",
    "entropy_coef",
    "epsilon",
    "epsilon_high",
    "importance_sampling_level",
    "loss_type",
    "multi_objective_aggregation",
    "off_policy_mask_threshold",
    "sapo_temperature_neg",
    "sapo_temperature_pos",
    "scale_rewards",
    "top_entropy_quantile",
    "use_adaptive_entropy",
    "use_bias_correction_kl",
    "vespo_k_neg",
    "vespo_k_pos",
    "vespo_lambda_neg",
    "vespo_lambda_pos",
)
"""Fields of ``GRPOConfig`` that decide TRL's loss; they must keep their defaults, because the recipe says it all."""

ANSWERS_APART = (BoundedRatio, CISPO, Clip, ImportanceWeighted, RatioVariance, SequenceClip, SoftGate)
"""Surrogates that look at one answer at a time, and so may see a batch in parts."""
LINEAR = (sequence_mean, sequence_sum, weighted_mean)
"""Aggregations that are linear in the losses."""


def refuse(args: Any, kind: type, recipe: Recipe) -> None:
    """Refuse settings, of TRL's class ``kind``, that would change a recipe's loss, and recipes that TRL cannot feed."""
    defaults = {f.name: f.default for f in fields(kind) if f.default is not MISSING}
    changed = [name for name in OF_THE_RECIPE if getattr(args, name) != defaults[name]]
    if changed:
        name = changed[0]
        raise ValueError(
            f"args must leave {name} at {defaults[name]!r}, got {getattr(args, name)!r}: the recipe decides it; "
            f"change the recipe, as in recipe('grpo').replace(surrogate=Clip(0.3))"
        )
    if args.use_vllm and args.vllm_importance_sampling_correction:
        raise ValueError(
            "args must have vllm_importance_sampling_correction=False: TRL would multiply the recipe's losses"
        )
    if args.steps_per_generation % args.gradient_accumulation_steps:
        raise ValueError(
            "args must have gradient_accumulation_steps that divide steps_per_generation, so that an optimiser's step "
            f"is of one generation; got {args.gradient_accumulation_steps} and {args.steps_per_generation}"
        )
    if recipe.kl is not None and recipe.kl.coefficient == 0:
        raise ValueError(
            "recipe must have kl=None rather than a coefficient of 0: TRL then keeps no reference"
        )
    if recipe.kl is not None and recipe.kl.in_reward:
        raise ValueError("recipe must have its penalty in the loss: TRL gives no reference before the credit")
    if isinstance(recipe.surrogate, Decoupled):
        raise ValueError("recipe must not be Decoupled: TRL keeps no third policy's log-probabilities")


def refuse_parts(recipe: Recipe, parts: int, processes: int) -> None:
    """Refuse a recipe whose loss is not a sum over answers, where a batch is split."""
    apart = isinstance(recipe.surrogate, ANSWERS_APART)
    if not (apart and (recipe.aggregate in LINEAR or isinstance(recipe.aggregate, SequenceSum))):
        raise ValueError(
            f"recipe {recipe.name!r} couples answers, or may, so TRL must not split its batch: expected one process "
            f"and steps_per_generation=1, got {processes} and {parts}"
        )
