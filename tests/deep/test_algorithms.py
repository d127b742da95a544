"""Every loss against the same written out decision by decision; TRPO's step, and what may not be asked for."""

import math

import numpy as np
import pytest
import torch

from pgtheory.deep import BPO, PPO, R2VPO, TRPO, Network
from pgtheory.deep.actor_critic import ActorCritic, Outputs
from pgtheory.deep.adam import Adam
from pgtheory.deep.algorithms.on_policy import Batch, Minibatch, standardised
from pgtheory.deep.heads import Categorical, Gaussian
from pgtheory.deep.learner import Learner

torch.set_num_threads(1)
N = 24
NONE = torch.tensor(0.0)


def decisions(seed=0, spread=0.5):
    """Outputs with gradients of their own, and the minibatch that they are compared with; float64."""
    rng = np.random.default_rng(seed)
    draw = lambda scale=1.0: torch.as_tensor(scale * rng.standard_normal(N))
    old = draw() - 1
    out = Outputs(*(t.requires_grad_() for t in (old + draw(spread), draw().abs(), draw(), draw())))
    return out, Minibatch(old, draw(2.0) + 0.7, draw(2.0))


def gradients(loss, out):
    return torch.autograd.grad(loss, list(out), materialize_grads=True)


def rows(out, batch):
    return zip(*(t.tolist() for t in (out.log_prob, out.value, out.median, *batch)))


def standard(values):
    mean = sum(values) / len(values)
    std = math.sqrt(sum((v - mean) ** 2 for v in values) / (len(values) - 1))
    return [(v - mean) / (std + 1e-8) for v in values]


def critic_part(algorithm, out, batch):
    squares = [(v - R) ** 2 for v, R in zip(out.value.tolist(), batch.target.tolist())]
    return algorithm.value_coef * sum(squares) / N - algorithm.entropy_coef * sum(out.entropy.tolist()) / N


def close(got, expected):
    torch.testing.assert_close(got, torch.tensor(expected, dtype=got.dtype))


# -- PPO ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dual", [None, 1.5])
@pytest.mark.parametrize("normalise", [True, False])
def test_ppo(dual, normalise):
    algorithm = PPO(
        epsilon=0.15, dual=dual, normalise_advantages=normalise, value_coef=0.7, entropy_coef=0.02
    )
    out, batch = decisions()
    advantages = standard(batch.advantage.tolist()) if normalise else batch.advantage.tolist()
    total = 0.0
    for (log_p, _, _, old, _, _), A in zip(rows(out, batch), advantages):
        ratio = math.exp(log_p - old)
        gain = min(ratio * A, min(max(ratio, 0.85), 1.15) * A)
        if dual is not None and A < 0:
            gain = max(gain, dual * A)
        total -= gain / N
    loss, multiplier = algorithm.loss(out, batch, NONE)
    close(loss, total + critic_part(algorithm, out, batch))
    assert multiplier is NONE


def test_ppo_pushes_only_inside_the_clip():
    out, batch = decisions()
    by_log_prob, *_ = gradients(PPO(epsilon=0.15, normalise_advantages=False).loss(out, batch, NONE)[0], out)
    for g, (log_p, _, _, old, A, _) in zip(by_log_prob.tolist(), rows(out, batch)):
        ratio = math.exp(log_p - old)
        clipped = ratio > 1.15 if A > 0 else ratio < 0.85
        assert g == pytest.approx(0 if clipped else -ratio * A / N)


def test_standardised_is_unbiased_and_takes_equal_advantages():
    values = torch.tensor([1.0, 2.0, 4.0], dtype=torch.float64)
    close(standardised(values), standard([1.0, 2.0, 4.0]))
    assert torch.equal(standardised(torch.ones(4)), torch.zeros(4))


# -- BPO ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("use_median", [True, False])
@pytest.mark.parametrize("limit", [None, 0.5])
def test_bpo(use_median, limit):
    algorithm = BPO(
        epsilon=0.25,
        temperature=0.6,
        use_median=use_median,
        median_temperature=0.8,
        median_coef=0.3,
        value_coef=0.7,
        entropy_coef=0.02,
        tv_weight=0.1,
        limit=limit,
    )
    assert algorithm.has_median is use_median
    out, batch = decisions()
    out = out if use_median else out._replace(median=out.value)
    total = 0.0
    for log_p, V, mu, old, _, R in rows(out, batch):
        logit = (R - (mu if use_median else V)) / 0.6
        logit = logit if limit is None else min(max(logit, -limit), limit)
        target = 1 - 0.25 + 0.5 / (1 + math.exp(-logit))
        total += (abs(R - V) + 0.1) * abs(math.exp(log_p - old) - target) / N
        if use_median:
            x = (R - mu) / 0.8
            total += 0.3 * math.log(math.exp(x / 2) + math.exp(-x / 2)) / N
    close(algorithm.loss(out, batch, NONE)[0], total + critic_part(algorithm, out, batch))


@pytest.mark.parametrize("use_median", [True, False])
def test_no_gradient_of_bpos_policy_loss_reaches_critic_or_median(use_median):
    out, batch = decisions()
    policy_only = BPO(value_coef=0.0, median_coef=0.0, temperature=1.0, use_median=use_median)
    by_log_prob, _, by_value, by_median = gradients(policy_only.loss(out, batch, NONE)[0], out)
    assert by_log_prob.abs().min() > 0
    assert not by_value.any()
    assert not by_median.any()
    whole = BPO(temperature=1.0, use_median=use_median)
    _, _, by_value, by_median = gradients(whole.loss(out, batch, NONE)[0], out)
    torch.testing.assert_close(by_value, (out.value - batch.target).detach() / N)
    slope = -0.5 * torch.tanh((batch.target - out.median).detach() / 2) / 2 / N
    torch.testing.assert_close(by_median, slope if use_median else torch.zeros_like(slope))


def test_bpo_uses_the_critic_as_it_is_now_and_no_noted_advantage():
    out, batch = decisions()
    algorithm = BPO(temperature=1.0)
    loss = algorithm.loss(out, batch, NONE)[0]
    assert torch.equal(loss, algorithm.loss(out, batch._replace(advantage=batch.advantage * 9), NONE)[0])
    later = out._replace(value=out.value.detach() + 1)
    policy = BPO(temperature=1.0, value_coef=0.0)
    assert policy.loss(later, batch, NONE)[0] != policy.loss(out, batch, NONE)[0]


# -- R²VPO ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("centred", [True, False])
@pytest.mark.parametrize("normalise", [True, False])
def test_r2vpo(centred, normalise):
    algorithm = R2VPO(
        delta=0.05,
        dual_rate=0.4,
        centred=centred,
        normalise_advantages=normalise,
        value_coef=0.7,
        entropy_coef=0.02,
    )
    out, batch = decisions()
    advantages = standard(batch.advantage.tolist()) if normalise else batch.advantage.tolist()
    ratios = [math.exp(log_p - old) for log_p, _, _, old, _, _ in rows(out, batch)]
    centre = sum(ratios) / N if centred else 1.0
    total = -sum(rho * A - 1.7 * (rho - centre) ** 2 for rho, A in zip(ratios, advantages)) / N
    loss, multiplier = algorithm.loss(out, batch, torch.tensor(1.7, dtype=torch.float64))
    close(loss, total + critic_part(algorithm, out, batch))
    variance = sum((rho - 1) ** 2 for rho in ratios) / N  # of the same ratios
    close(multiplier, 1.7 + 0.4 * (variance - 0.05))
    assert not multiplier.requires_grad


def test_r2vpos_multiplier_stays_between_zero_and_its_cap():
    far, near = decisions(spread=2.0), decisions(spread=0.0)
    climbs = R2VPO(dual_rate=100.0, cap=3.0)
    assert climbs.loss(*far, torch.tensor(1.0))[1] == 3.0
    assert climbs.loss(*near, torch.tensor(1.0))[1] == 0.0
    assert R2VPO(dual_rate=0.0).loss(*far, torch.tensor(1.0))[1] == 1.0
    assert R2VPO(multiplier=2.0).initial_multiplier() == 2.0
    assert PPO().initial_multiplier() == 0.0


# -- TRPO -----------------------------------------------------------------------------------------------------


def rollout(head, seed=0, n=200):
    rng = np.random.default_rng(seed)
    nets = ActorCritic(3, head, Network((8,)))
    theta = nets.initial(rng)
    x = torch.as_tensor(rng.standard_normal((n, 3)), dtype=torch.float32)
    with torch.no_grad():
        out, own = nets.actor(nets.split(theta), x)
        actions = head.sample(out.numpy(), own.numpy(), head.noise(rng, (n,)))
        actions = torch.as_tensor(actions, dtype=torch.float32)
        log_prob = head.log_prob(out, own, actions)
    advantage = 3 + (actions[:, 0] * x[:, 0] if head.width == 2 else (actions[:, 0] - 1) * x[:, 0])
    return nets, theta, Batch(x, actions, log_prob, advantage, torch.ones(n))


@pytest.mark.parametrize("head", [Categorical(3), Gaussian(2)])
@pytest.mark.parametrize("normalise", [True, False])
def test_trpo_keeps_inside_its_ball_and_improves(head, normalise):
    nets, theta, batch = rollout(head)
    algorithm = TRPO(radius=0.02, normalise_advantages=normalise)
    before = theta.clone()
    after, metrics = algorithm.before_epochs(nets, theta, batch)
    assert torch.equal(theta, before)
    n = nets.actor_dim
    assert torch.equal(after[n:], theta[n:])
    with torch.no_grad():
        old, new = (nets.actor(nets.split(t), batch.observations) for t in (theta, after))
        kl = float(nets.head.kl(*old, *new).mean())
        gain = (nets.head.log_prob(*new, batch.actions) - batch.log_prob).exp()
        A = standardised(batch.advantage) if normalise else batch.advantage
        improvement = float((gain * A).mean() - A.mean())
    assert 0.005 < kl <= 0.02 * (1 + 1e-5)
    assert metrics["losses/kl"] == pytest.approx(kl)
    assert metrics["losses/improvement"] == pytest.approx(improvement, abs=1e-5)
    assert improvement > 0
    assert metrics["losses/accepted"] == 1.0


def test_a_line_search_that_fails_leaves_the_actor_as_it_was():
    nets, theta, batch = rollout(Categorical(3))
    bad = batch._replace(log_prob=batch.log_prob * torch.nan)
    after, metrics = TRPO().before_epochs(nets, theta, bad)
    assert torch.equal(after, theta)
    assert metrics["losses/accepted"] == 0.0
    flat = batch._replace(advantage=torch.zeros_like(batch.advantage))
    assert torch.equal(TRPO().before_epochs(nets, theta, flat)[0], theta)


def test_without_line_search_the_step_is_the_natural_gradients():
    nets, theta, batch = rollout(Gaussian(2))
    searched, _ = TRPO(damping=1e-3).before_epochs(nets, theta, batch)
    natural, metrics = TRPO(damping=1e-3, line_search=False).before_epochs(nets, theta, batch)
    assert metrics["losses/backtracks"] == 0.0
    assert metrics["losses/kl"] == pytest.approx(0.01, rel=0.3)
    step, shorter = natural - theta, searched - theta
    assert float(torch.cosine_similarity(step, shorter, dim=0)) > 0.999


@pytest.mark.parametrize("head", [Categorical(3), Gaussian(2)])
def test_trpos_epochs_move_the_critic_alone(head):
    nets, theta, batch = rollout(head)
    learner = Learner(TRPO(), nets, compiled=False)
    adam, table = Adam.start(theta), torch.cat([*batch[:2], torch.stack(batch[2:], 1)], 1)
    size, n = torch.tensor([0.01, 0.03]), nets.actor_dim
    state = learner._step(*adam[:3], NONE, table, size)
    state = learner._step(*state[:3], NONE, table, size)
    assert torch.equal(state[0][:n], theta[:n])
    assert not torch.equal(state[0][n:], theta[n:])


# -- what is refused ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("algorithm", [PPO, BPO, R2VPO, TRPO])
@pytest.mark.parametrize(
    ("settings", "error"),
    [
        ({"n_steps": 0}, ValueError),
        ({"minibatch": 2.5}, TypeError),
        ({"epochs": -1}, ValueError),
        ({"learning_rate": 0.0}, ValueError),
        ({"max_grad_norm": float("inf")}, ValueError),
        ({"value_coef": -0.1}, ValueError),
        ({"entropy_coef": float("nan")}, ValueError),
        ({"discount": 1.01}, ValueError),
        ({"lam": -0.1}, ValueError),
        ({"anneal": "no"}, TypeError),
    ],
)
def test_bad_common_settings_are_refused(algorithm, settings, error):
    with pytest.raises(error, match=next(iter(settings))):
        algorithm(**settings)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: PPO(epsilon=1.1), r"epsilon must lie in \(0, 1\]"),
        (lambda: PPO(epsilon=0.0), "epsilon"),
        (lambda: PPO(dual=1.0), "dual"),
        (lambda: PPO(minibatch=1), "minibatch must be at least 2"),
        (lambda: R2VPO(minibatch=1), "minibatch must be at least 2"),
        (lambda: BPO(epsilon=1.0), r"epsilon must lie in \(0, 1\)"),
        (lambda: BPO(temperature=-1e-3), "temperature"),
        (lambda: BPO(median_temperature=0.0), "median_temperature"),
        (lambda: BPO(median_coef=-1.0), "median_coef"),
        (lambda: BPO(divergence="kl"), "divergence must be one of"),
        (lambda: BPO(limit=0.0), "limit"),
        (lambda: R2VPO(delta=0.0), "delta"),
        (lambda: R2VPO(dual_rate=-1.0), "dual_rate"),
        (lambda: R2VPO(multiplier=30.0), r"multiplier must lie in \[0, cap\]"),
        (lambda: TRPO(radius=0.0), "radius"),
        (lambda: TRPO(damping=-0.1), "damping"),
        (lambda: TRPO(cg_iterations=0), "cg_iterations"),
        (lambda: TRPO(backtracks=-1), "backtracks"),
        (lambda: TRPO(entropy_coef=0.01), "entropy_coef must be 0"),
    ],
)
def test_bad_settings_of_one_algorithm_are_refused(make, said):
    with pytest.raises(ValueError, match=said):
        make()


def test_minibatches_of_one_are_fine_where_nothing_is_standardised():
    assert PPO(minibatch=1, normalise_advantages=False).minibatch == 1
    assert BPO(minibatch=1).minibatch == 1
