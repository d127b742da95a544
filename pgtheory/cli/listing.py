"""``pgtheory list``: what there is, one line each."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from pgtheory.cli.ledger import load_ledger
from pgtheory.cli.notebooks import discover


def list_mdps() -> int:
    """Print the named MDPs and what each is."""
    from pgtheory import mdp

    return _print_pairs((name, mdp.describe(name)) for name in mdp.names())


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
