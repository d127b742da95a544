"""Environment steps per second: our ways of stepping against Gymnasium's and Stable-Baselines3's, in one run.

    python bench/stepping.py [--seconds 1.5] [--repeats 3] [--only Hopper]

Each row is the steps of all environments together divided by the time, under actions drawn beforehand, in the
best repeat: others on the machine only slow things down. ``bare`` is one environment of ``gymnasium.make`` in a
loop that resets it when an episode ends and stores nothing. Each contender runs in a process of its own, uses
what cores there are, and ends its episodes itself. The first line says how much two cores give when two processes
step Hopper on their own: no way of stepping in processes can be better than that.
"""

import argparse
import json
import subprocess
import sys
import time
import warnings

CASES = (("CartPole-v1", 8), ("CartPole-v1", 64), ("Hopper-v5", 8), ("Hopper-v4", 8))
BARE = "bare gymnasium.make"
OURS = {
    "pgtheory local": {"backend": "local"},
    "pgtheory vector": {"backend": "vector"},
    "pgtheory 1 process": {"backend": "processes", "workers": 1},
    "pgtheory 2 processes": {"backend": "processes", "workers": 2},
    "pgtheory envpool": {"backend": "envpool", "workers": 2},
}
GYMNASIUM = {"gymnasium SyncVectorEnv": "sync", "gymnasium AsyncVectorEnv": "async"}
SB3 = {"SB3 DummyVecEnv": "DummyVecEnv", "SB3 SubprocVecEnv": "SubprocVecEnv"}
CONTENDERS = (BARE, *OURS, *GYMNASIUM, *SB3)


def stepper(contender, name, n):
    """A function that steps once, and how many environments it steps."""
    import gymnasium
    import numpy as np

    space = gymnasium.make(name).action_space
    space.seed(0)
    drawn = [np.array([space.sample() for _ in range(n)]) for _ in range(100)]
    k = iter(range(10**12))
    if contender == BARE:
        env = gymnasium.make(name)
        env.reset(seed=0)

        def alone():
            _, _, terminated, truncated, _ = env.step(drawn[next(k) % 100][0])
            if terminated or truncated:
                env.reset()

        return alone, 1
    if contender in OURS:
        from pgtheory.deep.environments import open_environments

        envs = open_environments(name, n, seed=0, **OURS[contender])
        envs.reset()
    elif contender in GYMNASIUM:
        same_step = {"autoreset_mode": gymnasium.vector.AutoresetMode.SAME_STEP}
        envs = gymnasium.make_vec(name, n, GYMNASIUM[contender], vector_kwargs=same_step)
        envs.reset(seed=0)
    else:
        from stable_baselines3.common import vec_env

        envs = getattr(vec_env, SB3[contender])([lambda: gymnasium.make(name)] * n)
        envs.reset()
    return lambda: envs.step(drawn[next(k) % 100]), n


def rate(contender, name, n, seconds, repeats):
    """Steps a second."""
    step, stepped = stepper(contender, name, n)
    for _ in range(20):
        step()
    rates = []
    for _ in range(repeats):
        rounds, start = 0, time.perf_counter()
        while time.perf_counter() < start + seconds:
            for _ in range(10):
                step()
            rounds += 10
        rates.append(rounds * stepped / (time.perf_counter() - start))
    return max(rates)


def started(*arguments):
    """This script in a process of its own."""
    command = [sys.executable, "-W", "ignore", __file__, "--child", json.dumps(arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)


def finished(child):
    """What it measured; None if what it needs is not installed, or does not exist."""
    output = child.communicate()[0].split()
    return None if child.returncode or not output else float(output[-1])


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=1.5)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--only", default="", help="environments whose id contains this")
    parser.add_argument("--child", type=json.loads, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        warnings.simplefilter("ignore")
        print(rate(*options.child), flush=True)
        return
    size = (options.seconds, options.repeats)
    one = finished(started(BARE, "Hopper-v5", 1, *size))
    if one is not None:
        both = [finished(child) for child in [started(BARE, "Hopper-v5", 1, *size) for _ in range(2)]]
        print(f"two loops at once step {sum(both) / one:.2f} times as fast as one, on this machine now")
    for name, n in (case for case in CASES if options.only in case[0]):
        print(f"\n{name}, {n} environments: steps a second, and times the bare loop")
        alone = None
        for contender in CONTENDERS:
            found = finished(started(contender, name, n, *size))
            alone = alone or found
            text = (
                "not installed, or there is none" if found is None else f"{found:9.0f}  {found / alone:5.2f}x"
            )
            print(f"{contender:26s} {text}", flush=True)


if __name__ == "__main__":
    main()
