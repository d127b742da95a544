"""The compiled normal and Cauchy numbers have their distributions.

Every test draws the same numbers each time; on fresh ones each would fail with probability below 1e-4.
"""

import math

import numba
import numpy as np
import pytest
from scipy import stats

from pgtheory.problems.streams import Streams
from pgtheory.problems.ziggurat import EDGE, HEIGHT, TAIL, cauchy, normal

SEEDS, EACH = 1000, 2000


@numba.njit
def fill(keys, heavy, out):
    for b in range(out.shape[0]):
        x = keys[b]
        for i in range(out.shape[1]):
            x, out[b, i] = cauchy(x) if heavy else normal(x)


def draw(heavy):
    out = np.empty((SEEDS, EACH))
    fill(Streams(SEEDS).keys(), heavy, out)
    return out


NORMAL, CAUCHY = draw(False), draw(True)


def z_score(x, mean):
    return (x.mean() - mean) / (x.std() / math.sqrt(x.size))


def test_the_layers_have_equal_areas_and_close():
    areas = EDGE[1:-1] * np.diff(HEIGHT)[1:]
    lowest = TAIL * HEIGHT[1] + math.sqrt(math.pi / 2) * math.erfc(TAIL / math.sqrt(2))
    np.testing.assert_allclose(areas, lowest, rtol=1e-9)
    assert EDGE[0] * HEIGHT[1] == pytest.approx(lowest, rel=1e-14)
    assert (np.diff(EDGE) < 0).all()


@pytest.mark.parametrize(("power", "moment"), [(1, 0), (2, 1), (3, 0), (4, 3), (5, 0), (6, 15), (8, 105)])
def test_normal_moments(power, moment):
    assert abs(z_score(NORMAL**power, moment)) < 4.5


def test_normal_numbers_everywhere():
    assert stats.kstest(NORMAL.ravel(), "norm").pvalue > 1e-4
    bins = np.bincount((stats.norm.cdf(NORMAL.ravel()) * 2000).astype(int), minlength=2000)
    assert stats.chisquare(bins).pvalue > 1e-4


def test_the_normal_tail():
    beyond = np.abs(NORMAL[np.abs(NORMAL) > TAIL])
    wanted = NORMAL.size * math.erfc(TAIL / math.sqrt(2))
    assert abs(beyond.size - wanted) < 4 * math.sqrt(wanted)
    conditional = stats.truncnorm(TAIL, np.inf)
    assert stats.kstest(beyond, conditional.cdf).pvalue > 1e-4


def test_cauchy_numbers_everywhere():
    assert np.isfinite(CAUCHY).all()
    assert stats.kstest(CAUCHY.ravel(), "cauchy").pvalue > 1e-4
    bins = np.bincount((stats.cauchy.cdf(CAUCHY.ravel()) * 2000).astype(int), minlength=2000)
    assert stats.chisquare(bins).pvalue > 1e-4


@pytest.mark.parametrize(
    "sample", [NORMAL, stats.norm.ppf(stats.cauchy.cdf(CAUCHY))], ids=["normal", "cauchy"]
)
def test_neighbours_do_not_know_each_other(sample):
    for one, other in ((sample[:, 1:], sample[:, :-1]), (sample[1:], sample[:-1])):
        assert abs(z_score(one * other, 0.0)) < 4.5
        assert abs(z_score((one**2 - 1) * (other**2 - 1), 0.0)) < 4.5
