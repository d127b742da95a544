"""``pgtheory claims``: the ledger, printed."""

from __future__ import annotations

from pathlib import Path

from pgtheory.cli.usage import UsageError
from pgtheory.evidence.claims import Claim, format_table, read_ledger, to_markdown


def load_ledger(folder: Path) -> list[Claim]:
    """Read the ledger of a reproduction.

    Raises
    ------
    UsageError
        When there is none, or it is damaged, with what to run.
    """
    try:
        return read_ledger(folder / "claims.json")
    except FileNotFoundError:
        raise UsageError(
            f"no ledger of claims in {str(folder)!r}; make it with: pgtheory reproduce --out {folder}"
        ) from None
    except ValueError as error:
        raise UsageError(str(error)) from error


def print_ledger(folder: Path, markdown: bool) -> int:
    """Print the ledger; return 1 when a claim fails, else 0. Raises UsageError without a ledger."""
    claims = load_ledger(folder)
    print(to_markdown(claims) if markdown else format_table(claims))
    return 0 if all(claim.ok for claim in claims) else 1
