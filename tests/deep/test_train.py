"""Training: reproducible to the bit, resumable, honest when something breaks, and it learns."""

import importlib
import pkgutil
import random

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Dict, MultiDiscrete

from pgtheory.deep import BPO, PPO, R2VPO, TRPO, Diverged, Network, checkpoint, evaluate, train
from pgtheory.deep.checkpoint import CheckpointError
from pgtheory.deep.heads import Gaussian
from pgtheory.deep.stepping import BrokenEnvironment

torch.set_num_threads(1)
TINY = {"n_steps": 16, "minibatch": 16, "epochs": 2, "learning_rate": 1e-3}
UPDATE = 32  # environment steps


def run(algorithm=None, environment="CartPole-v1", updates=6, **options):
    settings = {"network": Network((8,)), "n_environments": 2, "progress": False, "workers": 1}
    return train(algorithm or PPO(**TINY), environment, steps=updates * UPDATE, **settings | options)


def assert_same(one, other):
    """The same bits; only the clock may differ."""
    assert one.steps == other.steps
    assert torch.equal(one.agent.theta, other.agent.theta)
    metrics, expected = (r.metrics.drop_vars("charts/fps") for r in (one, other))
    assert set(metrics) == set(expected)
    np.testing.assert_array_equal(metrics["step"], expected["step"])
    for name in metrics:
        np.testing.assert_array_equal(metrics[name].values, expected[name].values, err_msg=name)
    for name in ("shift", "scale"):
        np.testing.assert_array_equal(getattr(one.agent, name), getattr(other.agent, name))


class Killed(BaseException):
    """Not an error that anything but the end of the process would handle."""


def killed_after(n):
    rows = []

    def callback(row):
        rows.append(row)
        if len(rows) == n:
            raise Killed

    return callback


class Aim(gymnasium.Env):
    """Ten steps; each pays minus the squared distance of the action from one number."""

    observation_space, action_space = Box(-1, 1, (1,), np.float32), Box(-3, 3, (1,), np.float32)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.t = 0
        return np.ones(1, np.float32), {}

    def step(self, action):
        self.t += 1
        return np.ones(1, np.float32), -((float(action[0]) - 1.5) ** 2), False, self.t == 10, {}


class Breaks(Aim):
    """Pays ``reward`` from its ``after``-th step on."""

    def __init__(self, after, reward):
        self.left, self.reward = after, reward

    def step(self, action):
        self.left -= 1
        observation, reward, *rest = super().step(action)
        return observation, self.reward if self.left < 0 else reward, *rest


# -- the same bits --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("algorithm", [PPO(**TINY), BPO(**TINY), R2VPO(**TINY), TRPO(**TINY)])
def test_same_seed_same_bits(algorithm):
    one = run(algorithm, updates=3)
    assert_same(one, run(algorithm, updates=3))
    assert not torch.equal(one.agent.theta, run(algorithm, updates=3, seed=1).agent.theta)
    assert one.agent.theta.dtype == torch.float32
    assert one.steps == 3 * UPDATE
    np.testing.assert_array_equal(one.metrics["step"], [32, 64, 96])


def test_same_bits_for_any_number_of_workers():
    local = run(environment="Pendulum-v1", updates=2, backend="local")
    for workers in (1, 2):
        assert_same(run(environment="Pendulum-v1", updates=2, backend="processes", workers=workers), local)


def test_global_random_state_is_neither_used_nor_changed():
    def states():
        return np.random.get_state()[1].tolist(), random.getstate(), torch.get_rng_state().tolist()  # noqa: NPY002

    before = states()
    one = run(environment="Pendulum-v1", evaluate_every=3, evaluation_episodes=1, updates=3)
    assert states() == before
    kept = states()
    random.seed(1)
    np.random.seed(1)  # noqa: NPY002
    torch.manual_seed(1)
    assert states() != kept
    assert_same(run(environment="Pendulum-v1", evaluate_every=3, evaluation_episodes=1, updates=3), one)


def test_every_update_draws_noise_of_its_own(monkeypatch):
    drawn, noise = [], Gaussian.noise
    monkeypatch.setattr(Gaussian, "noise", lambda *given: drawn.append(noise(*given)) or drawn[-1])
    run(environment=Aim, updates=3)
    assert len({batch.tobytes() for batch in drawn}) == 3


def test_threads_are_put_back():
    before, seen = torch.get_num_threads(), []
    try:
        torch.set_num_threads(2)
        run(updates=1, callback=lambda row: seen.append(torch.get_num_threads()))
        assert torch.get_num_threads() == 2
        with pytest.raises(Killed):
            run(updates=1, callback=killed_after(1))
        assert torch.get_num_threads() == 2
        assert seen == [1]
    finally:
        torch.set_num_threads(before)


def test_no_public_name_is_hidden_by_a_module_of_the_same_name():
    room = importlib.import_module("pgtheory.deep")
    assert not {module.name for module in pkgutil.iter_modules(room.__path__)} & set(room.__all__)


# -- going on -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("algorithm", "environment", "options"),
    [
        (PPO(**TINY, anneal=True), "CartPole-v1", {}),
        (R2VPO(**TINY, delta=1e-6), "CartPole-v1", {"evaluate_every": 3, "evaluation_episodes": 2}),
        (TRPO(**TINY), "Pendulum-v1", {"normalise_observations": True}),
        (BPO(**TINY), "Pendulum-v1", {"normalise_observations": True, "normalise_rewards": True}),
    ],
)
def test_killed_and_resumed_is_as_never_interrupted(tmp_path, algorithm, environment, options):
    options = {"updates": 8, "checkpoint_every": 3, **options}
    whole = run(algorithm, environment, folder=tmp_path / "whole", **options)
    for n in (5, 2):  # killed after update 5, and from 3 on again after another 2
        with pytest.raises(Killed):
            run(algorithm, environment, folder=tmp_path / "broken", callback=killed_after(n), **options)
    assert checkpoint.latest(tmp_path / "broken").name == f"step-{3 * UPDATE:09d}.safetensors"
    rows = []
    assert_same(
        run(algorithm, environment, folder=tmp_path / "broken", callback=rows.append, **options), whole
    )
    assert [row["step"] for row in rows] == [UPDATE * k for k in range(4, 9)]
    again = run(algorithm, environment, folder=tmp_path / "broken", callback=rows.append, **options)
    assert_same(again, whole)
    assert len(rows) == 5  # nothing was left to do


def test_without_a_folder_nothing_is_cut(tmp_path):
    often = run(updates=8, checkpoint_every=1)
    assert_same(often, run(updates=8, checkpoint_every=8))
    assert not torch.equal(often.agent.theta, run(updates=8, checkpoint_every=1, folder=tmp_path).agent.theta)


def test_a_torn_checkpoint_falls_back_to_the_one_before(tmp_path):
    options = {"updates": 8, "checkpoint_every": 2}
    whole = run(folder=tmp_path / "whole", **options)
    with pytest.raises(Killed):
        run(folder=tmp_path / "broken", callback=killed_after(7), **options)
    newest = checkpoint.latest(tmp_path / "broken")
    newest.write_bytes(newest.read_bytes()[:-100])
    with pytest.warns(UserWarning, match="falling back"):
        resumed = run(folder=tmp_path / "broken", **options)
    assert_same(resumed, whole)


def test_a_checkpoint_says_whose_it_is(tmp_path):
    run(updates=2, folder=tmp_path, checkpoint_every=1)
    good = {"updates": 2, "folder": tmp_path, "checkpoint_every": 1}
    for other, said in (
        ({"seed": 1}, "its seed is 0, this one's 1"),
        ({"algorithm": PPO(**TINY, lam=0.5)}, "its algorithm is"),
        ({"environment": "Acrobot-v1"}, "its environment is 'CartPole-v1', this one's 'Acrobot-v1'"),
        ({"network": Network((8, 8))}, "its network is"),
        ({"n_environments": 1}, "its n_environments is 2"),
        ({"normalise_rewards": True}, "its normalise is"),
        ({"checkpoint_every": 2}, "its checkpoint_every is 1"),
    ):
        with pytest.raises(CheckpointError, match=said):
            run(**good | other)
    assert run(**good | {"updates": 3}).steps == 3 * UPDATE  # more steps are the same run, unless annealed


# -- what breaks ----------------------------------------------------------------------------------------------


def test_an_environment_that_pays_nan_is_named_and_the_checkpoint_stays(tmp_path):
    whole = run(environment=Aim, updates=2, checkpoint_every=1, folder=tmp_path / "whole")
    with pytest.raises(BrokenEnvironment, match="reward is not finite") as caught:
        run(environment=lambda: Breaks(40, np.nan), folder=tmp_path / "broken", checkpoint_every=1)
    assert (caught.value.environment, caught.value.index, caught.value.step) == ("<lambda>", 0, 41)
    tensors, record = checkpoint.load(checkpoint.latest(tmp_path / "broken"))
    assert record["done"] == 2
    assert torch.equal(tensors["theta"], whole.agent.theta)


def test_parameters_that_are_not_finite_are_a_divergence_and_the_checkpoint_stays(tmp_path):
    whole = run(environment=Aim, updates=2, checkpoint_every=1, folder=tmp_path / "whole")
    with pytest.raises(Diverged, match="after update 3 of PPO"):
        run(
            environment=lambda: Breaks(40, 1e39), folder=tmp_path / "broken", checkpoint_every=1
        )  # inf in float32
    tensors, record = checkpoint.load(checkpoint.latest(tmp_path / "broken"))
    assert record["done"] == 2
    assert torch.equal(tensors["theta"], whole.agent.theta)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_huge_learning_rate_diverges():
    with pytest.raises(Diverged, match="smaller learning rate"):
        run(PPO(**TINY | {"learning_rate": 1e6}), "Pendulum-v1", updates=20)


class NoBox(Aim):
    observation_space = Dict({"x": Box(-1, 1, (1,), np.float32)})


class TwoChoices(Aim):
    action_space = MultiDiscrete([2, 2])


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"algorithm": PPO}, TypeError, "algorithm"),
        (
            {"algorithm": PPO(n_steps=20)},
            ValueError,
            r"minibatch must divide n_steps \* n_environments = 40, got 64",
        ),
        ({"network": (64, 64)}, TypeError, "network"),
        ({"environment": NoBox}, ValueError, "observation space"),
        ({"environment": TwoChoices}, ValueError, "action space"),
        ({"environment": 3}, TypeError, "environment"),
        ({"updates": 0}, ValueError, "steps"),
        ({"seed": -1}, ValueError, "seed"),
        ({"n_environments": 0}, ValueError, "n_environments"),
        ({"checkpoint_every": 0}, ValueError, "checkpoint_every"),
        ({"evaluate_every": 0}, ValueError, "evaluate_every"),
        ({"evaluation_episodes": 0}, ValueError, "evaluation_episodes"),
        ({"workers": 0}, ValueError, "workers"),
        ({"backend": "remote"}, ValueError, "backend"),
        ({"threads": 0}, ValueError, "threads"),
        ({"callback": 3}, TypeError, "callback"),
        ({"tensorboard": True}, ValueError, "folder"),
        ({"progress": "no"}, TypeError, "progress"),
        ({"normalise_rewards": 1}, TypeError, "normalise_rewards"),
    ],
)
def test_wrong_arguments_are_refused(options, error, said):
    with pytest.raises(error, match=said):
        run(**options)


# -- what it is for -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("algorithm", [PPO, R2VPO])
def test_cart_pole_is_learned(algorithm):
    settings = {"n_steps": 128, "minibatch": 128, "learning_rate": 2e-3, "discount": 0.98, "lam": 0.9}
    learned = train(
        algorithm(**settings), "CartPole-v1", steps=24_000, progress=False, checkpoint_every=1000, workers=1
    )
    assert float(learned.metrics["charts/return"][-1]) > 150
    assert evaluate(learned.agent.act, "CartPole-v1", episodes=5).mean > 150


@pytest.mark.parametrize(
    "algorithm",
    [
        PPO(n_steps=40, minibatch=40, epochs=5, learning_rate=1e-2),
        BPO(n_steps=40, minibatch=40, epochs=5, learning_rate=1e-2, temperature=0.1),
        R2VPO(n_steps=40, minibatch=40, epochs=5, learning_rate=1e-2),
        TRPO(n_steps=40, minibatch=40, radius=0.05),
    ],
)
def test_an_easy_continuous_task_is_learned(algorithm):
    learned = train(
        algorithm, Aim, steps=4800, n_environments=4, network=Network((16,)), progress=False, backend="local"
    )
    assert evaluate(learned.agent.act, Aim, episodes=1).mean > -1  # -22.5 before


def test_the_learning_rate_falls_to_zero():
    rates = run(PPO(**TINY, anneal=True), updates=4).metrics["charts/learning_rate"]
    np.testing.assert_allclose(rates, [1e-3, 0.75e-3, 0.5e-3, 0.25e-3])
    np.testing.assert_allclose(run(updates=2).metrics["charts/learning_rate"], [1e-3, 1e-3])


def test_evaluations_come_every_so_often_and_at_the_end():
    found = run(updates=5, evaluate_every=2, evaluation_episodes=2)
    returns = found.metrics["evaluation/return"].values
    np.testing.assert_array_equal(np.isfinite(returns), [False, True, False, True, True])
    assert returns[-1] == evaluate(found.agent.act, "CartPole-v1", episodes=2).mean


def test_the_callback_sees_every_update_and_can_end_the_run(tmp_path):
    rows = []
    run(updates=3, callback=rows.append)
    assert [row["step"] for row in rows] == [32, 64, 96]
    assert {"charts/return", "losses/total", "ratio/q99", "charts/fps"} <= set(rows[0])
    stopped = run(updates=5, callback=lambda row: row["step"] == 64, folder=tmp_path, checkpoint_every=5)
    assert stopped.steps == 64
    assert checkpoint.load(checkpoint.latest(tmp_path))[1]["done"] == 2


def test_steps_are_rounded_up_to_whole_updates():
    assert train(PPO(**TINY), "CartPole-v1", steps=33, n_environments=2, progress=False).steps == 64


class Counts(PPO):
    """Counts minibatches, and says so in its loss."""

    def loss(self, out, batch, multiplier):
        return 0 * out.value.sum() + multiplier, multiplier + 1


def test_the_multiplier_is_kept_from_update_to_update_and_reported_as_reached():
    found = run(Counts(**TINY), updates=3).metrics
    np.testing.assert_array_equal(found["losses/multiplier"], [4, 8, 12])
    np.testing.assert_array_equal(found["losses/total"], [4, 8, 12])
