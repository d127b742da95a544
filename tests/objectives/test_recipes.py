"""Every recipe against loops over floats, and what must not change a loss or its gradient."""

import json

import numpy as np
import pytest
import torch
from groups_in_loops import as_groups, loss_of, random_groups, slopes
from hypothesis import given, settings
from hypothesis import strategies as st

from pgtheory.objectives import (
    RECIPES,
    Classification,
    Clip,
    Groups,
    GroupZScore,
    KLPenalty,
    RatioVariance,
    Recipe,
    SequenceSum,
    recipe,
    sequence_sum,
)

torch.set_num_threads(1)
by_name = pytest.mark.parametrize("name", RECIPES)
seeds = st.integers(0, 2**32 - 1)
# advantages of equal rewards: zero for everything with a group's mean, labels are learned from in mixed groups only
NO_GROUP_MEAN = ("reinforce", "reinforce++")
KEEPS_ITS_DISTANCE = {"r2vpo": (RatioVariance(0.0), None), "grpo-paper": (Clip(0.2), None)}


def value_and_gradient(name, groups, log_prob=None):
    """Loss, and its gradient in the log-probabilities (the caller's, if given), as float64."""
    log_prob = (groups.log_prob if log_prob is None else log_prob).detach().requires_grad_()
    chosen = name if isinstance(name, Recipe) else recipe(name)
    fields = {
        k: getattr(groups, k) for k in ("log_prob_old", "rewards", "mask", "log_prob_ref", "log_prob_prox")
    }
    loss = chosen.group_loss(Groups(log_prob, **fields))
    (gradient,) = torch.autograd.grad(loss, log_prob)
    return loss.item(), gradient.double().numpy()


@by_name
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_value_and_gradient_are_those_of_the_loops(name, seed):
    arrays = random_groups(np.random.default_rng(seed))
    loss, gradient = value_and_gradient(name, as_groups(arrays))
    assert loss == pytest.approx(loss_of(name, arrays, arrays["log_prob"]), rel=1e-10, abs=1e-12)
    np.testing.assert_allclose(gradient, slopes(name, arrays), rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("name", [n for n in RECIPES if not n.startswith("gbpo")])
def test_rewards_need_not_be_binary(name):
    arrays = random_groups(np.random.default_rng(5), binary=False)
    loss, gradient = value_and_gradient(name, as_groups(arrays))
    assert loss == pytest.approx(loss_of(name, arrays, arrays["log_prob"]), rel=1e-10, abs=1e-12)
    np.testing.assert_allclose(gradient, slopes(name, arrays), rtol=1e-6, atol=1e-8)


@by_name
@given(seed=seeds)
@settings(max_examples=5, deadline=None)
def test_padding_never_matters(name, seed):
    rng = np.random.default_rng(seed)
    arrays = random_groups(rng)
    loss, gradient = value_and_gradient(name, as_groups(arrays))
    padding = ~arrays["mask"]
    for junk in (np.nan, np.inf, -1e30):
        dirty = {k: np.where(padding, junk, v) if k.startswith("log_prob") else v for k, v in arrays.items()}
        found, slope = value_and_gradient(name, as_groups(dirty))
        assert found == loss
        assert (slope == gradient).all()
        assert (slope[padding] == 0).all()
    longer = {
        k: np.concatenate([v, np.zeros_like(v[..., :2])], -1) if k != "rewards" else v
        for k, v in arrays.items()
    }
    found, slope = value_and_gradient(name, as_groups(longer))
    assert found == pytest.approx(loss, rel=1e-12, abs=1e-15)
    np.testing.assert_allclose(slope[..., :-2], gradient, rtol=1e-12, atol=1e-15)


@by_name
@given(seed=seeds)
@settings(max_examples=5, deadline=None)
def test_order_of_prompts_and_answers_does_not_matter(name, seed):
    rng = np.random.default_rng(seed)
    arrays = random_groups(rng)
    loss, gradient = value_and_gradient(name, as_groups(arrays))
    P, G = arrays["rewards"].shape
    prompts, answers = rng.permutation(P)[:, None], np.argsort(rng.random((P, G)), -1)
    found, slope = value_and_gradient(name, as_groups({k: v[prompts, answers] for k, v in arrays.items()}))
    assert found == pytest.approx(loss, rel=1e-11, abs=1e-13)
    np.testing.assert_allclose(slope, gradient[prompts, answers], rtol=1e-10, atol=1e-13)


@by_name
def test_vmap_over_batches_is_a_loop(name):
    many = [random_groups(np.random.default_rng(seed)) for seed in range(3)]
    singles = [value_and_gradient(name, as_groups(arrays)) for arrays in many]
    stacked = {k: torch.as_tensor(np.stack([arrays[k] for arrays in many])) for k in many[0]}

    def loss(log_prob, rest):
        return recipe(name).group_loss(Groups(log_prob, **rest))

    log_prob = stacked.pop("log_prob")
    gradients, losses = torch.func.vmap(torch.func.grad_and_value(loss))(log_prob, stacked)
    np.testing.assert_allclose(losses.numpy(), [single[0] for single in singles], rtol=1e-10, atol=1e-13)
    np.testing.assert_allclose(gradients.numpy(), [single[1] for single in singles], rtol=1e-10, atol=1e-13)


@by_name
@pytest.mark.parametrize(("dtype", "error"), [(torch.float32, 1e-6), (torch.bfloat16, 2**-8)])
def test_precision(name, dtype, error):
    """Largest error of the gradient relative to its largest entry, of inputs that the precision holds exactly.

    Computed in float32 either way; a caller's gradient is rounded to the caller's precision, 2^-9 in bfloat16.
    """
    arrays = random_groups(np.random.default_rng(7), 6, 8, 40)
    rounded = {
        k: torch.as_tensor(v).to(dtype).double().numpy() if v.dtype == float else v for k, v in arrays.items()
    }
    loss, gradient = value_and_gradient(name, as_groups(rounded))
    leaf = torch.as_tensor(rounded["log_prob"]).to(dtype)
    found, slope = value_and_gradient(name, as_groups(rounded, dtype), leaf)
    assert np.isfinite(slope).all()
    assert found == pytest.approx(loss, rel=1e-5, abs=1e-6)
    assert abs(slope - gradient).max() <= error * abs(gradient).max()


def test_half_precision_keeps_the_sequence_ratio():
    """1.001 is outside GSPO's clip; in bfloat16 arithmetic it would round to 1, and the answer would be kept."""
    log_prob = torch.full((1, 2, 4), -1.0, dtype=torch.bfloat16)
    moved = log_prob.clone()
    moved[0, 0, 0] = -1.0 + 2**-8
    groups = Groups(moved, log_prob, torch.tensor([[1, 0]]), torch.ones(1, 2, 4, dtype=torch.bool))
    assert groups.log_prob.dtype == groups.rewards.dtype == groups.mask.dtype == torch.float32
    _, gradient = value_and_gradient("gspo", groups)
    assert (gradient[0, 0] == 0).all()
    assert (gradient[0, 1] != 0).all()


# -- groups that teach nothing -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [n for n in RECIPES if n not in NO_GROUP_MEAN])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("reward", [0.0, 1.0, 0.7, -3.3e3])
def test_groups_of_equals_have_no_gradient(name, dtype, reward):
    """Exactly, also where the mean of equal numbers would be rounded (ten times 0.7 in float32)."""
    arrays = random_groups(np.random.default_rng(8), 2, 10, 3) | {"rewards": np.full((2, 10), reward)}
    bare = recipe(name)
    if name in KEEPS_ITS_DISTANCE:
        bare = bare.replace(surrogate=KEEPS_ITS_DISTANCE[name][0], kl=None)
    loss, gradient = value_and_gradient(bare, as_groups(arrays, dtype))
    assert loss == 0
    assert (gradient == 0).all()


@pytest.mark.parametrize("name", NO_GROUP_MEAN)
def test_without_a_groups_mean_equals_teach(name):
    arrays = random_groups(np.random.default_rng(8))
    arrays["rewards"] = np.repeat([[1.0], [0.0], [1.0]], 4, -1)
    assert abs(value_and_gradient(name, as_groups(arrays))[1]).max() > 1e-3


@by_name
def test_answers_alone(name):
    """One answer has mean 0 and deviation 1, A = r; classes and dropped groups teach nothing."""
    arrays = random_groups(np.random.default_rng(9), 3, 2)
    single = as_groups({k: v[:, :1] for k, v in arrays.items()})
    _, gradient = value_and_gradient(name, single)
    assert np.isfinite(gradient).all()
    if name in ("real", "real-bce", "dapo"):
        assert (gradient == 0).all()
    elif name not in ("grpo-batch", "reinforce++", "reinforce++-baseline"):
        advantage = recipe(name).decisions(single).advantage[..., 0]
        assert torch.equal(advantage, single.rewards)


def test_a_batch_without_tokens():
    arrays = random_groups(np.random.default_rng(10))
    arrays["mask"] = np.zeros_like(arrays["mask"])
    for name in RECIPES:
        loss, gradient = value_and_gradient(name, as_groups(arrays))
        assert loss == 0
        assert (gradient == 0).all()


def test_dropped_groups_leave_the_mean():
    """DAPO: a group of equals may be there or not."""
    arrays = random_groups(np.random.default_rng(11))
    loss, gradient = value_and_gradient("dapo", as_groups(arrays))
    less, slope = value_and_gradient("dapo", as_groups({k: v[1:] for k, v in arrays.items()}))
    assert loss == pytest.approx(less, rel=1e-12)
    np.testing.assert_allclose(gradient[1:], slope, rtol=1e-12)
    kept, _ = value_and_gradient(recipe("dapo").replace(mixed_only=False), as_groups(arrays))
    assert kept != pytest.approx(less, rel=1e-3)


def test_first_gradients_agree():
    """At ratio 1: GBPO with normalised targets is GRPO, the median's targets leave the majority out."""
    arrays = random_groups(np.random.default_rng(12), 5, 8)
    arrays["log_prob"] = arrays["log_prob_old"]
    arrays["rewards"][1] = [1, 1, 1, 0, 0, 0, 0, 0]
    groups = as_groups(arrays)
    grpo = value_and_gradient("grpo", groups)[1]
    for name in ("gbpo", "cispo", "dapo"):
        scale = arrays["mask"].sum() / arrays["mask"][1:].sum() if name == "dapo" else 1
        np.testing.assert_allclose(value_and_gradient(name, groups)[1], grpo * scale, rtol=1e-12, atol=0)
    median = value_and_gradient("gbpo-median", groups)[1]
    assert (median[1, 3:] == 0).all()
    np.testing.assert_allclose(median[1, :3], grpo[1, :3], rtol=1e-12)
    assert abs(grpo[1, 3:][arrays["mask"][1, 3:]]).min() > 0


# -- a penalty in the reward ----------------------------------------------------------------------------------


def test_penalty_in_the_reward():
    arrays = random_groups(np.random.default_rng(13))
    k1 = np.where(arrays["mask"], arrays["log_prob_old"] - arrays["log_prob_ref"], 0).sum(-1)
    penalised = recipe("rloo").replace(kl=KLPenalty("k1", 0.05, in_reward=True))
    dirty = arrays | {"log_prob_ref": np.where(arrays["mask"], arrays["log_prob_ref"], np.nan)}
    loss, gradient = value_and_gradient(penalised, as_groups(dirty))
    wanted, slope = value_and_gradient("rloo", as_groups(arrays | {"rewards": arrays["rewards"] - 0.05 * k1}))
    assert loss == pytest.approx(wanted, rel=1e-12)
    np.testing.assert_allclose(gradient, slope, rtol=1e-10, atol=1e-14)


def test_no_gradient_through_rewards_or_references():
    arrays = random_groups(np.random.default_rng(14))
    leaves = {
        k: torch.as_tensor(arrays[k]).requires_grad_() for k in ("rewards", "log_prob_ref", "log_prob_old")
    }
    groups = as_groups(arrays, **leaves)
    log_prob = groups.log_prob.requires_grad_()
    for chosen in (recipe("grpo-paper"), recipe("rloo").replace(kl=KLPenalty("k1", 0.1, in_reward=True))):
        chosen.group_loss(groups).backward()
        assert log_prob.grad.abs().sum() > 0
        assert all(leaf.grad is None for leaf in leaves.values())


# -- as data ---------------------------------------------------------------------------------------------------


@by_name
def test_round_trip_through_json(name):
    written = json.dumps(recipe(name).to_dict(), allow_nan=False)
    assert Recipe.from_dict(json.loads(written)) == recipe(name)
    assert recipe(name).name == name


def test_other_parts_survive_too():
    made = Recipe(
        GroupZScore(0, 1e-3),
        Classification(1.5, "product"),
        SequenceSum(7, averaged=False),
        KLPenalty("k2", 0.5, in_reward=True, limit=3.0),
        mixed_only=True,
        name="mine",
    )
    again = Recipe.from_dict(json.loads(json.dumps(made.to_dict())))
    assert again == made
    assert again != made.replace(aggregate=sequence_sum)


def test_what_cannot_be_written_down():
    for part in (lambda decisions: decisions.ratio, RatioVariance(torch.ones(2))):
        with pytest.raises(TypeError, match="only parts of"):
            recipe("grpo").replace(surrogate=part).to_dict()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"credit": {"part": "Nothing"}}, "part must be"),
        ({"credit": {"part": "os"}}, "part must be"),
        ({"credit": {}}, "part must be"),
        ({"credit": {"part": "GroupZScore", "dof": 1}}, "GroupZScore has no field dof"),
        ({"credit": {"part": "GroupZScore", "ddof": 2}}, "ddof"),
        ({"aggregate": {"part": "weighted_mean", "length": 1}}, "weighted_mean has no field length"),
        ({"lambda": 1}, "record must hold"),
    ],
)
def test_records_refused(change, message):
    with pytest.raises(ValueError, match=message):
        Recipe.from_dict(recipe("grpo").to_dict() | change)


@pytest.mark.parametrize("record", [{}, {"credit": {"part": "NoBaseline"}}, [], None])
def test_no_record_at_all(record):
    with pytest.raises(ValueError, match="record must hold"):
        Recipe.from_dict(record)


@pytest.mark.parametrize(
    "change", [{"credit": 3}, {"surrogate": None}, {"aggregate": "mean"}, {"kl": 0.1}, {"mixed_only": 1}]
)
def test_recipes_refused(change):
    with pytest.raises(TypeError, match=next(iter(change))):
        recipe("grpo").replace(**change)


def test_unknown_recipe():
    with pytest.raises(ValueError, match=r"name must be one of reinforce, .*got 'ppo'"):
        recipe("ppo")


@pytest.mark.parametrize(
    ("change", "error", "argument"),
    [
        ({"log_prob": torch.zeros(2, 3)}, ValueError, "log_prob must"),
        ({"log_prob_old": torch.zeros(2, 3, 5)}, ValueError, "log_prob_old"),
        ({"mask": torch.zeros(2, 3, 1)}, ValueError, "mask"),
        ({"rewards": torch.zeros(3, 2)}, ValueError, "rewards"),
        ({"log_prob_ref": torch.zeros(2, 3, 1)}, ValueError, "log_prob_ref"),
        ({"log_prob_prox": torch.zeros(2, 3, 1)}, ValueError, "log_prob_prox"),
        ({"log_prob_old": torch.zeros(2, 3, 4, dtype=torch.int64)}, TypeError, "log_prob_old"),
        ({"rewards": None}, TypeError, "rewards"),
        ({"mask": [1]}, TypeError, "mask"),
    ],
)
def test_groups_refused(change, error, argument):
    x = torch.zeros(2, 3, 4)
    with pytest.raises(error, match=argument):
        Groups(**{"log_prob": x, "log_prob_old": x, "rewards": x[..., 0], "mask": x} | change)
