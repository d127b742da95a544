"""What critics minimise: the mean by squares, the soft median by a soft absolute value."""

import torch

from pgtheory.mdp import validate


def value_loss(values: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    r"""Squared error :math:`(V-R)^2` per decision, in the shape of both; its minimiser is the mean return.

    No gradient through the targets.

    Raises
    ------
    ValueError
        If the shapes differ: [n] against [n, 1] would be broadcast to n² errors.
    """
    _same_shape("values", values, targets)
    return (values - targets.detach()) ** 2


def median_loss(medians: torch.Tensor, targets: torch.Tensor, temperature: float = 1.0) -> torch.Tensor:
    r"""Loss :math:`g\big((R-\mu)/\tau\big)` per decision, in the shape of both (arXiv:2604.18578).

    With :math:`g(x)=\log(e^{x/2}+e^{-x/2})` its minimiser solves
    :math:`\mathbb E\tanh\frac{R-\mu}{2\tau}=0`: the median of the returns for small :math:`\tau`, their mean
    for large.

    Parameters
    ----------
    medians, targets : tensor [...]
        :math:`\mu` and :math:`R`; no gradient through the second.
    temperature : float
        :math:`\tau>0`, in the units of return. The authors' code has 1.

    Raises
    ------
    ValueError
        If the shapes differ or the temperature is not positive.
    """
    _same_shape("medians", medians, targets)
    x = (targets.detach() - medians) / validate.positive("temperature", temperature)
    return torch.logaddexp(x / 2, -x / 2)


def _same_shape(name: str, predictions: torch.Tensor, targets: torch.Tensor) -> None:
    if predictions.shape != targets.shape:
        raise ValueError(
            f"{name} must have the shape of targets, {list(targets.shape)}, got {list(predictions.shape)}"
        )
