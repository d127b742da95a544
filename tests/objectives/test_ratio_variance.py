"""R²VPO's surrogate and its dual against the paper's numbers and limits."""

import numpy as np
import pytest
import torch
from batches import decisions, random, slopes, tensor
from hypothesis import given, settings
from hypothesis import strategies as st

from pgtheory.objectives import ImportanceWeighted, RatioVariance, dual_ascent, ratio_variance, weighted_mean

seeds = st.integers(0, 2**32 - 1)


def examples(n):
    return settings(max_examples=n, deadline=None)


RHO, ADVANTAGE = (0.8, 1, 1.3, 2), (1, -0.5, 2, 0.3)


def test_lagrangian_of_four_samples():
    """r2vpo.md, check 1."""
    batch = decisions(RHO, ADVANTAGE)
    loss = RatioVariance(0.5)(batch).mean().item()
    assert loss == pytest.approx(-0.733750, abs=1e-9)
    assert -loss + 0.5 * 0.02 == pytest.approx(0.743750, abs=1e-9)
    assert (-slopes(RatioVariance(0.5), batch)).tolist() == pytest.approx([0.96, -0.5, 2.21, -1.4])
    centred = RatioVariance(0.5, centred=True)
    assert (-slopes(centred, batch)).tolist() == pytest.approx([1.18, -0.225, 2.5675, -0.85])
    assert ratio_variance(batch).item() == pytest.approx(0.2825)
    assert not ratio_variance(batch).requires_grad
    spread = (centred(batch).mean() + (batch.ratio * batch.advantage).mean()).item() / 0.5
    assert spread == pytest.approx(0.206875)
    assert dual_ascent(0.5, 0.2825, 0.02, 0.1, 20.0) == pytest.approx(0.526250)


@given(seed=seeds, multiplier=st.floats(0, 50))
@examples(25)
def test_special_cases_of_the_multiplier(seed, multiplier):
    """r2vpo.md, check 3."""
    rng = np.random.default_rng(seed)
    batch, surrogate = random(rng), RatioVariance(multiplier)
    np.testing.assert_allclose(
        slopes(RatioVariance(0.0), batch), slopes(ImportanceWeighted(), batch), rtol=1e-14
    )
    here = batch.replace(log_prob=batch.log_prob_old)
    np.testing.assert_allclose(slopes(surrogate, here), -batch.advantage.numpy(), rtol=1e-14)
    nothing = batch.replace(advantage=torch.zeros(12, dtype=torch.float64))
    rho = batch.ratio.detach().numpy()
    np.testing.assert_allclose(
        slopes(surrogate, nothing), 2 * multiplier * rho * (rho - 1), rtol=1e-12, atol=1e-300
    )
    assert not slopes(surrogate, nothing.replace(log_prob=batch.log_prob_old)).any()


def test_the_effective_advantage_changes_sign_where_it_should():
    """r2vpo.md, check 4; and for a large multiplier every slope points to 1 (check 3)."""
    for turn, A in zip((2, 0.5, 3, 1.3), ADVANTAGE, strict=True):
        below, at, above = -slopes(RatioVariance(0.5), decisions([turn - 0.01, turn, turn + 0.01], [A] * 3))
        assert below > 0 > above
        assert at == pytest.approx(0, abs=1e-12)
    pull = slopes(RatioVariance(1e6), decisions([0.5, 0.9, 1.1, 4], [3, -3, 3, 3]))
    assert np.sign(pull).tolist() == [-1, -1, 1, 1]


@given(multiplier=st.floats(0, 20), variance=st.floats(0, 100), step=st.floats(0, 10))
@examples(50)
def test_dual_ascent_stays_in_its_interval_and_follows_the_constraint(multiplier, variance, step):
    """r2vpo.md, check 5."""
    moved = dual_ascent(multiplier, variance, 0.04, step, 20.0)
    assert 0 <= moved <= 20
    assert (moved - multiplier) * (variance - 0.04) >= 0
    by_tensor = dual_ascent(tensor(multiplier), tensor(variance), 0.04, step, 20.0)
    assert by_tensor.item() == pytest.approx(moved, rel=1e-12, abs=1e-12)


def test_stale_log_ratios_are_limited_and_multipliers_carry_no_gradient():
    batch = decisions([np.exp(50.0), np.exp(-50.0)], [1.0, 1.0])
    loss = RatioVariance(1.0)(batch)
    assert loss[0].item() == pytest.approx((np.exp(20) - 1) ** 2 - np.exp(20))
    assert ratio_variance(batch).item() == pytest.approx(((np.exp(20) - 1) ** 2 + 1) / 2)
    multiplier = torch.tensor(0.5, dtype=torch.float64, requires_grad=True)
    batch = decisions(RHO, ADVANTAGE)
    RatioVariance(multiplier)(batch).mean().backward()
    assert multiplier.grad is None
    assert (-4 * batch.log_prob.grad).tolist() == pytest.approx([0.96, -0.5, 2.21, -1.4])
    each = RatioVariance(tensor(0.5, 0.0)[:, None])(random(np.random.default_rng(0), (2, 5)))
    assert each.shape == (2, 5)


def test_the_centre_is_the_mean_under_the_weights():
    weight = tensor(1, 2, 0, 1)
    batch = decisions(RHO, ADVANTAGE, weight=weight)
    rho, A, w = np.array(RHO), np.array(ADVANTAGE), weight.numpy()
    centre = (w * rho).sum() / 4
    loss = weighted_mean(RatioVariance(0.5, centred=True)(batch), batch.weights).item()
    assert loss == pytest.approx((w * (0.5 * (rho - centre) ** 2 - rho * A)).sum() / 4)
    assert RatioVariance(0.5, centred=True)(batch)[2] == 0
