"""The hyper-parameters of published runs, by name, with where they come from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pgtheory.deep.actor_critic import Network
from pgtheory.deep.algorithms import BPO, PPO
from pgtheory.deep.algorithms.on_policy import OnPolicy
from pgtheory.deep.training import Run, train

_OFFICIAL = Network(hidden=(256, 256), activation="relu")
_SOURCE = "official code of arXiv:2604.18578 (Stable-Baselines3 fork)"


@dataclass(frozen=True)
class Preset:
    """One published run: what was trained, on what, with which numbers.

    Attributes
    ----------
    algorithm, network : OnPolicy, Network
    environment : str
        A Gymnasium id; those of MuJoCo need the extra ``mujoco``.
    n_environments : int
    steps : int
        Environment steps of the published curve, as read off its figure.
    source : str
    """

    algorithm: OnPolicy
    network: Network
    environment: str
    n_environments: int
    steps: int
    source: str = _SOURCE

    def train(self, **options: Any) -> Run:
        """``pgtheory.deep.train`` with these settings; any of them, and ``seed``, ``folder``, … can be given."""
        settings: dict[str, Any] = {
            "algorithm": self.algorithm,
            "environment": self.environment,
            "steps": self.steps,
            "n_environments": self.n_environments,
            "network": self.network,
        }
        return train(**settings | options)


def _bpo(environment: str, n: int, steps: int, **settings: Any) -> Preset:
    return Preset(BPO(**settings), _OFFICIAL, environment, n, steps)


def _ppo(environment: str, n: int, steps: int, **settings: Any) -> Preset:
    return Preset(PPO(**settings), _OFFICIAL, environment, n, steps)


# fmt: off
PRESETS = {
    "bpo/ant": _bpo("Ant-v4", 1, 20_000_000, n_steps=2048, minibatch=256, learning_rate=1e-4, epochs=10,
                    epsilon=0.3, temperature=1e-3, discount=0.99, lam=0.95, max_grad_norm=1.0),
    "bpo/hopper": _bpo("Hopper-v4", 4, 20_000_000, n_steps=512, minibatch=32, learning_rate=9.808e-5, epochs=10,
                       epsilon=0.25, temperature=10.0, discount=0.999, lam=0.95, max_grad_norm=1.0),
    "bpo/humanoid": _bpo("Humanoid-v4", 1, 50_000_000, n_steps=512, minibatch=128, learning_rate=1e-4, epochs=5,
                         epsilon=0.2, temperature=1e-3, discount=0.99, lam=0.95, max_grad_norm=2.0),
    "bpo/humanoid-value": _bpo("Humanoid-v4", 1, 50_000_000, n_steps=512, minibatch=128, learning_rate=1e-4,
                               epochs=5, epsilon=0.2, temperature=1e-2, discount=0.99, lam=0.95, max_grad_norm=2.0,
                               use_median=False),
    "bpo/swimmer": _bpo("Swimmer-v4", 4, 20_000_000, n_steps=1024, minibatch=256, learning_rate=3e-4, epochs=10,
                        epsilon=0.1, temperature=1e-2, discount=0.9999, lam=0.98, max_grad_norm=1.0),
    "ppo/ant": _ppo("Ant-v4", 1, 20_000_000, n_steps=512, minibatch=32, learning_rate=1.906e-5, epochs=10,
                    epsilon=0.1, discount=0.98, lam=0.8, max_grad_norm=0.6),
    "ppo/hopper": _ppo("Hopper-v4", 1, 20_000_000, n_steps=512, minibatch=32, learning_rate=9.808e-5, epochs=5,
                       epsilon=0.2, discount=0.999, lam=0.99, max_grad_norm=0.7),
    "ppo/humanoid": _ppo("Humanoid-v4", 1, 50_000_000, n_steps=512, minibatch=256, learning_rate=3.57e-5, epochs=5,
                         epsilon=0.3, discount=0.98, lam=0.9, max_grad_norm=2.0),
    "ppo/swimmer": _ppo("Swimmer-v4", 4, 20_000_000, n_steps=1024, minibatch=256, learning_rate=6e-4, epochs=10,
                        epsilon=0.1, discount=0.9999, lam=0.98, max_grad_norm=0.5),
}
# fmt: on


def preset(name: str) -> Preset:
    """A preset by name, such as ``"bpo/hopper"``.

    Raises
    ------
    ValueError
        For a name that is not among them, with those that are.
    """
    if name not in PRESETS:
        raise ValueError(f"name must be one of {', '.join(PRESETS)}, got {name!r}")
    return PRESETS[name]
