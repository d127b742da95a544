"""Policy classes: what the packed table holds, sets made of sets, and the door."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from layered_examples import worked_mdp

from pgtheory.agnostic import PolicyClass


@given(
    st.lists(st.integers(1, 4), min_size=1, max_size=3),
    st.integers(1, 4),
    st.integers(1, 200),
    st.integers(0, 10**6),
)
@settings(max_examples=60, deadline=None)
def test_packing_keeps_every_policy_once(sizes, A, n, seed):
    rng = np.random.default_rng(seed)
    tables = [rng.integers(A, size=(n, S)) for S in sizes]
    found = PolicyClass(tables, A)
    rows = list(dict.fromkeys(map(tuple, np.concatenate(tables, 1).tolist())))
    assert np.concatenate(found.actions, 1).tolist() == [list(row) for row in rows]
    for h, S in enumerate(sizes):
        for s in range(S):
            for i in range(len(found)):
                plays = [mask >> i & 1 for mask in found.masks[h][s]]
                assert plays == (found.actions[h][i, s] == np.arange(A)).astype(int).tolist()
    assert [found.index([x[0] for x in found.policy(i)]) for i in range(len(found))] == list(
        range(len(found))
    )


def test_union_subset_restriction_and_samples():
    grid = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
    everything = PolicyClass([grid, grid], name="pairs")
    one, other = everything.subset([0, 1]), everything.subset([1, 3])
    assert np.array_equal((one | other).actions[0], grid[[0, 1, 3]])
    assert len(everything | everything) == 4
    narrow = everything.restrict([[0], [1]])
    assert narrow.sizes == (1, 1)
    assert len(narrow) == 4
    assert len(everything.restrict([[0], [0]])) == 2
    drawn = everything.sample(3, np.random.default_rng(0))
    assert len(drawn) == 3
    assert len(drawn | everything) == 4
    assert one.index([[1, 1], [1, 1]]) is None
    assert repr(everything) == "PolicyClass(pairs: 4 policies, H=2, S=2, A=2)"
    everything.check_fits(worked_mdp())
    np.testing.assert_allclose(worked_mdp().values(everything.subset([0]).actions), [0.275])


@pytest.mark.parametrize(
    ("actions", "message"),
    [
        ([], "at least one layer"),
        ([np.zeros((0, 2), int)], "at least one policy"),
        ([np.zeros((1, 2), int), np.zeros((2, 2), int)], "undefined on some states"),
        ([[[0, 1], [0, -1]]], "policy 1 is undefined in state 1 of layer 1"),
        ([[[0.0, np.nan]]], "policy 0 is undefined in state 1"),
        ([[[0, 2]]], r"an action 0\.\.1"),
        ([[0, 1]], r"must have shape \[n, S_h\]"),
    ],
)
def test_the_door_says_what_is_wrong(actions, message):
    with pytest.raises(ValueError, match=message):
        PolicyClass(actions)


def test_requests_that_make_no_class_are_refused():
    c = PolicyClass([[[0, 1], [1, 1]]])
    for call, message in (
        (lambda: c.subset([]), "at least one policy"),
        (lambda: c.subset([2]), r"policies must be in 0\.\.1"),
        (lambda: c.sample(3, np.random.default_rng(0)), "at most the 2 policies"),
        (lambda: c.restrict([[0, 0]]), "none twice"),
        (lambda: c.restrict([[0], [0]]), "1 lists"),
        (lambda: c | PolicyClass([[[0]]]), "share states and actions"),
        (lambda: c.check_fits(worked_mdp()), "states by layer"),
        (lambda: PolicyClass([[[0]]], 1000), "at most 256"),
    ):
        with pytest.raises(ValueError, match=message):
            call()
    with pytest.raises(TypeError, match="n_actions must be an integer"):
        PolicyClass([[[0]]], 2.0)
