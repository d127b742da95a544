r"""BPO for Stable-Baselines3: PPO with its loss replaced by regression onto the best bounded ratio.

.. code-block:: python

    from pgtheory.deep.sb3 import BPO

    model = BPO("MlpPolicy", "Pendulum-v1", epsilon=0.2, seed=0)
    model.learn(100_000)
    model.save("pendulum")
    model = BPO.load("pendulum")

``load`` is the library's own and unpickles: open only files that you trust.

Source: Bounded Ratio Reinforcement Learning (arXiv:2604.18578, Alg. 1), with what its authors' code fixes.
"""

from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from torch import nn

from pgtheory.mdp import validate
from pgtheory.objectives import BoundedRatio, Decisions, median_loss, value_loss

try:
    from gymnasium import spaces
    from stable_baselines3 import PPO
    from stable_baselines3.common.policies import ActorCriticPolicy, BasePolicy
    from stable_baselines3.common.type_aliases import GymEnv, MaybeCallback, Schedule
    from stable_baselines3.common.utils import explained_variance

    from pgtheory.deep.sb3_policies import WITH_MEDIAN, MedianCritic
except ImportError as error:
    raise ImportError("pgtheory.deep.sb3 needs Stable-Baselines3: pip install 'pgtheory[sb3]'") from error

_PPO_ONLY = ("clip_range", "clip_range_vf", "normalize_advantage", "target_kl")


class _Losses(NamedTuple):
    """Losses of one minibatch, scalars, and its log-ratios [n]."""

    total: torch.Tensor
    policy: torch.Tensor
    value: torch.Tensor
    median: torch.Tensor
    entropy: torch.Tensor
    log_ratio: torch.Tensor


class BPO(PPO):
    r"""Bounded policy optimisation, in the place of ``stable_baselines3.PPO``.

    .. math::
       |R-V(s)|\cdot\Big|\rho-1-\epsilon\tanh\frac{R-\mu(s)}{2\lambda}\Big|
       +c_v(V-R)^2+c_u\,g\Big(\frac{R-\mu}{\tau}\Big)-c_{ent}\mathcal H

    Weight and target come from the critics as they are at every minibatch, without their gradient. *R* is the return
    of generalised advantage estimation, unnormalised, for λ is in its units. Nothing is clipped or stopped early.

    Logged are PPO's keys (``train/clip_fraction`` is the share of :math:`|\rho-1|>\epsilon`, though nothing is
    clipped), ``train/median_loss``, and quantiles of :math:`|\rho-1|` in the last epoch: ``train/ratio_q50``,
    ``train/ratio_q99`` and ``train/ratio_max``.

    Parameters
    ----------
    policy, env, learning_rate, n_steps, batch_size, n_epochs, gamma, gae_lambda
        As in PPO. The authors' MuJoCo networks: ``policy_kwargs=dict(net_arch=[256, 256], activation_fn=nn.ReLU)``.
    epsilon : float
        :math:`\epsilon\in(0,1)`, half the width of the box of ratios.
    temperature : float
        :math:`\lambda\ge0` of the target, in units of return.
    use_median : bool
        Without it *V* takes the place of :math:`\mu` in the target, and there is no median loss.
    median_temperature : float
        :math:`\tau>0` of the median loss, in units of return.
    u_coef : float
        :math:`c_u\ge0`; :math:`c_v` is PPO's ``vf_coef``.
    max_grad_norm : float
    **settings
        Everything else that PPO knows, such as ``ent_coef``, ``use_sde``, ``policy_kwargs``, ``seed`` or ``device``.

    Raises
    ------
    TypeError
        For PPO's settings that this loss has no place for, and for a policy class without a median head.
    ValueError
        For hyper-parameters out of their ranges.
    """

    policy_aliases: ClassVar[dict[str, type[BasePolicy]]] = {
        name: WITH_MEDIAN[plain] for name, plain in PPO.policy_aliases.items()
    }
    policy: MedianCritic  # or, without use_median, any actor-critic policy

    def __init__(
        self,
        policy: str | type[ActorCriticPolicy],
        env: GymEnv | str,
        learning_rate: float | Schedule = 3e-4,
        n_steps: int = 2048,
        batch_size: int = 64,
        n_epochs: int = 10,
        gamma: float = 0.99,
        gae_lambda: float = 0.95,
        *,
        epsilon: float = 0.3,
        temperature: float = 1e-3,
        use_median: bool = True,
        median_temperature: float = 1.0,
        u_coef: float = 0.5,
        max_grad_norm: float = 1.0,
        _init_setup_model: bool = True,
        **settings: Any,
    ) -> None:
        for name in _PPO_ONLY:
            if name in settings:
                raise TypeError(
                    f"{name} has no place in BPO, which bounds ratios through its target: leave it out"
                )
        self.epsilon, self.temperature = epsilon, temperature
        self.use_median, self.median_temperature, self.u_coef = use_median, median_temperature, u_coef
        super().__init__(
            WITH_MEDIAN.get(policy, policy),
            env,
            learning_rate,
            n_steps,
            batch_size,
            n_epochs,
            gamma,
            gae_lambda,
            normalize_advantage=False,
            max_grad_norm=max_grad_norm,
            _init_setup_model=_init_setup_model,
            **settings,
        )

    def _setup_model(self) -> None:
        if not 0 < validate.finite("epsilon", self.epsilon) < 1:
            raise ValueError(f"epsilon must lie in (0, 1), got {self.epsilon}: ratios stay above 1 - epsilon")
        validate.non_negative("temperature", self.temperature)
        validate.positive("median_temperature", self.median_temperature)
        validate.non_negative("u_coef", self.u_coef)
        if validate.flag("use_median", self.use_median) and not issubclass(self.policy_class, MedianCritic):
            name = self.policy_class.__name__
            raise TypeError(
                f"policy must have a median head, got {name}: derive a class from (MedianCritic, {name}),"
                " or pass use_median=False"
            )
        super()._setup_model()

    def train(self) -> None:
        """Update the policy and its critics from the rollout buffer."""
        self.policy.set_training_mode(True)
        self._update_learning_rate(self.policy.optimizer)
        seen: list[_Losses] = []
        for _ in range(self.n_epochs):
            for batch in self.rollout_buffer.get(self.batch_size):
                losses = self._losses(batch)
                self.policy.optimizer.zero_grad()
                losses.total.backward()
                nn.utils.clip_grad_norm_(self.policy.parameters(), self.max_grad_norm)
                self.policy.optimizer.step()
                seen.append(_Losses(*(part.detach() for part in losses)))
            self._n_updates += 1
        self._record(seen)

    def _losses(self, batch: Any) -> _Losses:
        """The losses of a minibatch of the rollout buffer, under the present policy and critics."""
        discrete = isinstance(self.action_space, spaces.Discrete)
        actions = batch.actions.long().flatten() if discrete else batch.actions
        R, median_advantage, median = batch.returns, None, torch.zeros((), device=self.device)
        if self.use_median:
            V, mu, log_prob, entropy = self.policy.evaluate_decisions(batch.observations, actions)
            median_advantage = R - mu.flatten()
            median = median_loss(mu.flatten(), R, self.median_temperature).mean()
        else:
            V, log_prob, entropy = self.policy.evaluate_actions(batch.observations, actions)
        decisions = Decisions(log_prob, batch.old_log_prob, R - V.flatten(), median_advantage)
        policy = BoundedRatio(self.epsilon, temperature=self.temperature)(decisions).mean()
        value = value_loss(V.flatten(), R).mean()
        negentropy = log_prob.mean() if entropy is None else -entropy.mean()
        total = policy + self.vf_coef * value + self.u_coef * median + self.ent_coef * negentropy
        return _Losses(total, policy, value, median, negentropy, decisions.log_ratio)

    def _record(self, seen: list[_Losses]) -> None:
        """Log means over the update's minibatches, and how far ratios were from 1 in its last epoch."""

        def mean(name: str) -> float:
            return float(np.mean([getattr(losses, name).item() for losses in seen]))

        last_epoch = seen[-(len(seen) // self.n_epochs) :]
        log_ratio = torch.cat([losses.log_ratio for losses in last_epoch]).cpu().numpy()
        distance = np.abs(np.exp(log_ratio) - 1)
        median, high = np.quantile(distance, (0.5, 0.99))
        buffer = self.rollout_buffer
        logs = {
            "entropy_loss": mean("entropy"),
            "policy_gradient_loss": mean("policy"),
            "value_loss": mean("value"),
            "approx_kl": np.mean(np.exp(log_ratio) - 1 - log_ratio),
            "clip_fraction": np.mean(distance > self.epsilon),
            "ratio_q50": median,
            "ratio_q99": high,
            "ratio_max": distance.max(),
            "loss": seen[-1].total.item(),
            "explained_variance": explained_variance(buffer.values.flatten(), buffer.returns.flatten()),
        }
        if self.use_median:
            logs["median_loss"] = mean("median")
        if hasattr(self.policy, "log_std"):
            logs["std"] = self.policy.log_std.exp().mean().item()
        for name, value in logs.items():
            self.logger.record(f"train/{name}", value)
        self.logger.record("train/n_updates", self._n_updates, exclude="tensorboard")

    def learn(
        self,
        total_timesteps: int,
        callback: MaybeCallback = None,
        log_interval: int = 1,
        tb_log_name: str = "BPO",
        reset_num_timesteps: bool = True,
        progress_bar: bool = False,
    ) -> "BPO":
        """Collect rollouts and update until ``total_timesteps``; as in PPO, under another name in TensorBoard."""
        return super().learn(
            total_timesteps, callback, log_interval, tb_log_name, reset_num_timesteps, progress_bar
        )
