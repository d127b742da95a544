"""Which data enter the two terms, and the linear version built on them."""

import numpy as np
import pytest

from pgtheory.hybrid import ContinuousLock, LinearHNPG, Transitions, collect, train
from pgtheory.hybrid.finite_horizon import History
from pgtheory.hybrid.linear import LinearState
from pgtheory.hybrid.lock import Episodes
from pgtheory.hybrid.two_terms import Terms

H, N, M = 3, 4, 6


@pytest.fixture
def rng():
    return np.random.default_rng(3)


@pytest.fixture
def online(rng):
    return Episodes(
        rng.normal(size=(H + 1, N, 2)), rng.normal(size=(H, N, 10)), rng.normal(size=(H, N)),
        np.zeros((H + 1, N), int), np.zeros((H, N), int),
    )  # fmt: skip


@pytest.fixture
def offline(rng):
    return Transitions(
        rng.normal(size=(H, M, 2)),
        rng.normal(size=(H, M, 10)),
        rng.normal(size=(H, M)),
        rng.normal(size=(H, M, 2)),
    )


def ahead(x):
    return 10.0 + x[:, 0]


def loss(problem, f):
    """Of a critic f(x, a), one pair after the other."""
    return sum(
        w * (f(x, a) - y) ** 2
        for x, a, y, w in zip(problem.observations, problem.actions, problem.targets, problem.weights)
    )


def critic(x, a):
    return x[0] * a[3] - 2 * x[1] + a[0] ** 2


@pytest.mark.parametrize("weight", [0.0, 0.1, 1.0, 10.0])
def test_the_loss_is_bellman_error_offline_and_monte_carlo_online(weight, online, offline):
    found = loss(Terms(online_weight=weight).regression(1, online, offline, ahead), critic)
    off = [
        (critic(offline.observations[1, i], offline.actions[1, i]) - offline.rewards[1, i]
         - 10 - offline.next_observations[1, i, 0]) ** 2
        for i in range(M)
    ]  # fmt: skip
    on = [
        (
            critic(online.observations[1, i], online.actions[1, i])
            - online.rewards[1, i]
            - online.rewards[2, i]
        )
        ** 2
        for i in range(N)
    ]
    assert found == pytest.approx(np.mean(off) + weight * np.mean(on))


def test_at_the_last_step_rewards_are_all_there_is(online, offline):
    found = Terms().regression(H - 1, online, offline, None)
    assert np.array_equal(found.targets, np.concatenate([offline.rewards[-1], online.rewards[-1]]))


def test_without_offline_data_lambda_does_not_matter(online):
    found = Terms(online_weight=0.0).regression(0, online, None, ahead)
    assert found.targets == pytest.approx(online.rewards.sum(0))
    assert found.weights == pytest.approx(np.full(N, 1 / N))


def test_online_targets_bootstrap_when_asked(online, offline):
    found = Terms(bootstrap_online=True).regression(1, online, offline, ahead)
    assert found.targets[M:] == pytest.approx(online.rewards[1] + 10 + online.observations[2, :, 0])
    assert found.targets[:M] == pytest.approx(offline.rewards[1] + 10 + offline.next_observations[1, :, 0])


@pytest.mark.parametrize("choice", ["resampled", "dataset"])
def test_actions_at_offline_states(choice, online, offline):
    fresh = np.full((H, M, 10), 7.0)
    x, a, weights = Terms(offline_actions=choice).pairs(online, offline, lambda y: fresh + y[..., :1])
    assert np.array_equal(x, np.concatenate([online.observations[:-1], offline.observations], 1))
    assert np.array_equal(a[:, :N], online.actions)
    expected = offline.actions if choice == "dataset" else fresh + offline.observations[..., :1]
    assert np.array_equal(a[:, N:], expected)
    assert weights == pytest.approx(np.repeat([0.5 / N, 0.5 / M], [N, M]))


def test_weights_of_the_policys_fit(online, offline):
    for terms, share in (
        (Terms(online_weight=3.0), 0.75),
        (Terms(online_weight=0.0), 0.0),
        (Terms(online_weight=0.0, policy_online_weight=1.0), 0.5),
    ):
        weights = terms.pairs(online, offline, lambda y: np.zeros((H, M, 10)))[2]
        assert weights[:N].sum() == pytest.approx(share)
        assert weights.sum() == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"online_weight": -1.0}, ValueError, "online_weight must be non-negative"),
        ({"policy_online_weight": -0.1}, ValueError, "policy_online_weight must be non-negative"),
        ({"bootstrap_online": "no"}, TypeError, "bootstrap_online must be True or False"),
        ({"offline_actions": "greedy"}, ValueError, "'resampled' or 'dataset', got 'greedy'"),
        ({"value_samples": 0}, ValueError, "value_samples must be at least 1"),
        ({"radius": 0.0}, ValueError, "radius must be positive"),
        ({"damping": -1.0}, ValueError, "damping must be non-negative"),
    ],
)
def test_bad_terms_are_refused(settings, error, message):
    with pytest.raises(error, match=message):
        Terms(**settings)


# -- linear ---------------------------------------------------------------------------------------------------


def linear_state(rng, d=2):
    K = d * 10
    return LinearState(
        rng.normal(size=(H, d, 10)), rng.normal(scale=0.3, size=(H, 10)), rng.normal(size=(H, K))
    )


def features(agent, x, a):
    e = np.exp(a / agent.feature_temperature - np.max(a / agent.feature_temperature))
    return np.outer(x, e / e.sum()).ravel()


def test_linear_critics_minimise_the_two_terms_backwards(rng, online, offline):
    """Against plain loops, with the same actions drawn at next observations."""
    agent = LinearHNPG(online_weight=0.5, feature_temperature=0.7, ridge=0.01)
    state = linear_state(rng)
    w = agent.evaluate(state, online, offline, np.random.default_rng(0))
    draws, expected = np.random.default_rng(0), np.zeros((H + 1, 20))
    y = np.cumsum(online.rewards[::-1], 0)[::-1]
    for h in (2, 1, 0):
        A, b = 0.01 * np.eye(20), np.zeros(20)
        noise = draws.standard_normal((M, 10)) if h < 2 else None
        for i in range(M):
            target = offline.rewards[h, i]
            if h < 2:
                after = offline.next_observations[h, i]
                action = after @ state.mean[h + 1] + np.exp(state.log_std[h + 1]) * noise[i]
                target += features(agent, after, action) @ expected[h + 1]
            psi = features(agent, offline.observations[h, i], offline.actions[h, i])
            A, b = A + np.outer(psi, psi) / M, b + psi * target / M
        for i in range(N):
            psi = features(agent, online.observations[h, i], online.actions[h, i])
            A, b = A + 0.5 * np.outer(psi, psi) / N, b + 0.5 * psi * y[h, i] / N
        expected[h] = np.linalg.solve(A, b)
    assert w == pytest.approx(expected[:-1])
    x, a = online.observations[:-1], online.actions
    assert agent.values(w, x, a)[1, 2] == pytest.approx(features(agent, x[1, 2], a[1, 2]) @ w[1])


def test_linear_steps_are_natural_and_of_the_asked_size(rng, online):
    agent, state = LinearHNPG(radius=0.02, damping=0.3), linear_state(rng)
    x, a = online.observations[:-1], online.actions
    advantage, weights = rng.normal(size=(H, N)), np.array([0.1, 0.2, 0.3, 0.4])
    after = agent.improve(state, x, a, advantage, weights)
    h = 1

    def log_prob(theta, i):
        mean, log_std = x[h, i] @ theta[:20].reshape(2, 10), theta[20:]
        return (-0.5 * ((a[h, i] - mean) / np.exp(log_std)) ** 2 - log_std).sum()

    theta, scores = np.concatenate([state.mean[h].ravel(), state.log_std[h]]), np.zeros((N, 30))
    for i in range(N):
        for j in range(30):
            e = 1e-5 * np.eye(30)[j]
            scores[i, j] = (log_prob(theta + e, i) - log_prob(theta - e, i)) / 2e-5
    F = scores.T @ (weights[:, None] * scores) + 0.3 * np.eye(30)
    g = scores.T @ (weights * advantage[h])
    w = np.linalg.solve(F, g)
    step = np.concatenate([(after.mean - state.mean)[h].ravel(), (after.log_std - state.log_std)[h]])
    assert step == pytest.approx(w * np.sqrt(0.04 / (w @ F @ w)), abs=1e-7)
    assert 0.5 * step @ F @ step == pytest.approx(0.02)


def test_linear_policies_stay_where_nothing_is_better(rng, online):
    agent, state = LinearHNPG(), linear_state(rng)
    after = agent.improve(
        state, online.observations[:-1], online.actions, np.zeros((H, N)), np.full(N, 1 / N)
    )
    assert np.array_equal(after.mean, state.mean)


# -- the loop -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def lock():
    return ContinuousLock.draw(5, 8, observation="latent")


@pytest.fixture(scope="module")
def data(lock):
    return collect(lock, 20_000, np.random.default_rng(8))


@pytest.mark.parametrize(
    "settings", [{}, {"offline_actions": "dataset"}, {"online_weight": 0, "policy_online_weight": 1}]
)
def test_the_hybrid_method_opens_a_lock_of_five(settings, lock, data):
    _, history = train(LinearHNPG(**settings), lock, data, steps=100_000, rng=np.random.default_rng(1))
    assert 15_000 < history.solved < 60_000
    assert history.steps[-1] == history.solved
    assert np.mean(history.success[-10:]) > 0.5 >= np.mean(history.success[-11:-1])
    assert history.divergence is None


def test_the_on_policy_method_does_not_open_a_lock_of_ten():
    lock = ContinuousLock.draw(10, 8, observation="latent")
    _, history = train(LinearHNPG(), lock, None, steps=60_000, rng=np.random.default_rng(1))
    assert history.solved is None
    assert max(history.success) < 0.05
    assert len(history.steps) == 60


def test_runs_repeat_themselves(lock, data):
    states = [train(LinearHNPG(), lock, data, steps=3000, rng=np.random.default_rng(4))[0] for _ in range(2)]
    assert all(np.array_equal(a, b) for a, b in zip(*states))


def test_whole_episodes_are_played(lock, data):
    _, history = train(LinearHNPG(), lock, data, steps=3000, rng=np.random.default_rng(0), batch=998)
    assert history.steps == [1000, 2000, 3000]


class Exploding(LinearHNPG):
    """Its critic doubles at each update."""

    def update(self, state, online, offline, rng):
        critic = np.where(state.critic == 0, 1.0, 2 * state.critic)
        return state._replace(critic=critic), {"critic": float(critic.max())}


def test_a_critic_that_grows_without_bound_ends_the_run_and_loses_nothing(lock, data):
    _, history = train(Exploding(), lock, data, steps=50_000, rng=np.random.default_rng(0))
    assert history.divergence is not None
    assert (history.divergence.steps, history.divergence.size) == (11_000, 1024.0)
    assert history.divergence.factor == pytest.approx(2.0)
    assert len(history.success) == len(history.metrics) == 11


def test_a_critic_that_is_no_number_has_diverged_too(lock, data):
    class Broken(LinearHNPG):
        def update(self, state, online, offline, rng):
            return state, {"critic": float("nan")}

    _, history = train(Broken(), lock, data, steps=50_000, rng=np.random.default_rng(0))
    assert history.steps == [1000]
    assert np.isnan(history.divergence.factor)


def test_growth_needs_two_numbers():
    history = History(metrics=[{"critic": 1.0}, {"critic": 4.0}, {"critic": float("inf")}])
    assert history.growth() == pytest.approx(4.0)
    assert np.isnan(History().growth())


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"steps": 0}, ValueError, "steps must be at least 1"),
        ({"batch": 0}, ValueError, "batch must be at least 1"),
        ({"target": 2.0}, ValueError, "target must be a probability"),
        ({"window": 0}, ValueError, "window must be at least 1"),
        ({"lock": "lock"}, TypeError, "lock must be a ContinuousLock"),
        ({"data": [1]}, TypeError, "data must be a OfflineData"),
        ({"lock": ContinuousLock.draw(4, 0, observation="latent")}, ValueError, "4 steps of the lock, got 5"),
    ],
)
def test_bad_runs_are_refused(arguments, error, message, lock, data):
    settings = {"lock": lock, "data": data, "steps": 1000, "rng": np.random.default_rng(0)} | arguments
    with pytest.raises(error, match=message):
        train(LinearHNPG(), **settings)
