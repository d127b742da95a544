"""Ascent on noisy bandits against plain loops; what belongs to a seed; what a broken objective does to the findings."""

import math

import numpy as np
import pytest
import torch

from pgtheory.deep.contextual_bandit import Dual, ascend
from pgtheory.objectives import BoundedRatio, Clip, Decisions, ImportanceWeighted, RatioVariance

ARMS, CONTEXTS = 6, 16
EPSILON, TEMPERATURE = 0.2, 1e-3
BPO = BoundedRatio(EPSILON, temperature=TEMPERATURE)
FIELDS = ("value", "largest", "quantile", "largest_anywhere", "quantile_anywhere", "multiplier")


@pytest.fixture(autouse=True, scope="module")
def _one_thread():
    """Tensors this small gain nothing from threads, and lose to their waiting on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


# -- the same thing, one decision at a time ----------------------------------------------------------------------


def slope(name, ratio, advantage, multiplier):
    """Derivative of the loss in the ratio, by hand."""
    if name == "clip":
        stopped = ratio > 1 + EPSILON if advantage > 0 else ratio < 1 - EPSILON
        return 0.0 if stopped else -advantage
    if name == "bounded":
        target = 1 + EPSILON * math.tanh(advantage / (2 * TEMPERATURE))
        return abs(advantage) * float(np.sign(ratio - target))
    if name == "variance":
        return -(advantage - 2 * multiplier * (ratio - 1))
    return -advantage


def policy_of(logits, context):
    weights = [math.exp(logits[arm][context]) for arm in range(ARMS)]
    return [w / sum(weights) for w in weights]


def slow_ascent(name, seed, updates, epochs, batch, noise, lr, **options):
    baseline, dual = options.get("baseline", "exact"), options.get("dual")
    replay, lag = options.get("replay", 1), options.get("lag", 0)
    stream = np.random.default_rng(seed)
    means = stream.standard_normal((ARMS, CONTEXTS))
    logits = [[0.0] * CONTEXTS for _ in range(ARMS)]
    first, second = np.zeros((ARMS, CONTEXTS)), np.zeros((ARMS, CONTEXTS))
    steps, average, batches, multiplier, out = 0, [0.0] * CONTEXTS, [], 1.0, []
    for t in range(updates):
        contexts, uniform = stream.integers(CONTEXTS, size=batch), stream.random(batch)
        normal = stream.standard_normal(batch)
        taken = []
        for s, u, z in zip(contexts, uniform, normal):
            probabilities = policy_of(logits, s)
            arm = min(sum(c < u for c in np.cumsum(probabilities)), ARMS - 1)
            value = sum(p * means[a, s] for a, p in enumerate(probabilities))
            taken.append((s, arm, probabilities[arm], means[arm, s] + noise * z, value))
        rewards = [row[3] for row in taken]
        base = {"exact": [row[4] for row in taken], "batch": [sum(rewards) / batch] * batch}
        base["running"] = [average[row[0]] for row in taken]
        for s, _, _, r, _ in taken:
            average[s] += 0.1 * (r - average[s])
        advantage = np.array(rewards) - np.array(base[baseline])
        if options.get("normalise"):
            advantage = (advantage - advantage.mean()) / (advantage.std() + 1e-8)
        batches.append([(s, a, p, A) for (s, a, p, _, _), A in zip(taken, advantage)])
        if options.get("reset"):
            first, second, steps = 0 * first, 0 * second, 0
        before = [policy_of(logits, s) for s in range(CONTEXTS)]
        last = max(t - lag, 0)
        for _ in range(epochs):
            for k in range(max(last - replay + 1, 0), last + 1):
                gradient, variance = np.zeros((ARMS, CONTEXTS)), 0.0
                for s, arm, old, A in batches[k]:
                    probabilities = policy_of(logits, s)
                    ratio = probabilities[arm] / old
                    variance += (ratio - 1) ** 2 / batch
                    for a in range(ARMS):
                        score = (a == arm) - probabilities[a]
                        gradient[a, s] += slope(name, ratio, A, multiplier) * ratio * score / batch
                steps += 1
                first = 0.9 * first + 0.1 * gradient
                second = 0.999 * second + 0.001 * gradient**2
                root = np.sqrt(second / (1 - 0.999**steps)) + 1e-8
                logits = np.array(logits) - lr * first / (1 - 0.9**steps) / root
                if dual is not None:
                    multiplier = min(max(multiplier + dual.step * (variance - dual.delta), 0.0), dual.cap)
        after = [policy_of(logits, s) for s in range(CONTEXTS)]
        moved = np.abs(np.array(after) / np.array(before) - 1)  # [contexts, arms]
        seen = [moved[s, a] for s, a, _, _ in batches[-1]]
        J = sum(after[s][a] * means[a, s] for s in range(CONTEXTS) for a in range(ARMS)) / CONTEXTS
        out.append((J, max(seen), np.quantile(seen, 0.99), moved.max(), np.quantile(moved, 0.99), multiplier))
    return dict(zip(FIELDS, np.array(out).T)), means.max(0).mean()


SURROGATES = {
    "clip": Clip(EPSILON),
    "bounded": BPO,
    "plain": ImportanceWeighted(),
    "variance": RatioVariance(),
}


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("clip", {}),
        ("bounded", {}),
        ("bounded", {"baseline": "batch", "reset": True}),
        ("clip", {"baseline": "running", "normalise": True}),
        ("plain", {"replay": 3}),
        ("variance", {"dual": Dual(0.04, 1.0, 20.0)}),
        ("variance", {"lag": 2, "dual": Dual(0.001, 30.0, 2.5)}),
        ("clip", {"lag": 1, "replay": 2, "baseline": "running"}),
    ],
)
def test_plain_loops_do_the_same(name, options):
    size = {"updates": 6, "epochs": 4, "batch": 20, "noise": 1.5}
    want, optimum = slow_ascent(name, 7, **size, lr=0.1, **options)
    run = ascend(SURROGATES[name], [7], **size, learning_rate=0.1, **options)
    for field in FIELDS[:-1] if name != "variance" else FIELDS:
        np.testing.assert_allclose(getattr(run, field)[0], want[field], rtol=1e-9, atol=1e-12, err_msg=field)
    np.testing.assert_allclose(run.optimum, [optimum], rtol=1e-14)
    assert name == "variance" or np.isnan(run.multiplier).all()


# -- seeds -------------------------------------------------------------------------------------------------------

SMALL = {"updates": 8, "epochs": 3, "batch": 24}


@pytest.mark.parametrize(
    ("surrogate", "options"),
    [
        (Clip(), {"baseline": "batch"}),
        (BPO, {"baseline": "running", "normalise": True}),
        (RatioVariance(), {"dual": Dual()}),
        (RatioVariance(centred=True), {"dual": Dual(), "replay": 2}),
    ],
)
def test_a_row_depends_on_its_seed_alone(surrogate, options):
    together = ascend(surrogate, [3, 11, 5, 3], learning_rate=[0.1, 0.03, 0.3, 0.1], **SMALL, **options)
    alone = ascend(surrogate, [11], learning_rate=0.03, **SMALL, **options)
    for field in (*FIELDS, "optimum"):
        np.testing.assert_array_equal(getattr(together, field)[1:2], getattr(alone, field))
        np.testing.assert_array_equal(getattr(together, field)[0], getattr(together, field)[3])
    assert not np.array_equal(together.value[0], together.value[2])


def test_the_same_bits_again_and_the_same_start_for_a_longer_run():
    short, again = (ascend(BPO, [0, 1], **SMALL) for _ in range(2))
    longer = ascend(BPO, [0, 1], **(SMALL | {"updates": 12}))
    np.testing.assert_array_equal(short.value, again.value)
    np.testing.assert_array_equal(longer.value[:, :8], short.value)


def test_nothing_is_taken_from_global_random_state():
    before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002 - it must not move
    ascend(Clip(), [0], **SMALL)
    assert torch.equal(torch.get_rng_state(), before[0])
    np.testing.assert_array_equal(np.random.get_state()[1], before[1])  # noqa: NPY002


# -- what the papers say, and what a broken objective does to it -------------------------------------------------


def test_at_one_epoch_all_objectives_are_the_policy_gradient():
    runs = [ascend(s, range(4), updates=30, epochs=1).value for s in SURROGATES.values()]
    for run in runs[1:]:
        np.testing.assert_allclose(run, runs[0], rtol=1e-9)


def one_sided(decisions: Decisions) -> torch.Tensor:
    """A bounded ratio that is pulled to its target from the near side only."""
    target = BPO.target(decisions)
    return torch.where(decisions.advantage * (target - decisions.ratio) > 0, BPO(decisions), 0.0)


def test_ratios_are_bounded_and_noise_is_survived_unless_the_hinge_is_one_sided():
    ppo, bpo, hinge = (ascend(s, range(8), updates=100) for s in (Clip(EPSILON), BPO, one_sided))
    assert ppo.largest.mean() > 3 * bpo.largest.mean()
    assert bpo.value[:, -1].mean() > ppo.value[:, -1].mean() + 0.05
    assert abs(ppo.largest.mean() / hinge.largest.mean() - 1) < 0.3
    assert abs(hinge.value[:, -1] - ppo.value[:, -1]).mean() < 0.1


def test_ascent_goes_up_and_with_the_sign_turned_it_goes_down():
    up = ascend(BPO, range(4), updates=40, epochs=5, noise=0.5)
    down = ascend(
        lambda decisions: -ImportanceWeighted()(decisions), range(4), updates=40, epochs=5, noise=0.5
    )
    assert (up.value[:, -1] > 0.7 * up.optimum).all()
    assert (down.value[:, -1] < -0.5).all()
    assert (up.value <= up.optimum[:, None]).all()


def test_the_multiplier_climbs_to_its_cap_on_data_too_stale_for_any_policy():
    run = ascend(
        RatioVariance(),
        range(2),
        lag=8,
        epochs=10,
        updates=60,
        batch=256,
        learning_rate=0.03,
        noise=0.5,
        dual=Dual(),
    )
    assert (run.multiplier[:, -1] == 20.0).all()


# -- the door ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"updates": 0}, ValueError, "updates must be at least 1, got 0"),
        ({"epochs": 2.0}, TypeError, "epochs must be an integer"),
        ({"lag": -1}, ValueError, "lag must be at least 0"),
        ({"baseline": "mean"}, ValueError, "baseline must be one of exact, running, batch, got 'mean'"),
        ({"noise": -1.0}, ValueError, "noise must be finite and not negative"),
        ({"noise": [1.0, 2.0, 3.0]}, ValueError, "noise must be a number or one for each of 2 seeds"),
        ({"learning_rate": "0.1"}, TypeError, "learning_rate must hold real numbers"),
        ({"normalise": 1}, TypeError, "normalise must be True or False"),
        ({"reset": "no"}, TypeError, "reset must be True or False"),
        ({"dual": Dual()}, TypeError, "dual moves the multiplier of a RatioVariance surrogate"),
        ({"seeds": []}, ValueError, "seeds must hold at least one"),
        ({"seeds": [-1]}, ValueError, "seeds must be at least 0"),
        ({"seeds": 5}, TypeError, "seeds must be a sequence of integers"),
    ],
)
def test_bad_input_is_refused(options, error, message):
    arguments = {"surrogate": Clip(), "seeds": [0, 1], "updates": 1} | options
    with pytest.raises(error, match=message):
        ascend(**arguments)


def test_a_dual_below_zero_is_refused():
    for field in ("delta", "step", "cap"):
        with pytest.raises(ValueError, match=f"{field} must be non-negative"):
            Dual(**{field: -0.1})
