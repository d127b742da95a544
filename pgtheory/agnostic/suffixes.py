"""What the policies of a class can still do from a layer on: the positions of the search for spanning capacity.

Policies that agree from layer k to the target layer are one *behaviour* of level k. A *block* of level k is the set
of behaviours present at one state–action pair of layer k-1, as the bits of an integer; level 0 has one block, the
whole class, before the first state is chosen.
"""

from __future__ import annotations

import numpy as np

from pgtheory.agnostic.policy_class import PolicyClass
from pgtheory.agnostic.search_budget import Meter

Blocks = tuple[int, ...]
"""Blocks of one level, sorted."""


class Suffixes:
    """Behaviours of all levels up to the pairs of layer index ``target``, and how states split them.

    Attributes
    ----------
    sizes : tuple of int
        States of the layers 0..target.
    everyone : int
        The block of level 0.
    branching : tuple of lists of int
        For each layer, how many actions the class plays in each state, largest first.
    """

    def __init__(self, policies: PolicyClass, target: int, meter: Meter) -> None:
        self._meter = meter
        self.target = target
        self.sizes = policies.sizes[: target + 1]
        self.branching = [
            sorted((sum(m > 0 for m in state) for state in layer), reverse=True)
            for layer in policies.masks[: target + 1]
        ]
        self._actions: list[list[np.ndarray]] = []  # [level][state][behaviour]
        self._next: list[np.ndarray] = []  # [level][behaviour] -> behaviour of the next level
        self._rows: list[list[np.ndarray]] = []  # [level][layer - level]: [behaviours, S]
        self._find: list[dict[bytes, int]] = []
        tables = [np.ascontiguousarray(x) for x in policies.actions[: target + 1]]
        number = None
        for level in range(target + 1):
            rows = np.ascontiguousarray(np.concatenate(tables[level:], 1))
            keys = rows.view(np.dtype((np.void, rows.shape[1]))).ravel()
            _, first, of = np.unique(keys, return_index=True, return_inverse=True)
            if number is not None:
                self._next.append(of[number])
            number = first
            own = [x[first] for x in tables[level:]]
            self._rows.append(own)
            self._find.append({rows[i].tobytes(): b for b, i in enumerate(first)})
            self._actions.append([np.ascontiguousarray(column) for column in own[0].T])
        self._next.append(np.zeros(len(self._rows[-1][0]), np.intp))
        self.everyone = (1 << len(self._rows[0][0])) - 1
        self._split: dict[tuple[int, int, int], tuple[int, ...]] = {}
        self._kept: dict[tuple[int, int, int, int], bool] = {}
        self._swaps: dict[tuple[int, int, int], list[np.ndarray]] = {}

    def split(self, level: int, block: int, state: int) -> tuple[int, ...]:
        """Blocks of the next level, one for each action that behaviours of ``block`` play in ``state``."""
        key = (level, block, state)
        found = self._split.get(key)
        if found is None:
            present = _bits(block)
            actions = self._actions[level][state][present]
            following = self._next[level][present]
            size = len(self._actions[level + 1][0]) if level < self.target else 1
            found = tuple(_block(following[actions == a], size) for a in np.unique(actions))
            self._meter.note(150 + block.bit_length() // 8)
            self._split[key] = found
        return found

    def actions(self, level: int, block: int, state: int) -> list[int]:
        """Actions that behaviours of ``block`` play in ``state``, in the order of ``split``."""
        return [int(a) for a in np.unique(self._actions[level][state][_bits(block)])]

    def bound(self, level: int, blocks: int) -> int:
        """At most so many pairs of the target layer, from this number of blocks of a level.

        With n blocks, at most n states of the layer are reached, so at most as many pairs as the n most
        branching states have actions in use.
        """
        for layer in range(level, self.target + 1):
            blocks = sum(self.branching[layer][:blocks])
        return blocks

    def alike(self, level: int, blocks: tuple[int, ...]) -> list[int]:
        """For each state of the layer, the first one that can be exchanged for it without changing any block.

        Two states can be exchanged if they split every block alike, or if swapping them, in this layer or in
        this and all later ones, maps every block to itself.
        """
        union = 0
        for block in blocks:
            union |= block
        present = _bits(union)
        columns = [x[present].tobytes() for x in self._actions[level]]
        kinds: list[int] = []
        firsts: list[int] = []
        for s in range(self.sizes[level]):
            kind = next(
                (
                    f
                    for f in firsts
                    if columns[f] == columns[s]
                    or any(
                        self._keeps(level, f, s, way, blocks) for way in range(len(self._ways(level, f, s)))
                    )
                ),
                s,
            )
            if kind == s:
                firsts.append(s)
            kinds.append(kind)
        return kinds

    def _keeps(self, level: int, s: int, t: int, way: int, blocks: tuple[int, ...]) -> bool:
        swap = self._ways(level, s, t)[way]
        return all(self._keeps_block(level, s * self.sizes[level] + t, way, b, swap) for b in blocks)

    def _keeps_block(self, level: int, pair: int, way: int, block: int, swap: np.ndarray) -> bool:
        key = (level, pair, way, block)
        found = self._kept.get(key)
        if found is None:
            present = _bits(block)
            image = swap[present]
            found = bool((image >= 0).all()) and bool(np.isin(image, present).all())
            self._meter.note(150)
            self._kept[key] = found
        return found

    def _ways(self, level: int, s: int, t: int) -> list[np.ndarray]:
        """Where behaviours go when s and t swap in this layer, or in this and all later ones; -1: to no behaviour."""
        key = (level, s, t)
        found = self._swaps.get(key)
        if found is None:
            found = [self._images(level, s, t, level + 1)]
            if level < self.target and min(self.sizes[level:]) > t:
                found.append(self._images(level, s, t, self.target + 1))
            self._meter.charge(sum(images.nbytes for images in found))
            self._swaps[key] = found
        return found

    def _images(self, level: int, s: int, t: int, end: int) -> np.ndarray:
        swapped = [x.copy() if level + i < end else x for i, x in enumerate(self._rows[level])]
        for x in swapped[: end - level]:
            x[:, [s, t]] = x[:, [t, s]]
        rows = np.ascontiguousarray(np.concatenate(swapped, 1))
        return np.array([self._find[level].get(row.tobytes(), -1) for row in rows])


def _bits(block: int) -> np.ndarray:
    """Positions of the bits that are set."""
    data = np.frombuffer(block.to_bytes(-(-block.bit_length() // 8), "little"), np.uint8)
    return np.flatnonzero(np.unpackbits(data, bitorder="little"))


def _block(behaviours: np.ndarray, size: int) -> int:
    present = np.zeros(size, bool)
    present[behaviours] = True
    return int.from_bytes(np.packbits(present, bitorder="little").tobytes(), "little")
