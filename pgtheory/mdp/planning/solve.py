"""One door to all planners."""

from pgtheory.mdp import validate
from pgtheory.mdp.finite import FiniteMDP
from pgtheory.mdp.planning.backward_induction import HorizonSolution, backward_induction
from pgtheory.mdp.planning.bellman import Bellman
from pgtheory.mdp.planning.certificate import Solution
from pgtheory.mdp.planning.iteration import modified_policy_iteration, policy_iteration, value_iteration
from pgtheory.mdp.planning.linear_programme import linear_programme

METHODS = {
    "mpi": modified_policy_iteration,
    "vi": value_iteration,
    "pi": policy_iteration,
    "lp": linear_programme,
}


def solve(
    mdp: FiniteMDP, method: str = "mpi", *, tol: float = 1e-8, most: int = 1_000_000
) -> Solution | HorizonSolution:
    r"""Solve an MDP: optimal values and an optimal policy, with a certified error.

    Parameters
    ----------
    mdp : FiniteMDP
        With a horizon, backward induction solves it exactly and ``method`` must stay at its default.
    method : {"mpi", "vi", "pi", "lp"}
        Modified policy iteration (default), value iteration, policy iteration, linear programme.
    tol : float
        Certified sup-norm error :math:`\|V-V^*\|_\infty` to reach. Where rounding makes it unreachable
        (below about :math:`10^{-14}r_{max}/(1-\gamma)^2`) or ``most`` is exhausted, the result says so:
        its ``error`` is larger.
    most : int
        Most improvement steps (or LP iterations).

    Returns
    -------
    Solution or HorizonSolution

    Raises
    ------
    ValueError
        On an unknown method or a tolerance that is not positive.
    """
    validate.instance_of("mdp", mdp, FiniteMDP)
    if not isinstance(method, str) or method not in METHODS:
        raise ValueError(f"method must be one of {', '.join(METHODS)}, got {method!r}")
    tol = validate.positive("tol", tol)
    most = validate.positive_integer("most", most)
    if mdp.horizon is not None:
        if method != "mpi":
            raise ValueError(
                f"method {method!r} is for infinite horizons; this MDP has horizon {mdp.horizon}"
            )
        return backward_induction(mdp)
    bellman = Bellman(mdp)
    return METHODS[method](bellman, max(tol, 1.5 * bellman.reachable()), most)
