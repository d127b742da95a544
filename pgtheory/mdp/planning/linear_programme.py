r"""The primal linear programme: minimise :math:`\sum_sV(s)` subject to :math:`V\ge r(\cdot,a)+\gamma P_aV`."""

import numpy as np
from scipy import sparse

from pgtheory.mdp.planning.bellman import Bellman
from pgtheory.mdp.planning.certificate import Solution, certify


def linear_programme(bellman: Bellman, tol: float, most: int) -> Solution:
    """Solve with HiGHS; the certificate comes from one Bellman backup, not from the LP solver's word.

    ``tol`` is passed on as HiGHS's feasibility tolerances, scaled by 1 - gamma (HiGHS's floor is 1e-10).
    """
    from scipy.optimize import linprog

    mdp = bellman.mdp
    allowed = mdp.actions.ravel()
    pair = np.arange(mdp.n_states * mdp.n_actions)
    selector = sparse.csr_array((np.ones(len(pair)), (pair, pair // mdp.n_actions)))
    constraint = sparse.csr_array(mdp.discount * sparse.csr_array(mdp.pairs) - selector)[allowed]
    feasibility = float(np.clip(tol * (1 - mdp.discount) / 10, 1e-10, 1e-7))
    result = linprog(
        np.ones(mdp.n_states),
        A_ub=constraint,
        b_ub=-mdp.r.ravel()[allowed],
        bounds=(None, None),
        method="highs",
        options={
            "primal_feasibility_tolerance": feasibility,
            "dual_feasibility_tolerance": feasibility,
            "maxiter": most,
        },
    )
    if result.x is None:
        raise RuntimeError(f"HiGHS did not solve the linear programme: {result.message}")
    return certify(bellman, result.x, "lp", int(result.nit))
