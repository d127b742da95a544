"""Size: a million states in under 2 GB, and policy evaluation at 100 000 states without densifying.

python bench/size.py
"""

import resource
import time

import numpy as np

import pgtheory as pg


def peak_gigabytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def evaluation(n_states: int = 100_000) -> None:
    for name, mdp in {
        "garnet": pg.make("garnet", n_states=n_states, n_actions=4, branching=5, discount=0.99),
        "ring": ring(n_states),
    }.items():
        pi = np.full((mdp.n_states, mdp.n_actions), 1 / mdp.n_actions)
        start = time.perf_counter()
        ev = pg.mdp.evaluate(mdp, pi)
        seconds = time.perf_counter() - start
        print(
            f"evaluate {name:7s} S={n_states}: V and visits in {seconds:.2f} s, certified errors "
            f"{ev.value_error:.1e} and {ev.visits_error:.1e}"
        )


def ring(n_states: int) -> pg.FiniteMDP:
    here = np.arange(n_states)[:, None, None]
    successors = np.broadcast_to((here + np.array([-1, 1])) % n_states, (n_states, 2, 2))
    chances = np.broadcast_to([[0.9, 0.1], [0.1, 0.9]], successors.shape)
    rewards = np.repeat((np.arange(n_states) == 0)[:, None], 2, axis=1).astype(float)
    return pg.FiniteMDP.from_successors(successors, chances, rewards, 0.99, name="ring")


def million() -> None:
    start = time.perf_counter()
    mdp = pg.make("garnet", n_states=1_000_000, n_actions=4, branching=5, discount=0.99)
    built = time.perf_counter()
    solution = pg.solve(mdp, tol=1e-6)
    solved = time.perf_counter()
    print(
        f"S=1e6 A=4: built in {built - start:.1f} s, solved in {solved - built:.2f} s, {solution!r}, "
        f"peak resident memory {peak_gigabytes():.2f} GB"
    )


if __name__ == "__main__":
    million()
    evaluation()
