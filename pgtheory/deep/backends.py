"""Which way of stepping an environment is the fastest: vectorised, one by one, or in processes.

The choice may rest on a measurement because it changes nothing but the speed.
"""

import time

import gymnasium
import joblib

MEASURED = 0.1  # seconds spent at most, and
STEPS = 50  # steps taken at most, to learn how slow an environment is
ROUND_TRIP = 40e-6  # seconds: an order to two workers and their answers
PER_WORKER = 10e-6  # seconds more for each worker
WORTH_IT = 1.3  # times as fast, at least: starting processes takes a second and their memory


def count_workers(n: int, workers: int | None) -> int:
    """As many processes as asked for or there are cores, but no more than environments."""
    return min(n, workers if workers is not None else joblib.cpu_count())


def processes_pay(env: gymnasium.Env, n: int, workers: int) -> bool:
    """Whether ``workers`` processes step n environments like this one faster than one process does."""
    return workers > 1 and worth(seconds_a_step(env), n, workers)


def worth(seconds: float, n: int, workers: int) -> bool:
    """Whether processes pay for n environments of so many seconds a step."""
    shared = -(-n // workers) * seconds + ROUND_TRIP + PER_WORKER * workers
    return n * seconds > WORTH_IT * shared


def seconds_a_step(env: gymnasium.Env) -> float:
    """Mean time of a step under random actions, resets included, on an environment that is not used again."""
    env.action_space.seed(0)
    env.reset(seed=0)
    env.step(env.action_space.sample())  # whatever is prepared at the first step
    env.reset()
    taken, start = 0, time.perf_counter()
    while taken < STEPS and time.perf_counter() - start < MEASURED:
        _, _, terminated, truncated, _ = env.step(env.action_space.sample())
        if terminated or truncated:
            env.reset()
        taken += 1
    return (time.perf_counter() - start) / taken
