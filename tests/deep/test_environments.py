"""Environments stepped together: the same trajectories however they are stepped, and no failure passes silently."""

import contextlib
import gc
import importlib.util
import os
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path

import gymnasium
import numpy as np
import psutil
import pytest
from gymnasium import spaces

from pgtheory.deep import backends
from pgtheory.deep.environments import BrokenEnvironment, open_environments
from pgtheory.deep.stepping import environment_seeds

LOCAL_AND_PROCESSES = ("local", "processes")


class Counter(gymnasium.Env):
    """Observes how many steps the episode has taken, and the sum of what it has drawn; obeys what it is told.

    Action 0 goes on, 1 terminates, 2 truncates, 3 both, 4 returns a reward that is not a number, 5 an observation
    that is not finite, 6 raises, 7 ends the process, 8 returns an observation of another size.
    """

    def __init__(self, start=0):
        self.action_space = spaces.Discrete(9, start=start)
        self.observation_space = spaces.Box(-np.inf, np.inf, (2,), np.float64)
        self.first_action = start

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.t, self.drawn = 0, self.np_random.random()
        return np.array([self.t, self.drawn]), {}

    def step(self, action):
        told = int(action) - self.first_action
        self.t += 1
        self.drawn += self.np_random.random()
        observation = np.array([self.t, np.inf if told == 5 else self.drawn])
        if told == 6:
            raise ZeroDivisionError("told to fail")
        if told == 7:
            os._exit(3)
        if told == 8:
            observation = np.zeros(1)
        return observation, np.nan if told == 4 else float(self.t), told in (1, 3), told in (2, 3), {}


class Seen(gymnasium.Env):
    """Returns what it is given: an observation from a list, and its actions as rewards and in ``kept``."""

    def __init__(self, observation_space, observation, action_space=None):
        self.observation_space, self.observation = observation_space, observation
        self.action_space = action_space or spaces.Discrete(2)
        self.kept = []

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return self.observation, {}

    def step(self, action):
        self.kept.append(action)
        assert self.action_space.contains(action), action
        return self.observation, float(np.sum(action)), False, False, {}


def copied(transition):
    return {name: value.copy() for name, value in vars(transition).items()}


def played(environment, n, steps=300, **options):
    """The first observations and every transition under actions that depend on the step and the index alone."""
    with open_environments(environment, n, **{"seed": 5} | options) as envs:
        first = {"observations": envs.reset().copy()}
        taken = [copied(envs.step(action(envs.action, i, n))) for i in range(steps)]
        return [first, *taken]


def action(space, step, n):
    rng = np.random.default_rng(step)
    if space.discrete:
        return rng.integers(0, space.size, 64)[:n]
    return rng.normal(size=(64, space.size), scale=2.0)[:n].astype(np.float32)


def assert_same(one, other, rows=slice(None)):
    assert len(one) == len(other)
    for t, (a, b) in enumerate(zip(one, other)):
        for name in a:
            assert a[name].dtype == b[name].dtype
            np.testing.assert_array_equal(a[name][rows], b[name][rows], err_msg=f"{name} after step {t}")


def single_environment(name, i, n, seed, steps):
    """What Gymnasium's own single environment i goes through: the reference, one step at a time."""
    env = gymnasium.make(name)
    low, high = getattr(env.action_space, "low", None), getattr(env.action_space, "high", None)
    discrete = isinstance(env.action_space, spaces.Discrete)
    with open_environments(name, 1, seed=0) as envs:
        space = envs.action
    seen, _ = env.reset(seed=environment_seeds(seed, n)[i])
    yield {"observations": seen}
    for t in range(steps):
        a = action(space, t, n)[i]
        final, reward, terminated, truncated, _ = env.step(a if discrete else np.clip(a, low, high))
        seen = env.reset()[0] if terminated or truncated else final
        yield {
            "observations": seen,
            "rewards": reward,
            "terminated": terminated,
            "truncated": truncated,
            "final_observations": final,
        }


# -- the same trajectories ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "backend"), [("CartPole-v1", "vector"), ("Pendulum-v1", "local")])
def test_transitions_are_those_of_gymnasiums_single_environments(name, backend):
    n, steps = 3, 450  # Pendulum is truncated after 200 steps, carts fall after some twenty
    ours = played(name, n, steps, backend=backend)
    ends = 0
    for i in range(n):
        for t, (row, reference) in enumerate(zip(ours, single_environment(name, i, n, 5, steps))):
            for what, value in reference.items():
                exact = what in ("terminated", "truncated")
                tolerance = {"atol": 0, "rtol": 0} if exact else {"atol": 1e-6, "rtol": 1e-5}
                np.testing.assert_allclose(row[what][i], value, err_msg=f"{what} {t}", **tolerance)
            ends += t > 0 and bool(reference["terminated"] or reference["truncated"])
    assert ends >= 2 * n


def test_carts_run_out_of_time_as_single_environments_do():
    """Balanced carts are truncated after 500 steps and start anew at once."""
    outcome = {}
    for backend in ("vector", "local"):
        with open_environments("CartPole-v1", 4, seed=1, backend=backend) as envs:
            seen, rows = envs.reset(), []
            for _ in range(1100):
                transition = envs.step((seen @ [0.1, 0.5, 1.0, 1.0] > 0).astype(int))
                seen = transition.observations
                rows.append(copied(transition))
        outcome[backend] = rows
    ends = [np.flatnonzero(row["truncated"]).tolist() for row in outcome["vector"]]
    assert ends[499] == [0, 1, 2, 3]
    assert ends[999] == [0, 1, 2, 3]
    for one, other in zip(outcome["vector"], outcome["local"]):
        for name in one:
            np.testing.assert_allclose(one[name], other[name], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["CartPole-v1", "FrozenLake-v1", "Acrobot-v1"])
def test_local_and_any_number_of_workers_agree_bit_for_bit(name):
    local = played(name, 5, backend="local")
    for workers in (1, 2, 5):
        assert_same(local, played(name, 5, backend="processes", workers=workers))


@pytest.mark.skipif(importlib.util.find_spec("mujoco") is None, reason="needs mujoco")
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_mujoco_agrees_bit_for_bit_too():
    assert_same(
        played("Hopper-v5", 3, backend="local"), played("Hopper-v5", 3, backend="processes", workers=2)
    )


def test_an_environments_trajectory_does_not_depend_on_how_many_there_are():
    for backend in ("vector", "local"):
        few, many = (played("CartPole-v1", n, 100, backend=backend) for n in (2, 6))
        assert_same(few, many, slice(0, 2))


def test_environments_and_seeds_differ():
    assert len({*environment_seeds(0, 64), *environment_seeds(1, 64)}) == 128
    (first, *_) = played("CartPole-v1", 4, 0)
    assert len(np.unique(first["observations"])) == 16


@pytest.mark.parametrize("backend", [*LOCAL_AND_PROCESSES, "vector"])
def test_a_second_reset_goes_on_and_one_with_a_seed_starts_again(backend):
    with open_environments("CartPole-v1", 3, seed=4, workers=2, backend=backend) as envs:
        first, second, again = envs.reset().copy(), envs.reset().copy(), envs.reset(4).copy()
        assert not np.isin(first, second).any()
        np.testing.assert_array_equal(first, again)
        np.testing.assert_array_equal(second, envs.reset())
        other = envs.reset(5).copy()
    assert not np.isin(first, other).any()


def test_the_transition_at_an_episodes_end():
    """Action 1 terminates, 2 truncates, 3 both; the others go on."""
    for backend in LOCAL_AND_PROCESSES:
        with open_environments(Counter, 4, seed=0, workers=2, backend=backend) as envs:
            envs.reset()
            envs.step(np.zeros(4, int))
            t = envs.step(np.array([0, 1, 2, 3]))
            assert t.terminated.tolist() == [False, True, False, True]
            assert t.truncated.tolist() == [False, False, True, True]
            assert t.rewards.tolist() == [2.0] * 4
            assert t.final_observations[:, 0].tolist() == [2.0] * 4
            assert t.observations[:, 0].tolist() == [2.0, 0.0, 0.0, 0.0]
            np.testing.assert_array_equal(t.observations[0], t.final_observations[0])
            t = envs.step(np.zeros(4, int))
            assert t.observations[:, 0].tolist() == [3.0, 1.0, 1.0, 1.0]
            np.testing.assert_array_equal(t.observations, t.final_observations)
            assert not t.terminated.any()
            assert not t.truncated.any()


# -- spaces ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("space", "observation", "row"),
    [
        (spaces.Discrete(4), 2, [0, 0, 1, 0]),
        (spaces.Discrete(3, start=-1), np.int64(-1), [1, 0, 0]),
        (spaces.Box(0, 255, (2, 2), np.uint8), np.array([[1, 2], [3, 255]], np.uint8), [1, 2, 3, 255]),
        (spaces.Box(-1, 1, (), np.float64), np.float64(0.5), [0.5]),
    ],
)
def test_observations_become_float32_rows(space, observation, row):
    with open_environments(lambda: Seen(space, observation), 2, seed=0, backend="local") as envs:
        first = envs.reset()
        assert first.dtype == np.float32
        assert first.tolist() == [row, row]
        assert envs.step(np.zeros(2, int)).final_observations.tolist() == [row, row]
        assert envs.observation_size == len(row)


def test_continuous_actions_are_clipped_reshaped_and_not_shared():
    made = []
    box = spaces.Box(np.array([[-1.0, -2.0]]), np.array([[1.0, np.inf]]), dtype=np.float32)

    def make():
        made.append(Seen(spaces.Discrete(2), 0, box))
        return made[-1]

    with open_environments(make, 2, seed=0, backend="local") as envs:
        assert (envs.action.discrete, envs.action.size) == (False, 2)
        assert envs.action.low.tolist() == [-1.0, -2.0]
        envs.reset()
        mine = np.array([[-5.0, -5.0], [0.5, 9.0]])
        envs.step(mine)
        envs.step(np.zeros((2, 2)))
        assert mine.tolist() == [[-5.0, -5.0], [0.5, 9.0]]
    kept = [env.kept for env in made if env.kept]
    assert [k[0].tolist() for k in kept] == [[[-1.0, -2.0]], [[0.5, 9.0]]]
    assert {(k[0].dtype, k[0].shape) for k in kept} == {(np.dtype(np.float32), (1, 2))}


def test_discrete_actions_start_where_the_environment_counts_from():
    with open_environments(lambda: Counter(start=10), 2, seed=0, backend="local") as envs:
        envs.reset()
        assert envs.step(np.array([0, 1])).terminated.tolist() == [False, True]


@pytest.mark.parametrize(
    ("env", "message"),
    [
        (
            lambda: Seen(spaces.Dict(a=spaces.Discrete(2)), {"a": 0}),
            "observation space must be Box or Discrete",
        ),
        (
            lambda: Seen(spaces.Discrete(2), 0, spaces.MultiDiscrete([2, 2])),
            "action space must be Discrete or a Box",
        ),
        (lambda: Seen(spaces.Discrete(2), 0, spaces.Box(0, 9, (2,), np.int64)), "Box of floating dtype"),
    ],
)
def test_other_spaces_are_refused(env, message):
    with pytest.raises(ValueError, match=message):
        open_environments(env, 2, seed=0)


# -- what goes wrong ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("backend", LOCAL_AND_PROCESSES)
@pytest.mark.parametrize(
    ("told", "reason"),
    [
        (4, "its reward is not finite: nan"),
        (5, "its final observation is not finite"),
        (6, "ZeroDivisionError: told to fail"),
        (8, "ValueError: cannot reshape"),
    ],
)
def test_a_broken_environment_is_named_with_its_index_and_step(backend, told, reason):
    with open_environments(Counter, 5, seed=0, workers=2, backend=backend) as envs:
        envs.reset()
        envs.step(np.array([0, 1, 0, 0, 0]))
        envs.step(np.zeros(5, int))
        with pytest.raises(BrokenEnvironment, match=r"environment 3 \(Counter\) at step 3: ") as caught:
            envs.step(np.array([0, 0, 0, told, 0]))
        assert reason in caught.value.reason
        assert (caught.value.index, caught.value.step) == (3, 3)
        assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)
        if told == 6:
            shown = caught.value.reason if backend == "processes" else repr(caught.traceback)
            assert "test_environments.py" in shown
            assert backend == "local" or 'raise ZeroDivisionError("told to fail")' in shown
        with pytest.raises(ValueError, match="closed"):
            envs.step(np.zeros(5, int))


def test_a_reward_that_breaks_at_an_episodes_end_or_a_first_observation_is_noticed():
    for seen, index in ((np.array([np.nan, 0.0]), 0), (np.array([0.0, -np.inf]), 0)):
        box = spaces.Box(-1, 1, (2,), np.float64)
        with open_environments(
            lambda box=box, seen=seen: Seen(box, seen), 2, seed=0, backend="local"
        ) as envs:
            with pytest.raises(BrokenEnvironment, match="at step 0: its observation is not finite") as caught:
                envs.reset()
            assert caught.value.index == index


def test_a_worker_that_dies_is_noticed():
    with open_environments(Counter, 4, seed=0, workers=2, backend="processes") as envs:
        envs.reset()
        with pytest.raises(BrokenEnvironment, match=r"environment 2 .* at step 1: .* ended with exit code 3"):
            envs.step(np.array([0, 0, 0, 7]))
    with open_environments(Counter, 4, seed=0, workers=2, backend="processes") as envs:
        envs.reset()
        workers(os.getpid())[-1].kill()
        with pytest.raises(BrokenEnvironment, match="exit code -9"):
            envs.step(np.zeros(4, int))


def test_an_environment_that_cannot_be_made_in_a_worker():
    here = os.getpid()

    def make():
        if os.getpid() != here:
            raise OSError("no licence")
        return Counter()

    with pytest.raises(BrokenEnvironment, match=r"environment 0 \(make\) at step 0: OSError: no licence"):
        open_environments(make, 2, seed=0, workers=1, backend="processes")
    assert not workers(os.getpid())


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_workers_end_when_closed_or_forgotten():
    envs = open_environments(Counter, 4, seed=0, workers=2, backend="processes")
    assert len(workers(os.getpid())) == 2
    envs.close()
    envs.close()
    assert not workers(os.getpid())
    with pytest.raises(ValueError, match="closed"):
        envs.reset()
    envs = open_environments(Counter, 4, seed=0, workers=2, backend="processes")
    children = workers(os.getpid())
    del envs
    gc.collect()
    assert not psutil.wait_procs(children, timeout=5)[1]


PARENT = """
import time
from pgtheory.deep.environments import open_environments
from test_environments import Counter, Sleeper
envs = open_environments({env}, 4, seed=0, workers=2, backend="processes")
envs.reset()
print("ready", flush=True)
envs.step([0] * 4)
time.sleep(60)
"""


class Sleeper(Counter):
    """Its steps take a minute."""

    def step(self, action):
        time.sleep(60)
        return super().step(action)


@pytest.mark.parametrize("env", ["Counter", "Sleeper"])
@pytest.mark.parametrize("by", [signal.SIGKILL, signal.SIGINT])
def test_workers_end_when_the_parent_is_killed(tmp_path, env, by):
    """The script has no ``if __name__ == "__main__"``, and its workers may be in the midst of a step."""
    script = tmp_path / "script.py"
    script.write_text(PARENT.format(env=env))
    paths = os.environ | {"PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])}
    with subprocess.Popen(
        [sys.executable, str(script)], env=paths, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as parent:
        assert parent.stdout.readline() == b"ready\n"
        time.sleep(0.3)
        children = workers(parent.pid)
        assert len(children) == 2
        parent.send_signal(by)
        parent.wait(10)
    gone, alive = psutil.wait_procs(children, timeout=10)
    for process in alive:
        process.kill()
    assert not alive


def workers(pid):
    """The worker processes of a process."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return [p for p in psutil.Process(pid).children() if "pgtheory.deep.worker" in " ".join(p.cmdline())]
    return []


def test_what_an_environment_prints_does_not_disturb_its_worker(capfd):
    def make():
        class Talker(Counter):
            def step(self, action):
                print("!" * 10_000, flush=True)
                return super().step(action)

        return Talker()

    with open_environments(make, 2, seed=0, workers=2, backend="processes") as envs:
        envs.reset()
        assert envs.step(np.zeros(2, int)).rewards.tolist() == [1.0, 1.0]
    assert "!!!!" in capfd.readouterr().err


# -- the door -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"n": 0}, ValueError, "n must be at least 1"),
        ({"n": 2.0}, TypeError, "n must be an integer"),
        ({"seed": -1}, ValueError, "seed must be at least 0"),
        ({"workers": 0}, ValueError, "workers must be at least 1"),
        ({"backend": "threads"}, ValueError, "backend must be one of auto, vector"),
        ({"environment": 3}, TypeError, "environment must be an id"),
        ({"environment": lambda: 3}, TypeError, "must return a gymnasium.Env"),
        (
            {"environment": "Pendulum-v1", "backend": "vector"},
            ValueError,
            "backend='vector' is for the id of a Cart",
        ),
        ({"environment": "Nowhere-v1"}, gymnasium.error.Error, "Nowhere"),
    ],
)
def test_arguments_that_do_not_fit(change, error, message):
    arguments = {"environment": "CartPole-v1", "n": 2, "seed": 0} | change
    with pytest.raises(error, match=message):
        open_environments(arguments.pop("environment"), arguments.pop("n"), **arguments)


@pytest.mark.parametrize(
    ("name", "actions", "error", "message"),
    [
        ("CartPole-v1", [0, 1, 1], ValueError, r"shape \[2\], got \[3\]"),
        ("CartPole-v1", [0, 2], ValueError, r"actions must be in 0\.\.1"),
        ("CartPole-v1", [0, -1], ValueError, r"actions must be in 0\.\.1"),
        ("CartPole-v1", [0.0, 1.0], TypeError, "must be integers"),
        ("Pendulum-v1", [0.0, 1.0], ValueError, r"shape \[2, 1\]"),
        ("Pendulum-v1", [[0.0], [np.nan]], ValueError, r"actions\[1\] = \[nan\]: the policy diverged"),
    ],
)
def test_actions_that_do_not_fit_are_refused_before_anything_is_stepped(name, actions, error, message):
    with open_environments(name, 2, seed=0, workers=1) as envs:
        with pytest.raises(ValueError, match="call reset"):
            envs.step(np.zeros(2, int))
        envs.reset()
        with pytest.raises(error, match=message):
            envs.step(actions)
        good = np.zeros(2, int) if envs.action.discrete else np.zeros((2, 1))
        assert envs.step(good).rewards.shape == (2,)


# -- the choice of a backend ----------------------------------------------------------------------------------


def test_auto_takes_the_vectorised_form_else_processes_where_they_pay(monkeypatch):
    with open_environments("CartPole-v1", 2, seed=0) as envs:
        assert envs.backend == "vector"
    with open_environments(lambda: gymnasium.make("CartPole-v1"), 2, seed=0, workers=1) as envs:
        assert envs.backend == "local"
    for seconds, backend in ((1e-6, "local"), (1e-2, "processes")):
        monkeypatch.setattr(backends, "seconds_a_step", lambda env, seconds=seconds: seconds)
        with open_environments(Counter, 4, seed=0, workers=2) as envs:
            assert envs.backend == backend


def test_processes_pay_for_slow_environments_with_work_to_share():
    assert not backends.worth(5e-6, 8, 2)
    assert backends.worth(75e-6, 8, 2)
    assert not backends.worth(1.0, 4, 1)
    assert backends.count_workers(3, 8) == 3
    assert backends.count_workers(8, 3) == 3


def test_the_measured_time_of_a_step_is_a_steps():
    slow = gymnasium.wrappers.TransformReward(Counter(), lambda reward: time.sleep(0.01) or reward)
    slow.action_space = spaces.Discrete(3)
    assert 0.009 < backends.seconds_a_step(slow) < 0.1


# -- EnvPool --------------------------------------------------------------------------------------------------


@pytest.mark.skipif(importlib.util.find_spec("envpool") is not None, reason="EnvPool is installed")
def test_envpool_says_how_to_install_it():
    with pytest.raises(ImportError, match="pip install envpool"):
        open_environments("CartPole-v1", 2, seed=0, backend="envpool")


@pytest.mark.skipif(importlib.util.find_spec("envpool") is None, reason="needs EnvPool")
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_envpool_restarts_at_once_and_shows_the_true_last_observation():
    n, steps = 6, 200
    rows = played("CartPole-v1", n, steps, backend="envpool")
    assert_same(rows, played("CartPole-v1", n, steps, backend="envpool", workers=1))
    over = [row["terminated"] | row["truncated"] for row in rows[1:]]
    assert sum(map(np.sum, over)) > n
    for row, ended in zip(rows[1:], over):
        assert (np.abs(row["observations"][ended]) <= 0.05).all()  # every start is
        assert (np.abs(row["final_observations"][row["terminated"]][:, [0, 2]]) > [2.4, 0.209]).any(-1).all()
        np.testing.assert_array_equal(row["observations"][~ended], row["final_observations"][~ended])
        assert (row["rewards"] == 1.0).all()
    with open_environments("CartPole-v1", 2, seed=4, backend="envpool") as envs:
        first, second = envs.reset().copy(), envs.reset().copy()
        assert not np.isin(first, second).any()
        np.testing.assert_array_equal(first, envs.reset(4))
    with pytest.raises(ValueError, match="list_all_envs"):
        open_environments("Nowhere-v1", 2, seed=0, backend="envpool")
