"""Every method's iterates against its published recursion, written again for one seed in plain NumPy."""

import numpy as np
import pytest
from scripted import Noted, Scripted, Update, unit

from pgtheory.methods import (
    HAPG,
    HARPG,
    ISMBPG,
    MNPG,
    NHARPG,
    NPG,
    NPGIGT,
    PAGEPG,
    SHARP,
    SRVRPG,
    STORMPG,
    SVRPG,
    NormalisedPG,
    VanillaPG,
    constant,
    power,
)

T = 9
START = np.random.default_rng(0).normal(scale=0.4, size=(4, 3))
x = lambda t: 2 / (t + 2)


# -- the recursions: (update, theta) -> what is added to theta, and d, one pair an iteration ------------------------


def vanilla(u, batch, gamma, baseline=0.0):
    theta = yield
    for t in range(T):
        d = u.mean_g(theta, batch) - baseline
        theta = yield gamma(t) * d, d


def momentum(u, batch, gamma, eta):
    theta, d = (yield), None
    for t in range(T):
        g = u.mean_g(theta, batch)
        d = g if t == 0 else (1 - min(1, eta(t))) * d + min(1, eta(t)) * g
        theta = yield gamma(t) * unit(d), d


def igt(u, batch, gamma, eta):
    theta = before = yield
    d = None
    for t in range(T):
        e = 1.0 if t == 0 else min(1.0, eta(t))
        tilde = theta + (1 - e) / e * (theta - before)
        g = u.mean_g(tilde, batch)
        d = g if t == 0 else (1 - e) * d + e * g
        before = theta
        theta = yield gamma(t) * unit(d), d


def harpg(u, batch, hvp_batch, gamma, eta, normalised):
    theta = before = yield
    for t in range(T):
        if t == 0:
            d = u.mean_g(theta, batch)
        else:
            e, q = min(1.0, eta(t)), next(u.q)
            v = u.Bv(q * theta + (1 - q) * before, hvp_batch, theta - before)
            d = (1 - e) * (d + v) + e * u.mean_g(theta, batch)
        before = theta
        theta = yield gamma(t) * (unit(d) if normalised else d), d


def svrpg(u, m, N, B, gamma):
    theta = yield
    for t in range(T):
        if t % m == 0:
            snapshot, mu = theta, u.mean_g(theta, N)
            d = mu
        else:
            tau = u.sample(theta, B)
            d = mu + u.g(theta, tau) - u.wg(snapshot, theta, tau)
        theta = yield gamma * d, d


def srvr(u, m, N, B, gamma):
    theta = before = yield
    for t in range(T):
        if t % m == 0:
            d = u.mean_g(theta, N)
        else:
            tau = u.sample(theta, B)
            d = d + u.g(theta, tau) - u.wg(before, theta, tau)
        before = theta
        theta = yield gamma * d, d


def storm(u, N, B, gamma, alpha, normalised):
    theta = before = yield
    for t in range(T):
        if t == 0:
            d = u.mean_g(theta, N)
        else:
            tau = u.sample(theta, B)
            d = (1 - alpha) * (d - u.wg(before, theta, tau)) + u.g(theta, tau)
        before = theta
        theta = yield gamma(t) * (unit(d) if normalised else d), d


def page(u, p, N, B, gamma):
    theta = before = yield
    for t in range(T):
        coin = next(u.q)
        if t == 0 or coin < p:
            d = u.mean_g(theta, N)
        else:
            tau = u.sample(theta, B)
            d = d + u.g(theta, tau) - u.wg(before, theta, tau)
        before = theta
        theta = yield gamma * d, d


def is_mbpg(u, k, m, c, B, adaptive):
    theta = before = yield
    squares, beta, d = 0.0, 1.0, 0.0
    for t in range(T):
        tau = u.sample(theta, B)
        g = u.g(theta, tau)
        squares += g @ g
        eta = k / (m + (squares if adaptive else t)) ** (1 / 3)
        d = beta * g + (1 - beta) * (d + g - u.wg(before, theta, tau))
        beta, before = min(1.0, c * eta**2), theta
        theta = yield eta * d, d


def hapg(u, m, N, B, gamma):
    theta = before = yield
    for t in range(T):
        if t % m == 0:
            d = u.mean_g(theta, N)
        else:
            q = next(u.q)
            d = d + u.Bv(q * theta + (1 - q) * before, B, theta - before)
        before = theta
        theta = yield gamma * unit(d), d


def npg(u, B, eta, ridge, beta):
    theta, d = (yield), None
    for t in range(T):
        tau = u.sample(theta, B)
        g = u.g(theta, tau)
        d = g if t == 0 else (1 - beta) * d + beta * g
        F = u.problem.fisher(theta[None], tau)[0]
        theta = yield eta(t) * np.linalg.inv(F + ridge * np.eye(len(F))) @ d, d


g2, e2 = power(0.3, 0.5), power(1.7, 0.7)  # eta_0 above one is cut to one
CASES = {
    "vanilla": (VanillaPG(batch=2), lambda u: vanilla(u, 2, lambda t: 0.1 * x(t) ** (2 / 3))),
    "vanilla, baseline": (
        VanillaPG(constant(0.1), batch=2, baseline=True),
        lambda u: vanilla(u, 2, lambda t: 0.1, 5.0),
    ),
    "momentum": (NormalisedPG(), lambda u: momentum(u, 1, lambda t: 0.1 * x(t), lambda t: x(t) ** (2 / 3))),
    "momentum, eta_0 small": (
        NormalisedPG(g2, constant(0.3), 3),
        lambda u: momentum(u, 3, g2, lambda t: 0.3),
    ),
    "igt": (NPGIGT(), lambda u: igt(u, 1, lambda t: 0.1 * x(t), lambda t: x(t) ** 0.8)),
    "igt, options": (NPGIGT(g2, e2, 2), lambda u: igt(u, 2, g2, e2)),
    "igt, eta_0 small": (NPGIGT(g2, constant(0.4)), lambda u: igt(u, 1, g2, lambda t: 0.4)),
    "harpg": (HARPG(), lambda u: harpg(u, 1, 1, lambda t: 0.1 * x(t) ** 0.5, x, False)),
    "n-harpg": (NHARPG(), lambda u: harpg(u, 1, 1, lambda t: 0.1 * x(t), x, True)),
    "n-harpg, options": (NHARPG(g2, e2, 2, 3), lambda u: harpg(u, 2, 3, g2, e2, True)),
    "sharp": (
        SHARP(),
        lambda u: harpg(u, 1, 1, lambda t: 0.1 * x(t) ** (2 / 3), lambda t: x(t) ** (2 / 3), True),
    ),
    "svrpg": (SVRPG(constant(0.02), 4, 3, 2), lambda u: svrpg(u, 4, 3, 2, 0.02)),
    "srvr": (SRVRPG(constant(0.02), 4, 3, 2), lambda u: srvr(u, 4, 3, 2, 0.02)),
    "storm": (
        STORMPG(constant(0.02), constant(0.3), 3, 2),
        lambda u: storm(u, 3, 2, lambda t: 0.02, 0.3, False),
    ),
    "storm, normalised": (STORMPG(g2, constant(0.3), 3, 2, True), lambda u: storm(u, 3, 2, g2, 0.3, True)),
    "page": (PAGEPG(constant(0.02), 0.4, 3, 2), lambda u: page(u, 0.4, 3, 2, 0.02)),
    "is-mbpg": (ISMBPG(0.3, 2.0, 1.5, batch=2), lambda u: is_mbpg(u, 0.3, 2.0, 1.5, 2, True)),
    "is-mbpg*": (ISMBPG(0.1, 2.0, 9.0, False, 2), lambda u: is_mbpg(u, 0.1, 2.0, 9.0, 2, False)),
    "is-mbpg, beta cut": (ISMBPG(0.9, 0.5, 3.0, False), lambda u: is_mbpg(u, 0.9, 0.5, 3.0, 1, False)),
    "hapg": (HAPG(constant(0.1), 4, 3, 2), lambda u: hapg(u, 4, 3, 2, 0.1)),
    "npg": (NPG(g2, 0.2, batch=3), lambda u: npg(u, 3, g2, 0.2, 1.0)),
    "mnpg": (MNPG(g2, constant(0.3), ridge=0.2, batch=3), lambda u: npg(u, 3, g2, 0.2, 0.3)),
}
WEIGHTED = {
    "svrpg": SVRPG(constant(0.02), 4, 3, 2, True),
    "srvr": SRVRPG(constant(0.02), 4, 3, 2, True),
    "storm": STORMPG(constant(0.02), constant(0.3), 3, 2, per_decision=True),
    "page": PAGEPG(constant(0.02), 0.4, 3, 2, True),
    "is-mbpg": ISMBPG(0.3, 2.0, 1.5, True, 2, True),
}


def run(method, problem, rng, theta=START):
    """States before the first and after each of T steps."""
    states = [method.init(problem, theta, rng)]
    for t in range(T):
        problem.time = t
        states.append(method.step(problem, states[-1], rng))
    return states


def assert_follows(method, recursion, per_decision=False):
    rng = Noted([3, 0, 8, 5])
    states = run(method, Scripted(), rng)
    for seed in range(len(START)):
        u = Update([q[seed] for q in rng.given], per_decision)
        theta, steps = START[seed], recursion(u)
        next(steps)
        for t in range(T):
            u.problem.time = t
            change, d = steps.send(theta)
            theta = theta + change
            np.testing.assert_allclose(states[t + 1].theta[seed], theta, rtol=1e-11, atol=1e-12)
            np.testing.assert_allclose(states[t + 1].d[seed], d, rtol=1e-11, atol=1e-12)
            np.testing.assert_array_equal(states[t + 1].previous[seed], states[t].theta[seed])
            assert states[t + 1].t == t + 1


@pytest.mark.parametrize("name", CASES)
def test_iterates_follow_the_published_recursion(name):
    assert_follows(*CASES[name])


@pytest.mark.parametrize("name", WEIGHTED)
def test_weights_per_decision(name):
    assert_follows(WEIGHTED[name], CASES[name][1], per_decision=True)
