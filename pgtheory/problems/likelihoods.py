r"""Derivatives of the log-probabilities of episodes' decisions, by automatic differentiation.

Seeds are taken one after the other, each with exactly the decisions that it took, in memory of its own and on
one thread. Batched products over all seeds would be faster for short episodes, but the bits of such a product
depend on how many matrices are in it and on where in memory each begins, so a seed's would depend on the
seeds beside it.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import torch

from pgtheory.policies.networks import Network
from pgtheory.problems.episodes import Episodes

LogProbs = Callable[[torch.Tensor], torch.Tensor]


def log_probs(policy: Network, theta: np.ndarray, tau: Episodes) -> np.ndarray:
    r""":math:`\log\pi_\theta(a_t|s_t)` [seeds, n, H], zero after the end of an episode."""
    out = np.zeros(tau.rewards.shape)
    for s, taken, of in _by_seed(policy, tau):
        with torch.no_grad():
            out[s][taken] = of(torch.tensor(theta[s])).numpy()
    return out


def weighted_score(policy: Network, theta: np.ndarray, tau: Episodes, weights: np.ndarray) -> np.ndarray:
    r""":math:`\sum_{i,t}w_{it}\nabla\log\pi_\theta(a_{it}|s_{it})` [seeds, dim] for weights [seeds, n, H]."""
    out = np.zeros(theta.shape)
    for s, taken, of in _by_seed(policy, tau):
        out[s] = _score(of, _variable(theta[s]), torch.tensor(weights[s][taken])).numpy()
    return out


def weighted_curvature(
    policy: Network, theta: np.ndarray, tau: Episodes, weights: np.ndarray, v: np.ndarray
) -> np.ndarray:
    r""":math:`\sum_{i,t}w_{it}\big(\nabla\ell_{it}\,u_i^\top v+\nabla^2\ell_{it}v\big)` [seeds, dim].

    Here :math:`\ell_{it}=\log\pi_\theta(a_{it}|s_{it})` and :math:`u_i=\sum_t\nabla\ell_{it}`. The derivatives of
    :math:`\sum w_{it}\nabla\ell_{it}^\top v` by theta and by the weights give both in one pass.
    """
    out, along = np.zeros(theta.shape), np.zeros(tau.rewards.shape)
    for s, taken, of in _by_seed(policy, tau):
        at, w = _variable(theta[s]), _variable(weights[s][taken])
        slope = _score(of, at, w, create_graph=True) @ torch.tensor(v[s])
        plain, along_each = torch.autograd.grad(slope, (at, w))
        along[s][taken] = along_each.numpy()
        of_episodes = along[s].sum(-1, keepdims=True)  # u_i^T v
        rank_one = _score(of, at, torch.tensor((of_episodes * weights[s])[taken]))
        out[s] = (plain + rank_one).numpy()
    return out


def scores(policy: Network, theta: np.ndarray, observations: np.ndarray, actions: np.ndarray) -> np.ndarray:
    r""":math:`\nabla\log\pi_\theta(a|s)` [N, dim] of each of N decisions, for one parameter vector [dim]."""
    one = torch.func.grad(lambda x, seen, action: policy.log_prob(x, seen[None], action[None])[0])
    each = torch.func.vmap(one, in_dims=(None, 0, 0))
    with _one_thread():
        return each(*(torch.tensor(x) for x in (theta, observations, actions))).numpy()


def _by_seed(policy: Network, tau: Episodes) -> Iterator[tuple[int, np.ndarray, LogProbs]]:
    """For each seed that took decisions: which [n, H], and the map from parameters to their log-probabilities."""
    every = tau.taken
    with _one_thread():
        for s in np.flatnonzero(every.any((1, 2))):
            taken = every[s]
            yield int(s), taken, _of(policy, tau.observations[s][taken], tau.actions[s][taken])


def _of(policy: Network, observations: np.ndarray, actions: np.ndarray) -> LogProbs:
    seen, chosen = torch.tensor(observations), torch.tensor(actions)
    return lambda theta: policy.log_prob(theta, seen, chosen)


def _score(of: LogProbs, theta: torch.Tensor, weights: torch.Tensor, **options: bool) -> torch.Tensor:
    """The gradient [dim] of the weighted sum of log-probabilities."""
    return torch.autograd.grad(of(theta), theta, weights, **options)[0]


def _variable(x: np.ndarray) -> torch.Tensor:
    return torch.tensor(x, requires_grad=True)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Sums in torch depend on how many threads share them."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
