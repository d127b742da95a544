"""Coverage numbers and conditions: the worked numbers of the notes, the locks, and inequalities on random MDPs."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from layered_examples import random_mdp, worked_mdp
from scipy.optimize import linprog

from pgtheory.agnostic import (
    LayeredMDP,
    PolicyClass,
    all_active,
    completeness_gap,
    concentrability,
    coverability,
    cumulative_reachability,
    one_active,
    open_loop,
    pushforward_concentrability,
    pushforward_coverability,
    realizability_gap,
    singletons,
    spanning_capacity,
    tons,
)

CLASSES = {
    c.name: c for c in (singletons(3, 3), one_active(3, 3), tons(2, 3, 3), all_active(3, 3), open_loop(3, 3))
}
CAPACITIES = {name: spanning_capacity(c).by_layer for name, c in CLASSES.items()}
seeds = st.integers(0, 2**32 - 1)


def uniform(mdp: LayeredMDP) -> list[np.ndarray]:
    return [np.full(S, 1 / S) for S in mdp.sizes]


def lock(H: int, labels: int, latents: int, delta: float = 0.5):
    """A lock whose secret is all ones, each latent state behind a block of labels, and its resets by latent."""
    after = np.zeros((latents, 2, latents))
    for z in range(latents):
        keeps = z != 1
        after[z, 0, 1] = 1
        after[z, 1, z if keeps else 1] = 1
    final = [1.0, 0.0] if latents == 2 else [0.5 + delta, 0.5, 0.5 - delta]
    rewards = [np.zeros((latents, 2))] * (H - 1)
    spread = np.repeat(np.eye(latents), labels, 0)  # [observations, latents]
    emit = spread.T / labels
    last = after @ np.array(final)
    step = np.einsum("xz,zaw,wy->xay", spread, after, emit)
    mdp = LayeredMDP(
        np.eye(latents)[0] @ emit,
        [step] * (H - 1),
        [spread @ r for r in rewards] + [np.einsum("xz,za->xa", spread, last)],
    )
    first = np.full(latents, 1 / latents) if latents == 2 else np.eye(latents)[0]
    mu = [first @ emit] + [np.full(latents * labels, 1 / (latents * labels))] * (H - 1)
    return mdp, open_loop(latents * labels, H), mu


def test_the_worked_mdp_to_the_digits():
    mdp, policies = worked_mdp(), singletons(2, 2)
    order = [
        policies.index(x)
        for x in ([[0, 0], [0, 0]], [[1, 0], [0, 0]], [[0, 1], [0, 0]], [[0, 0], [1, 0]], [[0, 0], [0, 1]])
    ]
    values = mdp.values(policies.actions)[order]
    np.testing.assert_allclose(values, [0.275, 0.425, 0.275, 0.8, 0.175], atol=1e-12)
    V, _ = mdp.optimal()
    assert V[0] @ mdp.start == pytest.approx(0.8)
    assert cumulative_reachability(policies, mdp)[1] == pytest.approx(2.5)
    assert spanning_capacity(policies).by_layer == (2, 3)
    cover = coverability(policies, mdp)
    assert cover.value == pytest.approx(1.5)
    np.testing.assert_allclose(cover.mu[1], [0.5, 0.5])
    assert pushforward_coverability(mdp) == pytest.approx(1.75)
    mu = uniform(mdp)
    assert concentrability(policies, mdp, mu) == pytest.approx(2.0)
    assert pushforward_concentrability(mdp, mu) == pytest.approx(2.0)
    assert completeness_gap(policies, mdp, mu) == pytest.approx(0.0, abs=1e-12)
    assert completeness_gap(policies, mdp, mu, joint=True) == pytest.approx(0.1)
    assert realizability_gap(policies, mdp) == pytest.approx(0.0, abs=1e-12)
    assert realizability_gap(policies, mdp, everywhere=True) > 0.05


@pytest.mark.parametrize(("H", "labels"), [(2, 1), (3, 2), (5, 2)])
def test_the_two_latent_lock(H, labels):
    mdp, policies, mu = lock(H, labels, 2)
    values = mdp.values(policies.actions)
    np.testing.assert_allclose(np.sort(values), [0.0] * (2**H - 1) + [1.0])
    assert coverability(policies, mdp).value == pytest.approx(2.0)
    assert coverability(policies, mdp, pairs=True).value == pytest.approx(4.0)
    assert concentrability(policies, mdp, mu) == pytest.approx(2.0)
    assert pushforward_concentrability(mdp, mu) == pytest.approx(2.0)
    assert completeness_gap(policies, mdp, mu) == pytest.approx(0.0, abs=1e-12)
    assert realizability_gap(policies, mdp, everywhere=True) == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize(("H", "labels", "delta"), [(2, 1, 0.5), (3, 2, 0.5), (5, 2, 0.3)])
def test_the_balanced_lock(H, labels, delta):
    mdp, policies, mu = lock(H, labels, 3, delta)
    values = mdp.values(policies.actions)
    np.testing.assert_allclose(np.sort(values), [0.5] * (2**H - 1) + [0.5 + delta])
    assert coverability(policies, mdp).value == pytest.approx(2.0)
    assert concentrability(policies, mdp, mu) == pytest.approx(3.0)
    assert pushforward_concentrability(mdp, mu) == pytest.approx(3.0)
    assert completeness_gap(policies, mdp, mu) == pytest.approx(delta / 3)
    assert completeness_gap(policies, mdp, mu, joint=True) == pytest.approx((H - 1) * delta / 3)
    assert realizability_gap(policies, mdp) == pytest.approx(0.0, abs=1e-12)
    assert realizability_gap(policies, mdp, everywhere=True) == pytest.approx(delta)
    V = mdp.evaluate(policies.actions).V
    for h in range(1, H):
        np.testing.assert_allclose(V[h] @ mu[h], 0.5, atol=1e-12)
    pairs = [np.repeat(m[:, None], 2, 1) / 2 for m in mu]
    assert concentrability(policies, mdp, pairs) == pytest.approx(6.0)


@given(st.sampled_from(sorted(CLASSES)), seeds, st.sampled_from([0.01, 0.05, 0.1, 0.3, 1.0]))
@settings(max_examples=60, deadline=None)
def test_reachability_never_exceeds_the_capacity_nor_falls_below_coverability(name, seed, concentration):
    mdp = random_mdp(np.random.default_rng(seed), concentration=concentration)
    policies = CLASSES[name]
    reach = cumulative_reachability(policies, mdp)
    assert (reach <= np.array(CAPACITIES[name]) + 1e-9).all()
    over_states = coverability(policies, mdp).by_layer
    assert (over_states <= reach + 1e-12).all()
    assert (reach <= 2 * over_states + 1e-12).all()


@given(st.sampled_from(sorted(CLASSES)), seeds)
@settings(max_examples=60, deadline=None)
def test_the_chain_of_coefficients(name, seed):
    rng = np.random.default_rng(seed)
    mdp, policies = random_mdp(rng), CLASSES[name]
    mu = [rng.dirichlet(np.ones(3)) for _ in range(3)]
    cover, conc = coverability(policies, mdp), concentrability(policies, mdp, mu)
    push = pushforward_concentrability(mdp, mu)
    assert cover.value <= conc + 1e-9
    assert conc <= max(push, (mdp.start / mu[0]).max()) + 1e-9
    assert pushforward_coverability(mdp) <= push + 1e-9
    assert concentrability(policies, mdp, cover.mu) == pytest.approx(cover.value)
    pairs = coverability(policies, mdp, pairs=True)
    with np.errstate(invalid="ignore"):
        assert concentrability(policies, mdp, pairs.mu) == pytest.approx(pairs.value)


def test_coverability_is_the_value_of_the_linear_programme():
    rng = np.random.default_rng(3)
    for policies in CLASSES.values():
        mdp = random_mdp(rng)
        visits = mdp.occupancy(policies.actions)
        for h, value in enumerate(coverability(policies, mdp).by_layer):
            d = visits[h]
            S = d.shape[1]
            found = linprog(
                np.ones(S), A_ub=-np.tile(np.eye(S), (len(d), 1)), b_ub=-d.ravel(), bounds=(0, None)
            )
            assert found.fun == pytest.approx(value)


@given(seeds)
@settings(max_examples=40, deadline=None)
def test_gaps_are_those_of_their_definitions(seed):
    rng = np.random.default_rng(seed)
    mdp = random_mdp(rng, (2, 3, 2))
    policies = PolicyClass([rng.integers(2, size=(6, S)) for S in mdp.sizes])
    mu = [rng.dirichlet(np.ones(S)) for S in mdp.sizes]
    Q = mdp.evaluate(policies.actions).Q
    layer, joint = [], []
    for tilde in range(len(policies)):
        best = [float(mu[h] @ Q[h][tilde].max(-1)) for h in range(3)]
        got = [
            [
                float(sum(mu[h][s] * Q[h][tilde, s, policies.actions[h][i, s]] for s in range(mdp.sizes[h])))
                for h in range(3)
            ]
            for i in range(len(policies))
        ]
        layer += [best[h] - max(g[h] for g in got) for h in range(3)]
        joint.append(sum(best) - max(map(sum, got)))
    assert completeness_gap(policies, mdp, mu) == pytest.approx(max(layer), abs=1e-12)
    assert completeness_gap(policies, mdp, mu, joint=True) == pytest.approx(max(joint), abs=1e-12)
    V, Qstar = mdp.optimal()
    loss = [
        max(V[h][s] - Qstar[h][s, policies.actions[h][i, s]] for h in range(3) for s in range(mdp.sizes[h]))
        for i in range(len(policies))
    ]
    assert realizability_gap(policies, mdp, everywhere=True) == pytest.approx(min(loss), abs=1e-12)
    assert realizability_gap(policies, mdp) <= realizability_gap(policies, mdp, everywhere=True) * 3 + 1e-12


def test_joint_gaps_of_many_policies_come_in_pieces(monkeypatch):
    from pgtheory.agnostic import conditions

    mdp, policies, mu = lock(5, 1, 3)
    whole = completeness_gap(policies, mdp, mu, joint=True)
    monkeypatch.setattr(conditions, "_CHUNK", 1)
    assert completeness_gap(policies, mdp, mu, joint=True) == whole


def test_one_layer_and_resets_that_miss_a_state():
    mdp = LayeredMDP([0.5, 0.5], [], [np.zeros((2, 2))])
    policies = singletons(2, 1)
    assert pushforward_coverability(mdp) == pushforward_concentrability(mdp, [[0.5, 0.5]]) == 0
    assert concentrability(policies, mdp, [[1.0, 0.0]]) == np.inf
    assert concentrability(policies, mdp, [[0.25, 0.75]]) == pytest.approx(2.0)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m, c: concentrability(c, m, [[0.5, 0.5]]), "H = 2 distributions"),
        (lambda m, c: concentrability(c, m, [[0.5, 0.5], [1.0]]), r"mu\[1\] must have shape \[2\]"),
        (lambda m, c: concentrability(c, m, [[0.5, 0.5], [0.5, 0.4]]), r"mu\[1\] must sum to one"),
        (lambda m, c: pushforward_concentrability(m, [np.full((2, 2), 0.25)] * 2), "over states"),
        (lambda m, c: completeness_gap(c, m, [np.full((2, 2), 0.25)] * 2), "over states"),
        (lambda m, c: coverability(singletons(3, 2), m), "states by layer"),
        (lambda m, c: realizability_gap(singletons(2, 3), m), "states by layer"),
    ],
)
def test_what_does_not_fit_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call(worked_mdp(), singletons(2, 2))


def test_what_is_no_class_or_mdp_is_refused():
    with pytest.raises(TypeError, match="policies must be a PolicyClass"):
        coverability([[0]], worked_mdp())
    with pytest.raises(TypeError, match="mdp must be a LayeredMDP"):
        coverability(singletons(2, 2), "W")
    with pytest.raises(TypeError, match="pairs must be True or False"):
        coverability(singletons(2, 2), worked_mdp(), pairs=1)


def test_low_concentration_attains_the_capacity():
    """Nearly deterministic dynamics come close to the deterministic optimum, layer by layer."""
    for name, policies in itertools.islice(CLASSES.items(), 2):
        rng = np.random.default_rng(0)
        best = np.max(
            [cumulative_reachability(policies, random_mdp(rng, concentration=0.01)) for _ in range(150)], 0
        )
        np.testing.assert_allclose(best, CAPACITIES[name], atol=0.05)
