"""The network version: critics, steps in blocks, one update in plain loops; and the rivals."""

import numpy as np
import pytest
import torch

from pgtheory.deep.trust_region import conjugate_gradient
from pgtheory.hybrid import ContinuousLock, NetworkHNPG, collect, train
from pgtheory.hybrid.blockwise import conjugate_gradients, natural_steps
from pgtheory.hybrid.mlp_critic import MLPCritic


@pytest.fixture
def rng():
    return np.random.default_rng(11)


def torch_critic(shapes, theta):
    """The same network of PyTorch's own layers."""
    layers, start = [], 0
    for inputs, outputs in shapes:
        layer, middle = torch.nn.Linear(inputs, outputs, dtype=torch.float64), start + inputs * outputs
        layer.weight.data = torch.tensor(theta[start:middle].reshape(inputs, outputs).T.copy())
        layer.bias.data = torch.tensor(theta[middle : middle + outputs].copy())
        layers += [layer, torch.nn.Tanh()]
        start = middle + outputs
    return torch.nn.Sequential(*layers[:-1])


@pytest.mark.parametrize("hidden", [(6, 5), (4,), ()])
def test_the_critics_gradient_is_that_of_its_loss(hidden, rng):
    critic = MLPCritic(3, hidden)
    theta = critic.initial(1, rng)[0] + 0.1
    x, y, w = rng.normal(size=(7, 3)), rng.normal(size=7), rng.random(7)
    loss, gradient = critic.gradient(theta, x, y, w)
    assert loss == pytest.approx(w @ (critic.values(theta, x[:, :2], x[:, 2:]) - y) ** 2)
    for j in range(critic.dim):
        e = 1e-6 * np.eye(critic.dim)[j]
        slope = (critic.gradient(theta + e, x, y, w)[0] - critic.gradient(theta - e, x, y, w)[0]) / 2e-6
        assert gradient[j] == pytest.approx(slope, abs=1e-7)


def test_fitting_is_pytorchs_adam(rng):
    critic = MLPCritic(5, (8, 6))
    theta = critic.initial(1, rng)[0]
    x, y, w = rng.normal(size=(20, 5)), rng.normal(size=20), rng.random(20)
    net = torch_critic(critic.shapes, theta)
    assert np.allclose(critic.values(theta, x[:, :3], x[:, 3:]), net(torch.tensor(x))[:, 0].detach())
    adam = torch.optim.Adam(net.parameters(), lr=3e-3)
    for _ in range(30):
        adam.zero_grad()
        last = (torch.tensor(w) * (net(torch.tensor(x))[:, 0] - torch.tensor(y)) ** 2).sum()
        last.backward()
        adam.step()
    assert critic.fit(theta, x, y, w, steps=30, learning_rate=3e-3) == pytest.approx(last.item())
    assert np.allclose(critic.values(theta, x[:, :3], x[:, 3:]), net(torch.tensor(x))[:, 0].detach())


def test_networks_start_as_the_official_ones_do(rng):
    state = NetworkHNPG().init(ContinuousLock.draw(5, 0), rng)
    assert state.theta.shape == (5, state.policy.dim)
    assert state.omega.shape == (5, state.critic.dim)
    assert (state.theta[:, -10:] == 0).all()  # log standard deviations
    assert (state.theta[:, -20:-10] == 0).all()  # biases of the means
    last = state.theta[:, -180:-20]
    assert 0.09 / 4 < abs(last).max() <= 0.1 / 4
    assert 0.9 / 4 < abs(state.theta[:, :256]).max() <= 1 / 4
    assert 0.09 / 8 < abs(state.omega[:, -65:-1]).max() <= 0.1 / 8
    assert len({row.tobytes() for row in state.theta}) == 5


# -- steps in blocks ------------------------------------------------------------------------------------------


def test_conjugate_gradients_in_blocks_are_conjugate_gradients(rng):
    factors = torch.tensor(rng.normal(size=(4, 6, 6)))
    factors[1] *= 0  # no curvature
    A, b = factors @ factors.mT, torch.tensor(rng.normal(size=(4, 6)))
    b[2] = 0
    for damping in (0.0, 0.1):
        x = conjugate_gradients(lambda v: (A @ v[..., None])[..., 0], b, iterations=3, damping=damping)
        for i in range(4):
            alone = conjugate_gradient(lambda v, i=i: A[i] @ v, b[i], iterations=3, damping=damping)[0]
            assert torch.allclose(x[i], alone)


def quadratic(rng, blocks=3, dim=4):
    """Linear losses, and divergences with known Fisher matrices."""
    g = torch.tensor(rng.normal(size=(blocks, dim)))
    factors = torch.tensor(rng.normal(size=(blocks, dim, dim)))
    F, origin = factors @ factors.mT, torch.tensor(rng.normal(size=(blocks, dim)))

    def kl(theta):
        d = theta - origin
        return 0.5 * torch.einsum("bi,bij,bj->b", d, F, d)

    return g, F, origin, kl


def test_a_step_has_the_official_direction_and_length(rng):
    g, F, origin, kl = quadratic(rng)
    steps = natural_steps(lambda t: (g * t).sum(1), kl, origin, radius=0.02, damping=0.3, cg_iterations=20)
    assert steps.accepted.all()
    for i in range(3):
        A = F[i] + 0.3 * torch.eye(4)
        w = torch.linalg.solve(A, -g[i])
        assert torch.allclose(steps.theta[i] - origin[i], w * (0.04 / (w @ A @ w)).sqrt())
    assert torch.allclose(steps.kl, kl(steps.theta))


def test_the_search_halves_until_enough_of_the_promise_is_kept(rng):
    g, F, origin, kl = quadratic(rng)
    full = natural_steps(lambda t: (g * t).sum(1), kl, origin).theta - origin
    promised = -(g * full).sum(1)

    def curved(theta):  # after a share t of the step, t - c t^2 of the promise has been kept
        along = ((theta - origin) * full).sum(1) / (full * full).sum(1)
        return (g * (theta - origin)).sum(1) + promised * torch.tensor([0.0, 0.95, 1e6]) * along**2

    steps = natural_steps(curved, kl, origin)
    assert steps.accepted.tolist() == [True, True, False]
    shares = ((steps.theta - origin) * full).sum(1) / (full * full).sum(1)
    assert shares.tolist() == pytest.approx([1.0, 0.5, 0.0])
    assert torch.equal(steps.theta[2], origin[2])


def test_the_search_asks_about_the_divergence_only_if_told(rng):
    g, _, origin, kl = quadratic(rng)
    wide = lambda t: kl(t) + 30 * ((t - origin) ** 2).sum(1) ** 2  # the same Fisher matrix
    loss = lambda t: (g * t).sum(1)
    free = natural_steps(loss, wide, origin, radius=0.5, damping=0.0)
    held = natural_steps(loss, wide, origin, radius=0.5, damping=0.0, search_kl=True)
    assert (free.kl > 0.5).any()
    assert (held.kl <= 0.5).all()
    assert held.accepted.all()


def test_a_step_that_is_no_number_is_not_taken(rng):
    g, _, origin, kl = quadratic(rng)
    g[1] = torch.nan
    steps = natural_steps(lambda t: (g * t).sum(1), kl, origin)
    assert steps.accepted.tolist() == [True, False, True]
    assert torch.equal(steps.theta[1], origin[1])


# -- one update -----------------------------------------------------------------------------------------------


@pytest.fixture
def setting(rng):
    lock = ContinuousLock.draw(3, 0)
    agent = NetworkHNPG(
        policy_hidden=(3,), critic_hidden=(7,), critic_steps=4, learning_rate=0.02, online_weight=0.5
    )
    state = agent.init(lock, rng)
    state = state._replace(theta=state.theta + 0.1 * rng.normal(size=state.theta.shape))
    online = lock.play(lambda h, x: agent.act(state, h, x, rng), 6, rng)
    offline = collect(lock, 50, rng).sample(4, rng)
    return agent, state, online, offline


def test_critics_are_fitted_backwards_each_on_the_next(setting):
    agent, state, online, offline = setting
    omega, losses = agent.evaluate(state, online, offline, np.random.default_rng(5))
    draws, fitted = np.random.default_rng(5), {}
    for h in (2, 1, 0):
        target = torch.tensor(offline.rewards[h])
        if h < 2:
            after = offline.next_observations[h]
            action = state.policy.sample(state.theta[h + 1], after, draws.standard_normal((4, 10)))
            with torch.no_grad():
                target = target + fitted[h + 1](torch.tensor(np.hstack([after, action])))[:, 0]
        net = fitted[h] = torch_critic(state.critic.shapes, state.omega[h])
        adam = torch.optim.Adam(net.parameters(), lr=0.02)
        on = torch.tensor(np.hstack([online.observations[h], online.actions[h]]))
        off = torch.tensor(np.hstack([offline.observations[h], offline.actions[h]]))
        y = torch.tensor(online.rewards[h:].sum(0))
        for _ in range(4):
            adam.zero_grad()
            loss = ((net(off)[:, 0] - target) ** 2).mean() + 0.5 * ((net(on)[:, 0] - y) ** 2).mean()
            loss.backward()
            adam.step()
        assert losses[h] == pytest.approx(loss.item())
        found = state.critic.values(omega[h], offline.observations[h], offline.actions[h])
        assert np.allclose(found, net(off)[:, 0].detach())


def test_critics_start_afresh_if_asked(setting):
    agent, state, online, offline = setting
    cold = NetworkHNPG(policy_hidden=(3,), critic_hidden=(7,), critic_steps=1, warm_start=False)
    spoilt = state._replace(omega=np.full_like(state.omega, np.nan))
    assert np.isfinite(cold.evaluate(spoilt, online, offline, np.random.default_rng(0))[0]).all()
    assert not np.shares_memory(
        agent.evaluate(state, online, offline, np.random.default_rng(0))[0], state.omega
    )


def test_online_advantages_are_gae(setting):
    agent, state, online, _ = setting
    V = np.random.default_rng(0).normal(size=(3, 6))
    found = agent._gae(online.rewards, V)
    ahead = np.vstack([V, np.zeros(6)])
    delta = online.rewards + ahead[1:] - ahead[:-1]
    for h in range(3):
        assert found[h] == pytest.approx(sum(0.97 ** (k - h) * delta[k] for k in range(h, 3)))


@pytest.mark.parametrize("choice", ["resampled", "dataset"])
def test_an_update_is_a_natural_step_on_both_kinds_of_pairs(setting, choice, monkeypatch):
    """Surrogate, divergence and advantages as the step is given them, against loops over steps and pairs."""
    agent, state, online, offline = setting
    agent = NetworkHNPG(**{**agent.__dict__, "offline_actions": choice, "value_samples": 2})
    given = {}

    def spy(surrogate, kl, theta, **options):
        given.update(surrogate=surrogate, kl=kl, theta=theta, options=options)
        return natural_steps(surrogate, kl, theta, **options)

    monkeypatch.setattr("pgtheory.hybrid.network.natural_steps", spy)
    after, metrics = agent.update(state, online, offline, np.random.default_rng(5))
    assert given["options"]["radius"] == 0.01
    assert not np.array_equal(after.theta, state.theta)
    # the same draws: next actions of the sweep, actions at offline states, two sets of actions for V
    rng = np.random.default_rng(5)
    omega = agent.evaluate(state, online, offline, rng)[0]
    policy, Q = state.policy, state.critic.values
    b = offline.actions
    if choice == "resampled":
        b = policy.sample(state.theta, offline.observations, rng.standard_normal((3, 4, 10)))
    x = np.concatenate([online.observations[:-1], offline.observations], 1)
    a = np.concatenate([online.actions, b], 1)
    V = np.mean(
        [Q(omega, x, policy.sample(state.theta, x, rng.standard_normal((3, 10, 10)))) for _ in range(2)], 0
    )
    advantage = Q(omega, x, a) - V
    advantage[:, :6] = agent._gae(online.rewards, V[:, :6])
    other = state.theta + 0.02
    for h in range(3):
        old, new = (policy.log_prob(theta[h], x[h], a[h]).numpy() for theta in (state.theta, other))
        share = np.repeat([1 / 3 / 6, 2 / 3 / 4], [6, 4])
        expected = -(share * advantage[h] * np.exp(new - old)).sum()
        assert float(given["surrogate"](torch.tensor(other))[h]) == pytest.approx(expected)
        m0, m1 = (
            policy.outputs(torch.tensor(theta[h]), torch.tensor(x[h])).numpy()
            for theta in (state.theta, other)
        )
        s0, s1 = np.exp(state.theta[h, -10:]), np.exp(other[h, -10:])
        divergence = (np.log(s1 / s0) + (s0**2 + (m0 - m1) ** 2) / (2 * s1**2) - 0.5).sum(1)
        assert float(given["kl"](torch.tensor(other))[h]) == pytest.approx(share @ divergence)
    assert metrics["critic"] == pytest.approx(abs(Q(omega, x, a)).max())


def test_trpo_and_offline_critics_are_settings(setting):
    agent, state, online, offline = setting
    alone, _ = agent.evaluate(state, online, None, np.random.default_rng(0))
    offline_only = NetworkHNPG(**{**agent.__dict__, "online_weight": 0.0})
    other = offline_only.evaluate(state, online, offline, np.random.default_rng(0))[0]
    swapped = online.__class__(*(np.roll(getattr(online, f), 1, 1) * 3 for f in online.__dataclass_fields__))
    assert np.array_equal(other, offline_only.evaluate(state, swapped, offline, np.random.default_rng(0))[0])
    assert not np.array_equal(alone, other)
    assert agent.update(state, online, None, np.random.default_rng(0))[1]["critic"] > 0


def test_a_learning_rate_that_explodes_is_reported(rng):
    lock = ContinuousLock.draw(3, 0)
    agent = NetworkHNPG(learning_rate=300.0, critic_hidden=(8,))
    _, history = train(agent, lock, collect(lock, 100, rng), steps=20_000, rng=rng)
    assert history.divergence is not None
    assert history.divergence.size > 1e3
    assert len(history.metrics) == len(history.steps) >= 1


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"critic_steps": 0}, ValueError, "critic_steps must be at least 1"),
        ({"learning_rate": 0.0}, ValueError, "learning_rate must be positive"),
        ({"gae": 1.5}, ValueError, "gae must be a probability"),
        ({"warm_start": 1}, TypeError, "warm_start must be True or False"),
        ({"backtracks": -1}, ValueError, "backtracks must be at least 0"),
        ({"online_weight": -1.0}, ValueError, "online_weight must be non-negative"),
    ],
)
def test_bad_settings_are_refused(settings, error, message):
    with pytest.raises(error, match=message):
        NetworkHNPG(**settings)
