"""BPO inside Stable-Baselines3, against its loss written out sample by sample."""

import copy
import importlib
import math
import sys

import gymnasium as gym
import numpy as np
import pytest
import torch

pytest.importorskip("stable_baselines3")

from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.logger import configure

from pgtheory.deep.sb3 import BPO
from pgtheory.deep.sb3_policies import MedianCritic, MedianMlpPolicy
from pgtheory.objectives import BoundedRatio, Decisions

SMALL = {"n_steps": 32, "batch_size": 32, "n_epochs": 2, "seed": 0, "device": "cpu"}


class Spaces(gym.Env):
    """Any observation, any action, a reward of 1 and episodes of ten steps."""

    def __init__(self, observation, action):
        self.observation_space, self.action_space = observation, action

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.t = 0
        return self.observation_space.sample(), {}

    def step(self, action):
        assert self.action_space.contains(action)
        self.t += 1
        return self.observation_space.sample(), 1.0, False, self.t == 10, {}


def after_rollout(env="CartPole-v1", **settings):
    """A model with a full buffer, not yet trained on it."""
    model = BPO("MlpPolicy", env, **{**SMALL, **settings})
    model.train = lambda: None
    model.learn(1)
    del model.train
    return model


def parameters(policy):
    return torch.cat([p.detach().flatten() for p in policy.parameters()])


# -- the loss -------------------------------------------------------------------------------------------------


def log_prob_and_entropy(policy, observation, action):
    out = policy.action_net(policy.mlp_extractor.policy_net(observation))
    if hasattr(policy, "log_std"):
        z = (action - out) / policy.log_std.exp()
        log_prob = sum(
            -(z[k] ** 2) / 2 - policy.log_std[k] - math.log(2 * math.pi) / 2 for k in range(len(z))
        )
        return log_prob, sum(policy.log_std + (1 + math.log(2 * math.pi)) / 2)
    logs = out - torch.logsumexp(out, 0)
    return logs[int(action[0])], -sum(p.exp() * p for p in logs)


def slow_loss(policy, batch, *, epsilon, temperature, use_median, median_temperature, u_coef, ent_coef):
    """The sum of Algorithm 1's losses, a sample at a time."""
    total = 0.0
    for observation, action, old, R in zip(
        batch.observations, batch.actions, batch.old_log_prob, batch.returns
    ):
        latent = policy.mlp_extractor.value_net(observation)
        V, mu = policy.value_net(latent)[0], policy.median_net(latent)[0]
        log_prob, entropy = log_prob_and_entropy(policy, observation, action)
        base = mu.item() if use_median else V.item()
        target = 1 - epsilon + 2 * epsilon / (1 + math.exp(-(R.item() - base) / temperature))
        loss = abs(R.item() - V.item()) * abs(torch.exp(log_prob - old) - target)
        loss = loss + 0.5 * (R - V) ** 2 - ent_coef * entropy
        if use_median:
            x = (R - mu) / median_temperature
            loss = loss + u_coef * torch.log(torch.exp(x / 2) + torch.exp(-x / 2))
        total = total + loss
    return total / len(batch.returns)


@pytest.mark.parametrize("env", ["CartPole-v1", "Pendulum-v1"])
@pytest.mark.parametrize("use_median", [True, False])
def test_an_update_is_that_of_the_loss_written_out(env, use_median):
    knobs = {
        "epsilon": 0.2,
        "temperature": 2.0,
        "use_median": use_median,
        "median_temperature": 3.0,
        "u_coef": 0.7,
        "ent_coef": 0.05,
    }
    model = after_rollout(env, n_epochs=3, gamma=0.9, learning_rate=0.01, **knobs)
    reference = copy.deepcopy(model.policy)
    model.train()
    (batch,) = model.rollout_buffer.get(None)
    for _ in range(3):
        loss = slow_loss(reference, batch, **knobs)
        reference.optimizer.zero_grad()
        loss.backward()
        gradients = [p.grad for p in reference.parameters() if p.grad is not None]
        norm = math.sqrt(sum(float((g**2).sum()) for g in gradients))
        assert norm > 1  # the largest that passes uncut
        for g in gradients:
            g /= norm
        reference.optimizer.step()
    assert model.logger.name_to_value["train/loss"] == pytest.approx(loss.item(), rel=1e-4)
    torch.testing.assert_close(parameters(model.policy), parameters(reference), rtol=1e-3, atol=2e-5)


def test_the_target_needs_the_median_and_without_it_the_head_rests():
    model = after_rollout(use_median=False)
    head = copy.deepcopy(model.policy.median_net.state_dict())
    model.train()
    assert all(torch.equal(value, head[name]) for name, value in model.policy.median_net.state_dict().items())
    assert "train/median_loss" not in model.logger.name_to_value

    model = after_rollout()
    head = copy.deepcopy(model.policy.median_net.state_dict())
    model.train()
    assert not any(
        torch.equal(value, head[name]) for name, value in model.policy.median_net.state_dict().items()
    )


def test_on_one_batch_all_losses_fall_and_ratios_stay_near_the_box():
    model = after_rollout(n_steps=256, batch_size=64, n_epochs=1, learning_rate=1e-3, gamma=0.5)
    (batch,) = model.rollout_buffer.get(None)
    first = model._losses(batch)
    for _ in range(60):
        model.train()
    last = model._losses(batch)
    assert last.value < 0.1 * first.value
    assert last.median < 0.8 * first.median
    with torch.no_grad():
        V, mu, log_prob, _ = model.policy.evaluate_decisions(
            batch.observations, batch.actions.long().flatten()
        )
    R = batch.returns
    decisions = Decisions(log_prob, batch.old_log_prob, R - V.flatten(), R - mu.flatten())
    # the weights have fallen with the critics' errors, so compare under the same critics
    stayed = BoundedRatio(0.3)(decisions.replace(log_prob=batch.old_log_prob)).mean()
    assert last.policy < 0.95 * stayed
    assert decisions.ratio.sub(1).abs().quantile(0.99) < 1.2 * 0.3


def test_cartpole_is_learned():
    env = make_vec_env("CartPole-v1", 8, seed=1)
    model = BPO(
        "MlpPolicy", env, n_steps=64, batch_size=128, n_epochs=10, learning_rate=1e-3, seed=1, device="cpu"
    )
    model.learn(512)
    start = np.mean([episode["r"] for episode in model.ep_info_buffer])
    model.learn(10_000, reset_num_timesteps=False)
    assert np.mean([episode["r"] for episode in model.ep_info_buffer]) > 3 * start


# -- the library's own doors ----------------------------------------------------------------------------------


def test_defaults_are_the_official_ones():
    model = BPO("MlpPolicy", "CartPole-v1", device="cpu")
    names = ("epsilon", "temperature", "use_median", "median_temperature", "u_coef", "vf_coef", "ent_coef")
    assert [getattr(model, name) for name in names] == [0.3, 1e-3, True, 1.0, 0.5, 0.5, 0.0]
    names = ("n_steps", "batch_size", "n_epochs", "learning_rate", "gamma", "gae_lambda", "max_grad_norm")
    assert [getattr(model, name) for name in names] == [2048, 64, 10, 3e-4, 0.99, 0.95, 1.0]
    assert model.normalize_advantage is False


def test_a_saved_model_comes_back_whole_and_goes_on_alike(tmp_path):
    model = BPO("MlpPolicy", "CartPole-v1", epsilon=0.25, u_coef=0.4, **SMALL)
    model.learn(64)
    model.save(tmp_path / "bpo")
    again = BPO.load(tmp_path / "bpo", device="cpu")
    assert (again.epsilon, again.u_coef, type(again.policy)) == (0.25, 0.4, MedianMlpPolicy)
    saved, loaded = model.policy.state_dict(), again.policy.state_dict()
    assert any(name.startswith("median_net.") for name in saved)
    assert saved.keys() == loaded.keys()
    assert all(torch.equal(saved[name], loaded[name]) for name in saved)
    observations = np.random.default_rng(0).normal(size=(50, 4)).astype(np.float32)
    np.testing.assert_array_equal(*(m.predict(observations, deterministic=True)[0] for m in (model, again)))
    # Adam's moments too: one more update of both on the same data
    again.rollout_buffer = copy.deepcopy(model.rollout_buffer)
    for m in (model, again):
        m.set_logger(configure(format_strings=[]))
        np.random.seed(0)  # noqa: NPY002 - the buffer's shuffle
        m.train()
    assert torch.equal(parameters(model.policy), parameters(again.policy))
    with pytest.raises(ValueError, match="epsilon"):
        BPO.load(tmp_path / "bpo", epsilon=1.5)


def test_parameters_and_policies_travel_on_their_own(tmp_path):
    model = after_rollout()
    model.train()
    other = BPO("MlpPolicy", "CartPole-v1", **{**SMALL, "seed": 5})
    other.set_parameters(model.get_parameters())
    assert torch.equal(parameters(other.policy), parameters(model.policy))
    model.policy.save(tmp_path / "policy")
    alone = MedianMlpPolicy.load(tmp_path / "policy", device="cpu")
    assert torch.equal(parameters(alone), parameters(model.policy))


def test_actor_and_value_start_as_in_ppo_of_the_same_seed():
    kwargs = {"net_arch": {"pi": [8, 5], "vf": [7]}}
    bpo = BPO("MlpPolicy", "Pendulum-v1", policy_kwargs=kwargs, **SMALL).policy
    ppo = PPO("MlpPolicy", "Pendulum-v1", policy_kwargs=kwargs, **SMALL).policy
    assert all(torch.equal(value, bpo.state_dict()[name]) for name, value in ppo.state_dict().items())
    layers = [layer for layer in bpo.median_net if isinstance(layer, torch.nn.Linear)]
    assert [(layer.in_features, layer.out_features) for layer in layers] == [(7, 8), (8, 5), (5, 1)]
    for layer in layers:  # orthogonal with gain 1
        singular = torch.linalg.svdvals(layer.weight)
        torch.testing.assert_close(singular, torch.ones_like(singular))
        assert not layer.bias.any()
    trained = {id(p) for group in bpo.optimizer.param_groups for p in group["params"]}
    assert trained == {id(p) for p in bpo.parameters()}


IMAGE = gym.spaces.Box(0, 255, (36, 36, 1), np.uint8)
MIXED = gym.spaces.Dict({"a": gym.spaces.Box(-1, 1, (2,)), "b": gym.spaces.Discrete(3)})
VECTOR = gym.spaces.Box(-1, 1, (3,))
BOX = gym.spaces.Box(-1, 1, (2,))


@pytest.mark.parametrize(
    ("policy", "observation", "action", "settings"),
    [
        ("MlpPolicy", VECTOR, gym.spaces.MultiDiscrete([2, 3]), {}),
        ("MlpPolicy", VECTOR, gym.spaces.MultiBinary(2), {}),
        ("MlpPolicy", gym.spaces.Discrete(4), gym.spaces.Discrete(2), {"policy_kwargs": {"net_arch": [6]}}),
        ("MlpPolicy", VECTOR, BOX, {"use_sde": True, "policy_kwargs": {"squash_output": True}}),
        (
            "MlpPolicy",
            VECTOR,
            BOX,
            {"policy_kwargs": {"share_features_extractor": False, "ortho_init": False}},
        ),
        ("MultiInputPolicy", MIXED, BOX, {}),
        ("CnnPolicy", IMAGE, gym.spaces.Discrete(2), {"n_steps": 4, "batch_size": 4}),
    ],
)
def test_whatever_ppo_trains_on_this_does_too(policy, observation, action, settings):
    model = BPO(policy, Spaces(observation, action), **{**SMALL, **settings})
    before = parameters(model.policy).clone()
    model.learn(model.n_steps)
    after = parameters(model.policy)
    assert after.isfinite().all()
    assert not torch.equal(before, after)


def test_callbacks_and_logs_are_those_of_the_library():
    rollouts = []

    class Count(BaseCallback):
        def _on_step(self):
            return True

        def _on_rollout_end(self):
            rollouts.append(self.num_timesteps)

    model = BPO("MlpPolicy", "Pendulum-v1", **SMALL)
    model.set_logger(configure(format_strings=[]))
    model.learn(96, callback=Count(), log_interval=100)
    assert rollouts == [32, 64, 96]
    logs = model.logger.name_to_value
    ppo = PPO("MlpPolicy", "Pendulum-v1", **SMALL)
    ppo.set_logger(configure(format_strings=[]))
    ppo.learn(96, log_interval=100)
    extra = {f"train/{name}" for name in ("median_loss", "ratio_q50", "ratio_q99", "ratio_max")}
    assert set(logs) == set(ppo.logger.name_to_value) - {"train/clip_range"} | extra
    assert logs["train/n_updates"] == 6
    assert 0 < logs["train/ratio_q50"] < logs["train/ratio_q99"] <= logs["train/ratio_max"]


def test_ratios_logged_are_those_of_the_last_epoch():
    model = after_rollout(n_epochs=1)
    model.train()
    assert model.logger.name_to_value["train/ratio_max"] == pytest.approx(0.0, abs=1e-6)
    model = after_rollout(n_epochs=2, learning_rate=0.02, epsilon=0.01)
    first = copy.deepcopy(model.policy)
    model.n_epochs = 1
    model.train()
    (batch,) = model.rollout_buffer.get(None)
    _, log_prob, _ = model.policy.evaluate_actions(batch.observations, batch.actions.long().flatten())
    away = (log_prob.detach() - batch.old_log_prob).exp().sub(1).abs()
    model.policy, model.n_epochs = first, 2
    model.train()
    logs = model.logger.name_to_value
    assert logs["train/ratio_max"] == pytest.approx(float(away.max()), rel=1e-3)
    assert logs["train/ratio_q99"] == pytest.approx(float(away.quantile(0.99)), rel=1e-3)
    assert logs["train/clip_fraction"] == pytest.approx(float((away > 0.01).float().mean()))
    assert logs["train/clip_fraction"] > 0


# -- what is refused ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "error", "words"),
    [
        ({"epsilon": 1.0}, ValueError, r"epsilon must lie in \(0, 1\), got 1\.0"),
        ({"epsilon": 0.0}, ValueError, r"epsilon must lie in \(0, 1\)"),
        ({"epsilon": "0.3"}, TypeError, "epsilon must be a number"),
        ({"temperature": -1e-3}, ValueError, "temperature must be non-negative"),
        ({"median_temperature": 0.0}, ValueError, "median_temperature must be positive"),
        ({"u_coef": -0.5}, ValueError, "u_coef must be non-negative"),
        ({"use_median": "no"}, TypeError, "use_median must be True or False"),
        ({"clip_range": 0.2}, TypeError, "clip_range has no place in BPO"),
        ({"target_kl": 0.01}, TypeError, "target_kl has no place in BPO"),
        ({"normalize_advantage": True}, TypeError, "normalize_advantage has no place in BPO"),
    ],
)
def test_hyper_parameters_that_make_no_sense_are_refused(settings, error, words):
    with pytest.raises(error, match=words):
        BPO("MlpPolicy", "CartPole-v1", **SMALL, **settings)


def test_a_policy_of_ones_own_needs_the_head_or_no_median():
    from stable_baselines3.ppo import MlpPolicy

    class Own(MlpPolicy):
        pass

    class OwnWithMedian(MedianCritic, Own):
        pass

    with pytest.raises(
        TypeError, match=r"derive a class from \(MedianCritic, Own\), or pass use_median=False"
    ):
        BPO(Own, "CartPole-v1", **SMALL)
    BPO(OwnWithMedian, "CartPole-v1", **SMALL).learn(32)
    BPO(Own, "CartPole-v1", use_median=False, **SMALL).learn(32)
    assert type(BPO(MlpPolicy, "CartPole-v1", **SMALL).policy) is MedianMlpPolicy


def test_without_the_library_the_import_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "stable_baselines3", None)
    monkeypatch.delitem(sys.modules, "pgtheory.deep.sb3")
    with pytest.raises(ImportError, match=r"pip install 'pgtheory\[sb3\]'"):
        importlib.import_module("pgtheory.deep.sb3")
