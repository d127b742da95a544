"""The comparison of PPO and BPO on control tasks: settings, and the learning curve of one run."""

from __future__ import annotations

from typing import Any

import numpy as np

from pgtheory.deep.actor_critic import Network
from pgtheory.deep.algorithms import BPO, PPO
from pgtheory.deep.algorithms.on_policy import OnPolicy
from pgtheory.deep.presets import PRESETS
from pgtheory.deep.training import train

N_ENVIRONMENTS = 8
"""Of the matched runs; a published preset has its own number."""

MATCHED: dict[str, dict[str, Any]] = {
    "mujoco": {"n_steps": 256, "minibatch": 64, "epochs": 10, "learning_rate": 3e-4, "max_grad_norm": 0.5},
    "classic": {"n_steps": 128, "minibatch": 64, "epochs": 10, "learning_rate": 1e-3, "max_grad_norm": 0.5},
}
"""What PPO and BPO share where hyper-parameters are matched; discount 0.99, GAE 0.95, no entropy bonus."""

EPSILON = 0.2


def matched(method: str, kind: str) -> OnPolicy:
    """PPO ("ppo") or BPO ("bpo", or "bpo-value" without the median head) at the same hyper-parameters.

    They differ in what the methods are made of: PPO standardises advantages in each minibatch, BPO must not.
    """
    common = MATCHED[kind]
    if method == "ppo":
        return PPO(epsilon=EPSILON, **common)
    if method in ("bpo", "bpo-value"):
        return BPO(epsilon=EPSILON, use_median=method == "bpo", **common)
    raise ValueError(f"method must be ppo, bpo or bpo-value, got {method!r}")


def curve(
    environment: str, method: str, seed: int, steps: int, *, points: int = 50, compiled: bool | None = None
) -> dict[str, np.ndarray]:
    """One run, on a grid of ``points`` equal parts of ``steps``.

    Parameters
    ----------
    environment : str
        A Gymnasium id.
    method : str
        "ppo", "bpo", "bpo-value" at matched hyper-parameters, or the name of a preset such as "bpo/hopper".
    seed, steps : int

    Returns
    -------
    dict of arrays [points]
        ``return``: mean return of the latest 100 training episodes at the end of each part (NaN before the first
        episode or update ended);
        ``ratio_q50``, ``ratio_q90``, ``ratio_q99``, ``ratio_max``: quantiles and maximum of :math:`|\\rho-1|` over the
        rollout after each update, averaged over the part; ``fps``: environment steps a second so far.
    """
    kind = "classic" if environment.split("-")[0] in ("CartPole", "Acrobot", "Pendulum") else "mujoco"
    if method in PRESETS:
        preset = PRESETS[method]
        algorithm, network, n = preset.algorithm, preset.network, preset.n_environments
    else:
        algorithm, network, n = matched(method, kind), Network(), N_ENVIRONMENTS
    run = train(
        algorithm,
        environment,
        steps=steps,
        seed=seed,
        n_environments=n,
        network=network,
        workers=1,
        compiled=compiled,
        progress=False,
    )
    edges = np.linspace(0, steps, points + 1)[1:]
    at = run.metrics["step"].values
    part = np.minimum(np.searchsorted(edges, at), points - 1)
    last = np.searchsorted(at, edges, side="right") - 1  # -1: no update yet
    found = {
        name: np.where(last < 0, np.nan, run.metrics[f"charts/{name}"].values[last])
        for name in ("return", "fps")
    }
    for name in ("q50", "q90", "q99", "max"):
        values = run.metrics[f"ratio/{name}"].values
        sums, counts = np.bincount(part, values, points), np.bincount(part, minlength=points)
        found[f"ratio_{name}"] = np.divide(sums, counts, out=np.full(points, np.nan), where=counts > 0)
    return found
