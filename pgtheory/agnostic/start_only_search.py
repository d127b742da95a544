"""Search from the start alone: play policies one after the other until one keeps succeeding."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pgtheory.agnostic.access import Online
from pgtheory.agnostic.observed import check_class
from pgtheory.agnostic.policy_class import PolicyClass
from pgtheory.agnostic.rollouts import follow
from pgtheory.mdp import validate


@dataclass(frozen=True)
class SearchResult:
    """The accepted policy (None if all were dropped) and the episodes that the search took."""

    best: int | None
    episodes: int


def start_only_search(
    access: Online,
    policies: PolicyClass,
    rng: np.random.Generator,
    *,
    accept_after: int,
    abreast: int = 1,
) -> SearchResult:
    r"""Play policies in random order; drop one at its first return below 1, accept it after so many returns of 1.

    On a lock with :math:`2^H` sequences of which one always succeeds and the others half of the time, accepting after
    H + 7 takes :math:`2^H+H+6` episodes on average; where the others never succeed, accepting after one takes
    :math:`(2^H+1)/2`.

    Parameters
    ----------
    access : Online
    policies : PolicyClass
    rng : numpy.random.Generator
        For the order.
    accept_after : int
        Returns of 1 in a row.
    abreast : int
        How many policies are tried side by side, for speed; the last group is played to its end, so that up to about
        twice as many episodes as this are played beyond what one at a time would take.
    """
    check_class(policies, access.views, access.n_actions)
    accept_after = validate.positive_integer("accept_after", accept_after)
    abreast = validate.positive_integer("abreast", abreast)
    validate.instance_of("rng", rng, np.random.Generator)
    order, before = rng.permutation(len(policies)), access.spent.episodes
    for i in range(0, len(order), abreast):
        left = order[i : i + abreast]
        for _ in range(accept_after):
            left = left[follow(access, access.start(len(left)), policies, left) >= 1.0]
            if not len(left):
                break
        else:
            return SearchResult(int(left[0]), access.spent.episodes - before)
    return SearchResult(None, access.spent.episodes - before)
