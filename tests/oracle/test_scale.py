"""Effective scales against numbers known in closed form."""

import numpy as np
import pytest
import torch

from pgtheory.objectives import Clip, GroupMean, GroupZScore, Recipe, recipe
from pgtheory.oracle import effective_scale, law, success

P = [0.001, 0.01, 0.10, 0.25, 0.50]


def z_score(ddof):
    return Recipe(GroupZScore(ddof, 1e-15), Clip(0.2))


@pytest.mark.parametrize(
    ("objective", "resampled", "expected"),
    [
        (z_score(0), False, [2.642007, 2.608862, 2.327689, 2.026116, 1.855656]),
        (z_score(1), False, [2.471372, 2.440367, 2.177354, 1.895258, 1.735807]),
        (z_score(0), True, [331.408529, 33.769360, 4.087015, 2.251560, 1.870267]),
        (z_score(0).replace(mixed_only=True), False, [331.408529, 33.769360, 4.087015, 2.251560, 1.870267]),
        (recipe("rloo"), False, [1.0] * 5),
        (recipe("reinforce"), False, [1.0] * 5),
        (Recipe(GroupMean(), Clip(0.2)), False, [7 / 8] * 5),
    ],
)
def test_eight_answers(objective, resampled, expected):
    assert np.allclose(effective_scale(objective, 8, P, resampled=resampled), expected, rtol=0, atol=6e-7)


def test_real():
    found = effective_scale(recipe("real"), 8, [0.01, 0.1, 0.25, 0.5])
    assert np.allclose(found, [7.952568, 7.484690, 6.745605, 6.197917], rtol=0, atol=6e-7)


@pytest.mark.parametrize("G", [2, 3, 16])
def test_limits_of_the_z_score(G):
    rare, even = effective_scale(z_score(0), G, [1e-9, 0.5])
    assert rare == pytest.approx(np.sqrt(G - 1), rel=1e-6)
    assert even > 1 - 1e-12
    assert effective_scale(z_score(0), 400, [0.2])[0] == pytest.approx(1 / np.sqrt(0.16), rel=0.01)


def entropy_weighted(log_prob, rewards):
    """Looks at the probability itself, so p enters through more than the binomial."""
    centred = rewards - rewards.mean(-1, keepdim=True)
    return -(log_prob[..., 0].exp().detach() * centred * log_prob[..., 0]).mean()


def test_a_function_that_sees_probabilities():
    p = [0.1, 0.6]
    expected = [law(entropy_weighted, *success([one]), 4).scale for one in p]
    assert np.allclose(effective_scale(entropy_weighted, 4, p), expected)
    assert abs(expected[0] - expected[1]) > 0.01


def test_one_difficulty_may_be_a_number():
    assert effective_scale(recipe("rloo"), 4, 0.3).shape == (1,)


@pytest.mark.parametrize("p", [[0.0], [1.0], [0.5, -0.1], [float("nan")]])
def test_certain_answers_are_refused(p):
    with pytest.raises(ValueError, match="p must"):
        effective_scale(recipe("rloo"), 4, p)


def test_a_group_of_one_cannot_be_mixed():
    with pytest.raises(ValueError, match="group_size must be at least 2"):
        effective_scale(recipe("rloo"), 1, [0.5], resampled=True)
    assert torch.isfinite(torch.as_tensor(effective_scale(recipe("reinforce"), 1, [0.5]))).all()
