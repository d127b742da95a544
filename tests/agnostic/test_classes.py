"""The standard classes policy by policy, and combinatorial dimensions by their definitions."""

import itertools
from math import comb

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pgtheory.agnostic import (
    PolicyClass,
    all_active,
    from_rules,
    linear_separators,
    littlestone_dimension,
    natarajan_dimension,
    one_active,
    open_loop,
    singletons,
    tabular,
    thresholds,
    tons,
    vc_dimension,
)


def rows(policies: PolicyClass) -> set[tuple[int, ...]]:
    return set(map(tuple, np.concatenate(policies.actions, 1).tolist()))


def test_classes_hold_the_policies_that_their_definitions_name():
    words = set(itertools.product((0, 1), repeat=6))
    layers = lambda row: (row[:3], row[3:])  # two layers of three states
    assert rows(tabular(3, 2)) == words
    assert rows(tons(2, 3, 2)) == {row for row in words if sum(row) <= 2}
    assert rows(singletons(3, 2)) == {row for row in words if sum(row) <= 1}
    assert rows(one_active(3, 2)) == {row for row in words if not any(x[1] or x[2] for x in layers(row))}
    assert rows(all_active(3, 2)) == {
        row
        for row in words
        if any(all(not x[s] for x in layers(row) for s in range(3) if s != j) for j in range(3))
    }
    assert rows(all_active(3, 2, 1)) == rows(one_active(3, 2))
    assert rows(open_loop(3, 2)) == {row for row in words if all(len(set(x)) == 1 for x in layers(row))}
    steps = {(0, 0, 0), (0, 0, 1), (0, 1, 1), (1, 1, 1)}
    assert rows(thresholds(3, 2)) == {row for row in words if row[:3] == row[3:] and row[:3] in steps}
    assert rows(tabular(1, 2, 3)) == set(itertools.product(range(3), repeat=2))


def test_sizes_and_order():
    assert len(tons(2, 8, 6)) == 1177
    assert len(all_active(4, 3)) == 1 + 4 * 7
    assert [len(singletons(8, H)) for H in (6, 8)] == [49, 65]
    b = open_loop(2, 3)
    assert [[int(x[5, 0]) for x in b.actions]] == [[1, 0, 1]]
    assert not any(x[0].any() for c in (b, tons(2, 2, 2), one_active(3, 3)) for x in c.actions)
    by_rule = from_rules([lambda h, s: 0, lambda h, s: int(h == 2 and s == 1)], (2, 2), name="mine")
    assert rows(by_rule) == {(0, 0, 0, 0), (0, 0, 0, 1)}


def test_half_spaces_are_as_many_as_cover_counts():
    points = np.random.default_rng(0).normal(size=(7, 2))  # in general position
    assert len(linear_separators(points, 1)) == 2 * sum(comb(6, i) for i in range(3))
    line = linear_separators([[0.0], [1.0], [3.0]], 2)
    assert rows(line) == rows(thresholds(3, 2)) | {
        tuple(1 - x for x in row) for row in rows(thresholds(3, 2))
    }
    square = linear_separators([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]], 1)
    assert rows(square) == set(itertools.product((0, 1), repeat=4)) - {(0, 1, 1, 0), (1, 0, 0, 1)}


def littlestone_by_definition(functions: frozenset, points: int) -> int:
    """Recursion over trees, on sets of tuples."""
    if not functions:
        return -1
    best = 0
    for x in range(points):
        parts = {}
        for f in functions:
            parts.setdefault(f[x], set()).add(f)
        for one, other in itertools.combinations(parts.values(), 2):
            best = max(
                best,
                1
                + min(
                    littlestone_by_definition(frozenset(one), points),
                    littlestone_by_definition(frozenset(other), points),
                ),
            )
    return best


def natarajan_by_definition(functions: set, points: int, A: int) -> int:
    """Every set of points, every two labellings."""
    best = 0
    for size in range(1, points + 1):
        for chosen in itertools.combinations(range(points), size):
            pairs = itertools.product(itertools.combinations(range(A), 2), repeat=size)
            seen = {tuple(f[x] for x in chosen) for f in functions}
            if any(all(word in seen for word in itertools.product(*two)) for two in pairs):
                best = size
    return best


@given(
    st.integers(1, 14),
    st.lists(st.integers(1, 2), min_size=1, max_size=3),
    st.integers(2, 3),
    st.integers(0, 10**6),
)
@settings(max_examples=80, deadline=None)
def test_dimensions_are_those_of_their_definitions(n, sizes, A, seed):
    rng = np.random.default_rng(seed)
    policies = PolicyClass([rng.integers(A, size=(n, S)) for S in sizes], A)
    functions, points = rows(policies), sum(sizes)
    assert littlestone_dimension(policies) == littlestone_by_definition(frozenset(functions), points)
    assert natarajan_dimension(policies) == natarajan_by_definition(functions, points, A)
    assert natarajan_dimension(policies) <= littlestone_dimension(policies)


def test_known_dimensions():
    assert (vc_dimension(thresholds(7, 2)), littlestone_dimension(thresholds(7, 2))) == (1, 3)
    assert vc_dimension(singletons(3, 3)) == littlestone_dimension(singletons(3, 3)) == 1
    assert vc_dimension(tons(3, 3, 3)) == littlestone_dimension(tons(3, 3, 3)) == 3
    assert vc_dimension(open_loop(2, 5)) == 5
    assert vc_dimension(tabular(2, 3)) == 6
    assert natarajan_dimension(tabular(1, 3, 3)) == 3
    assert vc_dimension(linear_separators(np.random.default_rng(1).normal(size=(7, 2)), 1)) == 3


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: tabular(8, 8), "would list 18446744073709551616 policies"),
        (lambda: open_loop(2, 30), "would list"),
        (lambda: tons(8, 10, 10), "would list"),
        (lambda: one_active(2, 40), "would list"),
        (lambda: singletons(0, 3), "states must be at least 1"),
        (lambda: singletons(3, 0), "horizon must be at least 1"),
        (lambda: all_active(3, 2, 4), "active must be at most the 3 states"),
        (lambda: linear_separators(np.zeros((0, 2)), 2), "at least one point"),
        (lambda: linear_separators([[np.inf]], 2), "points must be finite"),
        (lambda: from_rules([], (2,)), "at least one policy"),
        (lambda: from_rules([lambda h, s: 7], (2,)), "policy 0 is undefined"),
        (lambda: vc_dimension(tabular(1, 2, 3)), "use natarajan_dimension"),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
