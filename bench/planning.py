"""Planning on a sparse Garnet: pgtheory against mdpsolver and QuantEcon, one thread each, in one run.

    python bench/planning.py [--states 20000] [--repeats 5]

Times solve only: building each library's input is excluded. Every repeat builds a fresh mdpsolver model,
because its second solve starts from the first one's answer. Reports the median and the ratios.
"""

import os

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ[name] = "1"

import argparse
import statistics
import time

import numpy as np

import pgtheory as pg


def timed(call):
    start = time.perf_counter()
    result = call()
    return time.perf_counter() - start, result


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--states", type=int, default=20_000)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    S, A, k, gamma, tol = options.states, 8, 10, 0.99, 1e-6
    mdp = pg.make("garnet", n_states=S, n_actions=A, branching=k, discount=gamma, sparse=True)
    pg.solve(pg.make("garnet", n_states=300))  # compile
    solution = pg.solve(mdp, tol=tol)
    contenders = {"pgtheory mpi": lambda: timed(lambda: pg.solve(mdp, tol=tol))[0]}
    distance = {}

    try:
        import mdpsolver
    except ImportError:
        print("mdpsolver is not installed: pip install 'pgtheory[bench]'")
    else:
        columns = mdp.pairs.indices.reshape(S, A, k).tolist()
        chances, rewards = mdp.pairs.data.reshape(S, A, k).tolist(), mdp.r.tolist()

        def with_mdpsolver() -> float:
            model = mdpsolver.model()
            model.mdp(discount=gamma, rewards=rewards, tranMatProbs=chances, tranMatColumns=columns)
            seconds, _ = timed(lambda: model.solve(algorithm="mpi", tolerance=tol, parallel=False))
            distance["mdpsolver mpi"] = np.abs(np.array(model.getValueVector()) - solution.V).max()
            return seconds

        contenders["mdpsolver mpi"] = with_mdpsolver

    try:
        from quantecon.markov import DiscreteDP
    except ImportError:
        print("quantecon is not installed: pip install 'pgtheory[bench]'")
    else:
        pairs = np.arange(S * A)
        ddp = DiscreteDP(mdp.r.ravel(), mdp.pairs, gamma, pairs // A, pairs % A)
        ddp.solve(method="modified_policy_iteration", epsilon=2 * tol)  # compile

        def with_quantecon() -> float:
            seconds, result = timed(lambda: ddp.solve(method="modified_policy_iteration", epsilon=2 * tol))
            distance["QuantEcon mpi"] = np.abs(result.v - solution.V).max()
            return seconds

        contenders["QuantEcon mpi"] = with_quantecon

    seconds = {name: [] for name in contenders}
    for _ in range(options.repeats):  # interleaved, so that a slow moment hits everybody
        for name, run in contenders.items():
            seconds[name].append(run())
    ours = statistics.median(seconds["pgtheory mpi"])
    print(f"S={S} A={A} successors={k} discount={gamma}, tolerance {tol}; {solution!r}")
    for name, times in seconds.items():
        middle = statistics.median(times)
        gap = f", largest difference of values {distance[name]:.1e}" if name in distance else ""
        print(f"{name:16s} {middle * 1e3:9.1f} ms   {middle / ours:6.1f}x{gap}")


if __name__ == "__main__":
    main()
