"""All ordered groups, one at a time and differentiated by theta itself: no classes, no counts, no scores."""

from itertools import product

import torch

from pgtheory.objectives import Groups, Recipe


def update_law(objective, problem, theta, G, *, theta_old=None, theta_ref=None, together=False):
    """Expected update [dim] and trace of the covariance of one batch's update."""
    old_theta = theta if theta_old is None else theta_old
    old = problem.tokens(old_theta).detach()
    ref = old if theta_ref is None else problem.tokens(theta_ref).detach()
    mask, chances = problem.mask.double(), problem.probabilities(old_theta).detach()
    P, M = problem.rewards.shape
    resampled = isinstance(objective, Recipe) and objective.mixed_only
    loss_of = objective.group_loss if isinstance(objective, Recipe) else objective
    mean, second, mass = torch.zeros(problem.dim).double(), 0.0, 0.0
    for prompts in [list(range(P))] if together else [[p] for p in range(P)]:
        row = torch.tensor(prompts)[:, None]
        for drawn in product(product(range(M), repeat=G), repeat=len(prompts)):
            who = torch.tensor(drawn)
            rewards = problem.rewards[row, who]
            if resampled and (rewards.amax(-1) == rewards.amin(-1)).any():
                continue
            q = float(chances[row, who].prod())
            leaf = theta.clone().requires_grad_()
            now = problem.tokens(leaf)[row, who]
            groups = Groups(now, old[row, who], rewards, mask[row, who], ref[row, who], old[row, who])
            update = -torch.autograd.grad(loss_of(groups), leaf)[0]
            mean += q * update
            second += q * float(update @ update)
            mass += q
    mean, second = mean / mass, second / mass
    return mean, second - float(mean @ mean)
