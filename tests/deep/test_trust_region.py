"""Natural-gradient steps against closed forms: explicit matrices, and the exact geometry of finite MDPs."""

import numpy as np
import pytest
import torch

import pgtheory as pg
from pgtheory.deep.trust_region import (
    Step,
    conjugate_gradient,
    fisher_product,
    natural_step,
    trust_region_step,
)
from pgtheory.objectives import ImportanceWeighted, weighted_mean, weighted_sum
from pgtheory.problems.decisions import exact_decisions


class Tabular:
    """The exact surrogate and mean divergence of a tabular softmax on a small MDP, at random logits."""

    def __init__(self, seed=0, dtype=torch.float64):
        rng = np.random.default_rng(seed)
        self.problem = pg.ExactProblem(pg.make("dirichlet"))
        self.theta = torch.as_tensor(rng.normal(size=self.problem.dim), dtype=dtype)
        self.pi = self.problem.policy.probabilities(self.theta.double().numpy())

    def decisions(self, theta):
        return exact_decisions(self.problem.mdp, theta.reshape(self.pi.shape).log_softmax(-1), self.pi)

    def surrogate(self, theta):
        batch = self.decisions(theta)
        return weighted_sum(ImportanceWeighted()(batch), batch.weights)

    def kl(self, theta):
        batch = self.decisions(theta)
        return weighted_mean(-batch.log_ratio, batch.weights)


def quadratic(seed=0, n=6):
    """A positive definite matrix and a vector."""
    rng = np.random.default_rng(seed)
    M = rng.normal(size=(n, n))
    return torch.as_tensor(M @ M.T + 0.1 * np.eye(n)), torch.as_tensor(rng.normal(size=n))


# -- conjugate gradients --------------------------------------------------------------------------------------


@pytest.mark.parametrize("damping", [0.0, 0.7])
def test_as_many_iterations_as_dimensions_solve_exactly(damping):
    A, b = quadratic()
    x, residual = conjugate_gradient(lambda v: A @ v, b, iterations=6, damping=damping)
    torch.testing.assert_close(x, torch.linalg.solve(A + damping * torch.eye(6), b), rtol=1e-7, atol=1e-9)
    assert residual < 1e-8
    early, far = conjugate_gradient(lambda v: A @ v, b, iterations=3, damping=damping)
    assert far == pytest.approx(float((b - A @ early - damping * early).norm() / b.norm()), rel=1e-9)
    assert far > 1e-3


def test_iterations_count_distinct_eigenvalues_and_the_tolerance_ends_them():
    products = []

    def apply(v):
        products.append(v)
        return torch.tensor([2.0, 2.0, 5.0, 5.0], dtype=torch.float64) * v

    x, residual = conjugate_gradient(apply, torch.arange(1.0, 5.0, dtype=torch.float64))
    torch.testing.assert_close(x, torch.tensor([0.5, 1.0, 0.6, 0.8], dtype=torch.float64))
    assert len(products) == 2
    _, loose = conjugate_gradient(apply, torch.arange(1.0, 5.0, dtype=torch.float64), tol=1.0)
    assert (len(products), loose) == (2, 1.0)


def test_a_singular_system_gets_its_shortest_solution():
    A = torch.tensor([[1.0, -1.0], [-1.0, 1.0]])
    x, residual = conjugate_gradient(lambda v: A @ v, torch.tensor([2.0, -2.0]))
    assert x.tolist() == [1.0, -1.0]
    assert residual == 0


def test_nothing_to_solve_and_nothing_that_curves():
    x, residual = conjugate_gradient(lambda v: v, torch.zeros(3))
    assert (x.tolist(), residual) == ([0.0] * 3, 0.0)
    x, residual = conjugate_gradient(lambda v: -v, torch.ones(3))
    assert (x.tolist(), residual) == ([0.0] * 3, 1.0)


# -- the exact geometry of a finite MDP -----------------------------------------------------------------------


def test_fisher_product_is_the_explicit_matrix():
    case = Tabular()
    F = case.problem.fisher(case.theta.numpy())
    for v in torch.randn(
        4, case.problem.dim, dtype=torch.float64, generator=torch.Generator().manual_seed(0)
    ):
        product = fisher_product(case.kl, case.theta, v)
        np.testing.assert_allclose(product.numpy(), F @ v.numpy(), rtol=1e-9, atol=1e-14)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("damping", [0.0, 0.1])
def test_the_direction_is_the_exact_natural_gradient(seed, damping):
    case = Tabular(seed)
    exact = case.problem.natural_gradient(case.theta.numpy(), damping=damping)
    step = natural_step(case.surrogate, case.kl, case.theta, damping=damping, cg_iterations=60)
    moved = (step.theta - case.theta).numpy()
    # its length: the second-order divergence is the radius
    F = case.problem.fisher(case.theta.numpy())
    np.testing.assert_allclose(moved, exact * np.sqrt(0.02 / (exact @ F @ exact)), rtol=1e-5, atol=1e-8)
    assert moved @ F @ moved / 2 == pytest.approx(0.01, rel=1e-9)
    assert step.cg_residual < 1e-8


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("radius", [1e-3, 0.01, 0.5])
@pytest.mark.parametrize("seed", range(3))
def test_an_accepted_step_stays_in_the_ball_and_improves(seed, radius, dtype):
    case = Tabular(seed, dtype)
    before = case.theta.clone()
    step = trust_region_step(case.surrogate, case.kl, case.theta, radius=radius)
    assert step.accepted
    assert torch.equal(case.theta, before)
    assert step.theta.dtype == dtype
    assert not step.theta.requires_grad
    assert step.kl == float(case.kl(step.theta)) <= radius
    assert step.improvement == pytest.approx(
        float(case.surrogate(before) - case.surrogate(step.theta)), rel=1e-6
    )
    assert step.improvement > 0
    if radius < 0.1:  # near enough for the surrogate to speak for the return
        old, new = (case.problem.value(theta.double().numpy()) for theta in (before, step.theta))
        assert new - old == pytest.approx(step.improvement, rel=0.3)


def test_the_natural_step_ignores_the_ball_that_the_search_respects():
    case = Tabular(0)
    free = natural_step(case.surrogate, case.kl, case.theta, radius=0.1)
    bound = trust_region_step(case.surrogate, case.kl, case.theta, radius=0.1)
    assert free.accepted
    assert free.kl > 0.1 >= bound.kl
    assert bound.backtracks > 0
    ratio = (bound.theta - case.theta) / (free.theta - case.theta)
    torch.testing.assert_close(ratio, torch.full_like(ratio, 0.8**bound.backtracks))


# -- the line search ------------------------------------------------------------------------------------------


def ball(theta):
    return theta @ theta / 2


def refused(step: Step, theta: torch.Tensor) -> bool:
    """Not accepted, with the old parameters bit for bit, in memory of their own."""
    same = torch.equal(step.theta.view(torch.int32), theta.view(torch.int32))
    own = step.theta.data_ptr() != theta.data_ptr()
    return same and own and (step.accepted, step.kl, step.improvement) == (False, 0.0, 0.0)


def test_a_search_that_fails_returns_the_parameters_bit_for_bit():
    theta = torch.tensor([0.1, -0.0, 1e-30])

    def worse_everywhere_else(x):
        return x.sum() + 100.0 * (x.detach() != theta).any()

    assert refused(trust_region_step(worse_everywhere_else, lambda x: ball(x - theta), theta), theta)

    def far_everywhere_else(x):
        return ball(x - theta) + 100.0 * (x.detach() != theta).any()

    step = trust_region_step(torch.sum, far_everywhere_else, theta, backtracks=3)
    assert refused(step, theta)
    assert step.backtracks == 3


@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
@pytest.mark.parametrize("take", [trust_region_step, natural_step])
def test_what_is_not_finite_is_never_accepted(take, bad):
    theta = torch.tensor([0.5, -0.5])

    def kl(x):
        return ball(x - theta)

    def elsewhere(x):
        return (x.detach() != theta).any()

    assert take(torch.sum, kl, theta).accepted
    assert refused(take(lambda x: bad * x.sum(), kl, theta), theta)
    assert refused(take(torch.sum, lambda x: bad * kl(x), theta), theta)
    assert refused(take(torch.sum, lambda x: torch.where(elsewhere(x), bad, kl(x)), theta), theta)
    assert refused(take(lambda x: torch.where(elsewhere(x), bad, x.sum()), kl, theta), theta)


@pytest.mark.parametrize("take", [trust_region_step, natural_step])
def test_without_gradient_or_curvature_there_is_no_step_and_nothing_is_evaluated_at_nan(take):
    theta = torch.tensor([0.5, -0.5])

    def finite(x):
        assert x.isfinite().all()
        return x

    flat = take(lambda x: 0 * finite(x).sum(), lambda x: ball(finite(x) - theta), theta)
    assert refused(flat, theta)
    assert flat.cg_residual == 0
    assert refused(take(lambda x: finite(x).sum(), lambda x: 0 * ball(finite(x)), theta, damping=0.0), theta)
    assert refused(take(lambda x: finite(x).sum(), lambda x: 0 * ball(finite(x)), theta), theta)


def test_a_quadratic_is_shrunk_as_often_as_needed():
    """Loss x + k x²/2 and divergence x²/2: the full step -√2δ, shrunk by halves, is better than none below 2/k."""
    theta = torch.zeros(1, dtype=torch.float64)

    def step(k, **settings):
        return trust_region_step(
            lambda x: x.sum() + k * ball(x), ball, theta, radius=0.5, damping=0.0, shrink=0.5, **settings
        )

    assert (step(1.0).theta.item(), step(1.0).backtracks) == (-1.0, 0)
    assert (step(1.0).improvement, step(1.0).kl) == (0.5, 0.5)
    assert (step(5.0).theta.item(), step(5.0).backtracks) == (-0.25, 2)
    assert refused_at_zero(step(5.0, backtracks=1))
    # of the expected 1, ½, ¼, the loss falls by ½, ⅜, …: a share of ½, ¾, …
    assert step(1.0, accept=0.49).backtracks == 0
    assert step(1.0, accept=0.5).backtracks == 1
    assert step(1.0, accept=0.8).backtracks == 2


def refused_at_zero(step):
    return not step.accepted and step.theta.item() == 0


def test_damping_bends_the_direction_but_length_is_measured_without_it():
    theta = torch.zeros(2, dtype=torch.float64)
    scale = torch.tensor([1.0, 3.0], dtype=torch.float64)
    step = natural_step(torch.sum, lambda x: (scale * x) @ x / 2, theta, radius=0.02, damping=1.0)
    assert step.theta[0] / step.theta[1] == pytest.approx((3 + 1) / (1 + 1))
    assert step.kl == pytest.approx(0.02)


# -- the door -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "error", "words"),
    [
        ({"radius": 0.0}, ValueError, "radius must be positive"),
        ({"radius": "small"}, TypeError, "radius must be a number"),
        ({"damping": -0.1}, ValueError, "damping must be non-negative"),
        ({"cg_iterations": 0}, ValueError, "iterations must be at least 1"),
    ],
)
@pytest.mark.parametrize("take", [trust_region_step, natural_step])
def test_numbers_out_of_range_are_refused(take, settings, error, words):
    with pytest.raises(error, match=words):
        take(torch.sum, ball, torch.zeros(2), **settings)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"backtracks": -1}, "backtracks must be at least 0"),
        ({"shrink": 1.0}, r"shrink must lie in \(0, 1\)"),
        ({"accept": 1.0}, r"accept must lie in \[0, 1\)"),
        ({"accept": -0.1}, r"accept must lie in \[0, 1\)"),
    ],
)
def test_line_searches_that_cannot_end_well_are_refused(settings, words):
    with pytest.raises(ValueError, match=words):
        trust_region_step(torch.sum, ball, torch.zeros(2), **settings)


def test_vectors_and_functions_of_the_wrong_kind_are_refused():
    with pytest.raises(TypeError, match="theta must be a floating-point tensor, got ndarray"):
        trust_region_step(torch.sum, ball, np.zeros(2))
    with pytest.raises(TypeError, match=r"theta must be a floating-point tensor, got torch\.int64"):
        natural_step(torch.sum, ball, torch.zeros(2, dtype=torch.int64))
    with pytest.raises(ValueError, match=r"theta must be a vector \[dim\], got shape \[2, 2\]: flatten it"):
        trust_region_step(torch.sum, ball, torch.zeros(2, 2))
    with pytest.raises(ValueError, match=r"v must have the shape of theta, \[2\], got \[3\]"):
        fisher_product(ball, torch.zeros(2), torch.zeros(3))
    with pytest.raises(ValueError, match="surrogate must return a scalar tensor that depends"):
        trust_region_step(lambda x: 2 * x, ball, torch.zeros(2))
    with pytest.raises(ValueError, match="kl must return a scalar tensor that depends"):
        trust_region_step(torch.sum, lambda x: ball(x.detach()), torch.zeros(2))
    with pytest.raises(ValueError, match="tol must be non-negative"):
        conjugate_gradient(ball, torch.zeros(2), tol=-1.0)
