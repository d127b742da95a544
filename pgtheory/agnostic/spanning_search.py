r"""The exact search for one layer's spanning capacity over all deterministic MDPs.

In a deterministic MDP every policy follows one path, so all that matters at a layer is which policies are present at
which state–action pair: a collection of disjoint blocks. An MDP chooses a state of the next layer for each block
(blocks sent to one state merge), actions split them, and the value is the number of blocks at the target layer.
"""

from __future__ import annotations

from pgtheory.agnostic.placements import Choice, Placements
from pgtheory.agnostic.search_budget import BudgetSpent, Meter
from pgtheory.agnostic.suffixes import Blocks, Suffixes
from pgtheory.agnostic.trees import Trees


class Search:
    """The most blocks at the target layer, and choices that lead there.

    Attributes
    ----------
    best : int
        The most blocks found so far: a lower bound at any time.
    path : list of Choice
        The choices that give ``best``, one for each layer.
    """

    def __init__(self, suffixes: Suffixes, meter: Meter) -> None:
        self._suffixes, self._meter = suffixes, meter
        self._trees = Trees(suffixes, meter)
        self._known: dict[tuple[int, Blocks], tuple[int, Choice]] = {}
        self.best, self.path = self._descend()

    def run(self) -> int:
        """The exact value; BudgetSpent where the meter stops the search, which leaves ``best`` behind."""
        return self._value(0, (self._suffixes.everyone,), [])

    def tree_bound(self) -> int:
        """Leaves of the largest tree of the whole class."""
        return self._trees.leaves(0, self._suffixes.everyone)

    def _descend(self) -> tuple[int, list[Choice]]:
        """A first solution, without look-ahead: largest blocks first, each to the free state that splits it most."""
        blocks: Blocks = (self._suffixes.everyone,)
        path: list[Choice] = []
        for level in range(self._suffixes.target + 1):
            choice = self._greedy(level, blocks)
            path.append(choice)
            blocks = self._after(level, blocks, choice)
        return len(blocks), path

    def _greedy(self, level: int, blocks: Blocks) -> Choice:
        s = self._suffixes
        free = set(range(s.sizes[level]))
        choice = [0] * len(blocks)
        for i in sorted(range(len(blocks)), key=lambda i: -blocks[i].bit_count()):
            states = free or range(s.sizes[level])
            choice[i] = max(states, key=lambda state: self._spread(level, blocks[i], state))
            free.discard(choice[i])
        return tuple(choice)

    def _spread(self, level: int, block: int, state: int) -> tuple[int, int]:
        parts = self._suffixes.split(level, block, state)
        return len(parts), sum(part.bit_count() for part in parts)

    def _after(self, level: int, blocks: Blocks, choice: Choice) -> Blocks:
        merged: dict[int, int] = {}
        for block, state in zip(blocks, choice):
            merged[state] = merged.get(state, 0) | block
        split = self._suffixes.split
        return tuple(sorted(part for state, block in merged.items() for part in split(level, block, state)))

    def _value(self, level: int, blocks: Blocks, path: list[Choice]) -> int:
        """The most blocks at the target layer from these blocks of a level, reached by these choices."""
        s = self._suffixes
        if level > s.target:
            self._note(len(blocks), path)
            return len(blocks)
        known = self._known.get((level, blocks))
        if known is not None:
            if known[0] > self.best:
                self._note(known[0], path + self._continued(level, blocks))
            return known[0]
        self._meter.charge(200 + sum(block.bit_length() // 8 for block in blocks))
        at_most = min(s.bound(level, len(blocks)), sum(self._trees.leaves(level, b) for b in blocks))
        best = 0
        choice: Choice = ()
        placements = Placements(s, self._trees, self._meter, level, blocks)
        for candidate in placements:
            after = self._after(level, blocks, candidate)
            if s.bound(level + 1, len(after)) <= best:
                continue
            value = self._value(level + 1, after, [*path, candidate])
            if value > best:
                best, choice = value, candidate
                placements.floor = best
                if best == at_most:
                    break
        self._known[level, blocks] = best, choice
        return best

    def _note(self, value: int, path: list[Choice]) -> None:
        if value > self.best:
            self.best, self.path = value, path

    def _continued(self, level: int, blocks: Blocks) -> list[Choice]:
        path = []
        while level <= self._suffixes.target:
            choice = self._known[level, blocks][1]
            path.append(choice)
            level, blocks = level + 1, self._after(level, blocks, choice)
        return path


def search_layer(suffixes: Suffixes, meter: Meter) -> tuple[Search, int | None, str | None]:
    """The search of one layer, its tree bound if that could be had, and which limit stopped it, if one did."""
    search = Search(suffixes, meter)
    tree: int | None = None
    try:
        tree = search.tree_bound()
        search.run()
    except BudgetSpent as spent:
        return search, tree, spent.limit
    return search, tree, None
