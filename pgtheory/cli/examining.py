"""``pgtheory examine``: what recipes do in expectation, beside the same of other libraries."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

from pgtheory.cli.usage import UsageError


def examine_recipes(
    names: Sequence[str], *, group_size: int, p: Sequence[float], as_json: bool, libraries: bool
) -> int:
    """Print the exact laws of the named recipes' updates for right-or-wrong answers.

    Raises
    ------
    UsageError
        For a recipe that does not exist, and for chances that are not strictly between 0 and 1.
    """
    from pgtheory.objectives import RECIPES
    from pgtheory.oracle import examine
    from pgtheory.oracle.adapters import counterparts

    chosen = list(RECIPES) if "all" in names else list(dict.fromkeys(names))
    unknown = [name for name in chosen if name not in RECIPES]
    if unknown:
        raise UsageError(f"no recipe {unknown[0]!r}; there are: {', '.join(RECIPES)}, and 'all'")
    wrong = [chance for chance in p if not 0 < chance < 1]
    if wrong:
        raise UsageError(f"--p must lie strictly between 0 and 1, got {wrong[0]:g}")
    if group_size == 1 and any(RECIPES[name].mixed_only for name in chosen):
        raise UsageError(
            "--group-size must be at least 2: dynamic sampling would wait for ever for unequal rewards"
        )
    found = []
    for name in chosen:
        objectives: list[Any] = [RECIPES[name], *(counterparts(name) if libraries else ())]
        for objective in objectives:
            found.append(examine(objective, group_size=group_size, p=p))
            if not as_json:
                print(found[-1], end="\n\n")
    if as_json:
        records = [
            {"objective": one.name, "group_size": group_size, "rows": [_finite(row) for row in one.rows()]}
            for one in found
        ]
        print(json.dumps(records, indent=2, allow_nan=False))
    return 0


def _finite(row: dict[str, Any]) -> dict[str, Any]:
    """The row as JSON can hold it: null for what is infinite or undefined."""
    return {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in row.items()}
