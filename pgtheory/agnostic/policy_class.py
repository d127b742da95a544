"""A finite class of deterministic policies over layered states, as bit-packed tables."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from pgtheory.agnostic.layered_mdp import LayeredMDP
from pgtheory.mdp import validate

MAX_ACTIONS = 256


class PolicyClass:
    r"""A non-empty set of deterministic Markov policies :math:`\pi:\bigsqcup_h\mathcal S_h\to\mathcal A`.

    Parameters
    ----------
    actions : sequence of H integer arrays [n, S_h]
        The action of every policy in every state of layer h. Policies that occur twice are kept once, at
        their first place.
    n_actions : int
        A; the actions are 0..A-1.
    name : str, optional
        Shown by ``repr`` and on figures.

    Attributes
    ----------
    packed : tuple of H uint64 arrays [S_h, A, ceil(n / 64)]
        Bit ``i % 64`` of word ``i // 64`` says that policy i plays a in s: the stored table, read-only.
    sizes : tuple of int
        Number of states of each layer.
    horizon, n_actions : int
        H and A.
    name : str

    Raises
    ------
    TypeError, ValueError
        If the class is empty, or a policy is undefined on a state (missing, NaN or not an action).
    """

    def __init__(self, actions: Sequence[Any], n_actions: int = 2, *, name: str = "") -> None:
        self.n_actions = validate.positive_integer("n_actions", n_actions)
        if self.n_actions > MAX_ACTIONS:
            raise ValueError(f"n_actions must be at most {MAX_ACTIONS}, got {n_actions}")
        given = validate.sequence("actions", actions, "integer arrays [n, S_h]")
        if not given:
            raise ValueError("actions must hold at least one layer, got none")
        tables = [self._table(h, x) for h, x in enumerate(given)]
        if len({len(x) for x in tables}) > 1:
            raise ValueError(
                "actions must list every policy in every layer, got "
                f"{[len(x) for x in tables]} policies by layer: some are undefined on some states"
            )
        tables = _without_repeats(tables)
        self._n = len(tables[0])
        self.sizes = tuple(x.shape[1] for x in tables)
        self.horizon = len(tables)
        self.name = str(name)
        self.packed = tuple(_pack(x, self.n_actions) for x in tables)
        for words in self.packed:
            words.flags.writeable = False

    def _table(self, h: int, value: Any) -> np.ndarray:
        array = validate.numbers(f"actions[{h}]", value)
        if array.ndim != 2 or array.shape[1] == 0:
            raise ValueError(f"actions[{h}] must have shape [n, S_h], got {list(array.shape)}")
        if len(array) == 0:
            raise ValueError(f"a policy class must hold at least one policy, got none in actions[{h}]")
        defined = (array >= 0) & (array < self.n_actions) & (array == np.rint(array))
        if not defined.all():
            i, s = (int(x) for x in np.argwhere(~defined)[0])
            raise ValueError(
                f"every policy must play an action 0..{self.n_actions - 1} in every state, but policy {i} is "
                f"undefined in state {s} of layer {h + 1}: actions[{h}][{i}, {s}] = {array[i, s]}"
            )
        return array.astype(np.uint8)

    # -- reading --------------------------------------------------------------------------------------------

    def __len__(self) -> int:
        return self._n

    def __repr__(self) -> str:
        sizes = self.sizes[0] if len(set(self.sizes)) == 1 else list(self.sizes)
        label = f"{self.name}: " if self.name else ""
        return f"PolicyClass({label}{len(self)} policies, H={self.horizon}, S={sizes}, A={self.n_actions})"

    @cached_property
    def actions(self) -> tuple[np.ndarray, ...]:
        """Unpacked: H arrays [n, S_h] of uint8, as ``LayeredMDP.evaluate`` takes them."""
        tables = []
        for words in self.packed:
            bits = np.unpackbits(words.view(np.uint8), axis=-1, count=self._n, bitorder="little")
            table = np.ascontiguousarray(bits.argmax(1).T.astype(np.uint8))
            table.flags.writeable = False
            tables.append(table)
        return tuple(tables)

    @cached_property
    def masks(self) -> tuple[tuple[tuple[int, ...], ...], ...]:
        """The table as Python integers ``masks[h][s][a]``: bit i is set if policy i plays a in s."""
        return tuple(
            tuple(tuple(int.from_bytes(row.tobytes(), "little") for row in state) for state in words)
            for words in self.packed
        )

    @property
    def everyone(self) -> int:
        """The mask of the whole class."""
        return (1 << self._n) - 1

    def policy(self, i: int) -> tuple[np.ndarray, ...]:
        """Policy i alone: H arrays [1, S_h], as ``LayeredMDP.evaluate`` takes them."""
        i = validate.index("i", i, self._n)
        return tuple(table[i : i + 1] for table in self.actions)

    def index(self, actions: Sequence[Any]) -> int | None:
        """Where in the class a policy stands, given as H arrays [S_h]; None if it does not."""
        found = self.everyone
        for h, row in enumerate(validate.sequence("actions", actions, "integer arrays [S_h]")):
            row = validate.indices(f"actions[{h}]", row, (self.sizes[h],), "[S_h]", 0, self.n_actions - 1)
            for s, a in enumerate(row):
                found &= self.masks[h][s][a]
        return found.bit_length() - 1 if found else None

    # -- new classes from old ones -----------------------------------------------------------------------------

    def __or__(self, other: PolicyClass) -> PolicyClass:
        """Union with a class over the same states and actions; policies of this one come first."""
        validate.instance_of("other", other, PolicyClass)
        if (self.sizes, self.n_actions) != (other.sizes, other.n_actions):
            raise ValueError(
                f"classes in a union must share states and actions, got {self.sizes} states with "
                f"{self.n_actions} actions and {other.sizes} with {other.n_actions}"
            )
        both = [np.concatenate(pair) for pair in zip(self.actions, other.actions)]
        return PolicyClass(both, self.n_actions, name=" ∪ ".join(filter(None, (self.name, other.name))))

    def subset(self, policies: Iterable[int]) -> PolicyClass:
        """The policies with these indices."""
        chosen = [
            validate.index("policies", i, self._n)
            for i in validate.sequence("policies", policies, "integers")
        ]
        if not chosen:
            raise ValueError("a policy class must hold at least one policy, got no indices in policies")
        return PolicyClass([x[chosen] for x in self.actions], self.n_actions, name=self.name)

    def sample(self, n: int, rng: np.random.Generator) -> PolicyClass:
        """A class of ``n`` different policies of this one, drawn uniformly."""
        n = validate.positive_integer("n", n)
        if n > self._n:
            raise ValueError(f"n must be at most the {self._n} policies of the class, got {n}")
        return self.subset(np.sort(rng.choice(self._n, n, replace=False)))

    def restrict(self, states: Sequence[Sequence[int]]) -> PolicyClass:
        """The class on fewer states: for each layer the states to keep. Policies that now agree become one."""
        layers = validate.sequence("states", states, "lists of states, one per layer")
        if len(layers) != self.horizon:
            raise ValueError(f"states must hold {self.horizon} lists, one per layer, got {len(layers)}")
        tables = []
        for h, (table, kept) in enumerate(zip(self.actions, layers)):
            chosen = [validate.index(f"states[{h}]", s, self.sizes[h]) for s in kept]
            if not chosen or len(set(chosen)) < len(chosen):
                raise ValueError(f"states[{h}] must list at least one state and none twice, got {chosen}")
            tables.append(table[:, chosen])
        return PolicyClass(tables, self.n_actions, name=self.name)

    def check_fits(self, mdp: LayeredMDP) -> None:
        """Refuse an MDP with other layers or actions than those that the policies are defined on."""
        validate.instance_of("mdp", mdp, LayeredMDP)
        if (self.sizes, self.n_actions) != (mdp.sizes, mdp.n_actions):
            raise ValueError(
                f"mdp must have {list(self.sizes)} states by layer and {self.n_actions} actions, as the policies do, "
                f"got {list(mdp.sizes)} and {mdp.n_actions}"
            )


def _without_repeats(tables: list[np.ndarray]) -> list[np.ndarray]:
    rows = np.ascontiguousarray(np.concatenate(tables, 1))
    _, first = np.unique(rows.view(np.dtype((np.void, rows.shape[1]))).ravel(), return_index=True)
    kept = np.sort(first)
    return tables if len(kept) == len(rows) else [x[kept] for x in tables]


def _pack(table: np.ndarray, n_actions: int) -> np.ndarray:
    """Words [S, A, ceil(n / 64)] of a table [n, S]."""
    n = len(table)
    plays = np.zeros((table.shape[1], n_actions, -(-n // 64) * 64), bool)
    for a in range(n_actions):
        plays[:, a, :n] = (table == a).T
    return np.packbits(plays, axis=-1, bitorder="little").view(np.uint64)
