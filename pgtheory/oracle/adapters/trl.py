"""TRL's GRPO on the bench: the advantages and the loss that ``trl.GRPOTrainer`` itself computes."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import MISSING, fields
from types import SimpleNamespace
from typing import Any

import torch

from pgtheory.objectives.groups import Groups
from pgtheory.oracle.adapters.releases import installed_release, refuse_unknown

TESTED = ("1.16",)
"""Releases whose trainer is known to run on what is given here."""

LOSS_TYPES = ("grpo", "bnpo", "dr_grpo", "dapo", "cispo", "sapo", "luspo", "vespo")
SCALES = ("group", "batch", "none")

SETTINGS = (
    "beta",
    "delta",
    "epsilon_high",
    "importance_sampling_level",
    "max_completion_length",
    "off_policy_mask_threshold",
    "sapo_temperature_neg",
    "sapo_temperature_pos",
    "use_bias_correction_kl",
    "vespo_k_neg",
    "vespo_k_pos",
    "vespo_lambda_neg",
    "vespo_lambda_pos",
)
"""Fields of ``GRPOConfig`` that can be set here; all others keep TRL's defaults."""


def trl_objective(
    loss_type: str = "dapo", scale_rewards: str = "group", *, epsilon: float = 0.2, **settings: Any
) -> Callable[[Groups], torch.Tensor]:
    """The loss of TRL's ``GRPOTrainer`` for groups of answers, with its own advantages.

    A trainer without model, data or optimiser runs its ``_generate_and_score_completions`` and ``_compute_loss`` on
    the given log-probabilities and rewards: one process, no gradient accumulation, the batch is the generation batch.
    So ``num_items_in_batch``, by which ``dapo``, ``cispo`` and ``vespo`` divide, is the number of tokens given, and
    ``dapo`` and ``bnpo`` are the same. ``cispo`` caps at ``epsilon_high`` itself (at ``epsilon`` without it, which is
    below 1). ``dapo`` drops nothing: dynamic sampling is no part of TRL's loss. A KL penalty (``beta``) is weighted by
    the ratio unless ``use_bias_correction_kl=False``.

    Parameters
    ----------
    loss_type, scale_rewards : str
        Of ``GRPOConfig``.
    epsilon : float
    **settings
        Other fields of ``GRPOConfig``, those in ``SETTINGS``.

    Raises
    ------
    ImportError
        Without TRL, or with a release that is not in ``TESTED``.
    TypeError, ValueError
        For settings, loss types and scales that are not offered.
    """
    if loss_type not in LOSS_TYPES:
        raise ValueError(f"loss_type must be one of {', '.join(LOSS_TYPES)}, got {loss_type!r}")
    if scale_rewards not in SCALES:
        raise ValueError(f"scale_rewards must be one of {', '.join(SCALES)}, got {scale_rewards!r}")
    unknown = sorted(set(settings) - set(SETTINGS))
    if unknown:
        raise TypeError(f"settings must be among {', '.join(SETTINGS)}, got {', '.join(unknown)}")
    trainer = _trainer(
        settings | {"loss_type": loss_type, "scale_rewards": scale_rewards, "epsilon": epsilon}
    )

    def objective(groups: Groups) -> torch.Tensor:
        trainer.groups = groups
        trainer.num_generations = groups.rewards.shape[-1]
        inputs = trainer._generate_and_score_completions([{"prompt": ""}] * groups.rewards.numel())
        return trainer._compute_loss(trainer.model, inputs)

    objective.__name__ = f"trl {loss_type}" + ("" if scale_rewards == "group" else f", {scale_rewards} scale")
    return objective


def installed() -> str | None:
    """TRL's version, if it is installed."""
    return installed_release("trl")


def _trainer(settings: dict[str, Any]) -> Any:
    refuse_unknown("trl", installed(), TESTED, "trainer is")
    from trl import GRPOConfig, GRPOTrainer

    class OnTheBench(GRPOTrainer):
        """A trainer whose generations, rewards and log-probabilities are given."""

        groups: Groups

        def __init__(self, args: Any) -> None:
            self.__dict__.update(_state(args))
            self.args = args

        def _rows(self, values: torch.Tensor) -> torch.Tensor:
            """Values [P, G, T] as TRL's rows [P·G, longest]."""
            return values.flatten(0, 1)[:, : int(self.groups.lengths.max())]

        def _generate(self, prompts: list[Any]) -> tuple[Any, ...]:
            lengths = self.groups.lengths.flatten().long().tolist()
            if not torch.equal(self.groups.mask.cumprod(-1), self.groups.mask):
                raise ValueError("groups must have masks of 1 followed by 0: TRL pads on the right")
            answers = [[1] * length for length in lengths]
            return [[1]] * len(lengths), answers, None, answers, None, {}, None, None

        def _calculate_rewards(self, *unused: Any) -> torch.Tensor:
            return self.groups.rewards.detach().reshape(-1, 1).clone()

        def _get_per_token_logps_and_entropies(
            self, model: Any, *unused: Any, **options: Any
        ) -> tuple[Any, ...]:
            if model is self.ref_model:
                given = self.groups.log_prob_ref
                if given is None:
                    raise ValueError("groups must have log_prob_ref: beta is not 0")
            else:  # TRL asks for the sampling policy's without gradient
                given = self.groups.log_prob if torch.is_grad_enabled() else self.groups.log_prob_old
            rows = self._rows(given)
            return rows, torch.zeros_like(rows), None

    defaults = {f.name: None if f.default is MISSING else f.default for f in fields(GRPOConfig)}
    return OnTheBench(
        SimpleNamespace(**defaults | settings | {"num_iterations": 2, "steps_per_generation": 1})
    )


def _state(args: SimpleNamespace) -> dict[str, Any]:
    """What the trainer's constructor would have set, of what its two methods read."""
    model = torch.nn.Module()
    model.is_gradient_checkpointing = False  # type: ignore[assignment]
    alone = SimpleNamespace(
        device=torch.device("cpu"),
        process_index=0,
        num_processes=1,
        sync_gradients=True,
        gather=lambda values: values,
        gather_for_metrics=lambda values: values,
        reduce=lambda values, reduction="sum": values,
    )
    same = (
        "beta",
        "loss_type",
        "scale_rewards",
        "importance_sampling_level",
        "max_completion_length",
        "multi_objective_aggregation",
        "num_iterations",
        "off_policy_mask_threshold",
    )
    return {name: getattr(args, name) for name in same} | {
        "model": model,
        "ref_model": torch.nn.Module(),
        "accelerator": alone,
        "epsilon_low": args.epsilon,
        "epsilon_high": args.epsilon if args.epsilon_high is None else args.epsilon_high,
        "current_gradient_accumulation_steps": 1,
        "reward_weights": torch.ones(1, dtype=torch.float64),
        "reward_func_names": ["reward"],
        "reward_funcs": [None],
        "environment_factories": None,
        "environments": None,
        "tools": None,
        "pad_to_multiple_of": None,
        "mask_truncated_completions": False,
        "use_vllm": False,
        "vllm_importance_sampling_correction": False,
        "top_entropy_quantile": 1.0,
        "aux_loss_enabled": False,
        "log_multimodal": False,
        "_entropy_bonus_enabled": False,
        "_tokenizer": SimpleNamespace(pad_token_id=0),
        "_pending_extra_logs": {},
        "_pending_metrics": {},
        "_metrics": {"train": defaultdict(lambda: deque(maxlen=1))},
        "_logs": {name: deque(maxlen=1) for name in ("prompt", "completion", "advantages", "images")}
        | {"rewards": defaultdict(lambda: deque(maxlen=1)), "extra": defaultdict(lambda: deque(maxlen=1))},
    }
