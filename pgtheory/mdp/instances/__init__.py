"""Named instances with parameters; ``names()`` lists them, ``make(name, **parameters)`` builds one."""

from pgtheory.mdp.instances.corridors import chain, combination_lock, river_swim
from pgtheory.mdp.instances.diabolical import diabolical_lock
from pgtheory.mdp.instances.grids import cliff, gridworld, windy_gridworld
from pgtheory.mdp.instances.random_mdps import dirichlet, garnet
from pgtheory.mdp.instances.registry import builder, describe, instance, make, names
from pgtheory.mdp.instances.tiny import bandit, two_state
from pgtheory.mdp.instances.toy_text import frozen_lake, taxi

__all__ = [
    "bandit",
    "builder",
    "chain",
    "cliff",
    "combination_lock",
    "describe",
    "diabolical_lock",
    "dirichlet",
    "frozen_lake",
    "garnet",
    "gridworld",
    "instance",
    "make",
    "names",
    "river_swim",
    "taxi",
    "two_state",
    "windy_gridworld",
]
