"""Groups that libraries are compared on: two prompts, unequal lengths, a policy that has moved."""

import numpy as np
import torch

from pgtheory.objectives import Groups


def moved(seed=0, shift=0.3):
    """Four answers each; ratios well inside and outside every clip, rewards of several values."""
    rng = np.random.default_rng(seed)
    old = torch.as_tensor(rng.uniform(-2.5, -0.2, (2, 4, 5)))
    now = old + torch.as_tensor(rng.normal(0, shift, old.shape))
    ref = old + torch.as_tensor(rng.normal(0, shift, old.shape))
    lengths = torch.tensor([[5, 2, 3, 1], [4, 4, 1, 2]])
    mask = (torch.arange(5) < lengths[..., None]).double()
    rewards = torch.tensor([[1.0, 0.0, 0.0, 1.0], [0.5, 2.0, 0.0, 1.0]]).double()
    now, old, ref = (torch.where(mask > 0, x, torch.zeros_like(x)) for x in (now, old, ref))
    return Groups(now, old, rewards, mask, log_prob_ref=ref)


def gradient(loss, groups):
    """Derivative of the loss by every token's log-probability."""
    leaf = groups.log_prob.clone().requires_grad_()
    there = Groups(leaf, groups.log_prob_old, groups.rewards, groups.mask, groups.log_prob_ref)
    return torch.autograd.grad(loss(there), leaf)[0]
