"""From token losses to a scalar: the libraries' conventions, and how a batch may be split."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pgtheory.objectives import SequenceSum, sequence_mean, sequence_sum, weighted_mean, weighted_sum

torch.set_num_threads(1)
MODES = {
    "weighted_mean": weighted_mean,
    "weighted_sum": weighted_sum,
    "sequence_mean": sequence_mean,
    "sequence_sum": sequence_sum,
    "dr-grpo": SequenceSum(4),
    "verl sum-norm": SequenceSum(4, averaged=False),
}
by_name = pytest.mark.parametrize("name", MODES)
seeds = st.integers(0, 2**32 - 1)


def by_hand(name, losses, weights):
    """The table's formulas in loops; sequences without a weight do not count."""
    rows = [
        [(w, x) for w, x in zip(ws, xs) if w > 0]
        for ws, xs in zip(weights.tolist(), losses.tolist())
        if any(ws)
    ]
    sums = [sum(w * x for w, x in row) for row in rows]
    lengths = [sum(w for w, _ in row) for row in rows]
    return {
        "weighted_mean": lambda: sum(sums) / sum(lengths),
        "weighted_sum": lambda: sum(sums),
        "sequence_mean": lambda: sum(s / n for s, n in zip(sums, lengths)) / len(rows),
        "sequence_sum": lambda: sum(sums) / len(rows),
        "dr-grpo": lambda: sum(sums) / 4 / len(rows),
        "verl sum-norm": lambda: sum(sums) / 4,
    }[name]()


def random(seed, weighted=True):
    rng = np.random.default_rng(seed)
    weights = (
        rng.random((6, 5)) * rng.integers(0, 2, (6, 5)) if weighted else rng.integers(0, 2, (6, 5)) * 1.0
    )
    weights[0], weights[1, 0] = 0, 1
    return torch.as_tensor(rng.normal(size=(6, 5))), torch.as_tensor(weights)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("weighted_mean", 2.5),
        ("sequence_mean", 3.0),
        ("sequence_sum", 5.0),
        ("dr-grpo", 1.25),
        ("verl sum-norm", 2.5),
        ("weighted_sum", 10.0),
    ],
)
def test_worked_numbers(name, value):
    """grpo-family.md, check 3; a third sequence, all masked, changes nothing."""
    losses = torch.tensor([[1.0, 2.0, 3.0], [4.0, 9.0, 9.0], [7.0, 7.0, 7.0]])
    mask = torch.tensor([[1.0, 1.0, 1.0], [1.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
    assert MODES[name](losses[:2], mask[:2]).item() == pytest.approx(value)
    assert MODES[name](losses, mask).item() == pytest.approx(value)


@by_name
@given(seed=seeds, weighted=st.booleans())
@settings(max_examples=20, deadline=None)
def test_formulas(name, seed, weighted):
    losses, weights = random(seed, weighted)
    assert MODES[name](losses, weights).item() == pytest.approx(by_hand(name, losses, weights), rel=1e-10)


@by_name
@given(seed=seeds, cut=st.integers(0, 6))
@settings(max_examples=20, deadline=None)
def test_a_batch_in_two(name, seed, cut):
    """Sums add up; means are recombined by the weights, or the sequences, that they are means over."""
    losses, weights = random(seed)
    parts = [(losses[:cut], weights[:cut]), (losses[cut:], weights[cut:])]
    share = {
        "weighted_mean": lambda w: w.sum(),
        "weighted_sum": lambda w: 1.0,
        "verl sum-norm": lambda w: 1.0,
    }.get(name, lambda w: (w.sum(-1) > 0).sum())
    whole = share(weights)
    together = sum(MODES[name](x, w) * share(w) for x, w in parts) / whole
    assert together.item() == pytest.approx(MODES[name](losses, weights).item(), rel=1e-10)


@by_name
def test_nothing_at_all(name):
    losses = torch.ones(2, 3, requires_grad=True)
    loss = MODES[name](losses, torch.zeros(2, 3))
    assert loss.item() == 0
    assert torch.autograd.grad(loss, losses)[0].tolist() == [[0] * 3] * 2


@by_name
def test_vmap_is_a_loop(name):
    batches = [random(seed) for seed in range(3)]
    losses, weights = (torch.stack(x) for x in zip(*batches))
    singles = [MODES[name](*batch).item() for batch in batches]
    assert torch.func.vmap(MODES[name])(losses, weights).tolist() == pytest.approx(singles)


def test_length_effect_of_the_sequence_mean():
    """grpo-family.md: a token of an answer of L tokens weighs 1/L, whatever the others'."""
    losses = torch.zeros(2, 4, requires_grad=True)
    mask = torch.tensor([[1.0, 1.0, 1.0, 1.0], [1.0, 0.0, 0.0, 0.0]])
    (slopes,) = torch.autograd.grad(sequence_mean(losses, mask), losses)
    assert slopes.tolist() == [[0.125] * 4, [0.5, 0, 0, 0]]
    (slopes,) = torch.autograd.grad(weighted_mean(losses, mask), losses)
    assert slopes.tolist() == [[pytest.approx(0.2)] * 4, [pytest.approx(0.2), 0, 0, 0]]


def test_refused():
    with pytest.raises(ValueError, match="length"):
        SequenceSum(0)
    with pytest.raises(TypeError, match="averaged"):
        SequenceSum(4, averaged=1)
