"""Gymnasium's toy-text environments as finite MDPs."""

from pgtheory.mdp import validate
from pgtheory.mdp.finite import FiniteMDP
from pgtheory.mdp.instances.registry import instance


@instance
def frozen_lake(map_name: str = "4x4", is_slippery: bool = True, discount: float = 0.99) -> FiniteMDP:
    """FrozenLake through Gymnasium: slide to the goal, holes end the episode."""
    import gymnasium
    import numpy as np

    from pgtheory.mdp.gym import from_gymnasium

    if map_name not in ("4x4", "8x8"):
        raise ValueError(f"map_name must be '4x4' or '8x8', got {map_name!r}")
    slippery = validate.flag("is_slippery", is_slippery)
    env = gymnasium.make("FrozenLake-v1", map_name=map_name, is_slippery=slippery)
    mdp = from_gymnasium(env, discount=discount)
    side = int(np.sqrt(mdp.n_states))
    return mdp.replace(name="frozen-lake", grid=np.arange(mdp.n_states).reshape(side, -1))


@instance
def taxi(discount: float = 0.99) -> FiniteMDP:
    """Taxi through Gymnasium: fetch a passenger and deliver them; 500 states, 6 actions."""
    from pgtheory.mdp.gym import from_gymnasium

    return from_gymnasium("Taxi-v4" if _registered("Taxi-v4") else "Taxi-v3", discount=discount).replace(
        name="taxi"
    )


def _registered(name: str) -> bool:
    import gymnasium

    return name in gymnasium.registry
