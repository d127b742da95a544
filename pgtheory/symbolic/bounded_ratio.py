r"""Bounded ratios, step by step in SymPy: the tanh optimum, the median, PPO as a hinge, and the variance ball.

The formulas of Bounded Ratio Reinforcement Learning (arXiv:2604.18578) and of ratio-variance regularisation
(arXiv:2601.03320) in one state, where actions have old probability :math:`\pi_0(a)` and value Q and the new policy
is :math:`\rho\pi_0`. Every function starts from the problem and lets SymPy solve it. The papers' displayed equations
were not visible: the problems are second-hand (third-party notes), and the regulariser H is reconstructed.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import sympy
from sympy import Abs, Expr, Matrix, Max, Min, exp, log, tanh

epsilon, epsilon_l, epsilon_h = sympy.symbols("epsilon epsilon_l epsilon_h", positive=True)
lam, rho, a = sympy.symbols("lambda rho a", positive=True)  # a = |A|
Q, V, mu, nu, A = sympy.symbols("Q V mu nu A", real=True)
x = sympy.Symbol("x", real=True)  # (Q - mu) / lambda; in the expansions rho - 1
variance, third = sympy.symbols("Var m_3", real=True)  # E x^2 and E x^3
delta, sd = sympy.symbols("delta sd", positive=True)
above, tied, below = sympy.symbols("p_+ p_0 p_-", positive=True)  # old mass by side of the median
up, down = sympy.symbols("d_+ d_-", positive=True)  # distances of the outer values from the median
tilt = sympy.Symbol("T", real=True)  # tanh((median - mu) / (2 lambda))
outside = sympy.Symbol("z", nonnegative=True)  # how far a ratio is from its box
inside = sympy.Symbol("w", positive=True)  # odds of a ratio's place in its box

HINGE_PIECES = tuple((sign, side) for sign in (1, -1) for side in ("below", "inside", "above"))


@dataclass(frozen=True)
class Derivation:
    """The steps of a derivation in order, shown line by line in a notebook; ``derivation["name"]`` is one of them."""

    title: str
    steps: Mapping[str, Expr | Matrix]

    def __getitem__(self, name: str) -> Expr | Matrix:
        if name not in self.steps:
            raise KeyError(f"no step {name!r} in {self.title!r}, expected one of {', '.join(self.steps)}")
        return self.steps[name]

    def __str__(self) -> str:
        return "\n".join([self.title, *(f"  {name}: {step}" for name, step in self.steps.items())])

    def _repr_latex_(self) -> str:
        names = [name.replace("_", " ") for name in self.steps]
        lines = [rf"\text{{{name}}}&:\ {sympy.latex(step)}" for name, step in zip(names, self.steps.values())]
        return r"$\displaystyle\begin{aligned}" + r"\\ ".join(lines) + r"\end{aligned}$"


def optimal_ratio() -> Derivation:
    r"""Maximise :math:`\mathbb E_{\pi_0}[\rho A-\lambda H(\rho)]` with :math:`\mathbb E_{\pi_0}\rho=1` (Thm. 4.1).

    ``lagrangian`` is the term of one action, its expectation the Lagrangian. :math:`A=Q-V`, and of V and the
    multiplier :math:`\nu` only :math:`\mu=V+\nu` is left in the solution.

    Steps: ``regulariser`` H and its ``slope`` (``slope_at_one``, ``slope_at_lower``, ``slope_at_upper``),
    ``lagrangian``, ``stationarity``, ``solution``, ``share`` (the ratio's place in the box, a sigmoid),
    ``sigmoid_ratio``, ``curvature`` of the Lagrangian at every place in the box, of odds w > 0, and whether it is
    ``concave`` there; ``ratio`` in tanh and its ``difference`` from ``sigmoid_ratio``.
    """
    H = (rho - 1 + epsilon) * log(rho - 1 + epsilon) + (1 + epsilon - rho) * log(1 + epsilon - rho)
    steps = _maximise(H, epsilon, epsilon)
    in_x = lambda f: sympy.simplify(f.subs(Q, mu + lam * x))
    ratio = sympy.simplify(in_x(steps["solution"]).rewrite(tanh)).subs(x, (Q - mu) / lam)
    difference = sympy.simplify(in_x(ratio - steps["sigmoid_ratio"]).rewrite(exp))
    return Derivation("Optimal ratio, symmetric box", steps | {"ratio": ratio, "difference": difference})


def asymmetric_ratio() -> Derivation:
    r"""The same in a box :math:`[c_l,c_h]=[1-\epsilon_l,1+\epsilon_h]`, with an H that is least at 1 (Sec. 4.6).

    Steps: those of :func:`optimal_ratio` up to ``concave``, ``kappa`` :math:`=(1-c_l)/(c_h-1)` and the ``logit`` of
    the share, :math:`(Q-\mu)/\lambda+\log\kappa`.
    """
    low, high = 1 - epsilon_l, 1 + epsilon_h
    H = (rho - low) * log((rho - low) / (1 - low)) + (high - rho) * log((high - rho) / (high - 1))
    steps = _maximise(H, epsilon_l, epsilon_h)
    logit = sympy.expand_log(log(sympy.simplify(steps["share"] / (1 - steps["share"]))))
    steps |= {"kappa": (1 - low) / (high - 1), "logit": logit}
    return Derivation("Optimal ratio, asymmetric box", steps)


def median_condition() -> Derivation:
    r"""The soft median minimises :math:`\mathbb E_{\pi_0}g((Q-\mu)/\lambda)`, which is normalisation of the ratio.

    Steps: ``g``, ``softplus_gap`` (:math:`g-\mathrm{softplus}(x)+x/2`), ``g_prime``, ``g_second`` and whether g is
    ``convex``; the ``slope`` of one action's term in :math:`\mu` and its ``excess`` :math:`\rho^*-1`, whose
    ``quotient`` is free of Q, so both expectations vanish at the same :math:`\mu`; that it is unique:
    ``excess_slope``, whether it ``falls``, and its limits ``excess_ends`` at :math:`\mu\to\mp\infty`.
    """
    g = log(exp(x / 2) + exp(-x / 2))
    g_prime = sympy.simplify(sympy.diff(g, x).rewrite(tanh))
    g_second = sympy.simplify(sympy.diff(g_prime, x))
    slope = sympy.simplify(sympy.diff(g.subs(x, (Q - mu) / lam), mu).rewrite(tanh))
    excess = optimal_ratio()["ratio"] - 1
    excess_slope = sympy.simplify(sympy.diff(excess, mu))
    steps = {
        "g": g,
        "softplus_gap": log(sympy.simplify(exp(g - log(1 + exp(x)) + x / 2))),
        "g_prime": g_prime,
        "g_second": g_second,
        "convex": sympy.sympify(g_second.is_positive),
        "slope": slope,
        "excess": excess,
        "quotient": sympy.simplify(slope / excess),
        "excess_slope": excess_slope,
        "falls": sympy.sympify(excess_slope.is_negative),
        "excess_ends": Matrix([[sympy.limit(excess, mu, end) for end in (-sympy.oo, sympy.oo)]]),
    }
    return Derivation("The soft median normalises the optimal ratio", steps)


def hinge_identity() -> Derivation:
    r"""PPO's loss is a hinge: :math:`-\min\{\rho A,\mathrm{clip}(\rho)A\}=l'(\rho)-At` (Sec. 4.4).

    :math:`t=1+\epsilon\,\mathrm{sign}A`; :math:`l'=|A||\rho-t|` where :math:`(\rho-t)A\le0` and 0 elsewhere. Each
    step is a row [1, 6], a column for each of ``HINGE_PIECES``: the sign of A, and the ratio's side of its box.

    Steps: ``advantage``, ``ppo``, ``hinge`` (:math:`l'-At`), their ``residual``, ``ppo_slope``, ``bpo_slope`` (of the
    two-sided :math:`|A||\rho-t|`) and ``page_residual``: what is left if the zero branch is
    :math:`|\rho-1|>\epsilon`, as on the paper's project page, at a distance z > 0 from the box.
    """
    columns = [_hinge_piece(sign * a, side) for sign, side in HINGE_PIECES]
    rows = {name: Matrix([[column[name] for column in columns]]) for name in columns[0]}
    return Derivation("PPO's loss as a hinge, piece by piece", rows)


def small_ratio_expansions() -> Derivation:
    r"""KL balls to third order in :math:`x=\rho-1`, and the optimum of their second-order model, the variance ball.

    Steps: ``kl_old_new``, ``kl_new_old``, ``chi_square``; the step of R²VPO for :math:`\mathbb E A=0`,
    :math:`\mathbb E A^2=\mathrm{sd}^2`, valid while its ratio is positive: ``lagrangian`` (the term of one
    action), ``stationarity``, ``normaliser`` :math:`\nu`, ``ratio``, ``multiplier`` :math:`\lambda^*`,
    ``optimal_ratio``, ``gain``; the ``coefficient`` of :math:`\nabla\log\pi` in the gradient,
    ``effective_advantage`` (it over the ratio) with its ``effective_slope``, ``flip`` where it changes sign.
    """
    shapes = {"kl_old_new": -log(1 + x), "kl_new_old": (1 + x) * log(1 + x), "chi_square": x**2}
    cubics = {name: sympy.series(f, x, 0, 4).removeO() for name, f in shapes.items()}
    centred = (0, sd**2)  # E A and E A^2
    lagrangian = rho * A - lam * ((rho - 1) ** 2 - delta) - nu * (rho - 1)
    (solution,) = sympy.solve(sympy.diff(lagrangian, rho), rho)
    (normaliser,) = sympy.solve(_mean(solution - 1, A, centred), nu)
    ratio = sympy.expand(solution.subs(nu, normaliser))
    (multiplier,) = sympy.solve(_mean((ratio - 1) ** 2, A, centred) - delta, lam)
    objective = (rho * A - lam * (rho - 1) ** 2).subs(rho, exp(x))  # x = log rho: its gradient is log pi's
    coefficient = sympy.factor(sympy.diff(objective, x).subs(x, log(rho)))
    effective = sympy.expand(coefficient / rho)
    steps = {
        **{name: _mean(cubic, x, (0, variance, third)) for name, cubic in cubics.items()},
        "lagrangian": lagrangian,
        "stationarity": sympy.diff(lagrangian, rho),
        "normaliser": normaliser,
        "ratio": ratio,
        "multiplier": multiplier,
        "optimal_ratio": ratio.subs(lam, multiplier),
        "gain": _mean(ratio.subs(lam, multiplier) * A, A, centred),
        "coefficient": coefficient,
        "effective_advantage": effective,
        "effective_slope": sympy.diff(effective, rho),
        "flip": sympy.expand(sympy.solve(effective, rho)[0]),
    }
    return Derivation("The variance ball, second-order model of both KL balls", steps)


def lambda_to_zero() -> Derivation:
    r"""The optimal ratio as :math:`\lambda\to0` on three groups of actions: above, at and below the median m of Q.

    The exact ``normalisation`` is one increasing equation in :math:`T=\tanh\frac{m-\mu}{2\lambda}\in(-1,1)`. Its limit
    is linear in T with slope :math:`p_0>0`, so the root tends to the limit's, ``tie_tilt``, while that is in (-1, 1).

    Steps: ``tilts`` [3, 1] (:math:`(\rho^*-1)/\epsilon`, exact), ``normalisation``, ``limit_normalisation`` and its
    ``limit_slope``, ``tie_tilt``, ``ratios`` [3, 1], ``mean_ratio`` (masses summing to 1), and
    ``gain`` :math:`\mathbb E(\rho-1)Q=\epsilon\,\mathbb E|Q-m|`.
    """
    masses, distances = Matrix([above, tied, below]), Matrix([up, 0, -down])
    shape = (optimal_ratio()["ratio"] - 1) / epsilon
    exact = distances.applyfunc(lambda d: shape.subs(Q, mu + d + 2 * lam * x).expand())  # x = atanh T
    tilts = exact.applyfunc(lambda f: sympy.expand_trig(f).subs(tanh(x), tilt))
    limits = tilts.applyfunc(lambda f: sympy.simplify(sympy.limit(f, lam, 0, "+")))
    limit = masses.dot(limits)
    (tie_tilt,) = sympy.solve(limit, tilt)
    ratios = limits.applyfunc(lambda f: 1 + epsilon * f.subs(tilt, tie_tilt))
    steps = {
        "tilts": tilts,
        "normalisation": masses.dot(tilts),
        "limit_normalisation": limit,
        "limit_slope": sympy.diff(limit, tilt),
        "tie_tilt": tie_tilt,
        "ratios": ratios,
        "mean_ratio": sympy.simplify(masses.dot(ratios).subs(tied, 1 - above - below)),
        "gain": sympy.factor(sum(p * (r - 1) * d for p, r, d in zip(masses, ratios, distances))),
    }
    return Derivation("The optimal ratio as lambda vanishes", steps)


def _maximise(H: Expr, left: Expr, right: Expr) -> dict[str, Expr]:
    """The steps from an H on [1 - left, 1 + right] to the optimal ratio in exponentials."""
    slope = sympy.simplify(sympy.diff(H, rho))
    lagrangian = rho * (Q - V) - lam * H - nu * (rho - 1)
    (solution,) = sympy.solve(sympy.diff(lagrangian, rho), rho)
    solution = sympy.simplify(solution.subs(nu, mu - V))
    share = 1 / sympy.powsimp(sympy.expand(1 / sympy.simplify((solution - 1 + left) / (left + right))))
    place = 1 - left + (left + right) * inside / (1 + inside)
    curvature = sympy.factor(sympy.diff(lagrangian, rho, 2).subs(rho, place))
    return {
        "regulariser": H,
        "slope": slope,
        "slope_at_one": sympy.simplify(slope.subs(rho, 1)),
        "slope_at_lower": sympy.limit(slope, rho, 1 - left, "+"),
        "slope_at_upper": sympy.limit(slope, rho, 1 + right, "-"),
        "lagrangian": lagrangian,
        "stationarity": sympy.diff(lagrangian, rho),
        "solution": solution,
        "share": share,
        "sigmoid_ratio": 1 - left + (left + right) * share,
        "curvature": curvature,
        "concave": sympy.sympify(curvature.is_negative),
    }


def _hinge_piece(advantage: Expr, side: str) -> dict[str, Expr]:
    """The losses on one piece: SymPy decides every min, max and sign from the signs of the symbols."""
    ratio, symbol = {
        "below": (1 - epsilon - outside, outside),
        "inside": (1 - epsilon + 2 * epsilon * inside / (1 + inside), inside),
        "above": (1 + epsilon + outside, outside),
    }[side]
    (value,) = sympy.solve(ratio - rho, symbol)
    target = 1 + epsilon * sympy.sign(advantage)
    gap = sympy.factor(ratio - target)
    two_sided = Abs(advantage) * Abs(gap)
    ppo = -Min(ratio * advantage, Min(Max(ratio, 1 - epsilon), 1 + epsilon) * advantage)
    hinge = (two_sided if (gap * advantage).is_nonpositive else 0) - advantage * target
    page = (two_sided if side == "inside" else 0) - advantage * target
    in_rho = {name: sympy.simplify(f.subs(symbol, value)) for name, f in {"ppo": ppo, "hinge": hinge}.items()}
    return {
        "advantage": advantage,
        **in_rho,
        "residual": sympy.simplify(ppo - hinge),
        "ppo_slope": sympy.diff(in_rho["ppo"], rho),
        "bpo_slope": sympy.diff(sympy.simplify(two_sided.subs(symbol, value)), rho),
        "page_residual": sympy.simplify(ppo - page),
    }


def _mean(polynomial: Expr, of: sympy.Symbol, moments: tuple[Expr | int, ...]) -> Expr:
    """The expectation of a polynomial in a random variable, from the variable's moments of order 1, 2, ..."""
    return sympy.simplify(sum(c * (1, *moments)[n] for (n,), c in sympy.Poly(polynomial, of).terms()))
