"""Policies of Stable-Baselines3 with a second critic, which ``pgtheory.deep.sb3`` trains."""

from typing import Any

import torch
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.torch_layers import create_mlp
from stable_baselines3.common.type_aliases import Schedule
from stable_baselines3.ppo import CnnPolicy, MlpPolicy, MultiInputPolicy
from torch import nn


class MedianCritic(ActorCriticPolicy):
    r"""An actor-critic policy with a second critic, for the soft median :math:`\mu(s)` of the returns.

    Its head has the actor's hidden layers, on top of the value network's last one. Actor and value start as they do in
    the library's policy of the same seed. Put this class first to give a policy of one's own the head:
    ``class MyMedianPolicy(MedianCritic, MyPolicy): ...``.
    """

    median_net: nn.Sequential

    def _build(self, lr_schedule: Schedule) -> None:
        super()._build(lr_schedule)
        hidden = self.net_arch.get("pi", []) if isinstance(self.net_arch, dict) else self.net_arch
        layers = create_mlp(self.mlp_extractor.latent_dim_vf, 1, hidden, self.activation_fn)
        self.median_net = nn.Sequential(*layers)
        if self.ortho_init:
            self.median_net.apply(self.init_weights)  # gain 1
        self.optimizer.add_param_group({"params": self.median_net.parameters()})

    def evaluate_decisions(
        self, obs: Any, actions: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor | None]:
        """Values [n, 1], medians [n, 1], log-probabilities [n] and, where it has a closed form, entropy [n]."""
        features: Any = self.extract_features(obs)
        for_actor, for_critic = (features, features) if self.share_features_extractor else features
        latent = self.mlp_extractor.forward_critic(for_critic)
        policy = self._get_action_dist_from_latent(self.mlp_extractor.forward_actor(for_actor))
        return self.value_net(latent), self.median_net(latent), policy.log_prob(actions), policy.entropy()


class MedianMlpPolicy(MedianCritic, MlpPolicy):
    """``MlpPolicy`` with a median head."""


class MedianCnnPolicy(MedianCritic, CnnPolicy):
    """``CnnPolicy`` with a median head."""


class MedianMultiInputPolicy(MedianCritic, MultiInputPolicy):
    """``MultiInputPolicy`` with a median head."""


WITH_MEDIAN: dict[Any, type[MedianCritic]] = {
    MlpPolicy: MedianMlpPolicy,
    CnnPolicy: MedianCnnPolicy,
    MultiInputPolicy: MedianMultiInputPolicy,
}
"""What takes the place of the library's own policy classes."""
