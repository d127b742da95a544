"""Our recipes against verl's own functions, token by token.

Measured with verl 0.9.1 and torch 2.13.0 on a CPU. Derivatives agree to 1e-6 for every case below: one
process, one micro-batch. Where the two part: with several micro-batches or processes verl divides by totals
of the global batch that its workers hand over; its log-ratios are clamped to ±20; its KL terms are added by
the workers; ``gspo`` is aggregated by token-mean unless ``loss_agg_mode`` says otherwise. ``seq-mean-token-
sum-norm`` divides by the number of sequences *and* the constant.

OpenRLHF 0.11.2 has no adapter: its losses live in ``openrlhf.models``, which imports deepspeed (0.19.6) and
peft before anything else, and the package requires flash-attn, which builds on CUDA machines only.
"""

import pytest
import torch
from shared_groups import gradient, moved

from pgtheory.objectives import (
    CISPO,
    Clip,
    GroupMean,
    GroupZScore,
    LeaveOneOut,
    Recipe,
    SequenceClip,
    SequenceSum,
    SoftGate,
    TokenWhitened,
    recipe,
    sequence_mean,
    sequence_sum,
    weighted_mean,
)
from pgtheory.oracle import effective_scale
from pgtheory.oracle.adapters import COUNTERPARTS
from pgtheory.oracle.adapters import verl as adapter

DUAL = Clip(0.2, dual=3.0)
CASES = {
    "grpo": ({}, recipe("grpo")),
    "vectorised": ({"advantage": "grpo_vectorized"}, recipe("grpo")),
    "seq-mean-token-mean": (
        {"loss_agg_mode": "seq-mean-token-mean"},
        Recipe(GroupZScore(), DUAL, sequence_mean),
    ),
    "seq-mean-token-sum": (
        {"loss_agg_mode": "seq-mean-token-sum"},
        Recipe(GroupZScore(), DUAL, sequence_sum),
    ),
    "dr-grpo": (
        {
            "loss_agg_mode": "seq-mean-token-sum-norm",
            "loss_scale_factor": 7,
            "norm_adv_by_std_in_grpo": False,
        },
        Recipe(GroupMean(), DUAL, SequenceSum(7)),
    ),
    "dapo's clip": (
        {"clip_ratio_low": 0.2, "clip_ratio_high": 0.28, "clip_ratio_c": 10.0},
        recipe("dapo").replace(mixed_only=False),
    ),
    "rloo": ({"advantage": "rloo"}, Recipe(LeaveOneOut(), DUAL, weighted_mean)),
    "reinforce++": ({"advantage": "reinforce_plus_plus"}, Recipe(TokenWhitened(), DUAL)),
    "reinforce++-baseline": (
        {"advantage": "reinforce_plus_plus_baseline"},
        Recipe(TokenWhitened(group_baseline=True), DUAL),
    ),
    "gspo": (
        {
            "policy_loss": "gspo",
            "clip_ratio_low": 3e-4,
            "clip_ratio_high": 4e-4,
            "loss_agg_mode": "seq-mean-token-mean",
        },
        recipe("gspo"),
    ),
    "gspo by tokens, verl's default": (
        {"policy_loss": "gspo", "clip_ratio_low": 3e-4, "clip_ratio_high": 4e-4},
        Recipe(GroupZScore(), SequenceClip(), weighted_mean),
    ),
    "cispo": (
        {"policy_loss": "cispo", "clip_ratio_low": 0.1, "clip_ratio_high": 0.2},
        Recipe(GroupZScore(), CISPO(1.2, 0.9), weighted_mean),
    ),
    "sapo": ({"policy_loss": "sapo"}, Recipe(GroupZScore(), SoftGate(), sequence_mean)),
}


class TestWithVerl:
    @pytest.fixture(autouse=True)
    def _there(self):
        pytest.importorskip("verl")

    @pytest.mark.parametrize("case", CASES)
    def test_derivatives(self, case):
        settings, ours = CASES[case]
        theirs = adapter.verl_objective(**settings)
        for seed in range(3):
            groups = moved(seed)
            expected = gradient(ours.group_loss, groups)
            assert float(expected.abs().max()) > 1e-3
            assert torch.allclose(gradient(theirs, groups), expected, rtol=0, atol=1e-6)

    @pytest.mark.parametrize("name", [name for name, theirs in COUNTERPARTS.items() if "verl" in theirs])
    def test_counterparts(self, name):
        """What is shown beside a recipe differs on policy by no more than the epsilon of its z-score."""
        theirs = adapter.verl_objective(**COUNTERPARTS[name]["verl"])
        p = [0.05, 0.5]
        assert effective_scale(theirs, 8, p) == pytest.approx(effective_scale(recipe(name), 8, p), rel=1e-3)

    def test_effective_scale(self):
        found = effective_scale(adapter.verl_objective(), 8, [0.01, 0.5])
        assert found == pytest.approx(effective_scale(recipe("grpo"), 8, [0.01, 0.5]), abs=1e-6)


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"policy_loss": "dro"}, ValueError, "policy_loss must be one of vanilla"),
        ({"advantage": "gae"}, ValueError, "advantage must be one of grpo"),
        ({"use_kl_loss": True}, TypeError, "settings must be among clip_ratio.*got use_kl_loss"),
    ],
)
def test_settings_that_are_not_offered(settings, error, message):
    with pytest.raises(error, match=message):
        adapter.verl_objective(**settings)


def test_without_verl(monkeypatch):
    monkeypatch.setattr(adapter, "installed", lambda: None)
    with pytest.raises(ImportError, match="verl must be installed"):
        adapter.verl_objective()
    monkeypatch.setattr(adapter, "installed", lambda: "0.8.2")
    with pytest.raises(
        ImportError, match=r"verl must be of release 0\.9, whose functions are known; found 0\.8\.2"
    ):
        adapter.verl_objective()
