"""Random decisions, and the losses written a second time, in NumPy, from the papers."""

import numpy as np
import torch

from pgtheory.objectives import BoundedRatio, Clip, Decisions, ImportanceWeighted, RatioVariance
from pgtheory.objectives.surrogates.bounded_ratio import DIVERGENCES

SURROGATES = {
    "importance-weighted": ImportanceWeighted(),
    "clip": Clip(0.2, 0.28),
    "dual clip": Clip(0.2, dual=1.5),
    "ratio-variance": RatioVariance(0.7),
    "ratio-variance centred": RatioVariance(0.7, centred=True),
    "ratio-variance slack": RatioVariance(0.0),
    **{d: BoundedRatio(0.2, temperature=0.5, divergence=d) for d in DIVERGENCES},
    "asymmetric": BoundedRatio(0.2, 0.28, temperature=0.5, tv_weight=0.3, limit=1.5),
}


def tensor(*values, **options):
    return torch.tensor(values, dtype=torch.float64, **options)


def decisions(ratio, advantage, **fields):
    """Decisions with these ratios and advantages; log-probabilities as leaves with a gradient."""
    ratio = torch.as_tensor(ratio, dtype=torch.float64)
    log_prob = ratio.log().requires_grad_()
    advantage = torch.as_tensor(advantage, dtype=torch.float64)
    return Decisions(log_prob, torch.zeros_like(log_prob), advantage, **fields)


def random(rng, shape=(12,), spread=0.5, **fields):
    """Random decisions, no advantage and no distance to a kink closer than what a finite difference needs."""
    log_prob_old = torch.as_tensor(-rng.exponential(size=shape))
    log_prob = log_prob_old + torch.as_tensor(spread * rng.normal(size=shape))
    A, B = (torch.as_tensor(rng.normal(size=shape)) for _ in range(2))
    return Decisions(log_prob.requires_grad_(), log_prob_old, A, B, **fields)


def slopes(surrogate, batch):
    """d loss / d log-probability per decision, for losses that do not couple decisions: ρ times the slope in ρ."""
    log_prob = batch.log_prob.detach().requires_grad_()
    (gradient,) = torch.autograd.grad(surrogate(batch.replace(log_prob=log_prob)).sum(), log_prob)
    return gradient.numpy()


def target(centred, low, high, temperature, limit=np.inf):
    with np.errstate(over="ignore"):
        logit = np.clip(centred / temperature, -limit, limit)
        return 1 - low + (low + high) / (1 + np.exp(-logit))


def reference(name, rho, A, centred):
    """Loss and its derivative in log ρ per decision, in NumPy, by the name of the surrogate."""
    if name == "importance-weighted":
        return -rho * A, -rho * A
    if name in ("clip", "dual clip"):
        high = 0.28 if name == "clip" else 0.2
        loss = np.where(A >= 0, -np.minimum(rho, 1 + high) * A, -np.maximum(rho, 0.8) * A)
        moves = np.where(A >= 0, rho < 1 + high, rho > 0.8)
        if name == "dual clip":
            moves &= (A >= 0) | (rho < 1.5)
            loss = np.where((A < 0) & (rho > 1.5), -1.5 * A, loss)
        return loss, np.where(moves, -rho * A, 0.0)
    if name.startswith("ratio-variance"):
        lam = 0.0 if name.endswith("slack") else 0.7
        centre = rho.mean() if name.endswith("centred") else 1.0
        return -rho * A + lam * (rho - centre) ** 2, -rho * (A - 2 * lam * (rho - centre))
    if name == "asymmetric":
        t = target(centred, 0.2, 0.28, 0.5, 1.5)
        return (abs(A) + 0.3) * abs(rho - t), (abs(A) + 0.3) * np.sign(rho - t) * rho
    t = target(centred, 0.2, 0.2, 0.5)
    return {
        "atv": lambda: (abs(A) * abs(rho - t), abs(A) * np.sign(rho - t) * rho),
        "tv": lambda: (abs(rho - t), np.sign(rho - t) * rho),
        "log-tv": lambda: (abs(np.log(rho / t)), np.sign(rho - t)),
        "mse": lambda: ((rho - t) ** 2, 2 * (rho - t) * rho),
        "rkl": lambda: (rho * np.log(rho / t) - rho + t, rho * np.log(rho / t)),
        "fkl": lambda: (t * np.log(t / rho) - t + rho, rho - t),
        "js": lambda: (
            (rho * np.log(2 * rho / (rho + t)) + t * np.log(2 * t / (rho + t))) / 2,
            rho * np.log(2 * rho / (rho + t)) / 2,
        ),
    }[name]()
