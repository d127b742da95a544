"""Pictures of MDPs, policies and objectives; each function draws on Matplotlib axes that it is given."""

from pgtheory.plots.explorer import explore
from pgtheory.plots.gridworld import gridworld
from pgtheory.plots.landscape import landscape, logit_differences, paths, polytope

__all__ = ["explore", "gridworld", "landscape", "logit_differences", "paths", "polytope"]
