"""Exact gradients of a batch: closed form against a Python loop of single solves through torch autodiff.

    python bench/gradients.py [--states 50] [--actions 5] [--batch 256] [--repeats 15]

Also the Hessian-vector product in units of a gradient. Both sides use their default threads.
"""

import argparse
import statistics
import time

import numpy as np
import torch

import pgtheory as pg


def timed(call):
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--states", type=int, default=50)
    parser.add_argument("--actions", type=int, default=5)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--repeats", type=int, default=15)
    options = parser.parse_args()
    S, A = options.states, options.actions
    mdp = pg.make("dirichlet", n_states=S, n_actions=A, discount=0.95)
    problem = pg.ExactProblem(mdp)
    rng = np.random.default_rng(0)
    theta, v = rng.normal(size=(2, options.batch, problem.dim))
    P, r, start = (torch.tensor(np.array(x)) for x in (mdp.P, mdp.r, mdp.start))
    eye, many = torch.eye(S, dtype=torch.float64), torch.tensor(theta)

    def loop():
        gradients = []
        for one in many:
            x = one.clone().requires_grad_(True)
            pi = torch.softmax(x.view(S, A), -1)
            V = torch.linalg.solve(eye - mdp.discount * torch.einsum("sa,sat->st", pi, P), (pi * r).sum(-1))
            (start @ V).backward()
            gradients.append(x.grad)
        return torch.stack(gradients).numpy()

    gap = np.abs(loop() - problem.gradient(theta)).max()
    problem.hvp(theta, v)
    runs = {
        "torch loop": loop,
        "gradient": lambda: problem.gradient(theta),
        "hvp": lambda: problem.hvp(theta, v),
    }
    seconds = {name: [] for name in runs}
    for _ in range(options.repeats):
        for name, run in runs.items():
            seconds[name].append(timed(run))
            time.sleep(0.02)  # let the other library's idle threads go to sleep
    middle = {name: statistics.median(times) for name, times in seconds.items()}
    print(f"S={S} A={A} batch={options.batch}: largest difference {gap:.1e}")
    for name, value in middle.items():
        print(f"{name:12s} {value * 1e3:9.2f} ms   {middle['torch loop'] / value:6.1f}x the loop")


if __name__ == "__main__":
    main()
