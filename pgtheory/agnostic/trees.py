"""Trees of states, which unlike an MDP may name one state on several branches: upper bounds for the search."""

from pgtheory.agnostic.search_budget import Meter
from pgtheory.agnostic.suffixes import Suffixes


class Trees:
    r"""Leaves :math:`T` of the largest tree, of states of the layers 0..target, that a block's behaviours fill.

    A tree may name one state at several nodes, which an MDP cannot: hence an upper bound on the blocks that can
    come from one block.
    """

    def __init__(self, suffixes: Suffixes, meter: Meter) -> None:
        self._suffixes, self._meter = suffixes, meter
        self._known: list[dict[int, int]] = [{} for _ in range(suffixes.target + 1)]

    def leaves(self, level: int, block: int) -> int:
        """The most leaves, exactly."""
        s = self._suffixes
        most = block.bit_count()
        if most <= 1 or level > s.target:
            return min(most, 1)
        known = self._known[level].get(block)
        if known is None:
            self._meter.charge(100 + block.bit_length() // 8)
            known, tried = 0, set()
            for state in range(s.sizes[level]):
                parts = s.split(level, block, state)
                if parts not in tried:
                    tried.add(parts)
                    known = max(known, sum(self.leaves(level + 1, part) for part in parts))
                    if known == most:
                        break
            self._known[level][block] = known
        return known
