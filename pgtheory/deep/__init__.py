"""Deep on-policy actor-critic: one loop over vector environments, and algorithms that differ in their loss.

PyTorch and Gymnasium are imported on first use.
"""

from pgtheory.lazy import door

_HOME = {
    "train": "training",
    "Run": "training",
    "Network": "actor_critic",
    "Agent": "actor_critic",
    "OnPolicy": "algorithms",
    "PPO": "algorithms",
    "BPO": "algorithms",
    "R2VPO": "algorithms",
    "TRPO": "algorithms",
    "evaluate": "evaluation",
    "record": "video",
    "open_environments": "environments",
    "Diverged": "rollout",
    "Preset": "presets",
    "preset": "presets",
}

__all__ = sorted(_HOME)
__getattr__, __dir__ = door(__name__, _HOME)
