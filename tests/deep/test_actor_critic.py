"""The flat parameter vector, its initial values, and the NumPy agent against the torch networks."""

import numpy as np
import pytest
import torch
from torch import nn

from pgtheory.deep import Agent, Network, evaluate, record
from pgtheory.deep.actor_critic import ActorCritic
from pgtheory.deep.checkpoint import CheckpointError, DamagedCheckpointError, load, save
from pgtheory.deep.heads import Categorical, Gaussian

torch.set_num_threads(1)
D = 5


def networks(head=None, hidden=(16, 8), median=True, **settings):
    return ActorCritic(D, head or Gaussian(3), Network(hidden=hidden, **settings), median)


def observations(n=11, seed=0):
    return np.random.default_rng(seed).standard_normal((n, D), np.float32)


def moved(nets, seed=0):
    """Parameters far from the initial ones, where every layer matters."""
    rng = np.random.default_rng(seed)
    return nets.initial(rng) + 0.3 * torch.as_tensor(rng.standard_normal(nets.dim), dtype=torch.float32)


def mlp(pieces, activation):
    """The same layers as modules of torch."""
    layers = []
    for weight, bias in zip(pieces[::2], pieces[1::2]):
        layer = nn.Linear(*weight.shape)
        layer.weight.data, layer.bias.data = weight.T.contiguous(), bias.clone()
        layers += [layer, activation()]
    return nn.Sequential(*layers[:-1])


def test_layout_of_the_flat_vector():
    nets = networks()
    actor = [(5, 16), (16,), (16, 8), (8,), (8, 3), (3,), (3,)]
    critic = [(5, 16), (16,), (16, 8), (8,), (8, 1), (1,)]
    median = [(8, 16), (16,), (16, 8), (8,), (8, 1), (1,)]
    assert nets.shapes == tuple(actor + critic + median)
    assert nets.actor_dim == 5 * 16 + 16 + 16 * 8 + 8 + 8 * 3 + 3 + 3
    theta = torch.arange(nets.dim, dtype=torch.float32)
    pieces = nets.split(theta)
    assert torch.equal(torch.cat([piece.reshape(-1) for piece in pieces]), theta)
    pieces[2][1, 0] = -1.0  # a view
    assert theta[5 * 16 + 16 + 8] == -1.0
    assert networks(median=False).dim == nets.dim - (8 * 16 + 16 + 16 * 8 + 8 + 8 + 1)
    assert networks(Categorical(3)).actor_dim == nets.actor_dim - 3


@pytest.mark.parametrize(("name", "activation"), [("tanh", nn.Tanh), ("relu", nn.ReLU)])
def test_forward_against_modules_with_the_median_head_on_the_value_trunk(name, activation):
    nets = networks(activation=name)
    pieces, x = nets.split(moved(nets)), torch.from_numpy(observations())
    actor, critic = mlp(pieces[:6], activation), mlp(pieces[7:13], activation)
    median = mlp(pieces[13:], activation)
    with torch.no_grad():
        out, own = nets.actor(pieces, x)
        value, middle = nets.critic(pieces, x)
        torch.testing.assert_close(out, actor(x))
        assert own is pieces[6]
        torch.testing.assert_close(value, critic(x)[:, 0])
        torch.testing.assert_close(middle, median(critic[:-1](x))[:, 0])
        actions = torch.from_numpy(observations(seed=3))[:, :3]
        said = nets.outputs(pieces, x, actions)
    for got, expected in zip(
        said, (nets.head.log_prob(out, own, actions), nets.head.entropy(out, own), value, middle)
    ):
        assert torch.equal(got, expected)
        assert got.dtype == torch.float32


def test_without_a_median_head_the_median_is_the_value():
    nets = networks(median=False)
    value, median = nets.critic(nets.split(moved(nets)), torch.from_numpy(observations()))
    assert torch.equal(value, median)


def test_initial_weights_are_orthogonal_with_the_usual_gains():
    nets = networks(Gaussian(3, -0.5), log_std=-0.5)
    theta = nets.initial(np.random.default_rng(0))
    assert theta.dtype == torch.float32
    pieces = nets.split(theta)
    gains = {0: 2, 2: 2, 4: 1e-4, 7: 2, 9: 2, 11: 1, 13: 1, 15: 1, 17: 1}  # squared
    for i, piece in enumerate(pieces):
        if i == 6:
            assert torch.equal(piece, torch.full((3,), -0.5))
        elif piece.ndim == 1:
            assert torch.equal(piece, torch.zeros_like(piece))
        else:
            gram = piece.T @ piece if piece.shape[0] >= piece.shape[1] else piece @ piece.T
            torch.testing.assert_close(gram, gains[i] * torch.eye(len(gram)), atol=1e-5, rtol=1e-4)
    again = nets.initial(np.random.default_rng(0))
    assert torch.equal(theta, again)
    assert not torch.equal(theta, nets.initial(np.random.default_rng(1)))


def test_orthogonal_matrices_have_no_preferred_signs():
    nets, rng = networks(Categorical(2), hidden=(1,), median=False), np.random.default_rng(0)
    last = np.array([nets.split(nets.initial(rng))[2].numpy()[0] for _ in range(400)]) / 0.01
    assert np.abs(last.mean(0)).max() < 0.2
    np.testing.assert_allclose((last**2).sum(1), 1, rtol=1e-5)


@pytest.mark.parametrize("head", [Categorical(4), Gaussian(3, -0.3)])
@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_agent_in_numpy_is_the_torch_forward(head, activation):
    nets = networks(head, activation=activation)
    theta, x = moved(nets), observations()
    agent = Agent(nets, theta)
    out, own = nets.actor(nets.split(theta), torch.from_numpy(x))
    mode = head.sample(out.numpy(), own.numpy(), None)
    drawn = head.sample(out.numpy(), own.numpy(), head.noise(np.random.default_rng(5), (len(x),)))
    got = agent.act(x, np.random.default_rng(5))
    if isinstance(head, Categorical):
        np.testing.assert_array_equal(agent.act(x), mode[:, 0])
        np.testing.assert_array_equal(got, drawn[:, 0])
    else:
        np.testing.assert_allclose(agent.act(x), mode, atol=1e-5)
        np.testing.assert_allclose(got, drawn, atol=1e-5)
        assert got.dtype == np.float32
    theta[:] = 0.0  # the agent follows
    assert np.all(agent.act(x) == 0)


def test_agent_shifts_and_scales_what_it_sees():
    nets = networks()
    theta, x = moved(nets), observations()
    x[0, 0] = 1e6
    shift, scale = np.linspace(-1, 1, D), np.linspace(0.5, 2, D)
    agent = Agent(nets, theta, shift, scale)
    seen = np.clip((x - shift) * scale, -10, 10).astype(np.float32)
    assert seen.max() == 10
    np.testing.assert_array_equal(agent.see(x), seen)
    np.testing.assert_array_equal(agent.act(x), Agent(nets, theta).act(seen))
    assert agent.normalises
    assert not Agent(nets, theta).normalises


def test_wrong_arguments_are_refused():
    nets = networks()
    agent = Agent(nets, nets.initial(np.random.default_rng(0)))
    with pytest.raises(ValueError, match=r"observations must have shape \[n, 5\], got \[5\]"):
        agent.act(np.zeros(D))
    with pytest.raises(ValueError, match=r"got \[2, 4\]"):
        agent.act(np.zeros((2, 4)))
    with pytest.raises(ValueError, match=r"theta must have shape \[dim\]"):
        Agent(nets, torch.zeros(3))


@pytest.mark.parametrize(
    ("settings", "error", "said"),
    [
        ({"hidden": ()}, ValueError, "hidden"),
        ({"hidden": (64, 0)}, ValueError, r"hidden\[1\]"),
        ({"hidden": (6.5,)}, TypeError, r"hidden\[0\]"),
        ({"hidden": 64}, TypeError, "hidden"),
        ({"activation": "gelu"}, ValueError, "activation must be one of tanh, relu"),
        ({"log_std": float("nan")}, ValueError, "log_std"),
    ],
)
def test_bad_networks_are_refused(settings, error, said):
    with pytest.raises(error, match=said):
        Network(**settings)


# -- agents in files ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("head", [Categorical(4), Gaussian(3, -0.3)])
@pytest.mark.parametrize("normalised", [False, True])
def test_a_saved_agent_acts_as_before(tmp_path, head, normalised):
    nets = networks(head, activation="relu", log_std=-0.3, median=normalised)
    moments = (np.linspace(-1, 1, D), np.linspace(0.5, 2, D)) if normalised else ()
    agent = Agent(nets, moved(nets), *moments)
    loaded = Agent.load(agent.save(tmp_path / "policies" / "agent.safetensors"))
    assert loaded.networks == nets
    assert torch.equal(loaded.theta, agent.theta)
    assert loaded.normalises is normalised
    x = observations()
    np.testing.assert_array_equal(loaded.act(x), agent.act(x))
    draws = [a.act(x, np.random.default_rng(2)) for a in (agent, loaded)]
    np.testing.assert_array_equal(*draws)


def test_files_that_hold_no_agent_are_refused(tmp_path):
    path = save(tmp_path / "step-000000001.safetensors", {"theta": torch.zeros(3)}, {"seed": 0})
    with pytest.raises(CheckpointError, match="holds no agent"):
        Agent.load(path)
    nets = networks()
    path = Agent(nets, moved(nets)).save(tmp_path / "agent.safetensors")
    path.write_bytes(path.read_bytes()[:-7])
    with pytest.raises(DamagedCheckpointError):
        Agent.load(path)
    with pytest.raises(FileNotFoundError):
        Agent.load(tmp_path / "nowhere.safetensors")


def test_an_agent_whose_parameters_do_not_fit_its_record_is_refused(tmp_path):
    nets = networks()
    path = Agent(nets, moved(nets)).save(tmp_path / "agent.safetensors")
    tensors, kept = load(path)
    save(path, {"theta": tensors["theta"][:-1]}, kept)
    with pytest.raises(CheckpointError, match="'theta' has shape"):
        Agent.load(path)


@pytest.mark.parametrize(
    ("environment", "head", "d"), [("CartPole-v1", Categorical(2), 4), ("Pendulum-v1", Gaussian(1), 3)]
)
def test_agents_are_evaluated_and_filmed(tmp_path, environment, head, d):
    pytest.importorskip("pygame")
    nets = ActorCritic(d, head, Network((8,)))
    agent = Agent(nets, nets.initial(np.random.default_rng(0)))
    for deterministic in (True, False):
        played = evaluate(agent.act, environment, episodes=1, deterministic=deterministic)
        assert np.isfinite(played.mean)
    film = record(agent.act, environment, tmp_path / "episode.gif", max_steps=3)
    assert film.stat().st_size > 0
