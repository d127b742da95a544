"""The hybrid room: simulating the lock, the tabular and the linear method to success, networks against a plain loop.

    python bench/hybrid.py [--only simulator|tabular|linear|networks] [--repeats 3]

One core. The plain loop is the official recipe (github.com/YifeiZhou02/HNPG: main.py, trpo.py) in PyTorch modules, on
our lock, one environment step at a time, without its evaluation of 30 episodes an iteration. Its values at online
states are asked for one state at a time, and twice; "batched" is the same loop with one call a step of the horizon,
once. All do the same updates: 30 full-batch Adam steps on each critic, 10 conjugate gradients and a line search for
each policy. Seconds are of CPU, of the best repeat: others may be on the machine.
"""

import argparse
import os

os.environ |= {name: "1" for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")}

import time

import numpy as np
import torch

from pgtheory.hybrid.finite_horizon import train
from pgtheory.hybrid.linear import LinearHNPG
from pgtheory.hybrid.lock import N_ACTIONS, ContinuousLock
from pgtheory.hybrid.network import NetworkHNPG
from pgtheory.hybrid.offline import collect


def best(call, repeats):
    """Least CPU seconds of a call, after one that warms up."""
    call()
    times = []
    for _ in range(repeats):
        start = time.process_time()
        call()
        times.append(time.process_time() - start)
    return min(times)


def simulator(repeats, n=1000):
    for H, target in ((10, 2.0), (50, 0.5)):
        lock, rng = ContinuousLock.draw(H, 0), np.random.default_rng(1)
        actions = rng.random((n, N_ACTIONS))
        seconds = best(lambda: lock.play(lambda h, x: actions, n, rng), max(repeats, 5))  # noqa: B023
        print(f"lock, H={H}, {n} episodes at once: {n * H / seconds / 1e6:.2f} M steps/s (wanted {target})")


def tabular(repeats):
    from pgtheory.hybrid import LayeredHAC, tabular_lock
    from pgtheory.hybrid.lock_tabular import collect as collect_counts

    def run():
        lock = tabular_lock(50)
        data = collect_counts(lock, 2000, range(5))
        return LayeredHAC().run(lock, data, range(5), iterations=200, until=0.525).steps_to(0.525)

    seconds = best(run, 1)
    print(
        f"tabular lock, H=50, 5 seeds to success: {seconds:.1f} s (wanted 10), after {run().tolist()} steps"
    )


def linear(repeats):
    for H in (10, 20, 50):
        seconds, solved = [], []
        for seed in range(repeats):
            rng, lock = np.random.default_rng(seed), ContinuousLock.draw(H, seed, observation="latent")
            start = time.process_time()
            _, history = train(LinearHNPG(), lock, collect(lock, 20_000, rng), steps=1_000_000, rng=rng)
            seconds.append(time.process_time() - start)
            solved.append(history.solved)
        print(
            f"linear critic, H={H}: {max(seconds):.1f} s a seed at most (wanted 10 at 20), solved after {solved}"
        )


def networks(repeats):
    for H in (5, 10, 20, 50):
        lock = ContinuousLock.draw(H, 0)
        data = collect(lock, 2000, np.random.default_rng(0))
        agent, steps = NetworkHNPG(), 5000

        def ours(agent=agent, lock=lock, data=data, steps=steps):
            train(agent, lock, data, steps=steps, rng=np.random.default_rng(1))

        rates = {"ours": steps / best(ours, repeats)}
        for label, batched in (("official recipe", False), ("batched", True)):
            loop = PlainLoop(lock, data, batched)
            loop.iteration()
            start = time.process_time()
            loop.iteration()
            rates[label] = loop.steps / (time.process_time() - start)
        print(
            f"networks, H={H}: {rates['ours']:.0f} steps/s; official recipe {rates['official recipe']:.0f} "
            f"({rates['ours'] / rates['official recipe']:.1f}x), batched values {rates['batched']:.0f} "
            f"({rates['ours'] / rates['batched']:.1f}x)",
            flush=True,
        )


class PlainLoop:
    """The official recipe: a list of modules, one state at a time."""

    def __init__(self, lock, data, batched):
        torch.set_default_dtype(torch.float64)
        self.lock, self.data, self.batched, self.rng = lock, data, batched, np.random.default_rng(0)
        H, d, k = lock.horizon, lock.size, N_ACTIONS
        self.steps = -(-1000 // H) * H
        self.policies = [Policy(d, k) for _ in range(H)]
        self.critics = [mlp(d + k, 64, 1) for _ in range(H)]

    def iteration(self):
        H = self.lock.horizon
        online = self.collect()
        returns = online[2].flip(0).cumsum(0).flip(0)
        offline = [torch.as_tensor(column) for column in self.data.sample(self.steps // H, self.rng)[:4]]
        if not self.batched:
            self.values(online[0])  # the official code asks before the fit too
        for h in range(H - 1, -1, -1):
            self.fit(h, [column[h] for column in online], returns[h], [column[h] for column in offline])
        V = self.values(online[0])
        advantage, carry = torch.zeros_like(V), torch.zeros(V.shape[1])
        for h in range(H - 1, -1, -1):
            delta = online[2][h] + (V[h + 1] if h + 1 < H else 0) - V[h]
            carry = advantage[h] = delta + 0.97 * carry
        for h in range(H):
            x = offline[0][h]
            with torch.no_grad():
                a = torch.normal(*self.policies[h](x))
                gain = self.critics[h](torch.cat([x, a], 1))[:, 0] - self.value(h, x)
            states, actions = torch.cat([online[0][h], x]), torch.cat([online[1][h], a])
            trpo_step(self.policies[h], states, actions, torch.cat([advantage[h], gain]))

    def collect(self):
        """States, actions, rewards [H, n, ...], one step of one episode after the other."""
        episodes = []
        for _ in range(self.steps // self.lock.horizon):
            s, episode = self.lock.start(1, self.rng), []
            x = self.lock.observe(0, s, self.rng)
            for h in range(self.lock.horizon):
                with torch.no_grad():
                    action = torch.normal(*self.policies[h](torch.from_numpy(x)))
                s, r, _ = self.lock.advance(h, s, action.numpy(), self.rng)
                episode.append((torch.from_numpy(x)[0], action[0], torch.from_numpy(r)[0]))
                x = self.lock.observe(h + 1, s, self.rng)
            episodes.append([torch.stack(column) for column in zip(*episode)])
        return [torch.stack(column, 1) for column in zip(*episodes)]

    def value(self, h, states):
        with torch.no_grad():
            mean, std = self.policies[h](states)
            total = sum(self.critics[h](torch.cat([states, torch.normal(mean, std)], 1)) for _ in range(10))
        return total[:, 0] / 10

    def values(self, states):
        if self.batched:
            return torch.stack([self.value(h, x) for h, x in enumerate(states)])
        return torch.stack(
            [torch.cat([self.value(h, x[None]) for x in rows]) for h, rows in enumerate(states)]
        )

    def fit(self, h, online, returns, offline):
        target = offline[2]
        if h + 1 < self.lock.horizon:
            with torch.no_grad():
                a = torch.normal(*self.policies[h + 1](offline[3]))
                target = target + self.critics[h + 1](torch.cat([offline[3], a], 1))[:, 0]
        net = self.critics[h]
        adam = torch.optim.Adam(net.parameters(), lr=3e-4)
        on, off = torch.cat(online[:2], 1), torch.cat(offline[:2], 1)
        for _ in range(30):
            adam.zero_grad()
            loss = (net(on)[:, 0] - returns).pow(2).mean() + (net(off)[:, 0] - target).pow(2).mean()
            loss.backward()
            adam.step()


def mlp(inputs, width, outputs):
    layers = [torch.nn.Linear(inputs, width), torch.nn.Tanh(), torch.nn.Linear(width, width), torch.nn.Tanh()]
    last = torch.nn.Linear(width, outputs)
    last.weight.data *= 0.1
    last.bias.data *= 0
    return torch.nn.Sequential(*layers, last)


class Policy(torch.nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.mean, self.log_std = mlp(inputs, 16, outputs), torch.nn.Parameter(torch.zeros(1, outputs))

    def forward(self, x):
        mean = self.mean(x)
        return mean, self.log_std.expand_as(mean).exp()


def trpo_step(policy, states, actions, advantages, radius=0.01, damping=0.1):
    parameters = list(policy.parameters())

    def log_prob():
        return torch.distributions.Normal(*policy(states)).log_prob(actions).sum(1)

    old = log_prob().detach()
    loss = lambda: -(advantages * torch.exp(log_prob() - old)).mean()
    slope = torch.cat([g.reshape(-1) for g in torch.autograd.grad(loss(), parameters)])

    def fisher(v):
        mean, std = policy(states)
        mean0, std0 = mean.detach(), std.detach()
        kl = (std / std0).log() + (std0**2 + (mean0 - mean) ** 2) / (2 * std**2) - 0.5
        first = torch.autograd.grad(kl.sum(1).mean(), parameters, create_graph=True)
        second = torch.autograd.grad((torch.cat([g.reshape(-1) for g in first]) * v).sum(), parameters)
        return torch.cat([g.reshape(-1) for g in second]) + damping * v

    x, r = torch.zeros_like(slope), -slope
    p, rr = r.clone(), r @ r
    for _ in range(10):
        Ap = fisher(p)
        alpha = rr / (p @ Ap)
        x, r = x + alpha * p, r - alpha * Ap
        rr, before = r @ r, rr
        p = r + rr / before * p
        if rr < 1e-10:
            break
    step = x / (0.5 * (x @ fisher(x)) / radius).sqrt()
    start = torch.nn.utils.parameters_to_vector(parameters).detach()
    with torch.no_grad():
        now = loss()
        for share in 0.5 ** np.arange(10):
            torch.nn.utils.vector_to_parameters(start + share * step, parameters)
            if now - loss() > 0.1 * share * -(slope @ step) > 0:
                return
        torch.nn.utils.vector_to_parameters(start, parameters)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parts = {part.__name__: part for part in (simulator, tabular, linear, networks)}
    parser.add_argument("--only", choices=parts)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(1)
    for name, part in parts.items():
        if options.only in (None, name):
            part(options.repeats)


if __name__ == "__main__":
    main()
