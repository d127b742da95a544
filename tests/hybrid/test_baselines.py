"""RLPD's update against autograd on plain formulas, its batches, and behaviour cloning."""

import numpy as np
import pytest
import torch

from pgtheory.hybrid import ContinuousLock, collect
from pgtheory.hybrid.baselines.cloning import Cloning
from pgtheory.hybrid.baselines.rlpd import RLPD, _Buffer, _Learner, _offline, train_rlpd
from pgtheory.hybrid.baselines.soft_actor_critic import Actor


@pytest.fixture
def rng():
    return np.random.default_rng(2)


@pytest.fixture(scope="module")
def lock():
    return ContinuousLock.draw(3, 0)


@pytest.fixture(scope="module")
def data(lock):
    return collect(lock, 2000, np.random.default_rng(0))


def test_actions_have_the_density_that_is_reported():
    torch.manual_seed(0)
    actor = Actor(4, (8,)).double()
    x, noise = torch.randn(1, 4).double(), torch.randn(1, 10).double()
    a, log_prob = actor(x, noise)
    assert ((a > 0) & (a < 1)).all()
    jacobian = torch.autograd.functional.jacobian(lambda z: actor(x, z)[0][0], noise)[:, 0]
    standard = -0.5 * (noise**2 + np.log(2 * np.pi)).sum()
    assert log_prob.item() == pytest.approx((standard - torch.linalg.slogdet(jacobian)[1]).item(), abs=1e-9)


def towers(critics, inputs):
    """Both critics in plain layers."""
    out = []
    for k in range(2):
        h = inputs
        for i, (w, b) in enumerate(zip(critics.weights, critics.biases)):
            h = h @ w[k] + b[k, 0]
            if i < len(critics.weights) - 1:
                h = (
                    (h - h.mean(-1, keepdim=True)) / (h.var(-1, unbiased=False, keepdim=True) + 1e-5).sqrt()
                ).relu()
        out.append(h[:, 0])
    return out


def batch(rng, n=6, size=8):
    rows = rng.normal(size=(n, size)), rng.random((n, 10)), rng.random(n), rng.normal(size=(n, size))
    return [torch.tensor(r, dtype=torch.float32) for r in (*rows, [1, 1, 0, 1, 0, 1])]


def test_an_update_descends_the_losses_of_soft_actor_critic(rng):
    settings = RLPD(hidden=(5,), learning_rate=1e-3, temperature_rate=1e-2)
    learner, reference = (_Learner(settings, 8, np.random.default_rng(4)) for _ in range(2))
    x, a, r, after, going = batch(rng)
    noise = torch.tensor(rng.standard_normal((2, 6, 10)), dtype=torch.float32)
    learner.update(x, a, r, after, going, noise)

    b, log_prob = reference.actor(after, noise[0])
    ahead = torch.minimum(*towers(reference.targets, torch.cat([after, b], 1))) - 0.1 * log_prob
    y = (r + 0.99 * going * ahead).detach()
    loss = sum(((q - y) ** 2).mean() for q in towers(reference.critics, torch.cat([x, a], 1)))
    critic_slopes = torch.autograd.grad(loss, [*reference.critics.parameters()])
    moved = []
    for old, new, slope in zip(reference.critics.parameters(), learner.critics.parameters(), critic_slopes):
        clear = slope.abs() > 1e-4  # Adam's first step is the sign
        moved.append(clear.float().mean().item())
        assert torch.allclose((new - old)[clear], -1e-3 * slope.sign()[clear], rtol=1e-2)
    assert max(moved) > 0.5
    b, log_prob = reference.actor(x, noise[1])
    value = torch.minimum(*towers(learner.critics, torch.cat([x, b], 1)))
    actor_slopes = torch.autograd.grad((0.1 * log_prob - value).mean(), [*reference.actor.parameters()])
    for old, new, slope in zip(reference.actor.parameters(), learner.actor.parameters(), actor_slopes):
        clear = slope.abs() > 1e-4
        assert torch.allclose((new - old)[clear], -1e-3 * slope.sign()[clear], rtol=1e-2)
    rises = (log_prob.mean() - 10 > 0).item()  # too little entropy: a higher temperature
    change = (learner.log_alpha - reference.log_alpha).item()
    assert change == pytest.approx(1e-2 if rises else -1e-2, rel=1e-3)


def test_targets_follow_at_every_second_update(rng):
    learner = _Learner(RLPD(hidden=(5,)), 8, np.random.default_rng(4))
    noise = torch.zeros(2, 6, 10)
    start = [p.clone() for p in learner.targets.parameters()]
    learner.update(*batch(rng), noise)
    assert all(torch.equal(a, b) for a, b in zip(start, learner.targets.parameters()))
    learner.update(*batch(rng), noise)
    for old, new, fast in zip(start, learner.targets.parameters(), learner.critics.parameters()):
        assert torch.allclose(new, 0.99 * old + 0.01 * fast)
    assert not torch.equal(start[0], next(learner.targets.parameters()))


def test_the_buffer_forgets_the_oldest(rng):
    buffer = _Buffer(5)
    for t in range(4):
        buffer.add(np.full((2, 3), t), np.full(2, t))
    drawn = buffer.draw(300, rng)
    assert set(drawn[1]) == {1, 2, 3}
    assert np.array_equal(drawn[0][:, 0], drawn[1])
    assert (drawn[1] == 1).mean() == pytest.approx(0.2, abs=0.07)


def test_half_of_each_batch_is_offline_and_of_all_steps(lock, data, rng, monkeypatch):
    x, a, r, after, going = _offline(data, 600, rng)
    assert x.shape == (600, lock.size)
    assert going.mean() == pytest.approx(2 / 3, abs=0.07)
    assert (r[going == 0] == 1).any()
    assert r[going == 1].max() < 1
    seen = []
    monkeypatch.setattr(_Learner, "update", lambda self, x, a, *rest: seen.append(a))
    train_rlpd(RLPD(parallel=2), lock, data, steps=6, rng=rng)
    assert len(seen) == 6  # one update a sample
    for actions in seen:
        one_hot = (actions.max(1).values == 1) & (actions.sum(1) == 1)
        assert one_hot[:64].sum() == 0
        assert 25 <= one_hot[64:].sum() <= 60  # the behaviour is right two times in three


def test_rlpd_keeps_a_history_and_reports_divergence(lock, data, rng):
    before = torch.get_rng_state()
    history = train_rlpd(RLPD(hidden=(8,), batch=8), lock, data, steps=120, rng=rng, batch=60)
    assert history.steps == [60, 120]
    assert torch.equal(before, torch.get_rng_state())
    history = train_rlpd(
        RLPD(hidden=(8,), batch=8, learning_rate=1e4), lock, data, steps=600, rng=rng, batch=30
    )
    assert history.divergence is not None


def test_cloning_plays_the_secret(lock, data, rng):
    learner = Cloning(updates=400)
    theta = learner.fit(lock, data, rng)
    noisy, mean = (learner.success(lock, theta, 1000, rng, noisy=noisy) for noisy in (True, False))
    assert mean > 0.9
    assert noisy < mean
    log_prob = learner.network(lock).log_prob(theta[0], data.steps[0].observations, data.steps[0].actions)
    untrained = learner.network(lock).initial([0])[0]
    assert (
        log_prob.mean()
        > learner.network(lock).log_prob(untrained, data.steps[0].observations, data.steps[0].actions).mean()
    )


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: RLPD(batch=1), "batch must be at least 2"),
        (lambda: RLPD(discount=1.5), "discount must be a probability"),
        (lambda: RLPD(temperature=0.0), "temperature must be positive"),
        (lambda: Cloning(updates=0), "updates must be at least 1"),
        (lambda: Cloning(learning_rate=-1.0), "learning_rate must be positive"),
    ],
)
def test_bad_settings_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
