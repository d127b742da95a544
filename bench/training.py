"""Training loops in environment steps a second: ours against Stable-Baselines3's PPO, in one run.

    python bench/training.py [--only cartpole] [--steps 60000] [--repeats 3]

Same networks (two tanh layers of 64 for actor and critic), same rollout, minibatch, epochs and total steps; the time
is that of the whole loop. Ours is timed without and with a compiled update; compilation happens once in a process
and is in the seconds beside it. Every contender runs in a process of its own; they take turns, the median counts.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
import warnings

CASES = {
    "cartpole-8": ("CartPole-v1", 8, {"n_steps": 256, "minibatch": 64, "epochs": 10}),
    "cartpole-64": ("CartPole-v1", 64, {"n_steps": 32, "minibatch": 64, "epochs": 10}),
    "hopper": ("Hopper-v5", 8, {"n_steps": 256, "minibatch": 64, "epochs": 10}),
}
SOLVED = {"n_steps": 32, "minibatch": 256, "epochs": 20, "learning_rate": 1e-3, "discount": 0.98, "lam": 0.8}
CONTENDERS = ("sb3", "sb3-processes", "ours", "ours-compiled")


def ours(name, n, settings, steps, seed, threads, *, compiled, solved=None, workers=None):
    """Seconds of the loop, and of what came before its first update ended."""
    from pgtheory import deep

    marks = []

    def callback(row):
        marks.append(time.perf_counter())
        return solved is not None and row["charts/return"] >= solved

    start = time.perf_counter()
    run = deep.train(
        deep.PPO(**settings), name, steps=steps, seed=seed, n_environments=n, threads=threads,
        compiled=compiled, progress=False, callback=callback, workers=workers,
    )  # fmt: skip
    per_update = settings["n_steps"] * n
    steady = (len(marks) - 1) * per_update / (marks[-1] - marks[0])
    return {"steady": steady, "whole": time.perf_counter() - start, "steps": run.steps,
            "return": float(run.metrics["charts/return"].values[-1])}  # fmt: skip


def sb3(name, n, settings, steps, seed, threads, *, processes, solved=None):
    import numpy as np
    import torch
    from stable_baselines3 import PPO
    from stable_baselines3.common.callbacks import BaseCallback
    from stable_baselines3.common.env_util import make_vec_env
    from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv

    torch.set_num_threads(threads)
    marks = []

    class Mark(BaseCallback):
        def _on_rollout_start(self):
            marks.append(time.perf_counter())

        def _on_step(self):
            if solved is None or len(self.model.ep_info_buffer) < 1:
                return True
            return np.mean([e["r"] for e in self.model.ep_info_buffer]) < solved

    start = time.perf_counter()
    envs = make_vec_env(name, n, seed=seed, vec_env_cls=SubprocVecEnv if processes else DummyVecEnv)
    model = PPO(
        "MlpPolicy", envs, n_steps=settings["n_steps"], batch_size=settings["minibatch"],
        n_epochs=settings["epochs"], learning_rate=settings.get("learning_rate", 3e-4),
        gamma=settings.get("discount", 0.99), gae_lambda=settings.get("lam", 0.95), seed=seed, device="cpu",
    )  # fmt: skip
    model.learn(steps, callback=Mark())
    marks.append(time.perf_counter())
    per_update = settings["n_steps"] * n
    steady = (len(marks) - 2) * per_update / (marks[-1] - marks[1])
    returned = float(np.mean([e["r"] for e in model.ep_info_buffer]))
    return {
        "steady": steady,
        "whole": time.perf_counter() - start,
        "steps": model.num_timesteps,
        "return": returned,
    }


def one(contender, name, n, settings, steps, seed, threads, solved):
    warnings.filterwarnings("ignore")
    if contender.startswith("sb3"):
        return sb3(
            name, n, settings, steps, seed, threads, processes=contender.endswith("processes"), solved=solved
        )
    return ours(
        name, n, settings, steps, seed, threads, compiled=contender.endswith("compiled"), solved=solved
    )


def spawn(*arguments):
    code = f"import json, sys; sys.path.insert(0, {str(sys.path[0])!r}); import training; "
    code += "print(json.dumps(training.one(*json.loads(sys.argv[1]))))"
    done = subprocess.run([sys.executable, "-c", code, json.dumps(arguments)], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(done.stderr)
    return json.loads(done.stdout.splitlines()[-1])


def update_cost(repeats=15):
    """Seconds of one update of 2048 steps: PPO, BPO without and with its median head, compiled, in turns."""
    import numpy as np
    import torch

    from pgtheory import deep
    from pgtheory.deep.actor_critic import ActorCritic
    from pgtheory.deep.adam import Adam
    from pgtheory.deep.heads import Gaussian
    from pgtheory.deep.learner import Learner
    from pgtheory.deep.rollout import Rollout

    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    T, N, d, k = 256, 8, 11, 3
    flags = np.zeros((T, N), bool)
    observations = rng.standard_normal((T, N, d), np.float32)
    rollout = Rollout(observations, observations, rng.standard_normal((T, N, k), np.float32),
                      rng.random((T, N)), flags, flags.copy(), observations[0], observations[0, :0])  # fmt: skip
    updates = {}
    for label, algorithm in (
        ("PPO", deep.PPO()),
        ("BPO, value as baseline", deep.BPO(use_median=False)),
        ("BPO, median head", deep.BPO()),
    ):
        networks = ActorCritic(d, Gaussian(k), deep.Network(), algorithm.has_median)
        learner = Learner(algorithm, networks, compiled=True)
        adam = Adam.start(networks.initial(np.random.default_rng(1)))
        updates[label] = lambda learner=learner, adam=adam: learner.update(
            adam, torch.tensor(0.0), rollout, np.random.default_rng(2), 3e-4
        )
        updates[label]()
    times = {label: [] for label in updates}
    for _ in range(repeats):
        for label, update in updates.items():
            start = time.perf_counter()
            update()
            times[label].append(time.perf_counter() - start)
    base = statistics.median(times["PPO"])
    for label, seconds in times.items():
        middle = statistics.median(seconds)
        print(f"  {label:<24} {1e3 * middle:7.1f} ms   {middle / base:5.2f} x PPO")


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", default="", help="run the cases whose name contains this")
    parser.add_argument("--steps", type=int, default=60_000)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    for case, (name, n, settings) in CASES.items():
        if options.only not in case:
            continue
        contenders = [c for c in CONTENDERS if c != "sb3-processes" or case == "hopper"]
        for threads in (1, 2):
            results = {c: [] for c in contenders}
            for repeat in range(options.repeats):
                for c in contenders:
                    results[c].append(spawn(c, name, n, settings, options.steps, repeat, threads, None))
            best = max(
                statistics.median(r["steady"] for r in results[c]) for c in contenders if c.startswith("sb3")
            )
            print(
                f"{case}, {threads} thread(s), {options.steps} steps: steps/s after the first update, seconds in all"
            )
            for c in contenders:
                steady = statistics.median(r["steady"] for r in results[c])
                whole = statistics.median(r["whole"] for r in results[c])
                print(
                    f"  {c:<14} {steady:9.0f}/s   {steady / best:5.2f} x SB3's best   {whole:6.1f} s",
                    flush=True,
                )
    if options.only in "solved":
        print("CartPole to a mean return of 475 over the latest 100 episodes, 8 environments: seconds in all")
        for c in ("sb3", "ours"):
            runs = [
                spawn(c, "CartPole-v1", 8, SOLVED, 300_000, seed, 1, 475.0)
                for seed in range(max(3, options.repeats))
            ]
            print(
                f"  {c:<14} " + ", ".join(f"{r['whole']:.1f} s ({r['steps']} steps)" for r in runs),
                flush=True,
            )
    if options.only in "update":
        print("one update, 2048 steps, 320 minibatches, compiled, one thread")
        update_cost()


if __name__ == "__main__":
    main()
