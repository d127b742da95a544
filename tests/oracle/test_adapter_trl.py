"""Our recipes against TRL's own trainer, token by token.

Measured with trl 1.16.0, transformers 5.23.0 and torch 2.13.0 on a CPU. Derivatives agree to 1e-6 for every row below,
with every scale: one process, no accumulation of gradients, epsilon 0.2, and max_completion_length 7 where it counts.

=============  ===================================================  ===================================================
TRL            ours                                                 where the two part
=============  ===================================================  ===================================================
grpo           Clip, sequence_mean                                  TRL divides by the accumulation steps too
bnpo           Clip, weighted_mean                                  tokens of the micro-batch; divided likewise
dapo           Clip, weighted_mean                                  TRL divides by the tokens of the generation batch,
                                                                    all processes, rescaled to one accumulation window:
                                                                    with several micro-batches only their sum agrees
dr_grpo        Clip, SequenceSum(max_completion_length)             divided by the accumulation steps
cispo          CISPO(cap=epsilon_high), weighted_mean               as dapo; without epsilon_high TRL caps at epsilon
sapo           SoftGate, sequence_mean                              as grpo
group          GroupZScore(epsilon=1e-4)
batch          BatchScale
none           GroupMean
beta           KLPenalty("k3", beta)                                TRL multiplies by the ratio unless
                                                                    ``use_bias_correction_kl=False``
=============  ===================================================  ===================================================
"""

import pytest
import torch
from shared_groups import gradient, moved

from pgtheory.objectives import (
    CISPO,
    BatchScale,
    Clip,
    GroupMean,
    GroupZScore,
    KLPenalty,
    Recipe,
    SequenceClip,
    SequenceSum,
    SoftGate,
    recipe,
    sequence_mean,
    weighted_mean,
)
from pgtheory.oracle import bandit, effective_scale, law, token_tree
from pgtheory.oracle.adapters import COUNTERPARTS
from pgtheory.oracle.adapters import trl as adapter

LONGEST = 7
CREDIT = {"group": GroupZScore(epsilon=1e-4), "batch": BatchScale(), "none": GroupMean()}
REST = {
    "grpo": (Clip(0.2), sequence_mean),
    "bnpo": (Clip(0.2), weighted_mean),
    "dapo": (Clip(0.2), weighted_mean),
    "dr_grpo": (Clip(0.2), SequenceSum(LONGEST)),
    "cispo": (CISPO(1.2), weighted_mean),
    "sapo": (SoftGate(), sequence_mean),
}


def settings_of(loss_type):
    return {"epsilon_high": 1.2} if loss_type == "cispo" else {"max_completion_length": LONGEST}


class TestWithTRL:
    @pytest.fixture(autouse=True)
    def _there(self):
        pytest.importorskip("trl")

    @pytest.mark.parametrize("scale", CREDIT)
    @pytest.mark.parametrize("loss_type", REST)
    def test_derivatives(self, loss_type, scale):
        theirs = adapter.trl_objective(loss_type, scale, **settings_of(loss_type))
        ours = Recipe(CREDIT[scale], *REST[loss_type])
        for seed in range(3):
            groups = moved(seed)
            expected = gradient(ours.group_loss, groups)
            assert float(expected.abs().max()) > 1e-3
            assert torch.allclose(gradient(theirs, groups), expected, rtol=0, atol=1e-6)

    @pytest.mark.parametrize(
        ("settings", "ours"),
        [
            ({"epsilon_high": 0.28}, Recipe(CREDIT["group"], Clip(0.2, 0.28), sequence_mean)),
            ({"epsilon": 0.05}, Recipe(CREDIT["group"], Clip(0.05), sequence_mean)),
            (
                {"beta": 0.3, "use_bias_correction_kl": False},
                Recipe(CREDIT["group"], Clip(0.2), sequence_mean, KLPenalty("k3", 0.3)),
            ),
            (
                {"importance_sampling_level": "sequence", "epsilon": 3e-4, "epsilon_high": 4e-4},
                Recipe(CREDIT["group"], SequenceClip(), sequence_mean),
            ),
        ],
    )
    def test_settings(self, settings, ours):
        groups = moved(5)
        theirs = adapter.trl_objective("grpo", **settings)
        assert torch.allclose(gradient(theirs, groups), gradient(ours.group_loss, groups), rtol=0, atol=1e-6)

    def test_a_cispo_without_its_cap_is_capped_at_epsilon(self):
        theirs = adapter.trl_objective("cispo")
        wide = adapter.trl_objective("cispo", epsilon_high=0.2)
        assert torch.equal(gradient(theirs, moved()), gradient(wide, moved()))

    @pytest.mark.parametrize(
        ("corrected", "gradient_of_kl"),
        [(True, [0.098938, -0.093885, -0.005053]), (False, [0.1, -0.1, 0.0])],
    )
    def test_the_kl_that_is_descended(self, corrected, gradient_of_kl):
        """TRL multiplies k3 by the ratio, by default: then it is KL(new ‖ ref), without it KL(ref ‖ new)."""
        theta, ref = (torch.tensor(pi).double().log() for pi in ([0.5, 0.3, 0.2], [0.4, 0.4, 0.2]))
        settings = {} if corrected else {"use_bias_correction_kl": False}
        theirs = adapter.trl_objective("grpo", beta=1.0, **settings)
        found = law(theirs, bandit([0.0, 0.0, 0.0]), theta, 2, theta_ref=ref)
        assert (-found.update).tolist() == pytest.approx(gradient_of_kl, abs=1e-6)

    @pytest.mark.parametrize("name", [name for name, theirs in COUNTERPARTS.items() if "trl" in theirs])
    def test_counterparts(self, name):
        """What is shown beside a recipe differs on policy by no more than the epsilon of its z-score."""
        theirs = adapter.trl_objective(**COUNTERPARTS[name]["trl"])
        p = [0.05, 0.5]
        assert effective_scale(theirs, 8, p) == pytest.approx(effective_scale(recipe(name), 8, p), rel=1e-3)

    def test_the_law_is_ours(self):
        problem = token_tree(2, 2, lambda answer: float(sum(answer) == 1), eos=1)
        theta, old = torch.tensor([0.3, -0.4, 0.6, 0.1]).double(), torch.zeros(4).double()
        ours = Recipe(CREDIT["group"], *REST["dapo"])
        expected = law(ours, problem, theta, 3, theta_old=old)
        found = law(adapter.trl_objective("dapo"), problem, theta, 3, theta_old=old)
        assert torch.allclose(found.update, expected.update, rtol=0, atol=1e-6)
        assert found.covariance_trace == pytest.approx(expected.covariance_trace, abs=1e-6)
        scales = effective_scale(adapter.trl_objective("grpo"), 4, [0.1, 0.5])
        assert scales == pytest.approx(
            effective_scale(Recipe(CREDIT["group"], *REST["grpo"]), 4, [0.1, 0.5]), abs=1e-6
        )

    def test_groups_that_trl_cannot_hold(self):
        groups = moved()
        groups.mask[0, 0] = torch.tensor([1.0, 0.0, 1.0, 0.0, 0.0])
        with pytest.raises(ValueError, match="masks of 1 followed by 0"):
            adapter.trl_objective("grpo")(groups)


@pytest.mark.parametrize(
    ("arguments", "settings", "error", "message"),
    [
        (("ppo",), {}, ValueError, "loss_type must be one of grpo"),
        (("grpo", True), {}, ValueError, "scale_rewards must be one of group"),
        ((), {"use_vllm": True}, TypeError, "settings must be among beta.*got use_vllm"),
    ],
)
def test_settings_that_are_not_offered(arguments, settings, error, message):
    with pytest.raises(error, match=message):
        adapter.trl_objective(*arguments, **settings)


def test_without_trl(monkeypatch):
    monkeypatch.setattr(adapter, "installed", lambda: None)
    with pytest.raises(ImportError, match=r"trl must be installed: pip install 'trl==1\.16"):
        adapter.trl_objective()


@pytest.mark.parametrize("found", ["0.29.1", "1.15.0", "2.0.0"])
def test_a_release_that_is_not_known(monkeypatch, found):
    monkeypatch.setattr(adapter, "installed", lambda: found)
    with pytest.raises(
        ImportError, match=rf"trl must be of release 1\.16, whose trainer is known; found {found}"
    ):
        adapter.trl_objective()
