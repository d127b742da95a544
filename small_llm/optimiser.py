"""AdamW that keeps float32 weights beside a model in half precision, and its learning rate over a run."""

from __future__ import annotations

from math import cos, pi

import torch
from torch.distributed.tensor import DTensor, distribute_tensor

from pgtheory.deep import checkpoint

_MOMENTS = ("step", "exp_avg", "exp_avg_sq")


def rate(peak: float, schedule: str, ramp: int, step: int, steps: int) -> float:
    """Learning rate of step 0, 1, …, steps - 1: up to ``peak`` over ``ramp`` steps, times the schedule's factor."""
    rising = min(1.0, (step + 1) / (ramp + 1))
    match schedule:
        case "linear":
            falling = 1 - step / steps
        case "cosine":
            falling = (1 + cos(pi * step / steps)) / 2
        case _:
            falling = 1.0
    return peak * rising * falling


class Optimiser:
    """Clip, step, and hand the result to the model.

    Updates of 1e-4 of a weight vanish in bfloat16, which has three digits: a model in half precision is stepped in
    float32 and rounded afterwards.

    Parameters
    ----------
    model : torch.nn.Module
        Its parameters that require gradients are learned.
    weight_decay, max_grad_norm : float
    """

    def __init__(
        self, model: torch.nn.Module, *, weight_decay: float = 0.0, max_grad_norm: float = 1.0
    ) -> None:
        self.names, self.parameters = zip(*((n, p) for n, p in model.named_parameters() if p.requires_grad))
        self.masters = [
            p if p.dtype == torch.float32 else torch.nn.Parameter(p.detach().float()) for p in self.parameters
        ]
        self.max_grad_norm = max_grad_norm
        self.adam = torch.optim.AdamW(self.masters, lr=0.0, weight_decay=weight_decay, fused=True)

    def step(self, learning_rate: float) -> float:
        """One step along the gradients that lie in the model, which are cleared; returns their norm.

        Where the norm is not finite nothing moves.
        """
        for master, parameter in zip(self.masters, self.parameters):
            if master is not parameter:
                master.grad = None if parameter.grad is None else parameter.grad.float()
                parameter.grad = None
        norm = _whole(torch.nn.utils.clip_grad_norm_(self.masters, self.max_grad_norm))
        if torch.isfinite(norm):
            self.adam.param_groups[0]["lr"] = learning_rate
            self.adam.step()
            with torch.no_grad():
                for master, parameter in zip(self.masters, self.parameters):
                    if master is not parameter:
                        parameter.copy_(master)
        self.adam.zero_grad(set_to_none=True)
        return float(norm)

    def tensors(self) -> dict[str, torch.Tensor]:
        """Weights and moments by name, for a checkpoint; views, not copies, of what is not divided.

        Where FSDP divides them, all processes must call this.
        """
        found = {f"weight/{name}": _whole(master.detach()) for name, master in zip(self.names, self.masters)}
        for name, master in zip(self.names, self.masters):
            state = self.adam.state.get(master, {})
            found |= {f"{moment}/{name}": _whole(state[moment]) for moment in _MOMENTS if moment in state}
        return found

    def restore(self, tensors: dict[str, torch.Tensor]) -> None:
        """Go on where ``tensors`` was called; the model gets the weights.

        Raises
        ------
        CheckpointError
            If they are another model's.
        """
        shapes = {f"weight/{name}": tuple(master.shape) for name, master in zip(self.names, self.masters)}
        checkpoint.expect(tensors, shapes)
        with torch.no_grad():
            for name, master, parameter in zip(self.names, self.masters, self.parameters):
                master.copy_(_divided_like(master, tensors[f"weight/{name}"]))
                if master is not parameter:
                    parameter.copy_(master)
                if f"step/{name}" in tensors:
                    state = {moment: tensors[f"{moment}/{name}"] for moment in _MOMENTS}
                    self.adam.state[master] = {
                        key: value.to(master.device) if key == "step" else _divided_like(master, value)
                        for key, value in state.items()
                    }


def _whole(tensor: torch.Tensor) -> torch.Tensor:
    """A tensor, brought together where processes hold parts of it."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def _divided_like(other: torch.Tensor, tensor: torch.Tensor) -> torch.Tensor:
    """A whole tensor on the device of another, and divided between processes where that one is."""
    tensor = tensor.to(other.device)
    return (
        distribute_tensor(tensor, other.device_mesh, other.placements)
        if isinstance(other, DTensor)
        else tensor
    )
