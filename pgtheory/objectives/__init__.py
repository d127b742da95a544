"""Objectives as pure tensor functions in three stages: credit, surrogate, aggregation.

A mask is a weight, so the same surrogate serves a rollout, a batch of tokens, and a finite MDP whose pairs are all
listed with their probabilities. PyTorch is imported on first use.
"""

from pgtheory.lazy import door

_HOME = {
    "Decisions": "decisions",
    "Recipe": "stages",
    "Steps": "credit",
    "Credit": "credit",
    "GAE": "credit",
    "MonteCarlo": "credit",
    "VTrace": "credit",
    "Groups": "groups",
    "KLPenalty": "regularisers",
    "RECIPES": "recipes",
    "recipe": "recipes",
    "NoBaseline": "credit.outcome",
    "GroupMean": "credit.outcome",
    "LeaveOneOut": "credit.outcome",
    "GroupZScore": "credit.outcome",
    "BatchScale": "credit.outcome",
    "TokenWhitened": "credit.outcome",
    "GroupMedian": "credit.group_targets",
    "GroupTarget": "credit.group_targets",
    "Labels": "credit.outcome",
    "truthful_reward": "credit.shaping",
    "overlong_penalty": "credit.shaping",
    "entropy_modulated": "credit.shaping",
    "asymmetric": "credit.shaping",
    "capo_mask": "masks",
    "Clip": "surrogates",
    "SequenceClip": "surrogates",
    "CISPO": "surrogates",
    "SoftGate": "surrogates",
    "Classification": "surrogates",
    "Decoupled": "surrogates",
    "ProximalAverage": "surrogates",
    "beta_of_window": "surrogates",
    "BoundedRatio": "surrogates",
    "RatioVariance": "surrogates",
    "ImportanceWeighted": "surrogates",
    "target_ratio": "surrogates",
    "ratio_variance": "surrogates",
    "dual_ascent": "surrogates",
    "weighted_mean": "aggregation",
    "weighted_sum": "aggregation",
    "sequence_mean": "aggregation",
    "sequence_sum": "aggregation",
    "SequenceSum": "aggregation",
    "value_loss": "critics",
    "median_loss": "critics",
}

__all__ = sorted(_HOME)
__getattr__, __dir__ = door(__name__, _HOME)
