"""Surrogates: ratio and advantage to a loss per decision, a file each."""

from pgtheory.objectives.surrogates.bounded_ratio import BoundedRatio, target_ratio
from pgtheory.objectives.surrogates.cispo import CISPO
from pgtheory.objectives.surrogates.classification import Classification
from pgtheory.objectives.surrogates.clip import Clip
from pgtheory.objectives.surrogates.decoupled import Decoupled, ProximalAverage, beta_of_window
from pgtheory.objectives.surrogates.importance_weighted import ImportanceWeighted
from pgtheory.objectives.surrogates.ratio_variance import RatioVariance, dual_ascent, ratio_variance
from pgtheory.objectives.surrogates.sapo import SoftGate
from pgtheory.objectives.surrogates.sequence_clip import SequenceClip

__all__ = [
    "CISPO",
    "BoundedRatio",
    "Classification",
    "Clip",
    "Decoupled",
    "ImportanceWeighted",
    "ProximalAverage",
    "RatioVariance",
    "SequenceClip",
    "SoftGate",
    "beta_of_window",
    "dual_ascent",
    "ratio_variance",
    "target_ratio",
]
