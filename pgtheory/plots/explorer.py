"""A landscape to play with: sliders in a live notebook, a still picture elsewhere."""

from typing import Any

import numpy as np

from pgtheory.mdp import validate
from pgtheory.mdp.finite import FiniteMDP
from pgtheory.plots.landscape import landscape, paths, polytope
from pgtheory.problems.exact import ExactProblem
from pgtheory.problems.landscape import ascend


def explore(mdp: FiniteMDP, *, interactive: bool = True) -> Any:
    """Move the discount, the start state and the first policy of a two-state MDP; see where both flows go.

    Returns the widget, or with ``interactive=False`` (batch execution) the figure at its initial settings.
    """
    validate.instance_of("mdp", mdp, FiniteMDP)
    if (mdp.n_states, mdp.n_actions) != (2, 2) or not mdp.actions.all():
        raise ValueError(f"mdp must have two states with two actions each to be explored, got {mdp!r}")
    if not interactive:
        return _picture(mdp, mdp.discount, float(mdp.start[0]), -2.0, 2.0)
    import ipywidgets

    slider = ipywidgets.FloatSlider
    return ipywidgets.interactive(
        lambda discount, rho_0, x, y: _picture(mdp, discount, rho_0, x, y),
        discount=slider(mdp.discount, min=0.0, max=0.98, step=0.02, continuous_update=False),
        rho_0=slider(float(mdp.start[0]), min=0.05, max=0.95, step=0.05, continuous_update=False),
        x=slider(-2.0, min=-6.0, max=6.0, step=0.5, continuous_update=False),
        y=slider(2.0, min=-6.0, max=6.0, step=0.5, continuous_update=False),
    )


def _picture(mdp: FiniteMDP, discount: float, rho_0: float, x: float, y: float) -> Any:
    import matplotlib.pyplot as plt

    problem = ExactProblem(mdp.replace(discount=discount, start=[rho_0, 1 - rho_0]))
    theta = np.array([[-x / 2, x / 2, -y / 2, y / 2]])
    flows = {
        "gradient flow": ascend(problem, theta, 0.5 * (1 - discount), 2000),
        "natural gradient flow": ascend(problem, theta, 0.02, 400, field="natural"),
    }
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.2), layout="constrained")
    polytope(left, problem.mdp, n=1500)
    for i, flow in enumerate(flows.values()):
        left.plot(*problem.evaluation(flow[:, 0]).V.T, color=f"C{i + 1}", lw=1.6)
    landscape(right, problem, points=61)
    paths(right, problem, flows)
    plt.close(figure)  # it is returned: left open, a notebook would show it a second time
    return figure
