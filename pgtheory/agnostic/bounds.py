r"""Sample complexities of agnostic policy learning, as functions.

Each says where it comes from:

- *derived here*: proved in this project, constants included; tests hold measurements against it;
- *abstract*: stated in the abstract of the paper named;
- *recalled*: from memory of the paper named, not read again; the order is to be trusted, constants are not;
- *third party*: from somebody else's summary of the paper named.

Functions whose name ends in ``_order`` leave out unknown constants (and logarithms where they say so): plot their
shape, not their height. Counts are episodes or calls of a generative model, rounded up where constants are known.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, exp, log, sqrt

from pgtheory.mdp import validate


def estimation_samples(policies: int, epsilon: float, delta: float) -> int:
    r""":math:`\lceil2\ln(2|\Pi|/\delta)/\varepsilon^2\rceil` unbiased estimates in [0, 1] of every policy's value.

    Then all are within :math:`\varepsilon/2` of the truth, so the best by estimate is :math:`\varepsilon`-optimal,
    with probability :math:`1-\delta`. Derived here (Hoeffding and a union over the class).
    """
    n, epsilon, delta = _accuracy(policies, epsilon, delta)
    return ceil(2 * log(2 * n / delta) / epsilon**2)


def one_by_one(policies: int, epsilon: float, delta: float) -> int:
    """Episodes if every policy is rolled out by itself. Derived here."""
    return policies * estimation_samples(policies, epsilon, delta)


def uniform_exploration(n_actions: int, horizon: int, policies: int, epsilon: float, delta: float) -> int:
    r"""Episodes of uniform actions with importance weights, about :math:`8A^H\ln(2|\Pi|/\delta)/\varepsilon^2`.

    Derived here: weighted returns lie in :math:`[0,A^H]` with second moment at most :math:`A^H`, and Bernstein's
    inequality asks for :math:`(2A^H/t^2+2A^H/3t)\ln(2|\Pi|/\delta)` of them for an error of :math:`t=\varepsilon/2`.
    """
    n, epsilon, delta = _accuracy(policies, epsilon, delta)
    weight = float(_count("n_actions", n_actions)) ** _count("horizon", horizon)
    return _bernstein(weight, epsilon / 2, log(2 * n / delta))


def no_free_lunch_order(
    n_actions: int, horizon: int, states: int, policies: int, epsilon: float, delta: float
) -> float:
    r""":math:`\min\{A^H,|\Pi|,SA\}\varepsilon^{-2}\log(1/\delta)`: some class needs so many generative calls.

    Recalled from arXiv:2310.06113.
    """
    n, epsilon, delta = _accuracy(policies, epsilon, delta)
    A = _count("n_actions", n_actions)
    hard = min(float(A) ** _count("horizon", horizon), n, _count("states", states) * A)
    return hard * log(1 / delta) / epsilon**2


def trajectory_tree_calls(capacities: Sequence[int], policies: int, epsilon: float, delta: float) -> int:
    r"""Generative calls of trajectory trees: at most :math:`\sum_h\mathfrak C_h\le H\mathfrak C` for each tree.

    ``capacities`` are the spanning capacities by layer. Derived here; the order
    :math:`H\mathfrak C\varepsilon^{-2}\log(|\Pi|/\delta)` is recalled from arXiv:2310.06113, Theorem on the
    generative model. Under deterministic transitions as many *online episodes* suffice (separation: abstract; count:
    derived here), since a call at a reachable pair is an episode that replays its actions.
    """
    layers = [
        _count(f"capacities[{h}]", c)
        for h, c in enumerate(validate.sequence("capacities", capacities, "integers"))
    ]
    return sum(layers) * estimation_samples(policies, epsilon, delta)


def generative_lower_order(capacity: int, epsilon: float, delta: float) -> float:
    r""":math:`\mathfrak C\varepsilon^{-2}\log(1/\delta)`: no learner needs fewer generative calls.

    That the capacity characterises generative learning: abstract of arXiv:2310.06113; rate: recalled.
    """
    _, epsilon, delta = _accuracy(1, epsilon, delta)
    return _count("capacity", capacity) * log(1 / delta) / epsilon**2


def online_lower_order(ell: int, horizon: int, epsilon: float) -> float:
    r""":math:`\min\{\varepsilon^{-\ell},2^{H/3}\}` online episodes, for a class of capacity :math:`O(H^{4\ell+2})`.

    For :math:`2\le\ell\le H` and :math:`\varepsilon^{-\ell}\le2^H`. Superpolynomial in the capacity: abstract of
    arXiv:2310.06113; numbers: recalled.

    Raises
    ------
    ValueError
        Outside the range for which it is stated.
    """
    H = _count("horizon", horizon)
    ell = validate.positive_integer("ell", ell, 2)
    _, epsilon, _ = _accuracy(1, epsilon, 0.5)
    if ell > H or ell * log(1 / epsilon) > H * log(2):
        raise ValueError(
            f"the bound is stated for ell <= H and epsilon^-ell <= 2^H, got ell = {ell}, H = {H}, epsilon = {epsilon:g}"
        )
    return min(epsilon**-ell, 2 ** (H / 3))


def popler_order(
    capacity: int, K: int, D: int, horizon: int, policies: int, epsilon: float, delta: float
) -> float:
    r""":math:`(\varepsilon^{-2}+HD^6\mathfrak C\varepsilon^{-4})K^2\log(|\Pi|/\delta)` episodes on a (K, D)-sunflower.

    That sunflowers can be learned online: abstract of arXiv:2310.06113; rate, up to constants and logarithms:
    recalled.
    """
    n, epsilon, delta = _accuracy(policies, epsilon, delta)
    K, D = _count("K", K), validate.positive_integer("D", D, 0)
    H, C = _count("horizon", horizon), _count("capacity", capacity)
    return (epsilon**-2 + H * D**6 * C * epsilon**-4) * K**2 * log(n / delta)


def popler_petals(capacity: int, D: int, horizon: int, epsilon: float) -> float:
    r"""At most :math:`12HD\mathfrak C/\varepsilon` petals are found by POPLER.

    Derived here: each is reached with probability :math:`\varepsilon/12D` by some policy, and such probabilities sum to
    at most :math:`\mathfrak C` in each layer.
    """
    _, epsilon, _ = _accuracy(1, epsilon, 0.5)
    H, C = _count("horizon", horizon), _count("capacity", capacity)
    return 12 * H * validate.positive_integer("D", D, 0) * C / epsilon


def lock_success(queries: int, horizon: int) -> float:
    r"""Chance of finding the secret of an open-loop lock with m informative queries, :math:`\min\{1,(m+1)2^{-H}\}`.

    Derived here, for this project's locks. On the two-latent lock every start-only learner obeys it, a generative
    model that cannot guess good states included, though coverability is 2 and the class complete; arXiv:2504.05405
    proves such a :math:`2^{\Omega(H)}` (abstract; its numbers: third party). On the balanced lock it also binds
    learners with resets from :math:`\mu` alone, of concentrability 3 (6 there).
    """
    return min(1.0, (validate.positive_integer("queries", queries, 0) + 1) / 2 ** _count("horizon", horizon))


def psdp_suboptimality(concentrability: float, horizon: int, oracle: float, completeness: float) -> float:
    r""":math:`C_{\rm conc}H(\epsilon+\epsilon_{\rm compl})` with a classifier within :math:`\epsilon` at each layer.

    Derived here with the classical performance difference (Bagnell, Kakade, Ng and Schneider, 2003).
    """
    C = validate.non_negative("concentrability", concentrability)
    loss = validate.non_negative("oracle", oracle) + validate.non_negative("completeness", completeness)
    return C * _count("horizon", horizon) * loss


def psdp_episodes(
    concentrability: float, n_actions: int, horizon: int, policies: int, epsilon: float, delta: float
) -> int:
    r"""Episodes of PSDP on a complete class, of order :math:`AH^3C_{\rm conc}^2\log(|\Pi|H/\delta)/\varepsilon^2`.

    Derived here: scores in [0, A] with second moment at most A; Bernstein's inequality at every layer for an error
    of :math:`t=\varepsilon/2C_{\rm conc}H`, which costs the greedy choice twice that.
    """
    n, epsilon, delta = _accuracy(policies, epsilon, delta)
    H = _count("horizon", horizon)
    t = epsilon / (2 * validate.positive("concentrability", concentrability) * H)
    return H * _bernstein(float(_count("n_actions", n_actions)), t, log(2 * n * H / delta))


def psdp_amplification(oracle: float, horizon: int) -> float:
    r""":math:`3\cdot2^{H-1}\varepsilon_0`: PSDP's loss on the error amplifier, from one error at the last layer.

    Derived here, exact in the limit of ties and while it is at most 1; a realizable class that is not complete.
    """
    return 3 * 2.0 ** (_count("horizon", horizon) - 1) * validate.non_negative("oracle", oracle)


def psdp_lock_success(p: float, samples: int, horizon: int) -> float:
    r""":math:`(1-\frac12(1-p/2)^n)^H`: PSDP with n samples a layer on the two-latent lock, :math:`\mu_h(g)=p`.

    Derived here: a layer fails if no sample is in the good state with the right action, and a coin falls wrongly.
    """
    p = validate.probability("p", p)
    n = validate.positive_integer("samples", samples, 0)
    return (1 - (1 - p / 2) ** n / 2) ** _count("horizon", horizon)


def cpi_improvement(advantage: float, horizon: int, largest: float) -> float:
    r"""Least gain :math:`\alpha\mathbb A-\alpha^2H(H-1)A_{\max}` of one step of layered CPI.

    At :math:`\alpha=\min\{1,\mathbb A/(2H(H-1)A_{\max})\}`; zero if the advantage is not positive. Derived here after
    Kakade and Langford (2002).
    """
    H = _count("horizon", horizon)
    curvature = H * (H - 1) * validate.positive("largest", largest)
    gain = max(validate.finite("advantage", advantage), 0.0)
    alpha = min(1.0, gain / (2 * curvature)) if curvature else 1.0
    return alpha * gain - alpha**2 * curvature


def cpi_iterations(epsilon: float, horizon: int, largest: float) -> float:
    r"""At most :math:`4H(H-1)A_{\max}/\epsilon^2` steps (one if H = 1) with advantages above :math:`\epsilon`.

    Derived here, for returns in [0, 1].
    """
    H, largest = _count("horizon", horizon), validate.positive("largest", largest)
    epsilon = validate.positive("epsilon", epsilon)
    return 4 * H * (H - 1) * largest / epsilon**2 if H > 1 else 1.0


def realizable_reset_order(horizon: int, *, pushforward: bool) -> float:
    r""":math:`\exp H`, or :math:`\exp\sqrt H` if pushforward concentrability is bounded: mu-resets, realizable class.

    Third party, of arXiv:2608.07772: exponents up to constants. That PSDP and CPI fail: abstract of arXiv:2504.05405.
    """
    H = _count("horizon", horizon)
    return exp(sqrt(H) if validate.flag("pushforward", pushforward) else H)


def emulator_error(
    policies: int, horizon: int, n_actions: int, draws: int, samples: int, delta: float
) -> float:
    r""":math:`H\sqrt{\ln(2|\Pi|HAm/\delta)/2n}`: of the simplified emulator's values where every decoding is right.

    Derived here, for the simplified emulator; the algorithm of arXiv:2504.05405 is polynomial under bounded pushforward
    concentrability on Block MDPs (abstract), with exponents that are not known here.
    """
    n, _, delta = _accuracy(policies, 0.5, delta)
    H = _count("horizon", horizon)
    tries = n * H * _count("n_actions", n_actions) * _count("draws", draws)
    return H * sqrt(log(2 * tries / delta) / (2 * _count("samples", samples)))


def _bernstein(weight: float, t: float, logarithm: float) -> int:
    """Samples in [0, weight] of second moment at most ``weight`` for an error of t."""
    return ceil((2 * weight / t**2 + 2 * weight / (3 * t)) * logarithm)


def _accuracy(policies: int, epsilon: float, delta: float) -> tuple[int, float, float]:
    n = _count("policies", policies)
    epsilon, delta = validate.positive("epsilon", epsilon), validate.positive("delta", delta)
    for name, value in (("epsilon", epsilon), ("delta", delta)):
        if value >= 1:
            raise ValueError(f"{name} must be in (0, 1), got {value:g}")
    return n, epsilon, delta


def _count(name: str, value: int) -> int:
    return validate.positive_integer(name, value)
