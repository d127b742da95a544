"""The stored runs of notebook 52: the network version and its rivals on the continuous lock. Resumable.

    python tools/hybrid_study.py [--jobs 1] [--only METHOD[/HORIZON] ...] [--seeds N] [--folder build/hybrid-study]

Each case has a cap on online steps and a number of seeds, in ``CASES``; those with 0 run only if ``--seeds`` asks for
them. Finished cells stay in the folder; after every case its curves go to ``figures/data/hybrid-lock-mlp.json``, beside
those that are there, with the versions and the machine that made them.
"""

import argparse
import json
import os
import platform
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # one run, one core

import numpy as np
import torch
from stored_runs import DATA, ROOT, origin, rounded, write

from pgtheory import evidence

TARGET = DATA / "hybrid-lock-mlp.json"
FIRST_SEED, POINTS, EPISODES = 100, 50, 20_000
CASES = {  # (method, horizon): (cap on online steps, seeds)
    ("hnpg", 5): (300_000, 5),
    ("hnpg", 10): (400_000, 5),
    ("trpo", 5): (150_000, 3),
    ("trpo", 10): (150_000, 3),
    ("offline-critic", 5): (300_000, 3),
    ("offline-critic", 10): (400_000, 0),
    ("cloning", 5): (0, 3),
    ("cloning", 10): (0, 3),
    ("cloning", 20): (0, 3),
    ("rlpd", 5): (40_000, 1),
    ("rlpd", 10): (40_000, 0),
    ("hnpg", 20): (1_500_000, 1),
    ("hnpg", 50): (40_000_000, 0),  # days on one core: ask for it with --seeds
}


def cell(rng, method, horizon, cap):
    """One run: online steps to success (NaN: none), the success rate on a grid of steps, and steps a CPU second."""
    torch.set_num_threads(1)
    from pgtheory.hybrid.baselines.cloning import Cloning
    from pgtheory.hybrid.baselines.rlpd import RLPD, train_rlpd
    from pgtheory.hybrid.finite_horizon import train
    from pgtheory.hybrid.lock import ContinuousLock
    from pgtheory.hybrid.network import NetworkHNPG
    from pgtheory.hybrid.offline import collect

    lock = ContinuousLock.draw(horizon, int(rng.integers(2**31)))
    data = None if method == "trpo" else collect(lock, EPISODES, rng)
    start = time.process_time()
    if method == "cloning":
        learner = Cloning()
        theta = learner.fit(lock, data, rng)
        rates = [learner.success(lock, theta, 2000, rng, noisy=noisy) for noisy in (True, False)]
        return {"noisy": rates[0], "mean": rates[1], "seconds": time.process_time() - start}
    if method == "rlpd":
        history = train_rlpd(RLPD(), lock, data, steps=cap, rng=rng)
    else:
        agent = (
            NetworkHNPG(online_weight=0, policy_online_weight=1.0)
            if method == "offline-critic"
            else NetworkHNPG()
        )
        _, history = train(agent, lock, data, steps=cap, rng=rng)
    seconds = time.process_time() - start
    steps, success = np.array(history.steps), np.array(history.success)
    ends = steps[-1] * np.arange(1, POINTS + 1) / POINTS
    part = np.minimum(np.searchsorted(ends, steps), POINTS - 1)
    count = np.bincount(part, minlength=POINTS)
    curve = np.divide(np.bincount(part, success, POINTS), count, out=np.full(POINTS, np.nan), where=count > 0)
    return {
        "solved": np.nan if history.solved is None else history.solved,
        "diverged": history.divergence is not None,
        "steps": ends,
        "success": curve,
        "best": max(np.convolve(success, np.full(10, 0.1), "valid"), default=np.nan),
        "speed": steps[-1] / seconds,
    }


def record() -> dict:
    """What made the numbers."""
    return {
        **origin(
            __file__,
            f"{os.cpu_count()} cores shared with other work, {platform.machine()}, one run at a time",
            *("numpy", "torch"),
        ),
        "offline_episodes": EPISODES,
        "runs": {},
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--only", nargs="+", default=[""], help="cases, such as hnpg or rlpd/5")
    parser.add_argument("--seeds", type=int, help="of every case chosen")
    parser.add_argument("--folder", type=Path, default=ROOT / "build" / "hybrid-study")
    options = parser.parse_args()
    for (method, horizon), (cap, n) in CASES.items():
        name = f"{method}/{horizon}"
        n = n if options.seeds is None else options.seeds
        if n == 0 or not any(one in ("", method, name) for one in options.only):
            continue
        conditions = {"method": [method], "horizon": [horizon], "cap": [cap]}
        seeds = range(FIRST_SEED, FIRST_SEED + n)
        data = evidence.run(cell, conditions, seeds, folder=options.folder, jobs=options.jobs, version="1")
        data = data.sel({"method": method, "horizon": horizon, "cap": cap})
        stored = json.loads(TARGET.read_text()) if TARGET.exists() else {"runs": {}}
        stored = record() | {"runs": stored["runs"]}
        values = {key: rounded(data[key].transpose("seed", ...).values) for key in data.data_vars}
        stored["runs"][name] = {"cap": cap, "seeds": list(seeds)} | values
        write(TARGET, stored)
        print(f"{name}: {values.get('solved', values.get('mean'))} -> {TARGET.relative_to(ROOT)}", flush=True)


if __name__ == "__main__":
    main()
