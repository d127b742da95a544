"""A small network as the policy of an enumerable problem."""

from __future__ import annotations

import torch

from pgtheory.mdp import validate
from pgtheory.oracle.problem import Problem


def of_module(
    module: torch.nn.Module,
    prompts: torch.Tensor,
    answers: torch.Tensor,
    mask: torch.Tensor,
    rewards: torch.Tensor,
) -> tuple[Problem, torch.Tensor]:
    """A small autoregressive network as the policy, and its parameters as a vector.

    Parameters
    ----------
    module : torch.nn.Module
        Tokens [n, length] → logits [n, length, V] of the next token.
    prompts : integer tensor [P, K]
    answers : integer tensor [P, M, T]
        All answers of each prompt.
    mask : bool tensor [P, M, T]
    rewards : tensor [P, M]

    Returns
    -------
    Problem and tensor [dim]
        The problem, in float64, and the module's parameters, to start from.

    Raises
    ------
    TypeError
        If ``module`` is no module.
    ValueError
        If shapes do not fit together, prompts are empty, or the module is not deterministic (dropout).
    """
    validate.instance_of("module", module, torch.nn.Module)
    if (
        prompts.ndim != 2
        or answers.ndim != 3
        or prompts.shape[0] != answers.shape[0]
        or prompts.shape[1] == 0
    ):
        raise ValueError(
            f"prompts must have shape [P, K] with K >= 1 and answers [P, M, T], "
            f"got {list(prompts.shape)} and {list(answers.shape)}"
        )
    if mask.shape != answers.shape:
        raise ValueError(
            f"mask must have the shape of answers, {list(answers.shape)}, got {list(mask.shape)}"
        )
    P, M, T = answers.shape
    answers = answers.masked_fill(~mask.bool(), 0)  # padding may hold anything
    names = [name for name, _ in module.named_parameters()]
    shapes = [value.shape for _, value in module.named_parameters()]
    sizes = [value.numel() for _, value in module.named_parameters()]
    start = torch.cat([value.detach().double().reshape(-1) for _, value in module.named_parameters()])
    buffers = {n: b.double() if b.is_floating_point() else b for n, b in module.named_buffers()}
    sequences = torch.cat([prompts[:, None].expand(P, M, prompts.shape[-1]), answers], -1).reshape(P * M, -1)

    def log_prob(theta: torch.Tensor) -> torch.Tensor:
        pieces = {n: v.view(s) for n, v, s in zip(names, theta.split(sizes), shapes)}
        logits = torch.func.functional_call(module, pieces | buffers, (sequences[:, :-1],))
        following = torch.log_softmax(logits[:, -T:], -1)
        return following.gather(-1, answers.reshape(P * M, T, 1)).view(P, M, T)

    if not torch.equal(log_prob(start), log_prob(start)):
        raise ValueError("module must be deterministic: call module.eval() first")
    return Problem(log_prob, rewards, mask, sum(sizes), type(module).__name__), start
