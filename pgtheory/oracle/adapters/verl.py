"""verl's algorithms on the bench: its advantage estimators and policy losses, as registered in ``core_algos``."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from pgtheory.objectives.groups import Groups
from pgtheory.oracle.adapters.releases import installed_release, refuse_unknown

TESTED = ("0.9",)
"""Releases whose functions are known to run on what is given here."""

POLICY_LOSSES = ("vanilla", "gspo", "sapo", "cispo", "geo_mean", "gpg")
ADVANTAGES = (
    "grpo",
    "grpo_passk",
    "grpo_vectorized",
    "opo",
    "reinforce_plus_plus",
    "reinforce_plus_plus_baseline",
    "rloo",
    "rloo_vectorized",
)

SETTINGS = ("clip_ratio", "clip_ratio_low", "clip_ratio_high", "clip_ratio_c", "tau_pos", "tau_neg")
"""Fields of ``ActorConfig`` that can be set here; all others keep verl's defaults."""


def verl_objective(
    policy_loss: str = "vanilla",
    advantage: str = "grpo",
    loss_agg_mode: str = "token-mean",
    *,
    norm_adv_by_std_in_grpo: bool = True,
    loss_scale_factor: int | None = None,
    **settings: Any,
) -> Callable[[Groups], torch.Tensor]:
    """A policy loss of verl for groups of answers, with one of its advantage estimators.

    An answer's reward stands at its last token. One process, one micro-batch: the totals by which verl divides are
    those of the tokens and answers given. KL terms are added by verl's workers and are no part of this. ``sapo``
    aggregates by ``seq-mean-token-mean`` whatever is asked for.

    Parameters
    ----------
    policy_loss, advantage : str
        Names in verl's registries.
    loss_agg_mode : str
    norm_adv_by_std_in_grpo : bool
        Off for Dr. GRPO.
    loss_scale_factor : int, optional
        Constant of ``seq-mean-token-sum-norm``; the width of the batch by default.
    **settings
        Fields of ``ActorConfig``, those in ``SETTINGS``.

    Raises
    ------
    ImportError
        Without verl, or with a release that is not in ``TESTED``.
    TypeError, ValueError
        For settings and names that are not offered.
    """
    for name, value, known in (
        ("policy_loss", policy_loss, POLICY_LOSSES),
        ("advantage", advantage, ADVANTAGES),
    ):
        if value not in known:
            raise ValueError(f"{name} must be one of {', '.join(known)}, got {value!r}")
    unknown = sorted(set(settings) - set(SETTINGS))
    if unknown:
        raise TypeError(f"settings must be among {', '.join(SETTINGS)}, got {', '.join(unknown)}")
    algorithms = _algorithms()
    from verl.trainer.config import AlgoConfig
    from verl.workers.config import ActorConfig

    scale = {} if loss_scale_factor is None else {"loss_scale_factor": loss_scale_factor}
    actor = ActorConfig(
        strategy="fsdp", rollout_n=1, ppo_micro_batch_size_per_gpu=1, global_batch_info=scale, **settings
    )
    algorithm = AlgoConfig(adv_estimator=advantage, norm_adv_by_std_in_grpo=norm_adv_by_std_in_grpo)
    estimate, loss = algorithms.get_adv_estimator_fn(advantage), algorithms.get_policy_loss_fn(policy_loss)
    normalised = "norm_adv_by_std_in_grpo" in inspect.signature(estimate).parameters
    choice = {"norm_adv_by_std_in_grpo": norm_adv_by_std_in_grpo} if normalised else {}

    def objective(groups: Groups) -> torch.Tensor:
        P, G, _ = groups.mask.shape
        mask = groups.mask.flatten(0, 1)
        last = (groups.lengths.long() - 1).flatten()
        scores = torch.zeros_like(mask).scatter(1, last[:, None], groups.rewards.reshape(-1, 1))
        index = np.repeat(np.arange(P), G)
        advantages, _ = estimate(
            token_level_rewards=scores, response_mask=mask, index=index, config=algorithm, **choice
        )
        found, _ = loss(
            old_log_prob=groups.log_prob_old.flatten(0, 1),
            log_prob=groups.log_prob.flatten(0, 1),
            advantages=advantages,
            response_mask=mask,
            loss_agg_mode=loss_agg_mode,
            config=actor,
        )
        return found

    objective.__name__ = f"verl {policy_loss}, {advantage}, {loss_agg_mode}"
    return objective


def installed() -> str | None:
    """verl's version, if it is installed."""
    return installed_release("verl")


def _algorithms() -> Any:
    refuse_unknown("verl", installed(), TESTED, "functions are")
    from verl.trainer.ppo import core_algos

    return core_algos
