"""Credit: rewards and values to advantages."""

from pgtheory.objectives.credit.gae import GAE, MonteCarlo
from pgtheory.objectives.credit.scan import backward_scan
from pgtheory.objectives.credit.steps import Credit, Steps
from pgtheory.objectives.credit.v_trace import VTrace

__all__ = ["GAE", "Credit", "MonteCarlo", "Steps", "VTrace", "backward_scan"]
