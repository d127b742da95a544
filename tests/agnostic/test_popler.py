"""POPLER and the Markov reward processes of policies between petals."""

import numpy as np
import pytest

from pgtheory.agnostic import LayeredMDP
from pgtheory.agnostic.access import BudgetExhausted, Online
from pgtheory.agnostic.classes import one_active, open_loop, singletons, tons
from pgtheory.agnostic.instances import worked_mdp
from pgtheory.agnostic.observed import ObservedMDP
from pgtheory.agnostic.popler import popler
from pgtheory.agnostic.problems import random_tabular, special_walk
from pgtheory.agnostic.reward_process import Nodes, Pieces, exact_process, process_value
from pgtheory.agnostic.rollouts import Episodes, play
from pgtheory.agnostic.sunflower import Sunflower, find_sunflower, layer_core

STATES = [(h, s) for h in (1, 2, 3) for s in range(3)]


def rng(seed=0):
    return np.random.default_rng(seed)


def paid_everywhere(seed, states=3, horizon=3):
    """A random MDP with rewards in every layer, not at the end only."""
    random, g = random_tabular(states, horizon, rng(seed)).mdp, rng(seed + 1000)
    return LayeredMDP(random.start, random.transitions, list(g.random((horizon, states, 2)) / horizon))


def ones(policies, i):
    """The states where policy i plays 1: its petals for ℓ-tons."""
    return frozenset((h + 1, int(s)) for h, x in enumerate(policies.actions) for s in np.flatnonzero(x[i]))


def rows(policies, i):
    return [x[0] for x in policies.policy(i)]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("policies", [tons(2, 3, 3), one_active(3, 3)])
def test_the_process_has_the_value_of_the_policy(policies, seed):
    mdp = paid_everywhere(seed)
    values = mdp.values(policies.actions)
    for i in range(len(policies)):
        own = ones(policies, i)
        more = own | {x for x in STATES if rng(i).random() < 0.4}
        for petals in (own, more, STATES, ()):
            P, r = exact_process(mdp, rows(policies, i), petals)
            assert process_value(P, r) == pytest.approx(values[i], abs=1e-12)
            assert P[0].sum() == pytest.approx(1, abs=1e-12)


def test_the_worked_example():
    mdp, policies = worked_mdp()
    P, r = exact_process(mdp, rows(policies, 3), [(2, 0)])
    assert P[0].tolist() == pytest.approx([0, 0.75, 0.25])
    assert r[0].tolist() == pytest.approx([0, 0, 0.125])
    assert (P[1, 2], r[1, 2]) == pytest.approx((1, 0.9))
    assert process_value(P, r) == pytest.approx(0.8)


def test_the_weights_of_pieces():
    """W, the policy 1@(2, s0): into the petal two core policies agree, 3/2; to the end past s1 one, 3."""
    _, policies = worked_mdp()
    nodes = Nodes.of([{(2, 0)}] * 5, policies)
    for views, taken, P in (
        ([0, 0], [0, 0], [0, 1.5, 0]),
        ([0, 0], [0, 1], [0, 1.5, 0]),  # the action at the petal is not part of the piece
        ([0, 1], [0, 0], [0, 0, 3]),
        ([0, 1], [0, 1], [0, 0, 0]),
        ([0, 0], [1, 0], [0, 0, 0]),
    ):
        episode = Episodes(0, np.array([views]), np.array([taken]), np.array([[0.25, 1.0]]))
        pieces = Pieces(episode, 0, nodes, layer_core([2, 2]))
        found, gain = pieces.edges(rows(policies, 3), nodes.of_policy(3))
        assert found.tolist() == P
        assert gain.tolist() == [0, P[1] * 0.25, P[2] * 1.25]


def test_edges_are_unbiased_and_a_start_in_a_petal_is_an_empty_piece():
    mdp, policies, core = paid_everywhere(3), tons(2, 3, 3), layer_core([3, 3, 3])
    access = Online(ObservedMDP.tabular(mdp, bernoulli=False), rng(1))
    drawn = rng(2).integers(len(core), size=200_000)
    episodes = play(access, access.start(200_000), lambda h, views: core.actions[h][drawn, views])
    nodes = Nodes.of([ones(policies, i) for i in range(len(policies))], policies)
    pieces = Pieces(episodes, 0, nodes, core)
    for i in range(len(policies)):
        P, r = pieces.edges(rows(policies, i), nodes.of_policy(i))
        exact = exact_process(mdp, rows(policies, i), ones(policies, i))
        own = [0, *(nodes.numbers[h - 1][s] for h, s in sorted(ones(policies, i))), nodes.count - 1]
        assert np.abs(P[own] - exact[0][0]).max() < 0.02
        assert np.abs(r[own] - exact[1][0]).max() < 0.02
    first = policies.index([[1, 0, 0], [0, 0, 0], [0, 0, 0]])
    P, _ = pieces.edges(rows(policies, first), nodes.of_policy(first))
    assert P[1] == pytest.approx((episodes.views[:, 0] == 0).mean())  # weight one each


@pytest.mark.parametrize("policies", [tons(2, 3, 3), singletons(3, 3)])
def test_popler_values_a_tabular_class(policies):
    core = layer_core([3, 3, 3])
    sunflowers = [
        Sunflower(core, tuple(ones(policies, i) for i in range(len(policies)))),
        find_sunflower(policies, core),
    ]
    for seed, sunflower in enumerate(sunflowers):
        env = ObservedMDP.tabular(paid_everywhere(seed), bernoulli=False)
        access = Online(env, rng(seed))
        sizes = {"epsilon": 0.1, "n_start": 20_000, "n_petal": 20_000}
        estimate = popler(access, policies, sunflower, rng=rng(seed), **sizes)
        assert np.abs(estimate.values - env.values(policies)).max() < 0.04
        assert estimate.episodes == access.spent.episodes == 20_000 * (1 + len(estimate.petals))


def special_petals(H):
    return Sunflower(layer_core([2] * H), (frozenset((h + 1, 0) for h in range(H)),) * 2**H)


def walk(H, seed, stay=0.9, **sizes):
    secret = rng(seed).integers(2, size=H)
    env, policies = special_walk(secret, stay=stay), one_active(2, H)
    sizes = {"epsilon": 0.3, "n_start": 4000, "n_petal": 4000} | sizes
    estimate = popler(Online(env, rng(seed)), policies, special_petals(H), rng=rng(seed + 1), **sizes)
    return env, policies, secret, estimate


def test_popler_on_the_special_walk():
    env, policies, secret, estimate = walk(8, 1)
    assert estimate.petals[0] == (1, 0)
    assert sorted(estimate.petals) == [(h, 0) for h in range(1, 9)]
    assert estimate.episodes == 4000 * 9
    assert np.abs(estimate.values - env.values(policies)).max() < 0.3
    assert policies.index([[b, 0] for b in secret]) == int(env.values(policies).argmax())


def test_petals_out_of_reach_are_left_alone_and_cost_only_their_value():
    """With a large ε few petals matter; what flows past them is lost, so that no value is too high."""
    env, policies, _, estimate = walk(6, 2, stay=0.5, epsilon=10.0, n_start=20_000, n_petal=20_000)
    assert (1, 0) in estimate.petals
    assert len(estimate.petals) < 6
    assert (estimate.values < env.values(policies) + 0.05).all()


def test_the_threshold_is_on_the_reach():
    """The second petal is reached with probability .9: it matters for ε/6D below that, not above."""
    for epsilon, found in ((0.8 * 12, 2), (0.99 * 12, 1)):
        _, _, _, estimate = walk(2, 3, epsilon=epsilon, n_start=20_000, n_petal=20_000)
        assert len(estimate.petals) == found


def test_same_seed_same_answer():
    assert (walk(6, 3)[3].values == walk(6, 3)[3].values).all()


def test_petals_shared_by_all_or_told_one_by_one_are_the_same():
    """One policy with a petal more than the others keeps all of them in their own rows."""
    H, policies = 5, one_active(2, 5)
    shared = special_petals(H)
    more = Sunflower(shared.core, (*shared.petals[:-1], shared.petals[-1] | {(1, 1)}))
    values = [
        popler(
            Online(special_walk([0, 1, 0, 1, 1]), rng(1)),
            policies,
            sunflower,
            epsilon=0.3,
            n_start=500,
            n_petal=500,
            rng=rng(2),
        ).values
        for sunflower in (shared, more)
    ]
    assert len(Nodes.of(shared.petals, policies).petals[0]) == 1
    assert len(Nodes.of(more.petals, policies).petals[0]) == 32
    assert np.allclose(values[0], values[1], atol=1e-14)  # ordinary is never the first state


def test_no_petals_at_all():
    """Policies that are core policies themselves: the loop has nothing to find."""
    env, core = special_walk([0, 0, 0]), layer_core([2, 2, 2])
    sizes = {"epsilon": 0.3, "n_start": 20_000, "n_petal": 1, "rng": rng(1)}
    estimate = popler(Online(env, rng()), core, Sunflower(core, (frozenset(),) * 4), **sizes)
    assert estimate.petals == ()
    assert np.abs(estimate.values - env.values(core)).max() < 0.04


def test_a_class_that_is_no_sunflower_is_valued_too_low():
    """Open-loop policies without petals: what no core policy plays as a whole is never seen."""
    env = ObservedMDP.tabular(paid_everywhere(1), bernoulli=False)
    policies, core = open_loop(3, 3), layer_core([3, 3, 3])
    sizes = {"epsilon": 0.3, "n_start": 20_000, "n_petal": 1, "rng": rng(1)}
    estimate = popler(Online(env, rng()), policies, Sunflower(core, (frozenset(),) * 8), **sizes)
    played = np.array([sum(int(x[i, 0]) for x in policies.actions) <= 1 for i in range(8)])
    assert np.abs(estimate.values - env.values(policies))[played].max() < 0.04
    assert (estimate.values[~played] == 0).all()


def test_bad_input():
    env, policies, sunflower = special_walk([0, 1, 0]), one_active(2, 3), special_petals(3)
    good = {"epsilon": 0.3, "n_start": 100, "n_petal": 100, "rng": rng()}
    for wrong, message in (
        ({"epsilon": 0.0}, "epsilon must be positive"),
        ({"n_start": 0}, "n_start must be at least 1"),
        ({"n_petal": 0}, "n_petal must be at least 1"),
    ):
        with pytest.raises(ValueError, match=message):
            popler(Online(env, rng()), policies, sunflower, **good | wrong)
    core, petals = sunflower.core, sunflower.petals
    for wrong, message in (
        (Sunflower(core, petals[:2]), "petals must hold one set for each of 8 policies, got 2"),
        (
            Sunflower(core, ({(4, 0)},) * 8),
            r"petals must be \(h, s\) of the policies' own layers .* got \(4, 0\)",
        ),
        (Sunflower(layer_core([1] * 3), petals), "policies must be defined on"),
    ):
        with pytest.raises(ValueError, match=message):
            popler(Online(env, rng()), policies, wrong, **good)
    with pytest.raises(TypeError, match="sunflower must be a Sunflower"):
        popler(Online(env, rng()), policies, petals, **good)
    with pytest.raises(BudgetExhausted):
        popler(Online(env, rng(), episodes=150), policies, sunflower, **good)
