"""Wrong arguments are refused by name."""

import pytest
import torch

from pgtheory.objectives import (
    GAE,
    BoundedRatio,
    Clip,
    Decisions,
    MonteCarlo,
    RatioVariance,
    Steps,
    VTrace,
    median_loss,
    value_loss,
)

x, flags = torch.zeros(3), torch.zeros(3, dtype=torch.bool)
fine = {"rewards": x, "values": x, "next_values": x, "terminated": flags, "truncated": flags}
wrong = torch.zeros(3, 1)


@pytest.mark.parametrize(
    ("make", "argument"),
    [
        (lambda: Clip(0.0), "low"),
        (lambda: Clip(1.5), "low"),
        (lambda: Clip(float("nan")), "low"),
        (lambda: Clip(0.2, 0.0), "high"),
        (lambda: Clip(0.2, dual=1.0), "dual"),
        (lambda: BoundedRatio(1.0), "low"),
        (lambda: BoundedRatio(-0.1), "low"),
        (lambda: BoundedRatio(0.2, -0.1), "high"),
        (lambda: BoundedRatio(temperature=-1e-3), "temperature"),
        (lambda: BoundedRatio(temperature=float("inf")), "temperature"),
        (lambda: BoundedRatio(tv_weight=-1.0), "tv_weight"),
        (lambda: BoundedRatio(limit=0.0), "limit"),
        (lambda: BoundedRatio(divergence="kl"), "divergence"),
        (lambda: RatioVariance(-0.1), "multiplier"),
        (lambda: GAE(1.1), "discount"),
        (lambda: GAE(lam=-0.1), "lam"),
        (lambda: GAE(float("nan")), "discount"),
        (lambda: MonteCarlo(-0.5), "discount"),
        (lambda: VTrace(lam=2.0), "lam"),
        (lambda: VTrace(rho_bar=0.0), "rho_bar"),
        (lambda: VTrace(c_bar=-1.0), "c_bar"),
        (lambda: VTrace()(Steps(**fine), wrong), "log_ratio"),
        (lambda: Decisions(x, x, wrong), "advantage"),
        (lambda: Decisions(x, wrong, x), "log_prob_old"),
        (lambda: Decisions(x, x, x, weight=x[:2]), "weight"),
        (lambda: Decisions(x, x, x, target=wrong), "target"),
        (lambda: Steps(**fine | {"values": wrong}), "values"),
        (lambda: Steps(**{n: t[:0] for n, t in fine.items()}), "rewards"),
        (lambda: Steps(**{n: t[0] for n, t in fine.items()}), "rewards"),
        (lambda: value_loss(x, wrong), "values"),
        (lambda: median_loss(wrong, x), "medians"),
        (lambda: median_loss(x, x, 0.0), "temperature"),
    ],
)
def test_values(make, argument):
    with pytest.raises(ValueError, match=rf"^{argument} must"):
        make()


@pytest.mark.parametrize(
    ("make", "argument"),
    [
        (lambda: Clip("0.2"), "low"),
        (lambda: Clip(True), "low"),
        (lambda: RatioVariance("1"), "multiplier"),
        (lambda: RatioVariance(1.0, centred="no"), "centred"),
        (lambda: Decisions(x, x, [1.0, 2.0, 3.0]), "advantage"),
        (lambda: Decisions(x, x, x.long()), "advantage"),
        (lambda: Decisions(x.long(), x, x), "log_prob"),
        (lambda: Decisions(None, x, x), "log_prob"),
        (lambda: Decisions(x, None, x), "log_prob_old"),
        (lambda: Decisions(x, x, None), "advantage"),
        (lambda: Decisions(x, x, x, median_advantage=x.numpy()), "median_advantage"),
        (lambda: Steps(**fine | {"rewards": x.numpy()}), "rewards"),
        (lambda: Steps(**fine | {"rewards": x.long()}), "rewards"),
        (lambda: Steps(**fine | {"terminated": x}), "terminated"),
        (lambda: Steps(**fine | {"truncated": x.long()}), "truncated"),
    ],
)
def test_types(make, argument):
    with pytest.raises(TypeError, match=rf"^{argument} must"):
        make()


def test_bounds_that_are_allowed():
    assert Clip(1.0).high == 1.0
    assert BoundedRatio(0.3).high == 0.3
    assert BoundedRatio(0.2, 1.5, temperature=0.0).high == 1.5
    assert RatioVariance(0.0).multiplier == 0.0
    assert GAE(1.0, 0.0) == GAE(discount=1.0, lam=0.0)
