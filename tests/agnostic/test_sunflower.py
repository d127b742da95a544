"""Petals by the definition, the cores of the standard classes, and what breaks them."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pgtheory.agnostic import (
    PolicyClass,
    all_active,
    find_sunflower,
    is_sunflower,
    layer_core,
    one_active,
    open_loop,
    singletons,
    smallest_core,
    smallest_petals,
    tabular,
    tons,
    uncovered_path,
)


def is_petal_by_definition(core: PolicyClass, policy, petals) -> bool:
    """Every piece of states, one by one."""
    H, rows = core.horizon, [np.ravel(x) for x in policy]
    for h in range(H):
        for end in range(h, H):
            for path in itertools.product(*(range(core.sizes[k]) for k in range(h, end + 1))):
                states = list(zip(range(h, end + 1), path))
                covered = any(
                    all(core.actions[k][i, s] == rows[k][s] for k, s in states) for i in range(len(core))
                )
                if not covered and not any((k + 1, s) in petals for k, s in states[1:]):
                    return False
    return True


@given(
    st.sampled_from([(2, 2), (2, 2, 2), (1, 3, 2), (2, 1, 2)]), st.integers(1, 5), st.integers(0, 2**32 - 1)
)
@settings(max_examples=80, deadline=None)
def test_petals_are_those_of_the_definition(sizes, n, seed):
    rng = np.random.default_rng(seed)
    core = PolicyClass([rng.integers(2, size=(n, S)) for S in sizes])
    policy = [rng.integers(2, size=S) for S in sizes]
    later = [(h + 1, s) for h in range(1, len(sizes)) for s in range(sizes[h])]
    good = [
        set(chosen)
        for size in range(len(later) + 1)
        for chosen in itertools.combinations(later, size)
        if is_petal_by_definition(core, policy, chosen)
    ]
    found = smallest_petals(core, policy)
    if not good:
        assert found is None
        assert uncovered_path(core, policy, later) is not None
    else:
        assert len(found) == len(good[0])
        assert set(found) in good
        for chosen in good:
            assert uncovered_path(core, policy, chosen) is None
    missed = uncovered_path(core, policy)
    assert (missed is None) == is_petal_by_definition(core, policy, ())
    if missed is not None:
        agree = [core.masks[h - 1][s][policy[h - 1][s]] for h, s in missed]
        assert np.bitwise_and.reduce(np.array(agree, object)) == 0


@pytest.mark.parametrize(
    ("policies", "D"),
    [
        (singletons(3, 3), 0),
        (tons(2, 3, 3), 1),
        (one_active(3, 3), 2),
        (all_active(3, 3), 2),
        (tons(3, 3, 3), 2),
    ],
    ids=lambda x: getattr(x, "name", None),
)
def test_standard_classes_are_sunflowers_of_the_layer_core(policies, D):
    """One state fewer than the policy's ones or special states: the first on any piece need not be a petal."""
    core = layer_core(policies.sizes)
    assert len(core) == policies.horizon + 1
    found = find_sunflower(policies, core)
    size, largest = found.K, found.D
    assert (size, largest) == (policies.horizon + 1, D)
    assert is_sunflower(policies, core, found.petals)


def test_the_sets_of_the_notes_work_and_supersets_too():
    core = layer_core((3, 3, 3))
    policies = tons(2, 3, 3)
    ones = [
        {(h + 1, s) for h in range(3) for s in range(3) if policies.actions[h][i, s]}
        for i in range(len(policies))
    ]
    assert is_sunflower(policies, core, ones)
    rng = np.random.default_rng(0)
    states = [(h, s) for h in (1, 2, 3) for s in range(3)]
    for _ in range(5):
        more = [petals | {states[k] for k in rng.integers(9, size=2)} for petals in ones]
        extra = core | tabular(3, 3).sample(3, rng)
        assert is_sunflower(policies, core, more)
        assert is_sunflower(policies, extra, ones)
    special = {i: [(h, 0) for h in (2, 3)] for i in range(8)}  # the layer-1 state can be dropped
    assert is_sunflower(one_active(3, 3), core, special)
    assert not is_sunflower(one_active(3, 3), core, {})


def test_what_fails():
    zero = layer_core((3, 3, 3)).subset([0])
    policies = tons(2, 3, 3)
    ones = [
        {(h + 1, s) for h in range(3) for s in range(3) if policies.actions[h][i, s]}
        for i in range(len(policies))
    ]
    assert not is_sunflower(policies, zero, ones)
    assert find_sunflower(policies, zero) is None
    loops = open_loop(3, 3)
    assert not is_sunflower(loops, layer_core((3, 3, 3)), [()] * 8)
    two_ones = loops.index([[1] * 3, [1] * 3, [0] * 3])
    path = uncovered_path(layer_core((3, 3, 3)), loops.policy(two_ones))
    assert [h for h, _ in path] == [1, 2]


def test_the_layer_core_is_not_the_smallest():
    policies = singletons(2, 3)
    found = smallest_core(policies, 1, 3)
    assert (found.K, found.D) == (3, 1)
    assert is_sunflower(policies, found.core, found.petals)
    assert smallest_core(policies, 1, 2) is None
    assert smallest_core(policies, 1, 4, layer_core((2, 2, 2))).K == 4


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda c, p: uncovered_path(c, p.policy(0), [(0, 0)]), "petals must be states"),
        (lambda c, p: uncovered_path(c, p.policy(0), [(1, 2)]), "petals must be states"),
        (lambda c, p: uncovered_path(c, [[0, 0]]), "must act in"),
        (lambda c, p: uncovered_path(c, [[0, 2], [0, 0]]), "integers 0..1"),
        (lambda c, p: is_sunflower(p, c, [()]), "petals must hold 5 sets"),
        (lambda c, p: smallest_core(p, 1, 0), "K must be at least 1"),
        (lambda c, p: layer_core((2, 0)), "sizes must be at least 1"),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call(layer_core((2, 2)), singletons(2, 2))
