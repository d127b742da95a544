"""Small MDPs whose trajectories can all be written down, and their law under a policy."""

import numpy as np

import pgtheory as pg
from pgtheory.mdp.sampling import Trajectories

THETA = np.array([0.3, -0.2, 0.5, 0.1])
V = np.array([1.0, 0.0, -0.5, 0.25])


def odd(discount=0.8, horizon=3):
    """Four states, the last one terminal; forbidden actions, rewards of transitions, some starts already over."""
    rng = np.random.default_rng(5)
    P = np.zeros((4, 3, 4))
    for s in range(3):
        for a in range(3):
            after = rng.choice(4, 2, replace=False)
            P[s, a, after] = rng.dirichlet([1.0, 1.0])
    P[1, 0] = [0, 0, 0, 1]
    P[0, 0] = [0.5, 0, 0.5, 0]
    rewards = rng.normal(size=(4, 3, 4))
    rewards[3] = 0
    P[3, :, 3] = 1
    actions = np.array([[1, 1, 0], [1, 0, 1], [0, 1, 1], [1, 1, 1]], bool)
    terminal = np.array([False, False, False, True])
    start = [0.4, 0.2, 0.3, 0.1]
    return pg.FiniteMDP(P, rewards, discount, start, terminal=terminal, actions=actions, horizon=horizon)


def law(mdp, pi, horizon):
    """Probabilities of all trajectories under a policy pi [S, A], by (states, actions, rewards)."""
    chances = {}
    per_step = mdp.transition_rewards
    if per_step is None:
        per_step = np.broadcast_to(mdp.r[..., None], (*mdp.r.shape, mdp.n_states))

    def go_on(s, chance, states, actions, rewards):
        if mdp.terminal[s] or len(states) == horizon:
            key = (states, actions, rewards)
            chances[key] = chances.get(key, 0.0) + chance
            return
        for a in np.flatnonzero(pi[s]):
            for after in np.flatnonzero(mdp.P[s, a]):
                p = chance * pi[s, a] * mdp.P[s, a, after]
                gained = float(per_step[s, a, after])
                go_on(after, p, (*states, int(s)), (*actions, int(a)), (*rewards, gained))

    for s in np.flatnonzero(mdp.start):
        go_on(s, mdp.start[s], (), (), ())
    return chances


def trajectories(keys, horizon, pi):
    """``Trajectories`` [len(keys), 1, H] of the given (states, actions, rewards); pi [S, A] for the record."""
    shape = (len(keys), 1, horizon)
    states, actions, rewards = np.zeros(shape, np.int32), np.zeros(shape, np.int32), np.zeros(shape)
    lengths = np.array([[len(s)] for s, _, _ in keys], np.int32)
    for i, (s, a, r) in enumerate(keys):
        states[i, 0, : len(s)], actions[i, 0, : len(s)], rewards[i, 0, : len(s)] = s, a, r
    return Trajectories(states, actions, rewards, lengths, np.broadcast_to(pi, (len(keys), *pi.shape)))


def enumerate_all(problem, theta):
    """All trajectories at theta [dim], one a seed, and their probabilities [seeds]."""
    pi = problem.policy.probabilities(theta)
    chances = law(problem.mdp, pi, problem.horizon)
    return trajectories(list(chances), problem.horizon, pi), np.array(list(chances.values()))


def keys_of(tau):
    """(states, actions, rewards) of sampled trajectories, in order."""
    for s, i in np.ndindex(tau.lengths.shape):
        n = tau.lengths[s, i]
        yield tuple(tuple(x[s, i, :n].tolist()) for x in (tau.states, tau.actions, tau.rewards))
