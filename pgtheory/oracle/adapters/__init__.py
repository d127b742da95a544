"""Losses of other libraries as functions of ``Groups``; each module needs its library installed."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

_LIBRARIES = {"trl": "trl_objective", "verl": "verl_objective"}

_GSPO = {"epsilon": 3e-4, "epsilon_high": 4e-4, "importance_sampling_level": "sequence"}
_AVERAGED = {"loss_agg_mode": "seq-mean-token-mean"}

COUNTERPARTS: dict[str, dict[str, dict[str, Any]]] = {
    "rloo": {"verl": {"advantage": "rloo", "loss_agg_mode": "seq-mean-token-sum"}},
    "grpo": {"verl": {}},
    "grpo-trl": {"trl": {}},
    "grpo-batch": {"trl": {"scale_rewards": "batch"}},
    "dr-grpo": {
        "trl": {"loss_type": "dr_grpo", "scale_rewards": "none", "max_completion_length": 1024},
        "verl": {
            "norm_adv_by_std_in_grpo": False,
            "loss_agg_mode": "seq-mean-token-sum-norm",
            "loss_scale_factor": 1024,
        },
    },
    "gspo": {
        "trl": {"loss_type": "grpo", **_GSPO},
        "verl": {"policy_loss": "gspo", "clip_ratio_low": 3e-4, "clip_ratio_high": 4e-4, **_AVERAGED},
    },
    "cispo": {
        "trl": {"loss_type": "cispo", "epsilon_high": 5.0},
        "verl": {"policy_loss": "cispo", "clip_ratio_low": 1.0, "clip_ratio_high": 4.0},
    },
    "sapo": {"trl": {"loss_type": "sapo"}, "verl": {"policy_loss": "sapo"}},
    "reinforce++": {"verl": {"advantage": "reinforce_plus_plus"}},
    "reinforce++-baseline": {"verl": {"advantage": "reinforce_plus_plus_baseline"}},
}
"""What comes nearest to a recipe of ours in each library, as the settings of its adapter."""


def counterparts(name: str) -> list[Callable[..., Any]]:
    """The objectives that come nearest to the recipe of this name, of those libraries that can be imported here."""
    found = []
    for library, settings in COUNTERPARTS.get(name, {}).items():
        make = getattr(import_module(f"{__name__}.{library}"), _LIBRARIES[library])
        try:
            found.append(make(**settings))
        except ImportError:
            continue
    return found
