"""REAL: losses, slopes and limits of the classification surrogate."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pgtheory.objectives import Classification, Decisions, sequence_mean

torch.set_num_threads(1)
STYLES = ("anchored", "bce", "product")


def loss_and_slopes(surrogate, logits, labels):
    """Loss of one prompt's answers of one token each, and its gradient in their log-ratios."""
    s = torch.tensor(logits, dtype=torch.float64)[None, :, None].requires_grad_()
    A = torch.where(torch.tensor(labels) > 0, 1.0, -1.0).double()[None, :, None]
    losses = surrogate(Decisions(s, torch.zeros_like(s), A))
    loss = sequence_mean(losses, torch.ones_like(s))
    assert losses.tolist() == pytest.approx(np.full(losses.shape, loss.item()))
    return loss.item(), torch.autograd.grad(loss, s)[0].flatten().tolist()


def test_worked_numbers():
    """real.md, check 1."""
    s, r = [0.2, -0.1, 0.05, -0.3], [1, 1, 0, 0]
    loss, slopes = loss_and_slopes(Classification(), s, r)
    assert loss == pytest.approx(2.037914, abs=1e-6)
    assert slopes == pytest.approx([-0.463613, -0.844758, 0.832840, 0.413576], abs=1e-6)
    loss, slopes = loss_and_slopes(Classification(style="bce"), s, r)
    assert loss == pytest.approx(0.623260, abs=1e-6)
    assert slopes == pytest.approx([-0.200656, -0.274917, 0.262490, 0.177172], abs=1e-6)
    assert loss_and_slopes(Classification(style="product"), s, r)[0] == pytest.approx(1.418005, abs=1e-6)


def test_on_policy():
    """real.md, checks 2 and 3."""
    loss, slopes = loss_and_slopes(Classification(), [0.0] * 8, [1] * 3 + [0] * 5)
    assert loss == pytest.approx(np.log(4) + np.log(6))
    assert slopes == pytest.approx([-0.5] * 3 + [1 / 3] * 5)
    assert sum(slopes) == pytest.approx(1 / 6)
    loss, slopes = loss_and_slopes(Classification(), [0.0, 0.0], [1, 0])
    assert loss == pytest.approx(1.386294, abs=1e-6)
    assert slopes == pytest.approx([-1, 1])
    loss, slopes = loss_and_slopes(Classification(style="bce"), [0.0, 0.0], [1, 0])
    assert loss == pytest.approx(0.693147, abs=1e-6)
    assert slopes == pytest.approx([-0.5, 0.5])


def test_limits():
    """real.md, check 4."""
    _, slopes = loss_and_slopes(Classification(1e6), [0.3, -2.0, 1.0, 4.0, -5.0], [1, 1, 1, 0, 0])
    assert [1e6 * x for x in slopes] == pytest.approx([-1 / 4] * 3 + [1 / 3] * 2, rel=1e-4)
    _, slopes = loss_and_slopes(Classification(), [-200.0, 0.1, 0.2, 0.0], [1, 1, 1, 0])
    assert slopes[:3] == pytest.approx([-2, 0, 0], abs=1e-12)


def test_one_sided_groups():
    """real.md, check 5."""
    for style in STYLES:
        for right in (0, 1):
            loss, slopes = loss_and_slopes(Classification(style=style), [0.3, -0.2, 0.1], [right] * 3)
            assert loss == 0
            assert slopes == [0, 0, 0]
    kept, slopes = loss_and_slopes(Classification(keep_one_sided=True), [0.0] * 8, [1] * 8)
    assert kept == pytest.approx(2.197225, abs=1e-6)
    assert slopes == pytest.approx([-2 / 9] * 8)
    kept, slopes = loss_and_slopes(Classification(keep_one_sided=True), [0.0] * 8, [0] * 8)
    assert kept == pytest.approx(2.197225, abs=1e-6)
    assert slopes == pytest.approx([2 / 9] * 8)


@given(seed=st.integers(0, 2**32 - 1), shift=st.floats(-3, 3))
@settings(max_examples=25, deadline=None)
def test_common_shifts(seed, shift):
    """real.md, check 5: only the product style does not see where both sides are."""
    s = np.random.default_rng(seed).normal(size=5)
    r = [1, 1, 0, 0, 0]
    product = Classification(style="product")
    before, slopes = loss_and_slopes(product, s, r)
    after, moved = loss_and_slopes(product, s + shift, r)
    assert after == pytest.approx(before, rel=1e-10)
    assert moved == pytest.approx(slopes, rel=1e-9, abs=1e-12)
    assert sum(slopes) == pytest.approx(0, abs=1e-12)
    if abs(shift) > 0.01:
        assert loss_and_slopes(Classification(), s + 3, r)[0] != pytest.approx(
            loss_and_slopes(Classification(), s, r)[0], rel=1e-6
        )


@given(seed=st.integers(0, 2**32 - 1), tau=st.floats(0.2, 3))
@settings(max_examples=25, deadline=None)
def test_slopes_are_the_closed_form(seed, tau):
    """real.md, check 6 and Theory: monotone weights, each side's sum below 1/tau."""
    rng = np.random.default_rng(seed)
    s, r = rng.normal(size=6), np.array([1, 1, 1, 0, 0, 0])
    loss, slopes = loss_and_slopes(Classification(tau), s, r)
    e = np.where(r > 0, np.exp(-s / tau), np.exp(s / tau))
    total = np.where(r > 0, e[:3].sum(), e[3:].sum())
    assert loss == pytest.approx(np.log1p(e[:3].sum()) + np.log1p(e[3:].sum()))
    C = 1 + total - e
    closed = np.where(r > 0, -1, 1) / tau / (1 + C / e)
    assert slopes == pytest.approx(closed, rel=1e-8)
    assert -sum(slopes[:3]) < 1 / tau
    assert sum(slopes[3:]) < 1 / tau
    for i in range(6):
        ahead, behind = s.copy(), s.copy()
        ahead[i] += 1e-6
        behind[i] -= 1e-6
        difference = loss_and_slopes(Classification(tau), ahead, r)[0]
        difference -= loss_and_slopes(Classification(tau), behind, r)[0]
        assert slopes[i] == pytest.approx(difference / 2e-6, abs=1e-6)


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("far", [100.0, 3000.0])
def test_far_from_the_anchor_nothing_overflows(style, far):
    loss, slopes = loss_and_slopes(Classification(style=style), [-far, far, far, -far], [1, 1, 0, 0])
    assert np.isfinite(loss)
    assert np.isfinite(slopes).all()
    assert slopes[0] < 0 < slopes[2]


def test_one_sided_prompts_count_in_the_mean():
    s = torch.zeros(2, 4, 1, dtype=torch.float64)
    A = torch.tensor([[1, 1, -1, -1], [1, 1, 1, 1]]).double()[..., None]
    losses = Classification()(Decisions(s, s, A))
    assert sequence_mean(losses, torch.ones_like(s)).item() == pytest.approx(np.log(3))
    alone = Classification(style="bce")(Decisions(s, s, A))
    assert sequence_mean(alone, torch.ones_like(s)).item() == pytest.approx(np.log(2))


@pytest.mark.parametrize(
    ("make", "argument"),
    [
        (lambda: Classification(0.0), "tau"),
        (lambda: Classification(style="hinge"), "style"),
        (lambda: Classification(style="bce", keep_one_sided=True), "keep_one_sided"),
        (lambda: Classification()(Decisions(*[torch.zeros(2, 3)] * 3)), "decisions"),
    ],
)
def test_refused(make, argument):
    with pytest.raises(ValueError, match=argument):
        make()
