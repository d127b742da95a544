"""What a search may spend: it stops when time, positions or memory run out."""

from __future__ import annotations

import time
from dataclasses import dataclass

from pgtheory.mdp import validate


class BudgetSpent(Exception):
    """The search has to stop here; ``limit`` says which limit was reached."""

    def __init__(self, limit: str) -> None:
        super().__init__(f"the search reached its limit of {limit}")
        self.limit = limit


@dataclass(frozen=True)
class SearchBudget:
    """Limits of one search.

    Attributes
    ----------
    seconds : float
        Wall-clock time.
    positions : int
        Positions remembered, and branches tried.
    megabytes : float
        Memory of what is remembered, as estimated from its size.
    """

    seconds: float = 60.0
    positions: int = 5_000_000
    megabytes: float = 1024.0

    def __post_init__(self) -> None:
        validate.positive("seconds", self.seconds)
        validate.positive_integer("positions", self.positions)
        validate.positive("megabytes", self.megabytes)


class Meter:
    """Counts what a search spends, over all its parts."""

    def __init__(self, budget: SearchBudget) -> None:
        self.budget = budget
        self.positions = 0
        self.bytes = 0
        self._charges = 0
        self._end = time.monotonic() + budget.seconds
        self._deadline = self._end

    def allow(self, share: float) -> None:
        """Let what follows spend this share of the time that is left."""
        now = time.monotonic()
        self._deadline = now + share * (self._end - now)

    def note(self, size: int) -> None:
        """One more position, of ``size`` bytes, that is paid for at the next ``charge``."""
        self.positions += 1
        self.bytes += size

    def charge(self, size: int = 0) -> None:
        """One more position, of ``size`` bytes; BudgetSpent where that is too much."""
        self.note(size)
        self._charges += 1
        if self.positions > self.budget.positions:
            raise BudgetSpent(f"{self.budget.positions} positions")
        if self.bytes > self.budget.megabytes * 2**20:
            raise BudgetSpent(f"{self.budget.megabytes:g} MB")
        if self._charges % 64 == 0 and time.monotonic() > self._deadline:
            raise BudgetSpent(f"{self.budget.seconds:g} s")
