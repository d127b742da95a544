"""No public call writes to an array that it was given, nor keeps one that the caller may change later."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

import pgtheory as pg
from pgtheory.mdp import FiniteMDP, evaluate, layered
from pgtheory.policies import LogLinear, TabularSoftmax
from pgtheory.problems import landscape, routes
from pgtheory.problems.agreement import random_mdp

seeds = st.integers(0, 2**32 - 1)


def arguments(seed):
    """Writable arrays of every kind that the library takes, around one random MDP."""
    rng = np.random.default_rng(seed)
    mdp = random_mdp(rng, horizon=False)
    S, A = mdp.n_states, mdp.n_actions
    pi = rng.dirichlet(np.ones(A), size=(2, S)) * mdp.actions
    x = {
        "P": mdp.P.copy(),
        "r": mdp.r.copy(),
        "R": rng.normal(size=(S, A, S)) * ~mdp.terminal[:, None, None],
        "start": mdp.start.copy(),
        "terminal": mdp.terminal.copy(),
        "actions": mdp.actions.copy(),
        "grid": np.arange(S)[None],
        "pi": pi / pi.sum(-1, keepdims=True),
        "theta": rng.normal(size=(2, S * A)),
        "v": rng.normal(size=(2, S * A)),
        "features": rng.normal(size=(S, A, 2)),
        "V": rng.normal(size=(2, S)),
        "keep": np.array([0, 2]),
    }
    # as a caller may leave it: duplicated entries, columns out of order, explicit zeros
    rows, columns = np.indices((S * A, S)).reshape(2, -1)
    x["triplets"] = sparse.coo_array((x["P"].ravel() / 2, (rows, columns)), shape=(S * A, S))
    x["indices"] = np.concatenate([np.arange(S)[::-1], np.arange(S)] * (S * A))
    x["halves"] = np.concatenate([x["P"][..., ::-1] / 2, x["P"] / 2], axis=-1).ravel()
    x["csr"] = sparse.csr_array((x["halves"], x["indices"], np.arange(S * A + 1) * 2 * S), shape=(S * A, S))
    x["csc"] = sparse.csc_array(x["P"].reshape(S * A, S))
    x["csr_rewards"] = sparse.csr_array(x["R"].reshape(S * A, S))
    return mdp, x


def parts(value):
    """The plain arrays that an argument consists of."""
    if not sparse.issparse(value):
        return [value]
    names = ("data", "row", "col") if value.format == "coo" else ("data", "indices", "indptr")
    return [getattr(value, name) for name in names]


def picture(x):
    return {
        name: [(p.tobytes(), p.shape, p.dtype, p.flags.writeable) for p in parts(v)] for name, v in x.items()
    }


def options(x):
    return {name: x[name] for name in ("start", "terminal", "actions", "grid")}


def use(mdp, x):
    """Everything public that takes arrays."""
    for P, r in [("P", "r"), ("P", "R"), ("csr", "r"), ("csr", "R"), ("csr", "csr_rewards"), ("csc", "r")]:
        FiniteMDP(x[P], x[r], 0.9, **options(x))
    FiniteMDP(x["triplets"] * 2, x["r"], 0.9, **options(x))
    mdp.replace(P=x["P"], rewards=x["r"], start=x["start"]).to_sparse().to_dense()
    FiniteMDP.from_successors(
        np.broadcast_to(np.arange(mdp.n_states), x["P"].shape), x["P"], x["r"], 0.9, **options(x)
    )
    layered([x["P"]], [x["r"], x["r"]], x["start"]) if mdp.actions.all() and not mdp.terminal.any() else None
    for m in (mdp, mdp.to_sparse()):
        m.expect(x["V"]), m.push(x["pi"]), m.lookahead(x["V"]), m.induced(x["pi"][0])
        for horizon in (None, 3):
            ev = evaluate(m, x["pi"], horizon)
            _ = ev.A, ev.J, ev.distribution, ev.value_error, ev.visits_error
            for policy in (TabularSoftmax.on(m), LogLinear(x["features"], x["actions"])):
                optimise(pg.ExactProblem(m, policy, horizon=horizon), x)


def optimise(problem, x):
    theta, v = x["theta"][:, : problem.dim], x["v"][:, : problem.dim]
    policy, pi = problem.policy, x["pi"]
    (
        policy.log_probabilities(theta),
        policy.probabilities(theta),
        policy.score(theta, 0, int(np.argmax(policy.actions[0]))),
    )
    policy.directional(pi, v), policy.score_sum(pi, pi), policy.curvature_sum(pi, pi, v)
    (
        policy.fisher(pi, x["V"] ** 2),
        policy.compatible(pi, x["V"] ** 2, pi),
        policy.compatible(pi, x["V"] ** 2, pi, 0.1),
    )
    problem.value(theta), problem.gradient(theta), problem.hvp(theta, v), problem.hessian(theta)
    problem.fisher(theta), problem.fisher_vector(theta, v), problem.natural_gradient(theta)
    problem.natural_gradient(theta, damping=0.1)
    landscape.ascend(problem, theta, 0.1, 2, keep=x["keep"])
    landscape.plane(problem, x["V"][0], x["V"][1], v, theta[0])
    routes.autodiff(problem, theta[0])
    routes.finite_difference(problem.value, theta[0], v[0])


@given(seeds)
@settings(max_examples=8, deadline=None)
def test_no_call_writes_to_its_arguments(seed):
    mdp, x = arguments(seed)
    before = picture(x)
    use(mdp, x)
    after = picture(x)
    assert [name for name in x if before[name] != after[name]] == []


@given(seeds)
@settings(max_examples=5, deadline=None)
def test_read_only_arguments_are_accepted_everywhere(seed):
    mdp, x = arguments(seed)
    for value in x.values():
        for part in parts(value):
            part.flags.writeable = False
    use(mdp, x)


@pytest.mark.parametrize("kind", ["dense", "csr", "features", "pi"])
def test_later_changes_by_the_caller_do_not_matter(kind):
    mdp, x = arguments(7)
    if kind == "features":
        built = LogLinear(x["features"], x["actions"])
        numbers = lambda: built.probabilities(np.ones(2))
    elif kind == "pi":
        built = evaluate(mdp, x["pi"])
        numbers = lambda: np.append(built.value_error, built.resolvent.solve(x["V"][:, None] * 0 + 1).ravel())
    else:
        built = FiniteMDP(x["P" if kind == "dense" else "csr"], x["r"], 0.9, **options(x))
        numbers = lambda: pg.solve(built).V
    expected = numbers()
    for name in x.keys() - {"V"}:
        for part in parts(x[name]):
            part[...] = 1
    if kind == "pi":
        fresh = evaluate(mdp, built.pi)
        np.testing.assert_array_equal(fresh.V, built.V)
    np.testing.assert_array_equal(numbers(), expected)
