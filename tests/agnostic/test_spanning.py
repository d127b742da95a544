"""Spanning capacity: the table, brute force, the bounds around it, witnesses, and budgets that run out."""

import itertools
import time

import numpy as np
import pytest
from every_dynamics import by_every_map, by_every_mdp
from hypothesis import given, settings
from hypothesis import strategies as st

from pgtheory.agnostic import (
    PolicyClass,
    SearchBudget,
    all_active,
    closed_forms,
    linear_separators,
    littlestone_dimension,
    one_active,
    open_loop,
    singletons,
    spanning_capacity,
    tabular,
    thresholds,
    tons,
    tree_bounds,
)
from pgtheory.agnostic.search_budget import Meter
from pgtheory.agnostic.suffixes import Suffixes

TABLE = [
    (PolicyClass([np.eye(5, dtype=int)]), (2,)),  # a contextual bandit
    (tabular(2, 2), (2, 4)),
    (tabular(2, 3), (2, 4, 4)),
    (tabular(2, 2, 3), (3, 6)),
    (singletons(3, 4), (2, 3, 4, 4)),
    (singletons(4, 4), (2, 3, 4, 5)),
    (singletons(5, 5), (2, 3, 4, 5, 6)),
    (tons(2, 4, 3), (2, 4, 7)),
    (tons(2, 3, 3), (2, 4, 6)),
    (tons(2, 2, 3), (2, 4, 4)),
    (tons(2, 3, 4), (2, 4, 6, 6)),
    (tons(2, 7, 4), (2, 4, 7, 11)),
    (tons(3, 4, 3), (2, 4, 8)),
    (tons(3, 3, 4), (2, 4, 6, 6)),
    (tons(3, 8, 4), (2, 4, 8, 15)),
    (one_active(3, 4), (2, 3, 4, 4)),
    (one_active(4, 4), (2, 3, 4, 5)),
    (one_active(6, 6), (2, 3, 4, 5, 6, 7)),
    (all_active(1, 1), (2,)),
    (all_active(2, 2), (2, 4)),
    (all_active(2, 3), (2, 4, 4)),
    (all_active(3, 3), (2, 4, 6)),
    (all_active(4, 3), (2, 4, 7)),
    (all_active(5, 4, 4), (2, 4, 7, 9)),
    (all_active(6, 4, 4), (2, 4, 7, 10)),
    (all_active(7, 4, 4), (2, 4, 7, 11)),
    (all_active(4, 4, 3), (2, 4, 7, 7)),
    (open_loop(2, 2), (2, 4)),
    (open_loop(4, 3), (2, 4, 8)),
    (open_loop(3, 3), (2, 4, 6)),
    (open_loop(2, 3), (2, 4, 4)),
    (thresholds(3, 2), (2, 4)),
    (thresholds(4, 3), (2, 4, 5)),
    (thresholds(7, 3), (2, 4, 8)),
]
SMALL = ((1, 2, 2), (2, 2, 2), (2, 3), (3, 3), (1, 3, 2), (2, 1, 2), (1, 2, 1, 2))


@st.composite
def small_classes(draw):
    sizes = draw(st.sampled_from(SMALL))
    A = 2 if sizes in ((2, 2, 2), (3, 3)) else draw(st.integers(2, 3))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n = draw(st.integers(1, 12))
    return PolicyClass([rng.integers(A, size=(n, S)) for S in sizes], A)


@pytest.mark.parametrize(("policies", "layers"), TABLE, ids=lambda x: getattr(x, "name", None) or None)
def test_the_table(policies, layers):
    found = spanning_capacity(policies)
    assert found.is_exact
    assert found.by_layer == layers
    assert found.value == max(layers)
    assert all(layer.is_exact for layer in found.layers)


@given(small_classes())
@settings(max_examples=150, deadline=None)
def test_random_classes_have_the_value_of_the_best_of_all_mdps(policies):
    found = spanning_capacity(policies)
    assert found.is_exact
    assert found.by_layer == by_every_mdp(policies)


@given(
    st.sampled_from([(3, 3), (2, 2, 2), (3, 2, 3), (3, 3, 3)]),
    st.booleans(),
    st.integers(1, 3),
    st.integers(0, 2**32 - 1),
)
@settings(max_examples=60, deadline=None)
def test_exchanging_states_that_are_alike_loses_nothing(sizes, together, n, seed):
    """Classes closed under permuting the states of each layer, alone or all at once."""
    rng = np.random.default_rng(seed)
    rows = [[rng.integers(2, size=S) for S in sizes] for _ in range(n)]
    moves = [list(itertools.permutations(range(S))) for S in sizes]
    ways = list(itertools.product(*moves))
    if together and len(set(sizes)) == 1:
        ways = [(way,) * len(sizes) for way in moves[0]]
    tables = [np.array([row[h][list(way[h])] for row in rows for way in ways]) for h in range(len(sizes))]
    policies = PolicyClass(tables)
    assert spanning_capacity(policies).by_layer == by_every_map(policies)


@pytest.mark.parametrize(
    "policies",
    [singletons(3, 4), tons(2, 3, 3), one_active(3, 4), all_active(3, 3), open_loop(3, 3), thresholds(4, 3)],
    ids=lambda x: x.name,
)
def test_standard_classes_have_the_value_of_the_search_without_shortcuts(policies):
    assert spanning_capacity(policies).by_layer == by_every_map(policies)


@given(small_classes(), st.data())
@settings(max_examples=60, deadline=None)
def test_inequalities_around_the_capacity(policies, data):
    found = spanning_capacity(policies)
    trees = tree_bounds(policies)
    A, L = policies.n_actions, littlestone_dimension(policies)
    for h, (value, tree) in enumerate(zip(found.by_layer, trees), 1):
        assert value <= min(A**h, len(policies), A * policies.sizes[h - 1], tree)
        if A == 2:
            assert tree <= closed_forms.littlestone_leaves(L, h)
    kept = data.draw(st.lists(st.sampled_from(range(len(policies))), min_size=1))
    part = spanning_capacity(policies.subset(sorted(set(kept))))
    assert all(x <= y for x, y in zip(part.by_layer, found.by_layer))


@pytest.mark.parametrize("budget", [SearchBudget(), SearchBudget(positions=1)], ids=["exact", "spent"])
def test_witnesses_attain_the_lower_bounds(budget):
    for policies in (all_active(7, 4, 4), tons(2, 3, 4), thresholds(7, 3), tabular(2, 2, 3)):
        found = spanning_capacity(policies, budget)
        for h, layer in enumerate(found.layers):
            reached = layer.witness.reached(policies)[h]
            assert len(reached) == layer.lower
            assert sum(mask.bit_count() for mask in reached.values()) == len(policies)
        mdp = found.witness.with_rewards([np.zeros((S, policies.n_actions)) for S in found.witness.sizes])
        assert mdp.is_deterministic


def test_a_witness_reaches_what_dynamic_programming_says():
    policies = all_active(4, 3)
    witness = spanning_capacity(policies).witness
    visits = witness.with_rewards([np.zeros((4, 2))] * 3).occupancy(policies.actions)
    for h, reached in enumerate(witness.reached(policies)):
        rows, states = np.nonzero(visits[h])
        assert {(int(s), int(policies.actions[h][i, s])) for i, s in zip(rows, states)} == set(reached)
    with pytest.raises(ValueError, match="policies must be defined on layers of"):
        witness.reached(open_loop(2, 3))


def test_closed_forms():
    for S, H in itertools.product((2, 3, 6), (1, 3, 5)):
        value = closed_forms.singletons_capacity(S, H)
        assert spanning_capacity(singletons(S, H)).value == spanning_capacity(one_active(S, H)).value == value
        assert spanning_capacity(open_loop(S, H)).value == closed_forms.open_loop_capacity(S, H)
        assert spanning_capacity(thresholds(S, H)).value == closed_forms.thresholds_capacity(S, H)
    for ell, H in itertools.product((1, 2, 3), (1, 3, 4)):
        assert spanning_capacity(tons(ell, 8, H)).value == closed_forms.tons_capacity(ell, H)
    for H in (1, 2, 3, 4):
        S = closed_forms.all_active_capacity(max(H - 1, 1))
        assert spanning_capacity(all_active(S, H)).value == closed_forms.all_active_capacity(H)
    assert spanning_capacity(tabular(2, 2, 3)).value == closed_forms.open_loop_capacity(2, 2, 3)


def test_tree_bounds_can_be_loose():
    assert tree_bounds(one_active(6, 6)) == (2, 4, 8, 16, 32, 64)
    assert tree_bounds(tons(2, 3, 4)) == (2, 4, 7, 11)
    assert tree_bounds(thresholds(7, 3)) == (2, 4, 8)


def test_half_spaces_of_the_plane_contain_thresholds():
    angles = np.linspace(0, np.pi, 7)
    circle = linear_separators(np.stack([np.cos(angles), np.sin(angles)], 1), 3)
    line = linear_separators(np.arange(7.0)[:, None], 3)
    assert spanning_capacity(circle).value == spanning_capacity(line).value == 8


@pytest.mark.parametrize(
    ("budget", "limit"),
    [
        (SearchBudget(positions=2000), "2000 positions"),
        (SearchBudget(megabytes=0.2), "0.2 MB"),
        (SearchBudget(seconds=0.3), "0.3 s"),
    ],
)
def test_a_search_that_would_exceed_its_budget_returns_bounds(budget, limit):
    policies = all_active(8, 6)
    start = time.monotonic()
    found = spanning_capacity(policies, budget)
    assert time.monotonic() - start < 20
    assert not found.is_exact
    assert found.lower < found.upper <= 16
    assert found.layers[-1].limit == limit
    assert len(found.witness.reached(policies)[len(found.witness.sizes) - 1]) == found.lower
    with pytest.raises(
        ValueError, match=f"{found.lower}..{found.upper}: the search reached its limit of {limit}"
    ):
        found.value  # noqa: B018
    assert f"spanning capacity {found.lower}..{found.upper}" in str(found)


def test_a_spent_budget_never_contradicts_the_exact_value():
    for positions in (1, 10, 100, 1000):
        for policies, layers in TABLE[::3]:
            found = spanning_capacity(policies, SearchBudget(positions=positions))
            for exact, layer in zip(layers, found.layers):
                assert layer.lower <= exact <= layer.upper


def test_tree_bounds_say_when_they_are_too_expensive():
    with pytest.raises(ValueError, match="limit of 50 positions at layer 3; the tree bounds before it are"):
        tree_bounds(all_active(5, 5), SearchBudget(positions=50))


def test_states_are_alike_only_if_swapping_them_changes_nothing():
    policies = one_active(4, 2)
    suffixes = Suffixes(policies, 1, Meter(SearchBudget()))
    assert suffixes.alike(0, (suffixes.everyone,)) == [0, 1, 1, 1]
    ordered = Suffixes(thresholds(3, 2), 1, Meter(SearchBudget()))
    assert ordered.alike(0, (ordered.everyone,)) == [0, 1, 2]
    twins = Suffixes(all_active(3, 2), 1, Meter(SearchBudget()))
    assert twins.alike(0, (twins.everyone,)) == [0, 0, 0]


def test_bad_input_is_refused():
    for call, message in (
        (lambda: SearchBudget(seconds=0), "seconds must be positive"),
        (lambda: SearchBudget(positions=0), "positions must be at least 1"),
        (lambda: SearchBudget(megabytes=-1.0), "megabytes must be positive"),
    ):
        with pytest.raises(ValueError, match=message):
            call()
    with pytest.raises(TypeError, match="policies must be a PolicyClass"):
        spanning_capacity([[0, 1]])
    with pytest.raises(TypeError, match="budget must be a SearchBudget"):
        spanning_capacity(singletons(2, 2), 10)
