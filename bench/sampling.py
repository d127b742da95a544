"""Sampled policy gradients per second: ours against a JAX scan and a NumPy lock-step loop, in one run.

    python bench/sampling.py [--seeds 64] [--horizon 50] [--repeats 7]

One trajectory a seed and iteration (or 64) on a dense MDP (S=30, A=4). A transition counts once it has been sampled
*and* its gradient accumulated; the time includes the softmax of the policy tables. The bars compute the same
estimator: Psi_t times the score, summed over t. One core, then two; also the cost of a Hessian-vector product
in gradients, a long N-HARPG run, and memory against the number of parameters.
"""

import argparse
import os
import resource
import statistics
import subprocess
import sys
import time

ONE_CORE = {
    name: "1" for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
} | {"XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"}
S, A = 30, 4


def median_seconds(call, repeats):
    call()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def problem(horizon):
    import pgtheory as pg

    return pg.SampledProblem(pg.make("dirichlet", n_states=S, n_actions=A, discount=0.95, horizon=horizon))


def ours(seeds, horizon, repeats, n=1):
    import numpy as np

    import pgtheory as pg

    sampled, rng = problem(horizon), pg.Streams(seeds)
    thetas = np.random.default_rng(0).normal(size=(2, seeds, sampled.dim))
    theta, v = thetas[0], np.random.default_rng(1).normal(size=thetas[0].shape)

    def rounds():
        for k in range(50):  # new parameters every time, as in optimisation: policy tables are made afresh
            sampled.gradient(thetas[k % 2], sampled.rollouts(thetas[k % 2], rng, n))

    seconds = median_seconds(rounds, repeats) / 50
    tau = sampled.rollouts(theta, rng, n)
    gradient = median_seconds(lambda: [sampled.gradient(theta, tau) for _ in range(50)], repeats)
    hvp = median_seconds(lambda: [sampled.hvp(theta, tau, v) for _ in range(50)], repeats)
    return seeds * n * horizon / seconds, hvp / gradient


def lockstep(seeds, horizon, repeats):
    import numpy as np

    sampled = problem(horizon)
    mdp = sampled.mdp
    theta = np.random.default_rng(0).normal(size=(seeds, S, A))
    rng = np.random.default_rng(2)
    cumulative, start = np.cumsum(mdp.P, -1), np.cumsum(mdp.start)
    row = np.arange(seeds)

    def gradient():
        pi = np.exp(theta - theta.max(-1, keepdims=True))
        pi /= pi.sum(-1, keepdims=True)
        choose = np.cumsum(pi, -1)
        s = np.searchsorted(start, rng.random(seeds))
        visited, taken, rewards = [], [], []
        for t in range(horizon):
            a = (rng.random(seeds)[:, None] > choose[row, s, :-1]).sum(-1)
            visited.append(s)
            taken.append(a)
            rewards.append(mdp.discount**t * mdp.r[s, a])
            s = (rng.random(seeds)[:, None] > cumulative[s, a, :-1]).sum(-1)
        psi = np.cumsum(np.array(rewards)[::-1], 0)[::-1]
        out = np.zeros_like(theta)
        for t in range(horizon):
            out[row, visited[t]] -= psi[t][:, None] * pi[row, visited[t]]
            out[row, visited[t], taken[t]] += psi[t]
        return out

    return seeds * horizon / median_seconds(gradient, repeats)


def with_jax(seeds, horizon, repeats):
    import jax
    import jax.numpy as jnp

    jax.config.update("jax_enable_x64", True)
    mdp = problem(horizon).mdp
    P, r, gamma = jnp.log(jnp.asarray(mdp.P)), jnp.asarray(mdp.r), mdp.discount
    theta = jax.random.normal(jax.random.PRNGKey(0), (seeds, S, A))

    def one(theta, key):
        log_pi = jax.nn.log_softmax(theta)
        pi = jnp.exp(log_pi)

        def step(carry, key):
            s = carry
            first, second = jax.random.split(key)
            a = jax.random.categorical(first, log_pi[s])
            return jax.random.categorical(second, P[s, a]), (s, a, r[s, a])

        first, rest = jax.random.split(key)
        s0 = jax.random.randint(first, (), 0, S)
        _, (s, a, rewards) = jax.lax.scan(step, s0, jax.random.split(rest, horizon))
        discounted = rewards * gamma ** jnp.arange(horizon)
        psi = jnp.cumsum(discounted[::-1])[::-1]
        scores = jax.nn.one_hot(a, A) - pi[s]
        return jnp.zeros((S, A)).at[s].add(psi[:, None] * scores)

    batch = jax.jit(jax.vmap(one))
    keys = jax.random.split(jax.random.PRNGKey(1), seeds)
    return seeds * horizon / median_seconds(lambda: batch(theta, keys).block_until_ready(), repeats)


def n_harpg(iterations=100_000):
    import numpy as np

    import pgtheory as pg

    sampled = pg.SampledProblem(pg.make("dirichlet", horizon=60))
    method = pg.methods.NHARPG(pg.methods.power(0.5, 1))
    pg.optimise(method, sampled, np.zeros(sampled.dim), pg.Streams(64), iterations=10)
    start = time.perf_counter()
    pg.optimise(method, sampled, np.zeros(sampled.dim), pg.Streams(64), iterations=iterations)
    return time.perf_counter() - start


def memory(dim):
    import numpy as np

    import pgtheory as pg

    features = np.random.default_rng(0).normal(size=(2, 2, dim))
    policy = pg.LogLinear(features)
    del features
    sampled = pg.SampledProblem(pg.make("two-state", horizon=10), policy)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    pg.optimise(pg.methods.NPGIGT(), sampled, np.zeros(dim), pg.Streams(1), iterations=5)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024, before * 1024


def child(what, *arguments, cores=1):
    """Run a part in its own process, pinned to the given number of cores."""
    environment = os.environ | ONE_CORE | {"NUMBA_NUM_THREADS": str(cores)}
    pinned = f"import os, runpy, sys; os.sched_setaffinity(0, range({cores})); sys.argv = sys.argv[1:]; "
    pinned += "runpy.run_path(sys.argv[0], run_name='__main__')"
    command = [sys.executable, "-c", pinned, __file__, "--child", what, *map(str, arguments)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        return None
    return [float(word) for word in done.stdout.split()]


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=64)
    parser.add_argument("--horizon", type=int, default=50)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--child", nargs="+", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        what, *rest = options.child
        result = {"ours": ours, "lockstep": lockstep, "jax": with_jax, "n_harpg": n_harpg, "memory": memory}[
            what
        ](*map(int, rest))
        print(*(result if isinstance(result, tuple) else (result,)))
        return
    size = (options.seeds, options.horizon, options.repeats)
    one, hvp = child("ours", *size)
    print(f"S={S} A={A} H={options.horizon} seeds={options.seeds}: sampled gradients, transitions a second")
    print(f"pgtheory, one core   {one / 1e6:7.2f} M/s")
    (big, _), (two, _) = child("ours", *size, 64), child("ours", *size, 64, cores=2)
    print(
        f"  64 a seed at once  {big / 1e6:7.2f} M/s; on two cores {two / 1e6:.2f} M/s, {two / big:.2f}x one"
    )
    for name in ("lockstep", "jax"):
        rate, wide = child(name, *size), child(name, 64 * options.seeds, *size[1:])
        if rate is None or wide is None:
            print(f"{name:20s} not installed")
            continue
        print(f"{name:20s} {rate[0] / 1e6:7.2f} M/s, ours {one / rate[0]:.1f}x", end="")
        print(f"; 64 a seed at once {wide[0] / 1e6:.2f} M/s, ours {big / wide[0]:.1f}x")
    print(f"Hessian-vector product: {hvp:.2f} gradients")
    (seconds,) = child("n_harpg", cores=2)
    print(f"N-HARPG, 64 seeds x 100000 iterations x H=60 (5 states), two cores: {seconds:.1f} s")
    for dim in (10**5, 10**6, 10**7):
        peak, features = child("memory", dim)
        print(
            f"log-linear, dim {dim:.0e}: peak {peak / 1e9:.2f} GB, of which before the run {features / 1e9:.2f} GB"
        )


if __name__ == "__main__":
    main()
