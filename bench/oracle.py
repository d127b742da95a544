"""The oracle and the objectives: seconds of an exact law, and surrogates beside the bare clip, in one run.

    python bench/oracle.py [--repeats 7]

One thread. The surrogates read the same token batch [512, 1024] in float32, forward and backward to the
log-probabilities, in turns; each time is the median of the repeats. Where TRL is installed its own GRPO loss runs
on the same tensors.
"""

import argparse
import os
import statistics
import time

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"

import numpy as np
import torch

from pgtheory import objectives as o
from pgtheory import oracle

torch.set_num_threads(1)


def seconds(call):
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def laws():
    grpo = o.RECIPES["grpo"]
    oracle.effective_scale(grpo, 4, [0.5])  # imports and first calls
    p = np.linspace(1e-4, 1 - 1e-4, 10_000)
    taken = seconds(lambda: oracle.effective_scale(grpo, 64, p))
    print(f"effective scale of GRPO, G = 64, {len(p)} difficulties: {taken:.2f} s")
    tree = oracle.token_tree(10, 5, lambda answer: float(sum(answer) % 7 == 0))
    theta = np.zeros(tree.dim)
    total = 0.0
    for recipe in o.RECIPES.values():
        total += seconds(lambda recipe=recipe: oracle.law(recipe, tree, theta, 8))
    answers = tree.mask.shape[1]
    print(
        f"expected update of all {len(o.RECIPES)} recipes, token tree of {answers} answers, G = 8: {total:.1f} s"
    )


def surrogates(repeats):
    generator = torch.Generator().manual_seed(0)
    P, G, T = 64, 8, 1024
    log_prob = -torch.rand(P, G, T, generator=generator)
    old = log_prob + 0.1 * torch.randn(P, G, T, generator=generator)
    rewards = (torch.rand(P, G, generator=generator) < 0.5).float()
    mask = (torch.arange(T) < torch.randint(T // 4, T, (P, G, 1), generator=generator)).float()
    contenders = {
        "clip": o.Clip(0.2),
        "importance-weighted": o.ImportanceWeighted(),
        "clip, dual": o.Clip(0.2, dual=3.0),
        "bounded ratio": o.BoundedRatio(0.2),
        "ratio variance": o.RatioVariance(),
        "CISPO": o.CISPO(),
        "soft gate": o.SoftGate(),
        "sequence clip": o.SequenceClip(),
        "sequence clip, token": o.SequenceClip(token=True),
        "classification": o.Classification(),
    }
    advantage = o.GroupZScore()(rewards, mask.sum(-1)).advantage[..., None].expand(P, G, T).contiguous()

    def run(surrogate):
        leaf = log_prob.clone().requires_grad_()
        decisions = o.Decisions(leaf, old, advantage, weight=mask)
        o.weighted_mean(surrogate(decisions), decisions.weights).backward()

    calls = {name: (lambda s=s: run(s)) for name, s in contenders.items()}
    leaf = log_prob.clone().requires_grad_()
    recipe = o.RECIPES["grpo-trl"]
    calls["recipe grpo-trl, with credit"] = lambda: recipe.group_loss(
        o.Groups(leaf, old, rewards, mask)
    ).backward()
    try:
        from pgtheory.oracle.adapters.trl import trl_objective

        theirs = trl_objective()
        calls["TRL's own, with credit"] = lambda: theirs(o.Groups(leaf, old, rewards, mask)).backward()
    except ImportError:
        print("TRL is not installed: its loss is left out")
    for call in calls.values():
        call()
    times = {name: [] for name in calls}
    for _ in range(repeats):
        for name, call in calls.items():
            times[name].append(seconds(call))
    base = statistics.median(times["clip"])
    print(f"forward and backward on [{P * G}, {T}] tokens")
    for name, all_times in times.items():
        middle = statistics.median(all_times)
        print(f"  {name:<30} {1e3 * middle:7.1f} ms   {middle / base:5.2f} x clip")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=7)
    laws()
    surrogates(parser.parse_args().repeats)
