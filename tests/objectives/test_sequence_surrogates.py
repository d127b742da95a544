"""Surrogates of language-model papers: GSPO, CISPO, SAPO, and the clips as those papers set them."""

import numpy as np
import pytest
import torch
from batches import decisions, slopes, tensor
from hypothesis import given, settings
from hypothesis import strategies as st

from pgtheory.objectives import (
    CISPO,
    BoundedRatio,
    Clip,
    Decisions,
    ImportanceWeighted,
    RatioVariance,
    SequenceClip,
    SoftGate,
    sequence_mean,
)

torch.set_num_threads(1)
seeds = st.integers(0, 2**32 - 1)


@pytest.mark.parametrize(
    ("rho", "A", "loss", "slope"),
    [(1.5, 1, -1.28, 0), (1.5, -1, 1.5, 1.5), (0.5, 1, -0.5, -0.5), (0.5, -1, 0.8, 0), (5, -1, 5, 5)],
)
def test_clip_of_dapo(rho, A, loss, slope):
    """grpo-family.md, check 4."""
    batch = decisions([rho], [A])
    assert Clip(0.2, 0.28)(batch).item() == pytest.approx(loss)
    assert slopes(Clip(0.2, 0.28), batch) == pytest.approx([slope])
    dual = Clip(0.2, 0.28, dual=3.0)
    assert dual(batch).item() == pytest.approx(min(loss, 3))
    assert slopes(dual, batch) == pytest.approx([slope if loss < 3 else 0])


@pytest.mark.parametrize(("A", "loss"), [(1.0, -1.0004), (-1.0, 1.012997)])
def test_gspo(A, loss):
    """grpo-family.md, check 5: a whole answer is clipped or kept."""
    batch = decisions([1.1, 0.9, 1.05], [A] * 3)
    for form in (SequenceClip(), SequenceClip(token=True)):
        found = form(batch)
        assert found.tolist() == pytest.approx([loss] * 3, abs=1e-6)
        assert slopes(form, batch) == pytest.approx([0.0] * 3 if A > 0 else [1.012997] * 3, abs=1e-6)


def sequences(rng, spread=1e-3):
    """Five answers of up to six tokens, one without any, and one advantage each."""
    old = torch.as_tensor(-rng.exponential(size=(5, 6)))
    log_prob = (old + spread * torch.as_tensor(rng.normal(size=(5, 6)))).requires_grad_()
    A = torch.as_tensor(rng.normal(size=(5, 1))).expand(5, 6)
    weight = torch.as_tensor(np.arange(6) < np.array([[6], [3], [1], [0], [5]])).double()
    return Decisions(log_prob, old, A, weight=weight)


@given(seed=seeds)
@settings(max_examples=25, deadline=None)
def test_token_form_has_the_gradient_of_the_sequence_form(seed):
    batch = sequences(np.random.default_rng(seed))
    found = []
    for token in (False, True):
        loss = sequence_mean(SequenceClip(token=token)(batch), batch.weights)
        found.append((loss.item(), torch.autograd.grad(loss, batch.log_prob)[0]))
    assert found[0][0] == pytest.approx(found[1][0], rel=1e-12, abs=1e-15)
    np.testing.assert_allclose(found[0][1], found[1][1], rtol=1e-10, atol=1e-14)
    # -A w / |o| for every token of a kept answer
    w = torch.stack(
        [row[:n].mean() if n else row.sum() * 0 for row, n in zip(batch.log_ratio, (6, 3, 1, 0, 5))]
    )
    A, w = batch.advantage[:, 0], w.exp()
    kept = torch.where(A > 0, w < 1 + 4e-4, w > 1 - 3e-4)
    closed = -A * w * kept / torch.tensor([6, 3, 1, 1, 5]) / 4
    np.testing.assert_allclose(found[0][1], closed[:, None].detach() * batch.weights, rtol=1e-10, atol=1e-14)


def test_tokens_of_the_token_form_may_differ():
    """The token form takes an advantage per token; its slope is the token's own."""
    batch = decisions([1.0, 1.0], [1.0, -3.0])
    assert slopes(SequenceClip(token=True), batch) == pytest.approx([-1, 3])


@given(seed=seeds, cap=st.floats(1, 3))
@settings(max_examples=25, deadline=None)
def test_cispo_keeps_every_gradient(seed, cap):
    """Its slope is the clipped weight times the advantage, never 0: the clip's is, outside."""
    rng = np.random.default_rng(seed)
    rho, A = np.exp(rng.normal(size=32)), rng.normal(size=32)
    batch = decisions(rho, A)
    assert slopes(CISPO(cap), batch) == pytest.approx(-np.minimum(rho, cap) * A)
    assert (slopes(CISPO(cap), batch) != 0).all()
    assert slopes(CISPO(cap, 0.9), batch) == pytest.approx(-np.clip(rho, 0.9, cap) * A)
    assert (slopes(Clip(0.01), batch) == 0).any()
    assert CISPO(cap)(batch).tolist() == pytest.approx(-np.minimum(rho, cap) * A * np.log(rho))


def test_cispo_keeps_tokens_far_away():
    assert slopes(CISPO(), decisions([40.0, 1e-3], [2.0, -1.0])) == pytest.approx([-10, 1e-3])


@pytest.mark.parametrize("A", [2.0, -1.5])
def test_slope_of_the_soft_gate(A):
    gate, tau = SoftGate(0.7, 1.3), 0.7 if A > 0 else 1.3
    assert slopes(gate, decisions([1.0], [A])) == pytest.approx([-A], rel=1e-12)
    rho = np.array([0.3, 0.9, 1.7, 8.0])
    s = 1 / (1 + np.exp(-tau * (rho - 1)))
    batch = decisions(rho, [A] * 4)
    assert gate(batch).tolist() == pytest.approx(-4 / tau * s * A, rel=1e-12)
    assert slopes(gate, batch) == pytest.approx(-4 * s * (1 - s) * rho * A, rel=1e-12)


@pytest.mark.parametrize(
    "surrogate",
    [
        ImportanceWeighted(),
        Clip(0.2, 0.28, dual=3.0),
        SequenceClip(token=True),
        CISPO(),
        SoftGate(),
        RatioVariance(),
        BoundedRatio(0.2, temperature=0.0),
    ],
    ids=lambda s: type(s).__name__,
)
@given(seed=seeds)
@settings(max_examples=10, deadline=None)
def test_on_policy_every_gradient_is_the_policy_gradient(surrogate, seed):
    """grpo-family.md, On-policy step: at a ratio of 1 the slope in log pi is -A."""
    A = np.random.default_rng(seed).normal(size=8)
    assert slopes(surrogate, decisions(np.ones(8), A)) == pytest.approx(-A, rel=1e-12)


def test_value_at_the_old_policy_is_zero():
    """grpo-family.md, check 8: advantages of a group sum to zero, so the mean over sequences is 0."""
    A = tensor(0.75, -0.25, -0.25, -0.25)[:, None].expand(4, 3)
    old = Decisions(torch.zeros(4, 3).double(), torch.zeros(4, 3).double(), A)
    for surrogate in (Clip(0.2), SequenceClip(), ImportanceWeighted(), SoftGate(1.0, 1.0)):
        assert sequence_mean(surrogate(old), old.weights).item() == pytest.approx(0, abs=1e-15)


@pytest.mark.parametrize(
    ("make", "argument"),
    [
        (lambda: SequenceClip(0.0), "low"),
        (lambda: SequenceClip(high=-1.0), "high"),
        (lambda: CISPO(0.5), "floor"),
        (lambda: CISPO(2.0, 1.5), "floor"),
        (lambda: CISPO(2.0, -0.5), "floor"),
        (lambda: CISPO(float("inf")), "cap"),
        (lambda: SoftGate(0.0), "tau_positive"),
        (lambda: SoftGate(1.0, -1.0), "tau_negative"),
    ],
)
def test_refused(make, argument):
    with pytest.raises(ValueError, match=argument):
        make()
