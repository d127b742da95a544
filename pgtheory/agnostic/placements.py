"""Every way to send the blocks of a level to states of the next layer that may still be worth looking at."""

from __future__ import annotations

from collections.abc import Iterator

from pgtheory.agnostic.search_budget import Meter
from pgtheory.agnostic.suffixes import Blocks, Suffixes
from pgtheory.agnostic.trees import Trees

Choice = tuple[int, ...]
"""The state of the next layer for each block, in the order of the blocks."""


class Placements:
    """Iterates over choices, up to exchanging states that are alike.

    Blocks are placed one by one, those with the largest trees first and best states first; a partial placement is
    dropped when what is placed and what is left have trees with no more than ``floor`` leaves together.

    Attributes
    ----------
    floor : int
        The best value so far, which whoever iterates may raise on the way.
    """

    def __init__(self, suffixes: Suffixes, trees: Trees, meter: Meter, level: int, blocks: Blocks) -> None:
        self._suffixes, self._trees, self._meter, self._level = suffixes, trees, meter, level
        self._kinds = suffixes.alike(level, blocks)
        leaves = [trees.leaves(level, block) for block in blocks]
        self._order = sorted(range(len(blocks)), key=lambda i: -leaves[i])
        self._blocks = [blocks[i] for i in self._order]
        alone = [leaves[i] for i in self._order]
        self._left = [sum(alone[i:]) for i in range(len(blocks) + 1)]
        self._merged: dict[int, int] = {}  # state -> blocks placed there, as one
        self._worth: dict[int, int] = {}  # state -> leaves of the trees of its parts
        self._choice = [0] * len(blocks)
        self.floor = 0

    def __iter__(self) -> Iterator[Choice]:
        yield from self._place(0)

    def _place(self, i: int) -> Iterator[Choice]:
        if i == len(self._blocks):
            if sum(self._worth.values()) > self.floor:
                yield tuple(self._choice)
            return
        for total, state, merged in self._options(self._blocks[i]):
            self._meter.charge()
            if total + self._left[i + 1] <= self.floor:
                return
            before = {x: (self._merged[x], self._worth[x]) for x in (state,) if x in self._merged}
            others = sum(worth for x, worth in self._worth.items() if x != state)
            self._merged[state], self._worth[state] = merged, total - others
            self._choice[self._order[i]] = state
            yield from self._place(i + 1)
            del self._merged[state], self._worth[state]
            for x, (block, worth) in before.items():
                self._merged[x], self._worth[x] = block, worth

    def _options(self, block: int) -> list[tuple[int, int, int]]:
        """Where to place one more block: total leaves then, state, and all that is there; most leaves first.

        Of free states that are alike one is tried.
        """
        free: dict[int, int] = {}
        for state, kind in enumerate(self._kinds):
            if state not in self._merged:
                free.setdefault(kind, state)
        placed = sum(self._worth.values())
        options = []
        for state in (*free.values(), *self._merged):
            merged = self._merged.get(state, 0) | block
            parts = self._suffixes.split(self._level, merged, state)
            worth = sum(self._trees.leaves(self._level + 1, part) for part in parts)
            options.append((placed - self._worth.get(state, 0) + worth, state, merged))
        return sorted(options, key=lambda option: -option[0])
