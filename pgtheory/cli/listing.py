"""``pgtheory list``: what there is, one line each."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from typing import Any

from pgtheory.cli.ledger import load_ledger
from pgtheory.cli.notebooks import discover


def list_mdps() -> int:
    """Print the named MDPs and what each is."""
    from pgtheory import mdp

    return _print_pairs((name, mdp.describe(name)) for name in mdp.names())


def list_recipes() -> int:
    """Print the recipes: credit, surrogate, aggregate, KL penalty, source."""
    from pgtheory.objectives import RECIPES

    rows = [("name", "credit", "surrogate", "aggregate", "kl", "paper")]
    for recipe in RECIPES.values():
        parts = (recipe.credit, recipe.surrogate, recipe.aggregate, recipe.kl)
        rows.append((recipe.name, *map(_part, parts), recipe.paper))
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        print("  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths)).rstrip())
    return 0


def list_notebooks(folder: Path) -> int:
    """Print the notebooks and what each asks."""
    return _print_pairs((notebook.name, notebook.question) for notebook in discover(folder))


def list_claims(folder: Path) -> int:
    """Print the claims of the ledger and how each came out."""
    return _print_pairs((claim.id, claim.verdict) for claim in load_ledger(folder))


def _print_pairs(pairs: Iterable[tuple[str, str]]) -> int:
    rows = list(pairs)
    width = max((len(name) for name, _ in rows), default=0)
    for name, text in rows:
        print(f"{name:<{width}}  {text}")
    return 0


def _part(value: Any) -> str:
    """A part of a recipe by its name, with the fields that differ from their defaults."""
    if value is None:
        return "-"
    if not is_dataclass(value):
        return value.__name__
    required = {f.name: getattr(value, f.name) for f in fields(value) if f.default is MISSING}
    kind: Any = type(value)
    plain = kind(**required)
    given = [
        f"{f.name}={getattr(value, f.name)}"
        for f in fields(value)
        if f.name in required or getattr(value, f.name) != getattr(plain, f.name)
    ]
    return kind.__name__ + (f"({', '.join(given)})" if given else "")
