"""Network policies on Gymnasium environments: their estimators against loops, closed forms and replays."""

from dataclasses import replace
from itertools import pairwise

import gymnasium
import numpy as np
import pytest
import torch
from scipy import stats

import pgtheory as pg
from pgtheory.mdp.gym import FiniteMDPEnv
from pgtheory.methods import NHARPG, optimise, power
from pgtheory.policies.networks import CategoricalNetwork, GaussianNetwork
from pgtheory.problems.control import ControlProblem
from pgtheory.problems.sampled import SampledProblem
from pgtheory.problems.streams import Streams

POLICIES = {
    "linear": ("CartPole-v1", CategoricalNetwork(4, 2, hidden=())),
    "cart-pole": ("CartPole-v1", CategoricalNetwork(4, 2, hidden=(32,))),
    "acrobot": ("Acrobot-v1", CategoricalNetwork(6, 3, hidden=(5, 4))),
    "pendulum": ("Pendulum-v1", GaussianNetwork(3, 1, hidden=(6,), log_std=-0.3)),
}
everywhere = pytest.mark.parametrize("name", POLICIES)


def control(name, horizon=20, discount=0.97, **options):
    env, policy = POLICIES[name]
    return ControlProblem(env, policy, horizon=horizon, discount=discount, **options)


def drawn(problem, seeds, n, scale=0.3):
    """Parameters away from the initial ones, directions, and episodes sampled at the parameters."""
    rows = [np.random.default_rng(1000 + seed).normal(size=(2, problem.dim)) for seed in seeds]
    noise, v = np.stack(rows, axis=1)
    theta = problem.policy.initial(seeds) + scale * noise
    return theta, v, problem.rollouts(theta, Streams(seeds), n)


# -- against loops that share no code ---------------------------------------------------------------------------


class Reference(torch.nn.Module):
    """The policy as PyTorch's own layers and distributions."""

    def __init__(self, policy, theta):
        super().__init__()
        sizes, at = (policy.n_observations, *policy.hidden, policy.n_actions), 0
        self.layers = torch.nn.ModuleList()
        for inputs, outputs in pairwise(sizes):
            layer = torch.nn.Linear(inputs, outputs, dtype=torch.float64)
            weight, bias = np.split(theta[at : at + (inputs + 1) * outputs], [inputs * outputs])
            layer.weight.data = torch.tensor(weight.reshape(inputs, outputs).T.copy())
            layer.bias.data = torch.tensor(bias)
            self.layers.append(layer)
            at += (inputs + 1) * outputs
        self.log_std = torch.nn.Parameter(torch.tensor(theta[at:]))

    def log_prob(self, seen, action):
        x = torch.tensor(seen)
        for layer in self.layers[:-1]:
            x = layer(x).tanh()
        x = self.layers[-1](x)
        if not len(self.log_std):
            return torch.distributions.Categorical(logits=x).log_prob(torch.tensor(action))
        return torch.distributions.Normal(x, self.log_std.exp()).log_prob(torch.tensor(action)).sum()

    def flat(self, tensors):
        """What belongs to the parameters, in the order of the flat vector."""
        by_name = dict(zip((name for name, _ in self.named_parameters()), tensors))
        parts = []
        for i in range(len(self.layers)):
            parts += [by_name[f"layers.{i}.weight"].T.reshape(-1), by_name[f"layers.{i}.bias"]]
        return torch.cat([*parts, by_name["log_std"]])

    def gradient(self, scalar, **options):
        return self.flat(
            torch.autograd.grad(scalar, list(self.parameters()), materialize_grads=True, **options)
        )


def loop(problem, theta, tau, v, weights=None, baseline=False):
    """Means over the episodes of one seed, decision by decision: gradient, hvp, score, Fisher, log-probabilities."""
    n, H = tau.rewards.shape[1:]
    out = {"gradient": [], "hvp": [], "score": [], "fisher": [], "log": []}
    for s in range(len(theta)):
        weight = np.ones((n, 1)) if weights is None else weights[s].reshape(n, -1)
        rewards = tau.rewards[s] * weight
        psi = np.array(
            [[sum(problem.discount**h * r[h] for h in range(t, H)) for t in range(H)] for r in rewards]
        )
        if baseline:
            psi = np.stack([psi[i] - weight[i] * np.delete(psi, i, axis=0).mean(0) for i in range(n)])
        policy, rows = Reference(problem.policy, theta[s]), {name: [] for name in out}
        for i in range(n):
            steps = range(tau.lengths[s, i])
            logs = [policy.log_prob(tau.observations[s, i, t], tau.actions[s, i, t]) for t in steps]
            g = policy.gradient(sum(p * x for p, x in zip(psi[i], logs)), create_graph=True)
            u = policy.gradient(sum(logs), create_graph=True)
            along = torch.tensor(v[s])
            curved = policy.gradient(g @ along, retain_graph=True)
            each = torch.stack([policy.gradient(x, retain_graph=True) for x in logs])
            discounts = problem.discount ** np.arange(H)
            mass = torch.tensor(discounts[: len(logs)] / discounts.sum())
            rows["gradient"].append(g)
            rows["hvp"].append(g * (u @ along) + curved)
            rows["score"].append(u)
            rows["fisher"].append((each.T * mass) @ each)
            rows["log"].append(torch.nn.functional.pad(torch.stack(logs), (0, H - len(logs))))
        for name, values in rows.items():
            values = torch.stack(values).detach()
            out[name].append(values.numpy() if name == "log" else values.mean(0).numpy())
    return {name: np.stack(values) for name, values in out.items()}


def agree(a, b):
    np.testing.assert_allclose(a, b, rtol=0, atol=1e-10 * max(1.0, np.abs(b).max()))


@everywhere
def test_estimates_are_those_of_a_loop_over_episodes(name):
    problem = control(name)
    theta, v, tau = drawn(problem, range(3), 4)
    expected = loop(problem, theta, tau, v)
    agree(problem.gradient(theta, tau), expected["gradient"])
    agree(problem.hvp(theta, tau, v), expected["hvp"])
    agree(problem.score(theta, tau), expected["score"])
    agree(problem.fisher(theta, tau), expected["fisher"])
    elsewhere = theta + 0.1 * v
    ratios = np.cumsum(loop(problem, elsewhere, tau, v)["log"] - expected["log"], axis=-1)
    agree(problem.log_ratio(elsewhere, theta, tau, per_decision=True), ratios)
    agree(problem.log_ratio(elsewhere, theta, tau), ratios[..., -1])


@pytest.mark.parametrize("shape", [(2, 3), (2, 3, 20)])
def test_weights_and_baseline_are_those_of_a_loop(shape):
    problem = control("cart-pole")
    theta, v, tau = drawn(problem, range(2), 3)
    weights = np.random.default_rng(0).uniform(0.5, 1.5, shape)
    agree(problem.gradient(theta, tau, weights), loop(problem, theta, tau, v, weights)["gradient"])
    both = loop(problem, theta, tau, v, weights, baseline=True)["gradient"]
    agree(problem.gradient(theta, tau, weights, baseline=True), both)


def test_sampled_actions_follow_the_probabilities():
    policy, seen = CategoricalNetwork(2, 3, hidden=(4,)), np.array([[0.3, -1.0]])
    theta = np.random.default_rng(0).normal(size=policy.dim)
    noise = policy.noise(np.random.default_rng(1), (20_000, 1))
    counts = np.bincount(policy.sample(theta, np.tile(seen, (20_000, 1, 1)), noise).ravel(), minlength=3)
    p = [policy.log_prob(theta, seen, [a]).exp().item() for a in range(3)]
    assert stats.chisquare(counts, 20_000 * np.array(p)).pvalue > 1e-4
    gaussian, theta = GaussianNetwork(2, 1, hidden=()), np.array([1.0, 2.0, 0.5, 0.7])
    noise = gaussian.noise(np.random.default_rng(1), (20_000, 1))
    actions = gaussian.sample(theta, np.tile(seen, (20_000, 1, 1)), noise).ravel()
    assert stats.kstest(actions, stats.norm(0.3 - 2.0 + 0.5, np.exp(0.7)).cdf).pvalue > 1e-4


# -- against the exact values of a finite MDP -------------------------------------------------------------------


@pytest.mark.parametrize(
    "mdp",
    [pg.make("two-state"), pg.make("gridworld", layout=["SS", "SG"])],
    ids=["two-state", "with a goal"],
)
def test_means_are_the_exact_derivatives_on_a_finite_mdp(mdp):
    """Linear softmax on one-hot observations is tabular softmax, with a bias besides."""
    H, seeds, n = 4, 400, 20
    exact = SampledProblem(mdp, horizon=H)
    S, A = mdp.n_states, mdp.n_actions
    policy = CategoricalNetwork(S, A, hidden=())
    options = {"horizon": H, "discount": mdp.discount, "episodes": 4000}
    problem = ControlProblem(lambda: FiniteMDPEnv(mdp), policy, **options)
    theta, v = np.random.default_rng(3).normal(scale=0.7, size=(2, S * A))
    rows = np.tile(np.append(theta, np.zeros(A)), (seeds, 1))
    tau = problem.rollouts(rows, Streams(seeds), n)
    g = problem.gradient(rows, tau)[:, : S * A]
    Bv = problem.hvp(rows, tau, np.tile(np.append(v, np.zeros(A)), (seeds, 1)))[:, : S * A]
    u = problem.score(rows, tau)[:, : S * A]
    expected = exact.exact_gradient(theta), exact.exact.hvp(theta, v), np.zeros(S * A)
    for sampled, mean in zip((g, Bv, u), expected):
        error = sampled.std(axis=0, ddof=1) / seeds**0.5
        z = (sampled.mean(axis=0) - mean)[error > 0] / error[error > 0]
        assert np.abs(z).max() < 4.5
        assert np.abs(z).max() > 0.01
        np.testing.assert_allclose(sampled.mean(axis=0)[error == 0], mean[error == 0], atol=1e-12)
    returns = tau.rewards @ mdp.discount ** np.arange(H)
    error = returns.std() / returns.size**0.5
    assert abs(returns.mean() - exact.value(theta)) < 4.5 * error
    assert abs(problem.value(rows[:1])[0] - exact.value(theta)) < 4.5 * error * (returns.size / 4000) ** 0.5


# -- episodes -----------------------------------------------------------------------------------------------------


@everywhere
def test_a_seed_gets_the_same_bits_alone_and_among_others(name):
    problem = control(name, horizon=60)
    seeds = [3, 7, 11, 2, 5]
    theta, v, tau = drawn(problem, seeds, 6)
    for i in (1, 4):
        theta_i, v_i, alone = drawn(control(name, horizon=60), seeds[i : i + 1], 6)
        for field in ("observations", "actions", "rewards", "lengths"):
            np.testing.assert_array_equal(getattr(alone, field), getattr(tau, field)[i : i + 1])
        for estimate in ("gradient", "score", "fisher"):
            among = getattr(problem, estimate)(theta, tau)[i : i + 1]
            np.testing.assert_array_equal(getattr(problem, estimate)(theta_i, alone), among)
        np.testing.assert_array_equal(problem.hvp(theta_i, alone, v_i), problem.hvp(theta, tau, v)[i : i + 1])
        np.testing.assert_array_equal(problem.value(theta_i), problem.value(theta)[i : i + 1])
    assert len(np.unique(tau.observations[:, :, 0], axis=0)) == len(seeds)


def test_threads_change_no_bits():
    problem = control("pendulum", horizon=200)
    theta, v, tau = drawn(problem, [4], 200)
    before, results = torch.get_num_threads(), []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            results.append((problem.gradient(theta, tau), problem.hvp(theta, tau, v), problem.value(theta)))
    finally:
        torch.set_num_threads(before)
    for other in results[1:]:
        for a, b in zip(results[0], other):
            np.testing.assert_array_equal(a, b)


def test_a_whole_run_of_a_method_is_the_same_alone_and_among_others():
    def final(seeds):
        problem, rng = control("cart-pole", horizon=50), Streams(seeds)
        method = NHARPG(gamma=power(0.5, 1), batch=2, hvp_batch=3)
        measure = lambda problem, state: {"theta": state.theta}
        return optimise(method, problem, problem.policy.initial(seeds), rng, iterations=4, measure=measure)

    among, alone = final([8, 1, 30]), final([1])
    np.testing.assert_array_equal(alone["theta"][0, 0], among["theta"][0, 1])
    assert alone["trajectories"].tolist() == [[4 * 2 + 3 * 3]]
    assert alone["transitions"][0, 0] == among["transitions"][0, 1]


def test_cart_pole_episodes_replay_in_the_single_environment():
    problem = control("cart-pole", horizon=100)
    _, _, tau = drawn(problem, range(3), 4, scale=1.0)
    env = gymnasium.make("CartPole-v1")
    for s, i in np.ndindex(tau.lengths.shape):
        env.reset(seed=0)
        env.unwrapped.state = tau.observations[s, i, 0]
        for t in range(tau.lengths[s, i]):
            np.testing.assert_allclose(env.unwrapped.state, tau.observations[s, i, t], atol=1e-4)
            _, reward, over, _, _ = env.step(tau.actions[s, i, t])
            assert reward == tau.rewards[s, i, t]
            assert over == (t + 1 == tau.lengths[s, i])
    assert tau.lengths.max() < 100
    assert len(np.unique(tau.lengths)) > 3


@pytest.mark.parametrize("name", ["acrobot", "pendulum"])
def test_other_episodes_replay_from_their_seeds(name):
    problem = control(name, horizon=40)
    theta = problem.policy.initial([5, 6])
    tau = problem.rollouts(theta, Streams([5, 6]), 2)
    env = gymnasium.make(problem.env)
    for s, key in enumerate(Streams([5, 6]).keys()):
        for i, seed in enumerate(np.random.default_rng(int(key)).integers(2**62, size=2)):
            seen, _ = env.reset(seed=int(seed))
            for t in range(40):
                np.testing.assert_array_equal(tau.observations[s, i, t], seen)
                seen, reward, *_ = env.step(tau.actions[s, i, t])
                assert reward == tau.rewards[s, i, t]


def test_nothing_comes_after_the_end_of_an_episode():
    problem = control("cart-pole", horizon=60)
    theta, v, tau = drawn(problem, range(4), 5, scale=1.0)
    after = ~tau.taken
    assert after.any(axis=(1, 2)).all()
    assert (tau.rewards[after] == 0).all()
    assert (tau.rewards[tau.taken] == 1).all()
    noise = np.random.default_rng(0)
    seen, actions = tau.observations.copy(), tau.actions.copy()
    seen[after], actions[after] = noise.normal(size=(after.sum(), 4)), noise.integers(2, size=after.sum())
    changed = replace(tau, observations=seen, actions=actions)
    for estimate in (
        lambda tau: problem.gradient(theta, tau, baseline=True),
        lambda tau: problem.hvp(theta, tau, v),
        lambda tau: problem.score(theta, tau),
        lambda tau: problem.fisher(theta, tau),
        lambda tau: problem.log_ratio(theta + v, theta, tau, per_decision=True),
    ):
        np.testing.assert_array_equal(estimate(changed), estimate(tau))


def test_an_episode_ends_where_the_environment_cuts_it():
    for name in ("cart-pole", "pendulum"):
        cut = control(name, horizon=30, env_options={"max_episode_steps": 5})
        tau = cut.rollouts(cut.policy.initial(range(2)), Streams(2), 3)
        assert (tau.lengths == 5).all()
        assert (tau.rewards[..., 5:] == 0).all()


def test_a_diverged_seed_is_nan_and_disturbs_no_other():
    for name in ("cart-pole", "pendulum"):
        problem = control(name)
        theta, v, tau = drawn(problem, range(3), 2)
        broken = theta.copy()
        broken[1, 3] = np.inf
        lost = problem.rollouts(broken, Streams(3), 2)
        assert np.isnan(lost.rewards[1]).all()
        assert (lost.lengths[1] == 0).all()
        for value in (
            problem.gradient(theta, lost),
            problem.hvp(theta, lost, v),
            problem.gradient(broken, tau),
        ):
            assert np.isnan(value[1]).all()
            assert np.isfinite(value[[0, 2]]).all()
        np.testing.assert_array_equal(lost.rewards[[0, 2]], tau.rewards[[0, 2]])
        np.testing.assert_array_equal(np.isnan(problem.value(broken)), [False, True, False])


def test_parameters_start_from_a_seed_alone():
    policy = CategoricalNetwork(4, 2, hidden=[16])
    assert policy.dim == 4 * 16 + 16 + 16 * 2 + 2
    np.testing.assert_array_equal(policy.initial([9]), policy.initial([4, 9])[1:])
    assert GaussianNetwork(3, 2, hidden=(), log_std=0.5).initial([0])[0, -2:].tolist() == [0.5, 0.5]


# -- refusals -----------------------------------------------------------------------------------------------------

CART = POLICIES["cart-pole"][1]


def fitted(env, policy, **options):
    return ControlProblem(env, policy, **{"horizon": 9, "discount": 0.9} | options)


def estimate(name, *arguments, **options):
    problem = control("cart-pole")
    theta, _, tau = drawn(problem, range(2), 1)
    if name == "log_ratio":
        return problem.log_ratio(theta, *arguments, tau, **options)
    return getattr(problem, name)(theta, tau, *arguments, **options)


REFUSALS = {
    "unknown id": (lambda: fitted("CartPoll-v1", CART), gymnasium.error.Error, "CartPoll"),
    "no environment": (lambda: fitted(3, CART), TypeError, "env must be an id such as 'CartPole-v1' or"),
    "policy": (lambda: fitted("CartPole-v1", "mlp"), TypeError, "policy must be a Network, got 'mlp'"),
    "observations": (lambda: fitted("Acrobot-v1", CART), ValueError, "must have n_observations=6 .* got 4"),
    "discrete": (
        lambda: fitted("Pendulum-v1", CategoricalNetwork(3, 2)),
        ValueError,
        "among actions 0..1, the environment wants Box",
    ),
    "number of actions": (
        lambda: fitted("CartPole-v1", CategoricalNetwork(4, 3)),
        ValueError,
        r"among actions 0..2, the environment wants Discrete\(2\)",
    ),
    "continuous": (
        lambda: fitted("CartPole-v1", GaussianNetwork(4, 2)),
        ValueError,
        "vectors of length 2, the environment wants Discrete",
    ),
    "horizon": (lambda: control("cart-pole", horizon=0), ValueError, "horizon must be at least 1, got 0"),
    "discount": (
        lambda: control("cart-pole", discount=1.1),
        ValueError,
        r"discount must be in \[0, 1\), got",
    ),
    "episodes": (lambda: control("cart-pole", episodes=0), ValueError, "episodes must be at least 1"),
    "seeds": (
        lambda: control("cart-pole").rollouts(CART.initial(range(2)), Streams(3)),
        ValueError,
        r"theta must have shape \[seeds, dim\] = \[3, 226\], got \[2, 226\]",
    ),
    "one vector": (
        lambda: control("cart-pole").value(CART.initial([0])[0]),
        ValueError,
        r"theta must have shape \[seeds, dim\] = \[any, 226\], got \[226\]",
    ),
    "dim": (lambda: control("cart-pole").value(np.zeros((2, 5))), ValueError, r"theta must .*\[..., 226\]"),
    "n": (
        lambda: control("cart-pole").rollouts(CART.initial([0]), Streams(1), 0),
        ValueError,
        "n must be at",
    ),
    "v": (lambda: estimate("hvp", np.zeros((1, 226))), ValueError, r"v must .* \[2, 226\], got \[1, 226\]"),
    "behaviour": (lambda: estimate("log_ratio", np.zeros((1, 226))), ValueError, "behaviour must have shape"),
    "weights": (
        lambda: estimate("gradient", np.ones((2, 2))),
        ValueError,
        r"weights must be \[seeds, n\] or",
    ),
    "baseline": (lambda: estimate("gradient", baseline=True), ValueError, "baseline needs at least two"),
    "width": (lambda: CategoricalNetwork(4, 2, hidden=(8, 0)), ValueError, r"hidden\[1\] must be at least 1"),
    "widths": (lambda: CategoricalNetwork(4, 2, hidden=8), TypeError, "hidden must be a sequence of layer"),
    "inputs": (lambda: CategoricalNetwork(0, 2), ValueError, "n_observations must be at least 1"),
    "outputs": (lambda: GaussianNetwork(3, 1.5), TypeError, "n_actions must be an integer"),
    "log_std": (lambda: GaussianNetwork(3, 1, log_std=np.nan), ValueError, "log_std must be finite"),
    "negative seed": (lambda: CART.initial([-1]), ValueError, r"seeds\[0\] must be at least 0, got -1"),
    "no seed": (lambda: CART.initial([]), ValueError, "seeds must hold at least one"),
}


@pytest.mark.parametrize(("call", "error", "message"), REFUSALS.values(), ids=REFUSALS.keys())
def test_what_does_not_fit_is_refused(call, error, message):
    with pytest.raises(error, match=message):
        call()
