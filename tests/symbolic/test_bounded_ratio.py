"""The derivations of bounded ratios against plain NumPy on random numbers, and the numbers worked out by hand."""

import numpy as np
import pytest
import sympy
from scipy.optimize import brentq

from pgtheory.symbolic import bounded_ratio as br

Q3, PI3 = np.array([1.0, 2.0, 4.0]), np.array([0.2, 0.5, 0.3])
six = {"rtol": 0, "atol": 5.1e-7}
exact = {"rtol": 1e-10, "atol": 1e-12}


@pytest.fixture(scope="module")
def steps():
    functions = (
        br.optimal_ratio,
        br.asymmetric_ratio,
        br.median_condition,
        br.hinge_identity,
        br.small_ratio_expansions,
        br.lambda_to_zero,
    )
    return {function.__name__: function() for function in functions}


def compiled(expression, *symbols):
    return sympy.lambdify(symbols, expression, "numpy")


def normalised(ratio, pi, q, *parameters):
    """The multiplier at which the ratio has mean 1, and the ratio there."""
    mu = brentq(lambda m: pi @ ratio(q, m, *parameters) - 1, q.min() - 50, q.max() + 50, xtol=1e-14)
    return mu, ratio(q, mu, *parameters)


def random_state(seed, n=5):
    rng = np.random.default_rng(seed)
    return rng, rng.dirichlet(np.ones(n)), rng.normal(size=n)


@pytest.mark.parametrize(
    ("lam", "mu", "ratio"),
    [(0.5, 2.232748, (0.831325, 0.954273, 1.188661)), (5.0, 2.397841, (0.972224, 0.992047, 1.031772))],
)
def test_the_worked_numbers_of_the_optimum(steps, lam, mu, ratio):
    for name in ("ratio", "solution", "sigmoid_ratio"):
        f = compiled(steps["optimal_ratio"][name], br.Q, br.mu, br.lam, br.epsilon)
        found = normalised(f, PI3, Q3, lam, 0.2)
        np.testing.assert_allclose(found[0], mu, **six)
        np.testing.assert_allclose(found[1], ratio, **six)


@pytest.mark.parametrize("seed", range(3))
def test_no_feasible_change_of_the_ratio_raises_the_objective(steps, seed):
    rng, pi, q = random_state(seed)
    lam, eps = rng.uniform(0.1, 2), rng.uniform(0.05, 0.8)
    f = compiled(steps["optimal_ratio"]["ratio"], br.Q, br.mu, br.lam, br.epsilon)
    _, best = normalised(f, pi, q, lam, eps)

    def objective(r):
        lower, upper = r - 1 + eps, 1 + eps - r
        return pi @ (r * (q - pi @ q) - lam * (lower * np.log(lower) + upper * np.log(upper)))

    for _ in range(50):
        direction = rng.normal(size=5)
        direction -= pi @ direction
        largest = 0.9 * (eps - np.abs(best - 1)).min() / np.abs(direction).max()
        assert objective(best + rng.uniform(0.01, 1) * largest * direction) < objective(best)


def test_the_value_and_the_shape_of_the_objective(steps):
    s = steps["optimal_ratio"]
    H = compiled(s["regulariser"], br.rho, br.epsilon)
    ratio = np.array([0.831325, 0.954273, 1.188661])
    np.testing.assert_allclose(PI3 @ (ratio * (Q3 - 2.4) - 0.5 * H(ratio, 0.2)), 0.415590, rtol=0, atol=2e-6)
    np.testing.assert_allclose(H(1.0, 0.2), 2 * 0.2 * np.log(0.2), **exact)
    curvature = compiled(s["curvature"], br.inside, br.lam, br.epsilon)
    slope = compiled(s["slope"], br.rho, br.epsilon)
    at, h = 0.8 + 0.4 * 0.7 / 1.7, 1e-6
    numeric = -0.5 * (slope(at + h, 0.2) - slope(at - h, 0.2)) / (2 * h)
    np.testing.assert_allclose(curvature(0.7, 0.5, 0.2), numeric, rtol=1e-8)
    assert s["difference"] == 0


@pytest.mark.parametrize("name", ["optimal_ratio", "asymmetric_ratio"])
def test_concave_with_infinite_slope_at_both_ends(steps, name):
    s = steps[name]
    assert s["concave"] == sympy.true
    assert (s["slope_at_lower"], s["slope_at_one"], s["slope_at_upper"]) == (-sympy.oo, 0, sympy.oo)


def test_the_worked_numbers_of_the_asymmetric_box(steps):
    s = steps["asymmetric_ratio"]
    for name in ("solution", "sigmoid_ratio"):
        f = compiled(s[name], br.Q, br.mu, br.lam, br.epsilon_l, br.epsilon_h)
        mu, ratio = normalised(f, PI3, Q3, 0.5, 0.2, 0.28)
        np.testing.assert_allclose(ratio, [0.820492, 0.918968, 1.254725], **six)
        assert 1 < mu < 4  # with log kappa kept the values bracket it
    logit = (br.Q - br.mu) / br.lam + sympy.log(br.epsilon_l) - sympy.log(br.epsilon_h)
    assert sympy.expand(s["logit"] - logit) == 0
    same = s["sigmoid_ratio"].subs({br.epsilon_l: br.epsilon, br.epsilon_h: br.epsilon})
    assert sympy.simplify(same - steps["optimal_ratio"]["sigmoid_ratio"]) == 0


def test_g_is_softplus_less_half_its_argument_and_convex(steps):
    s = steps["median_condition"]
    g, first, second = (compiled(s[name], br.x) for name in ("g", "g_prime", "g_second"))
    at = np.array([-2.0, 0.0, 3.0])
    np.testing.assert_allclose(g(at), [1.126928, 0.693147, 1.548587], **six)
    np.testing.assert_allclose(first(at), 1 / (1 + np.exp(-at)) - 0.5, **exact)
    np.testing.assert_allclose(second(at), np.exp(-at) / (1 + np.exp(-at)) ** 2, **exact)
    assert s["softplus_gap"] == 0
    assert s["convex"] == sympy.true


@pytest.mark.parametrize("seed", range(3))
def test_the_minimiser_of_the_mean_of_g_normalises(steps, seed):
    s = steps["median_condition"]
    rng, pi, q = random_state(seed)
    lam = rng.uniform(0.2, 2)
    slope = compiled(s["slope"], br.Q, br.mu, br.lam)
    excess = compiled(s["excess"], br.Q, br.mu, br.lam, br.epsilon)
    u = brentq(lambda m: pi @ slope(q, m, lam), q.min(), q.max(), xtol=1e-14)
    np.testing.assert_allclose(pi @ excess(q, u, lam, 0.3), 0, atol=1e-12)
    loss = lambda m: pi @ np.log(2 * np.cosh((q - m) / (2 * lam)))
    assert loss(u) < min(loss(u - 1e-3), loss(u + 1e-3))
    np.testing.assert_allclose(
        pi @ slope(q, 0.1, lam), (loss(0.1 + 1e-6) - loss(0.1 - 1e-6)) / 2e-6, rtol=1e-6, atol=1e-9
    )


def test_the_soft_median_is_unique(steps):
    s = steps["median_condition"]
    assert not s["quotient"].has(br.Q, br.mu)
    assert s["falls"] == sympy.true
    assert list(s["excess_ends"]) == [br.epsilon, -br.epsilon]


@pytest.mark.parametrize("column", range(6))
def test_each_piece_of_the_hinge_against_clipping(steps, column):
    s = steps["hinge_identity"]
    sign, side = br.HINGE_PIECES[column]
    rng = np.random.default_rng(column)
    size, eps = 1.7, 0.2
    low, high = {"below": (0.01, 0.8), "inside": (0.8, 1.2), "above": (1.2, 3.0)}[side]
    A, r = sign * size, rng.uniform(low, high, 20)
    target = 1 + eps * sign
    ppo = -np.minimum(r * A, np.clip(r, 1 - eps, 1 + eps) * A)
    hinge = np.where((r - target) * A <= 0, size * np.abs(r - target), 0) - A * target
    for name, values in {"ppo": ppo, "hinge": hinge}.items():
        f = compiled(s[name][column], br.rho, br.a, br.epsilon)
        np.testing.assert_allclose(np.broadcast_to(f(r, size, eps), r.shape), values, **exact)
    z = np.maximum(np.abs(r - 1) - eps, 0)
    page = np.where(np.abs(r - 1) > eps, 0, size * np.abs(r - target)) - A * target
    gap = compiled(s["page_residual"][column], br.outside, br.a, br.epsilon)
    np.testing.assert_allclose(np.broadcast_to(gap(z, size, eps), r.shape), ppo - page, **exact)
    assert s["residual"][column] == 0


def test_the_worked_slopes_of_both_losses(steps):
    s = steps["hinge_identity"]
    at = {(2, "inside"): (-2, -2), (2, "above"): (0, 2), (2, "below"): (-2, -2)}
    at |= {(-1, "inside"): (1, 1), (-1, "below"): (0, -1)}
    for (A, side), slopes in at.items():
        column = br.HINGE_PIECES.index((np.sign(A), side))
        assert s["advantage"][column].subs(br.a, abs(A)) == A
        assert tuple(s[name][column].subs(br.a, abs(A)) for name in ("ppo_slope", "bpo_slope")) == slopes


def test_the_expansions_of_both_divergences(steps):
    s = steps["small_ratio_expansions"]
    rng, p, x = random_state(1)
    x -= p @ x
    for name, f in {"kl_old_new": lambda r: -np.log(r), "kl_new_old": lambda r: r * np.log(r)}.items():
        cubic = compiled(s[name], br.variance, br.third)
        errors = [p @ f(1 + h * x) - cubic(h**2 * (p @ x**2), h**3 * (p @ x**3)) for h in (0.01, 0.005)]
        np.testing.assert_allclose(errors[0] / errors[1], 16, rtol=0.05)  # of fourth order
        assert 2 * s[name].subs(br.third, 0) == s["chi_square"]
    assert s["kl_old_new"] == br.variance / 2 - br.third / 3


def test_the_tilt_of_the_variance_ball(steps):
    s = steps["small_ratio_expansions"]
    A = np.array([-1.4, -0.4, 1.6])
    values = {br.sd: np.sqrt(PI3 @ A**2), br.delta: 0.04}
    ratio = compiled(s["optimal_ratio"].subs(values), br.A)(A)
    np.testing.assert_allclose(ratio, [0.748553, 0.928158, 1.287368], **six)
    np.testing.assert_allclose(float(s["multiplier"].subs(values)), 2.783882, **six)
    np.testing.assert_allclose([float(s["gain"].subs(values)), PI3 @ (ratio * A)], 0.222711, **six)
    np.testing.assert_allclose([PI3 @ ratio, PI3 @ (ratio - 1) ** 2], [1, 0.04], **exact)


def test_the_gradient_coefficient_and_its_change_of_sign(steps):
    s = steps["small_ratio_expansions"]
    ratio, A = np.array([0.8, 1, 1.3, 2]), np.array([1, -0.5, 2, 0.3])
    f = compiled(s["coefficient"], br.rho, br.A, br.lam)
    np.testing.assert_allclose(f(ratio, A, 0.5), [0.96, -0.5, 2.21, -1.4], **exact)
    flip = compiled(s["flip"], br.A, br.lam)(A, 0.5)
    np.testing.assert_allclose(flip, [2, 0.5, 3, 1.3], **exact)
    assert (f(flip - 0.01, A, 0.5) > 0).all()
    assert (f(flip + 0.01, A, 0.5) < 0).all()
    assert s["effective_slope"] == -2 * br.lam


def test_the_limit_on_three_groups(steps):
    s = steps["lambda_to_zero"]
    values = {br.above: 0.3, br.tied: 0.5, br.below: 0.2, br.up: 2, br.down: 1, br.epsilon: 0.2}
    np.testing.assert_allclose([float(r.subs(values)) for r in s["ratios"]], [1.2, 0.96, 0.8], **exact)
    np.testing.assert_allclose(float(s["gain"].subs(values)), 0.16, **exact)
    tie = br.epsilon * (br.below - br.above) / br.tied
    assert sympy.simplify(s["ratios"][1] - 1 - tie) == 0
    assert (s["mean_ratio"], s["limit_slope"]) == (1, br.tied)


@pytest.mark.parametrize("seed", range(3))
def test_small_lambda_approaches_the_limit(steps, seed):
    rng = np.random.default_rng(seed)
    pi = np.array([rng.uniform(0.1, 0.4), 0.0, rng.uniform(0.1, 0.4)])
    pi[1] = 1 - pi.sum()
    up, down, lam = *rng.uniform(0.5, 2, 2), 0.02
    q = np.array([up, 0, -down])
    mu = brentq(lambda m: pi @ np.tanh((q - m) / (2 * lam)), -down, up, xtol=1e-15)
    T = np.tanh(-mu / (2 * lam))
    s = steps["lambda_to_zero"]
    values = dict(zip((br.above, br.tied, br.below), pi)) | {br.up: up, br.down: down}
    assert abs(float(s["normalisation"].subs(values | {br.lam: lam, br.tilt: T}))) < 1e-10
    np.testing.assert_allclose(float(s["tie_tilt"].subs(values)), T, atol=1e-6)


def test_a_derivation_shows_its_steps(steps):
    for derivation in steps.values():
        assert len(str(derivation).splitlines()) == len(derivation.steps) + 1
        latex = derivation._repr_latex_()
        assert latex.count(r"\text{") >= len(derivation.steps)
        assert "_" not in latex.split(r"\text{")[1].split("}")[0]
    with pytest.raises(KeyError, match="no step 'rho' in 'Optimal ratio, symmetric box', expected one of"):
        steps["optimal_ratio"]["rho"]
