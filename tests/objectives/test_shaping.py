"""What happens to rewards before credit and to advantages after: TruthRL, DAPO, EMPG, CAPO."""

import numpy as np
import pytest
import torch
from batches import tensor
from hypothesis import given, settings
from hypothesis import strategies as st

from pgtheory.objectives import (
    GroupZScore,
    asymmetric,
    capo_mask,
    entropy_modulated,
    overlong_penalty,
    truthful_reward,
)

torch.set_num_threads(1)
LABELS = torch.tensor([1, 0, -1])
INF = float("inf")


# -- truthful rewards (truthrl.md) -----------------------------------------------------------------------------


def test_table_of_rewards():
    assert truthful_reward(LABELS).tolist() == [1, 0, -1]
    assert truthful_reward(LABELS, abstain=-1.0).tolist() == [1, -1, -1]
    assert truthful_reward(LABELS, abstain=0.1).tolist() == [1, 0.1, -1]
    unknown = torch.tensor([[True], [False]])
    labels = torch.stack([LABELS, LABELS])
    assert truthful_reward(labels, out_of_knowledge=unknown).tolist() == [[-1, 1, -1], [1, 0, -1]]
    found = truthful_reward(labels, abstain=-1.0, out_of_knowledge=unknown)
    assert found.tolist() == [[-1, 1, -1], [1, -1, -1]]


@pytest.mark.parametrize(("weight", "value"), [(0.0, 0.372), (0.5, 0.492), (-0.5, 0.252)])
def test_mean_reward_is_the_truthfulness(weight, value):
    """Theory 2: 566 correct, 194 wrong and 240 abstentions."""
    labels = torch.tensor([1] * 566 + [-1] * 194 + [0] * 240)
    assert truthful_reward(labels, abstain=weight).mean().item() == pytest.approx(value)


@pytest.mark.parametrize(
    ("c", "threshold", "correct", "wrong", "truthfulness"),
    [
        (-0.5, 0.25, 0.46875, 0.28125, 0.1875),
        (0, 0.5, 0.375, 0.125, 0.25),
        (0.5, 0.75, 0.21875, 0.03125, 0.1875),
    ],
)
def test_best_rule_of_the_abstention_reward(c, threshold, correct, wrong, truthfulness):
    """Theory 1 and 3: answering is worth q - (1 - q), and pays above (1 + c) / 2; q is uniform."""
    n = 20000
    q = (torch.arange(n) + 0.5).double() / n
    reward = truthful_reward(LABELS, abstain=c)
    answers = q * reward[0] + (1 - q) * reward[2] > reward[1]
    assert q[answers].min().item() == pytest.approx(threshold, abs=1 / n)
    found = (torch.where(answers, q, 0).mean().item(), torch.where(answers, 1 - q, 0).mean().item())
    assert found == pytest.approx((correct, wrong), abs=1e-4)
    assert found[0] - found[1] == pytest.approx(truthfulness, abs=1e-4)


@pytest.mark.parametrize(
    ("c", "G", "rate", "threshold"),
    [
        (0.5, 8, 0.1, 0.5425),
        (0.5, 8, 0.5, 0.6439),
        (0.5, 8, 0.9, 0.6711),
        (-0.5, 8, 0.5, 0.3561),
        (0, 8, 0.9, 0.5),
        (0.5, 2, 0.3, 0.5),
        (-0.5, 2, 0.7, 0.5),
    ],
)
def test_standard_deviations_move_the_threshold(c, G, rate, threshold):
    """Theory 4: the chance of being correct at which the expected push on answering changes its sign."""
    from math import factorial

    counts = [(k, m, G - k - m) for k in range(G + 1) for m in range(G + 1 - k)]  # correct, abstained, wrong
    labels = torch.tensor([[1] * k + [0] * m + [-1] * w for k, m, w in counts])
    A = GroupZScore(0, 1e-12)(truthful_reward(labels, abstain=c), labels).advantage
    push = (A * (labels != 0)).sum(-1).numpy()  # the score's other part multiplies the sum of A, which is 0
    k, m, w = np.array(counts).T
    ways = factorial(G) / np.array([float(factorial(a) * factorial(b) * factorial(d)) for a, b, d in counts])

    def expected(q):
        return ways * (rate * q) ** k * (1 - rate) ** m * (rate * (1 - q)) ** w @ push

    assert expected(threshold - 2e-4) < 0 < expected(threshold + 2e-4)


def test_abstention_is_pushed_by_its_group():
    """Binary rewards say nothing about abstaining or being wrong; all abstaining is absorbing (Theory 5)."""
    labels = torch.tensor([[0, -1], [0, 0]])
    z = GroupZScore(0, 1e-12)
    assert z(truthful_reward(labels), labels).advantage.tolist() == [
        [pytest.approx(1), pytest.approx(-1)],
        [0, 0],
    ]
    assert not z(truthful_reward(labels, abstain=-1.0), labels).advantage.any()
    decided = torch.tensor([[1, -1, -1]])
    assert torch.equal(truthful_reward(decided), truthful_reward(decided, abstain=-1.0))


# -- lengths and signs -----------------------------------------------------------------------------------------


def test_overlong_penalty():
    """grpo-family.md, check 7."""
    found = overlong_penalty(torch.tensor([1, 16384, 18432, 20480, 20481, 10**6]))
    assert found.tolist() == [0, 0, -0.5, -1, -1, -1]
    assert overlong_penalty(tensor(6, 7, 8), 8, 4).tolist() == [-0.5, -0.75, -1]


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_asymmetric(dtype):
    A = torch.tensor([2.0, -3.0, 0.0], dtype=dtype)
    found = asymmetric(A, 0.1, 0.3)
    assert found.dtype == dtype
    assert torch.equal(found, torch.stack([0.1 * A[0], 0.3 * A[1], A[2]]))
    assert torch.equal(asymmetric(A), A)


# -- entropies (empg.md) ---------------------------------------------------------------------------------------

STEPS = torch.tensor([[True, True, True], [True, True, False]])
ENTROPY, ADVANTAGE = tensor([0.2, 0.6, 1.0], [0.4, 0.8, float("nan")]), tensor(1, -1)


def modulated(advantage=ADVANTAGE, entropy=ENTROPY, **options):
    found = entropy_modulated(advantage, entropy, STEPS, **options)
    assert found[~STEPS].tolist() == [0]
    return found[STEPS].tolist()


def test_worked_numbers():
    assert modulated(zeta=0.0, centred=False, advantage=tensor(1, 1)) == pytest.approx(
        [1.550110, 0.940189, 0.570254, 1.207227, 0.732220], abs=1e-6
    )
    assert modulated(zeta=0.0, centred=False, advantage=tensor(1, 1), k=2.0) == pytest.approx(
        [2.143278, 0.788468, 0.290061, 1.299964, 0.478230], abs=1e-6
    )
    assert modulated(centred=False) == pytest.approx(
        [1.580437, 0.958583, 0.570254, -1.183609, -0.732220], abs=1e-6
    )
    assert modulated() == pytest.approx([1.341748, 0.719894, 0.331565, -1.422298, -0.970909], abs=1e-6)
    bonus = modulated(advantage=tensor(0, 0), zeta=1.0, centred=False)
    assert bonus == pytest.approx([0.606531, 0.367879, 0, 0.472367, 0], abs=1e-6)


def test_nothing_to_modulate():
    plain = np.array([1, 1, 1, -1, -1])
    assert modulated(k=0.0, zeta=0.0) == pytest.approx(plain - 0.2)
    equal = torch.full_like(ENTROPY, 0.7)
    assert modulated(entropy=equal, zeta=0.0, centred=False) == pytest.approx(plain)
    none = torch.zeros_like(STEPS)
    assert not entropy_modulated(ADVANTAGE, ENTROPY, none).any()


@given(seed=st.integers(0, 2**32 - 1), k=st.floats(0, 4))
@settings(max_examples=20, deadline=None)
def test_modulation_properties(seed, k):
    """Mean of the scale 1, its range e^k; the scale of A leaves the bonus alone; the mean is taken off."""
    rng = np.random.default_rng(seed)
    entropy, A = torch.as_tensor(rng.random((4, 5))), torch.as_tensor(rng.normal(size=4))
    steps = torch.as_tensor(np.arange(5) < rng.integers(2, 6, (4, 1)))
    g = entropy_modulated(torch.ones(4).double(), entropy, steps, k=k, zeta=0.0, centred=False)[steps]
    assert g.mean().item() == pytest.approx(1)
    assert (g.max() / g.min()).item() == pytest.approx(np.exp(k), rel=1e-6)
    once = entropy_modulated(A, entropy, steps, k=k, centred=False)
    twice = entropy_modulated(2 * A, entropy, steps, k=k, centred=False)
    bonus = entropy_modulated(0 * A, entropy, steps, k=k, centred=False)
    np.testing.assert_allclose(twice - once, once - bonus, atol=1e-12)
    centred = entropy_modulated(A, entropy, steps, k=k)
    assert centred[steps].mean().item() == pytest.approx(0, abs=1e-12)
    np.testing.assert_allclose(centred[steps], once[steps] - once[steps].mean(), atol=1e-12)
    mapped = torch.func.vmap(lambda a: entropy_modulated(a, entropy, steps, k=k))(torch.stack([A, -A]))
    np.testing.assert_allclose(mapped[0], centred, atol=1e-12)


@pytest.mark.parametrize(
    ("pi", "squared_norm"),
    [([0.25] * 4, 0.75), ([0.7, 0.1, 0.1, 0.1], 0.48), ([0.97, 0.01, 0.01, 0.01], 0.0588), ([0.5, 0.5], 0.5)],
)
def test_expected_squared_score(pi, squared_norm):
    """Prop. 1: the expectation of |e_a - pi|^2 is one minus the sum of squares."""
    logits = torch.tensor(pi).double().log().requires_grad_()
    scores = torch.autograd.functional.jacobian(lambda z: z.log_softmax(-1), logits)
    assert (torch.tensor(pi).double() @ (scores**2).sum(-1)).item() == pytest.approx(squared_norm)


# -- masks from scores (capo.md) -------------------------------------------------------------------------------

M_H, M_F = tensor(0.02, -0.02, 0.005, -0.005, 0.01, 0.0), tensor(0, 0, 1e-5, 1e-3, 0, 1e-4)


def test_masks():
    assert capo_mask(M_H, M_F, 0.01, 1e-4).tolist() == [0, 0, 1, 0, 0, 0]  # strict, and symmetric
    assert capo_mask(M_H, M_F, 0.03, 2e-4).tolist() == [1, 1, 1, 0, 1, 1]
    assert capo_mask(M_H, M_F, 0.01, 1e-4, one_sided=True).tolist() == [1, 0, 0, 0, 1, 0]
    assert capo_mask(M_H, M_F, 0.0, 1e-4, one_sided=True, most_H=0.01).tolist() == [0, 0, 1, 0, 1, 1]
    assert capo_mask(M_H, M_F, INF, INF).all()
    assert capo_mask(M_H, M_F, -INF, INF, one_sided=True).all()
    nan = tensor(float("nan"), 0)
    for one_sided in (False, True):
        assert not capo_mask(nan, nan.flip(0), 0.01, 0.01, one_sided=one_sided).any()
    scores = torch.stack([M_H, M_F]).float()
    mapped = torch.func.vmap(lambda h: capo_mask(h, scores[1], 0.01, 1e-4))(scores)
    assert mapped.dtype == torch.float32
    assert mapped.tolist() == [[0, 0, 1, 0, 0, 0], [1, 1, 1, 0, 1, 0]]


@pytest.mark.parametrize("token", [(1.5, 0.089162437, 0.001711125), (0.0, 0.0, 0.0)])
def test_scores_of_a_plain_step(token):
    """capo.md, checks 1 and 5: pi = (.5, .3, .2), h = (1, 2), second action, a step of .01 along the gradient."""
    A, m_H, m_F = token
    pi, h, a = np.array([0.5, 0.3, 0.2]), np.array([1.0, 2.0]), 0.01
    v = np.eye(3)[1] - pi
    u = A * v * (h @ h)
    F = np.diag(pi) - np.outer(pi, pi)
    found_H = a * A * v @ u + a**2 / 2 * A * ((v @ u) ** 2 - u @ F @ u)
    found_F = a**2 / 2 * (v @ u) ** 2
    assert (found_H, found_F) == pytest.approx((m_H, m_F), abs=1e-9)
    kept = capo_mask(tensor(found_H), tensor(found_F), 0.01, 1e-4).item()
    assert kept == (A == 0)


@pytest.mark.parametrize(
    ("make", "argument"),
    [
        (lambda: truthful_reward(torch.tensor([2])), "labels"),
        (lambda: truthful_reward(LABELS, abstain=float("nan")), "abstain"),
        (lambda: truthful_reward(LABELS[None], out_of_knowledge=LABELS > 0), "out_of_knowledge"),
        (lambda: overlong_penalty(LABELS, 0), "longest"),
        (lambda: overlong_penalty(LABELS, 4, 5), "margin"),
        (lambda: asymmetric(M_H, -1.0), "positive"),
        (lambda: asymmetric(M_H, 1.0, -1.0), "negative"),
        (lambda: entropy_modulated(ADVANTAGE, ENTROPY, STEPS[:, :2]), "entropy and steps"),
        (lambda: entropy_modulated(M_H, ENTROPY, STEPS), "entropy and steps"),
        (lambda: entropy_modulated(ADVANTAGE, ENTROPY, STEPS, k=float("inf")), "k must"),
        (lambda: capo_mask(M_H, M_F[:2], 1.0, 1.0), "m_F"),
        (lambda: capo_mask(M_H, M_F, 0.0, 1.0), "delta_H"),
        (lambda: capo_mask(M_H, M_F, 1.0, float("nan")), "delta_F"),
        (lambda: capo_mask(M_H, M_F, 1.0, 1.0, one_sided=True, most_H=0.5), "delta_H"),
    ],
)
def test_refused(make, argument):
    with pytest.raises(ValueError, match=argument):
        make()


def test_steps_are_marks():
    with pytest.raises(TypeError, match="steps must be boolean"):
        entropy_modulated(ADVANTAGE, ENTROPY, STEPS.double())
