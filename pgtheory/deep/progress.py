"""A bar over environment steps: how far, how fast, how long still, and the recent return."""

from __future__ import annotations

import math
from types import TracebackType
from typing import Any, TextIO

from pgtheory.mdp import validate


class Progress:
    """A progress bar for training. A context manager that leaves the finished bar on the terminal.

    Parameters
    ----------
    total
        Environment steps of the whole run.
    initial
        Steps done before, in a run that goes on; speed and remaining time count only the new ones.
    shown
        False draws nothing.
    file
        Where to draw; standard error by default.
    """

    def __init__(
        self, total: int, *, initial: int = 0, shown: bool = True, file: TextIO | None = None
    ) -> None:
        from tqdm import tqdm

        self._bar: Any = tqdm(
            total=validate.positive_integer("total", total),
            initial=validate.positive_integer("initial", initial, 0),
            unit=" steps",
            unit_scale=True,
            dynamic_ncols=True,
            disable=not validate.flag("shown", shown),
            file=file,
        )

    def update(self, steps: int, recent_return: float = math.nan) -> None:
        """Add environment steps; a return that is NaN, as before the first episode ends, is left as it was."""
        if not math.isnan(recent_return):
            self._bar.set_postfix({"return": f"{recent_return:.4g}"}, refresh=False)
        self._bar.update(steps)

    def close(self) -> None:
        """Draw the bar once more, and end its line."""
        self._bar.close()

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
