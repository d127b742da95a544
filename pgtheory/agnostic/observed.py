r"""Rich observations: a layered MDP over latent states, seen through observations that policies act on.

A latent state shows a *view*, the finitely many things that a policy class can tell apart: the state itself in
a tabular MDP, one and the same view for open-loop policies, a context, "special" or "ordinary". An observation
is a view and a *label*. Where a view is *fresh*, every visit carries a new label that never comes again, as
with images: labels then tell nothing, and the number of observations appears in no sample count. Elsewhere the
label is that of the state.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from pgtheory.agnostic.layered_mdp import LayeredMDP, Layers
from pgtheory.agnostic.policy_class import PolicyClass
from pgtheory.mdp import validate


class ObservedMDP:
    r"""A layered MDP over latent states with an emission, a law of rewards, and possibly reset distributions.

    Parameters
    ----------
    mdp : LayeredMDP
        The latent MDP.
    emissions : sequence of H arrays [S_h, V_h]
        Probability of each view in each latent state.
    fresh : bool, or sequence of H boolean arrays [V_h]
        Which views carry a new label at every visit.
    resets : sequence of H arrays [S_h], optional
        The reset distributions :math:`\mu_h`; without them access models with resets are refused.
    bernoulli : bool
        Rewards are 1 with probability equal to their mean, which must lie in [0, 1]; else they are their mean.

    Attributes
    ----------
    mdp, emissions, fresh, resets, bernoulli
        As above, checked, one array per layer.
    views : tuple of int
        Number of views of each layer.

    Raises
    ------
    TypeError, ValueError
        Naming the argument, what it held and what was expected.
    """

    def __init__(
        self,
        mdp: LayeredMDP,
        emissions: Sequence[Any],
        *,
        fresh: Any = True,
        resets: Sequence[Any] | None = None,
        bernoulli: bool = True,
    ) -> None:
        validate.instance_of("mdp", mdp, LayeredMDP)
        given = _one_per_layer("emissions", emissions, mdp.horizon)
        self.mdp = mdp
        self.emissions: Layers = tuple(
            np.stack(
                [validate.distribution(f"emissions[{h}][{s}]", row, _width(h, e)) for s, row in enumerate(e)]
            )
            for h, e in enumerate(_matrices(given, mdp.sizes))
        )
        self.views = tuple(e.shape[1] for e in self.emissions)
        if isinstance(fresh, bool | np.bool_):
            fresh = [np.full(v, fresh) for v in self.views]
        self.fresh: Layers = tuple(
            validate.boolean_array(f"fresh[{h}]", x, (self.views[h],))
            for h, x in enumerate(_one_per_layer("fresh", fresh, mdp.horizon))
        )
        self.resets: Layers | None = None
        if resets is not None:
            self.resets = tuple(
                validate.distribution(f"resets[{h}]", x, mdp.sizes[h])
                for h, x in enumerate(_one_per_layer("resets", resets, mdp.horizon))
            )
        self.bernoulli = validate.flag("bernoulli", bernoulli)
        for h, r in enumerate(mdp.rewards):
            if bernoulli and ((r < 0) | (r > 1)).any():
                raise ValueError(
                    f"mdp must have mean rewards in [0, 1] for Bernoulli rewards, got {r.min():g}..{r.max():g} in "
                    f"layer index {h}; pass bernoulli=False for rewards without noise"
                )

    @classmethod
    def tabular(
        cls, mdp: LayeredMDP, *, resets: Sequence[Any] | None = None, bernoulli: bool = True
    ) -> ObservedMDP:
        """States that are seen as they are."""
        validate.instance_of("mdp", mdp, LayeredMDP)
        seen = [np.eye(size) for size in mdp.sizes]
        return cls(mdp, seen, fresh=False, resets=resets, bernoulli=bernoulli)

    @classmethod
    def blind(
        cls, mdp: LayeredMDP, *, resets: Sequence[Any] | None = None, bernoulli: bool = True
    ) -> ObservedMDP:
        """Fresh labels and one view per layer: policies can use the time only."""
        validate.instance_of("mdp", mdp, LayeredMDP)
        return cls(mdp, [np.ones((s, 1)) for s in mdp.sizes], resets=resets, bernoulli=bernoulli)

    def __repr__(self) -> str:
        return f"ObservedMDP({self.mdp!r}, views={list(self.views)}, resets={self.resets is not None})"

    def latent_policies(self, policies: PolicyClass) -> Layers:
        """Policies on views as action probabilities in latent states, H arrays [n, S_h, A]."""
        self.check_class(policies)
        actions = range(self.mdp.n_actions)
        return tuple(
            np.stack([(table == a) @ e.T for a in actions], -1)
            for table, e in zip(policies.actions, self.emissions)
        )

    def values(self, policies: PolicyClass) -> np.ndarray:
        """Exact expected returns [n] of policies on views."""
        return self.mdp.values(self.latent_policies(policies))

    def check_class(self, policies: PolicyClass) -> None:
        """Refuse policies on other layers, views or actions."""
        check_class(policies, self.views, self.mdp.n_actions)

    def blocks(self, size: int) -> tuple[LayeredMDP, Layers]:
        """A finite stand-in for fresh labels: each latent state as ``size`` equally likely observations.

        Returns
        -------
        mdp : LayeredMDP
            Over observations; latent state s of a layer is observations ``s * size`` to ``(s + 1) * size - 1``.
        resets : tuple of H arrays [S_h * size]
            The reset distributions over observations; empty without them.
        """
        size = validate.positive_integer("size", size)
        spread = lambda x: np.repeat(x, size, -1) / size
        mdp = LayeredMDP(
            spread(self.mdp.start),
            [np.repeat(spread(P), size, 0) for P in self.mdp.transitions],
            [np.repeat(r, size, 0) for r in self.mdp.rewards],
            name=self.mdp.name,
        )
        return mdp, tuple(spread(x) for x in self.resets or ())


def check_class(policies: PolicyClass, views: Sequence[int], n_actions: int) -> None:
    """Refuse a class that is not defined on these views and actions."""
    validate.instance_of("policies", policies, PolicyClass)
    if (policies.sizes, policies.n_actions) != (tuple(views), n_actions):
        raise ValueError(
            f"policies must be defined on {list(views)} views by layer with {n_actions} actions, "
            f"got {list(policies.sizes)} and {policies.n_actions}"
        )


def _one_per_layer(name: str, value: Any, horizon: int) -> list[Any]:
    given = validate.sequence(name, value, "one array per layer")
    if len(given) != horizon:
        raise ValueError(f"{name} must hold H = {horizon} arrays, one per layer, got {len(given)}")
    return given


def _matrices(given: list[Any], sizes: Sequence[int]) -> list[np.ndarray]:
    return [
        validate.real_array(f"emissions[{h}]", e, (size, None), "[S_h, V_h]")
        for h, (e, size) in enumerate(zip(given, sizes))
    ]


def _width(h: int, emission: np.ndarray) -> int:
    if not emission.shape[1]:
        raise ValueError(f"emissions[{h}] must have at least one view, got shape {list(emission.shape)}")
    return emission.shape[1]
