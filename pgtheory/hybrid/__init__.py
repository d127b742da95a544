"""Hybrid natural policy gradient: offline data inside an on-policy method (arXiv:2311.08384).

PyTorch, Numba and Gymnasium are imported on first use.
"""

from pgtheory.lazy import door

_HOME = {
    "Setting": "setting",
    "Draws": "setting",
    "Moments": "moments",
    "population": "moments",
    "empirical": "moments",
    "sampled": "moments",
    "Tabular": "critics",
    "Linear": "critics",
    "HPE": "evaluation",
    "Fit": "evaluation",
    "hac": "actor_critic",
    "fresh": "actor_critic",
    "hnpg": "natural_gradient",
    "natural_direction": "natural_gradient",
    "chain_or_exit": "misspecified",
    "npg_coefficient": "coefficients",
    "offline_ratio": "coefficients",
    "offline_coefficient": "coefficients",
    "completeness_error": "coefficients",
    "gap": "decomposition",
    "Layers": "layers",
    "Counts": "layers",
    "LayeredHAC": "layered_hac",
    "tabular_lock": "lock_tabular",
    "ContinuousLock": "lock",
    "ClassFeatures": "encoders",
    "Hadamard": "encoders",
    "OfflineData": "offline",
    "Transitions": "offline",
    "collect": "offline",
    "coverage": "offline",
    "read_minari": "minari_files",
    "write_minari": "minari_files",
    "train": "finite_horizon",
    "LinearHNPG": "linear",
    "NetworkHNPG": "network",
}

__all__ = sorted(_HOME)
__getattr__, __dir__ = door(__name__, _HOME)
