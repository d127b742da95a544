"""On-policy algorithms, a file each; what they share is in ``on_policy``."""

from pgtheory.deep.algorithms.bpo import BPO
from pgtheory.deep.algorithms.on_policy import Minibatch, OnPolicy
from pgtheory.deep.algorithms.ppo import PPO
from pgtheory.deep.algorithms.r2vpo import R2VPO
from pgtheory.deep.algorithms.trpo import TRPO

__all__ = ["BPO", "PPO", "R2VPO", "TRPO", "Minibatch", "OnPolicy"]
