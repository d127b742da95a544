"""Streams of random numbers: uniform, independent, and the same whatever runs beside them."""

import numpy as np
import pytest
from scipy import stats

from pgtheory.problems import Streams

FALSE_ALARM = 1e-6  # of every test of randomness here; seeds are fixed, so a pass stays a pass
N = 50_000


def numbers_of(what):
    """N consecutive numbers: of as many seeds, of one seed's requests, or of the requests of a split-off stream."""
    if what == "seeds":
        return Streams(N).uniform()
    if what == "distant seeds":
        return Streams(np.arange(N) * 2**40 + 17).uniform()
    rng = Streams([5])
    if what == "split":
        rng = rng.split(np.array([True]))
    return np.array([rng.uniform()[0] for _ in range(N)])


@pytest.mark.parametrize("what", ["seeds", "distant seeds", "requests", "split"])
def test_numbers_are_uniform_and_neighbours_independent(what):
    x = numbers_of(what)
    assert ((x >= 0) & (x < 1)).all()
    assert stats.kstest(x, "uniform").pvalue > FALSE_ALARM
    for lag in (1, 2, 7):
        table = np.histogram2d(x[:-lag], x[lag:], bins=8, range=[[0, 1]] * 2)[0]
        assert stats.chisquare(table.ravel()).pvalue > FALSE_ALARM


def test_every_bit_of_a_key_is_fair():
    """64 bits of 50,000 keys, each within 6 standard errors of one half: by chance once in 10^7."""
    keys = Streams(N).keys()
    share = np.array([(keys >> np.uint64(bit) & np.uint64(1)).mean() for bit in range(64)])
    assert np.abs(share - 0.5).max() < 6 * 0.5 / N**0.5


def test_seeds_and_requests_are_independent_of_each_other():
    """Correlations between 60 seeds over 2000 requests, and between requests: within 6 standard errors."""
    rng = Streams(60)
    x = np.array([rng.uniform() for _ in range(2000)])
    for y in (x, np.diff(x, axis=0) / 2**0.5):
        correlation = np.corrcoef(y.T) - np.eye(60)
        assert np.abs(correlation).max() < 6 / 1999**0.5
    assert np.abs(np.corrcoef(x[:500]) - np.eye(500)).max() < 6.5 / 59**0.5


def test_no_key_comes_twice():
    rng = Streams(300)
    child = rng.split(np.ones(300, bool))
    keys = np.concatenate([s.keys() for _ in range(150) for s in (rng, child)])
    assert len(np.unique(keys)) == len(keys)


# -- the same, whatever is beside --------------------------------------------------------------------------------


def test_a_seed_draws_the_same_alone_and_among_others():
    among, alone = Streams([3, 7, 2**62, 11]), Streams([7])
    for _ in range(5):
        assert among.keys()[1] == alone.keys()[0]
        assert among.uniform()[1] == alone.uniform()[0]
    assert len(among) == 4
    assert Streams(4).seeds.tolist() == [0, 1, 2, 3]
    np.testing.assert_array_equal(Streams(4).keys(), Streams(range(4)).keys())
    np.testing.assert_array_equal(Streams(np.int64(4)).keys(), Streams([0, 1, 2, 3]).keys())


def test_a_split_off_stream_is_its_own():
    chosen = np.array([False, True, True])
    rng, other, plain = Streams([4, 5, 6]), Streams([5]), Streams([4, 5, 6])
    child, alone = rng.split(chosen), other.split(np.array([True]))
    assert child.seeds.tolist() == [5, 6]
    plain.keys()
    for _ in range(3):
        ours = child.uniform()
        assert ours[0] == alone.uniform()[0]
        theirs = rng.uniform()  # what the parent draws does not depend on its child
        np.testing.assert_array_equal(theirs, plain.uniform())
        assert not np.isin(ours, theirs).any()


def test_who_is_chosen_changes_nothing_for_the_others():
    first, second = Streams(3), Streams(3)
    assert first.split(np.zeros(3, bool)) is None
    second.split(np.array([True, False, True]))
    np.testing.assert_array_equal(first.keys(), second.keys())


def test_two_children_are_different():
    rng = Streams(2)
    everyone = np.ones(2, bool)
    one, two = rng.split(everyone), rng.split(everyone)
    assert not np.isin(one.keys(), two.keys()).any()


def test_restored_streams_go_on():
    rng = Streams([1, 8])
    rng.keys()
    state = rng.state()
    expected = [rng.uniform() for _ in range(3)]
    later = Streams([1, 8])
    later.restore(state)
    np.testing.assert_array_equal([later.uniform() for _ in range(3)], expected)
    rng.restore(state)
    np.testing.assert_array_equal(rng.uniform(), expected[0])


@pytest.mark.parametrize(
    ("seeds", "error", "message"),
    [
        ([], ValueError, "at least one"),
        (0, ValueError, "at least one"),
        (-2, ValueError, "non-negative integers"),
        ([3, -1], ValueError, "non-negative integers"),
        ([1.0, 2.0], ValueError, "non-negative integers"),
        ([True, False], ValueError, "non-negative integers"),
        ([2**64], ValueError, "non-negative integers"),
        ([[1, 2]], ValueError, "non-negative integers"),
        ([1, 2, 1], ValueError, "distinct"),
        (1.5, TypeError, "seeds must be a sequence of integers, got 1.5"),
        (None, TypeError, "seeds must be a sequence"),
        ("12", TypeError, "seeds must be a sequence"),
    ],
)
def test_bad_seeds_are_refused(seeds, error, message):
    with pytest.raises(error, match=message):
        Streams(seeds)
