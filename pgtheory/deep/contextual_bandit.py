"""Several steps on the same noisy batch, on the smallest problem where that hurts: a softmax contextual bandit.

Its value is a sum, so whatever an objective gains or loses by going far from its data is seen without sampling error.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import torch

from pgtheory.deep.adam import BETA1, BETA2
from pgtheory.deep.noisy_bandits import ARMS, BASELINES, CONTEXTS, NoisyBandits, log_prob_of
from pgtheory.mdp import validate
from pgtheory.objectives import Decisions, RatioVariance, dual_ascent, ratio_variance, weighted_mean

ADAM_EPS = 1e-8


@dataclass(frozen=True)
class Dual:
    r"""Ascent on R²VPO's multiplier, one step beside each step on the policy (arXiv:2601.03320).

    Parameters
    ----------
    delta : float
        :math:`\delta`, the bound on :math:`\mathbb E(\rho-1)^2`.
    step, cap : float
        :math:`\eta_\lambda` and :math:`\lambda_{\max}`, in the units of the advantage.

    Raises
    ------
    ValueError
        If one is negative.
    """

    delta: float = 0.04
    step: float = 1.0
    cap: float = 20.0

    def __post_init__(self) -> None:
        for field in fields(self):
            validate.non_negative(field.name, getattr(self, field.name))


@dataclass(frozen=True, eq=False)
class Ascent:
    r"""What a run did, a row for every seed and a column for every update.

    Parameters
    ----------
    value : array [seeds, updates]
        Exact expected reward of the policy after the update.
    largest, quantile : array [seeds, updates]
        Maximum and 99 % quantile of :math:`|\rho-1|` over the batch just collected; here :math:`\rho` is the policy
        after the update over the one before it.
    largest_anywhere, quantile_anywhere : array [seeds, updates]
        The same over all pairs of context and arm, taken or not.
    multiplier : array [seeds, updates]
        R²VPO's :math:`\lambda` after the update; NaN for other objectives.
    optimum : array [seeds]
        Value of the best policy.
    """

    value: np.ndarray
    largest: np.ndarray
    quantile: np.ndarray
    largest_anywhere: np.ndarray
    quantile_anywhere: np.ndarray
    multiplier: np.ndarray
    optimum: np.ndarray


def ascend(
    surrogate: Any,
    seeds: Sequence[int],
    *,
    updates: int = 200,
    epochs: int = 20,
    batch: int = 64,
    noise: Any = 3.0,
    learning_rate: Any = 0.1,
    baseline: str = "exact",
    normalise: bool = False,
    replay: int = 1,
    lag: int = 0,
    reset: bool = False,
    dual: Dual | None = None,
) -> Ascent:
    r"""Collect a batch, take full-batch Adam steps on a surrogate from logits 0, and again, for all seeds at once.

    The set-up of the smallest reproductions of arXiv:2604.18578 and arXiv:2601.03320. Random numbers belong to the
    seed alone (:class:`NoisyBandits`): methods compared on the same seeds are paired.

    Parameters
    ----------
    surrogate : callable
        ``Decisions`` [batch] → losses [batch], such as ``Clip(0.2)``; it sees one seed at a time. The target and the
        weight of a bounded ratio come from the same advantage.
    seeds : sequence of int
        Rows; a seed may come again with another noise or learning rate.
    updates, epochs, batch : int
        Batches collected, passes over the data after each, decisions in each.
    noise, learning_rate : float or array [seeds]
        Standard deviation of the rewards; Adam's step size.
    baseline : str
        ``"exact"``, :math:`V_{\pi_0}(s)`; ``"running"``, an average of each context's rewards so far,
        :math:`b\leftarrow b+0.1(r-b)` from 0; ``"batch"``, the batch's mean reward, the same for all contexts.
    normalise : bool
        Scale each batch's advantages to mean 0 and standard deviation 1.
    replay, lag : int
        The data of update *t* are batches *t − lag − replay + 1* to *t − lag*, oldest first, a step on each in a pass,
        with advantages and probabilities as at their collection. Until there are as many, those that there are;
        at least batch 0.
    reset : bool
        Start Adam anew at every update; otherwise its state is kept.
    dual : Dual, optional
        Moves the multiplier of a ``RatioVariance`` from where it stands, for each seed on its own.

    Raises
    ------
    TypeError, ValueError
        For arguments out of range, and a dual without a multiplier to move.
    """
    rows = validate.sequence("seeds", seeds, "integers")
    if not rows:
        raise ValueError("seeds must hold at least one, got none")
    for seed in rows:
        validate.positive_integer("seeds", seed, 0)
    for name, count in {"updates": updates, "epochs": epochs, "batch": batch, "replay": replay}.items():
        validate.positive_integer(name, count)
    validate.positive_integer("lag", lag, 0)
    validate.flag("reset", reset)
    if baseline not in BASELINES:
        raise ValueError(f"baseline must be one of {', '.join(BASELINES)}, got {baseline!r}")
    steps = torch.from_numpy(_each("learning_rate", learning_rate, len(rows)))[:, None, None]
    multiplier = _multiplier(surrogate, dual, len(rows))
    spread = _each("noise", noise, len(rows))
    bandits = NoisyBandits(rows, spread, batch, baseline, validate.flag("normalise", normalise))

    logits = torch.zeros(len(rows), ARMS, CONTEXTS, dtype=torch.float64)
    adam, trace = _Adam(steps), []
    stored: list[tuple[torch.Tensor, Decisions]] = []
    for _ in range(updates):
        stored = [*stored, bandits.collect(logits)][-(lag + replay) :]
        usable = max(len(stored) - lag, 1)
        adam = _Adam(steps) if reset else adam
        before = logits
        for pairs, decisions in stored[:usable] * epochs:
            gradient, multiplier = _gradient(surrogate, multiplier, dual, logits, pairs, decisions)
            logits = logits - adam.step(gradient)
        trace.append(_record(bandits, before, logits, stored[-1][0], multiplier))
    curves = {name: torch.stack([entry[name] for entry in trace], 1).numpy() for name in trace[0]}
    return Ascent(**curves, optimum=bandits.optimum.numpy())


class _Adam:
    """Adam over all tables at once, a step size for each: entries never meet, so neither do seeds."""

    def __init__(self, sizes: torch.Tensor) -> None:
        self.sizes, self.count = sizes, 0
        self.first = self.second = torch.zeros(())

    def step(self, gradient: torch.Tensor) -> torch.Tensor:
        """What to subtract from the parameters."""
        self.count += 1
        self.first = BETA1 * self.first + (1 - BETA1) * gradient
        self.second = BETA2 * self.second + (1 - BETA2) * gradient**2
        scale = (self.second / (1 - BETA2**self.count)).sqrt() + ADAM_EPS
        return self.sizes / (1 - BETA1**self.count) * self.first / scale


def _gradient(
    surrogate: Any,
    multiplier: torch.Tensor,
    dual: Dual | None,
    logits: torch.Tensor,
    pairs: torch.Tensor,
    decisions: Decisions,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Gradient of every seed's mean loss, and its multiplier [seeds] after the dual step, both at these logits."""

    def one_seed(
        log_prob: torch.Tensor, old: torch.Tensor, advantage: torch.Tensor, multiplier: torch.Tensor
    ) -> Any:
        now = Decisions(log_prob, old, advantage)
        if not isinstance(surrogate, RatioVariance):
            return weighted_mean(surrogate(now), now.weights), multiplier
        loss = weighted_mean(replace(surrogate, multiplier=multiplier)(now), now.weights)
        if dual is not None:
            multiplier = dual_ascent(multiplier, ratio_variance(now), dual.delta, dual.step, dual.cap)
        return loss, multiplier

    theta = logits.detach().requires_grad_()
    columns = log_prob_of(theta, pairs), decisions.log_prob_old, decisions.advantage, multiplier
    losses, multiplier = torch.vmap(one_seed)(*columns)
    (gradient,) = torch.autograd.grad(losses.sum(), theta)
    return gradient, multiplier


def _record(
    bandits: NoisyBandits,
    before: torch.Tensor,
    after: torch.Tensor,
    pairs: torch.Tensor,
    multiplier: torch.Tensor,
) -> dict[str, torch.Tensor]:
    """What one update did, [seeds] each, by the names of ``Ascent``."""
    value = bandits.values(after).mean(1)
    anywhere = (after.log_softmax(1) - before.log_softmax(1)).exp().sub(1).abs().flatten(1)
    taken = anywhere.gather(1, pairs)
    return {
        "value": value,
        "largest": taken.amax(1),
        "quantile": taken.quantile(0.99, dim=1),
        "largest_anywhere": anywhere.amax(1),
        "quantile_anywhere": anywhere.quantile(0.99, dim=1),
        "multiplier": multiplier,
    }


def _each(name: str, value: Any, rows: int) -> np.ndarray:
    """A non-negative number for every row [rows]."""
    given = validate.numbers(name, value).astype(np.float64)
    if given.shape not in ((), (rows,)):
        raise ValueError(
            f"{name} must be a number or one for each of {rows} seeds, got shape {list(given.shape)}"
        )
    if not (np.isfinite(given) & (given >= 0)).all():
        raise ValueError(f"{name} must be finite and not negative, got {value!r}")
    return np.broadcast_to(given, rows).copy()


def _multiplier(surrogate: Any, dual: Dual | None, rows: int) -> torch.Tensor:
    """A multiplier for every row [rows]; NaN for surrogates that have none."""
    if isinstance(surrogate, RatioVariance):
        return torch.full((rows,), float(surrogate.multiplier), dtype=torch.float64)
    if dual is not None:
        raise TypeError(f"dual moves the multiplier of a RatioVariance surrogate, got {surrogate!r}")
    return torch.full((rows,), torch.nan, dtype=torch.float64)
