"""The end of a reproduction in words: a table, what went wrong, one closing line."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import indent

from pgtheory.cli.drift import Drift
from pgtheory.cli.reports import NotebookReport
from pgtheory.evidence.claims import Claim

HEADINGS = ("notebook", "status", "seconds", "figures", "claims")


@dataclass(frozen=True)
class Result:
    """What became of one selected notebook.

    Attributes
    ----------
    name : str
        The notebook.
    status : str
        ``"ran"``, ``"kept"`` or ``"failed"``.
    seconds : float
        Wall-clock time of its run; of the earlier run for a kept one.
    report : NotebookReport or None
        What it reported; None when it failed.
    error : str
        Why it failed; empty otherwise.
    """

    name: str
    status: str
    seconds: float
    report: NotebookReport | None = None
    error: str = ""


def all_claims(results: Iterable[Result]) -> list[Claim]:
    """The claims of the notebooks that did not fail."""
    return [claim for result in results if result.report for claim in result.report.claims]


def format_summary(results: Sequence[Result], drift: Drift, notes: Sequence[str], page: Path) -> str:
    """Return the whole summary as text.

    Parameters
    ----------
    results
        One entry for each selected notebook.
    drift
        How the fresh numbers compare with the stored ones.
    notes
        Anything else to say, a paragraph each.
    page
        The gallery, for the closing line.
    """
    blocks = [_table(results)]
    blocks += [
        f"✗ {result.name} failed:\n{indent(result.error, '    ')}" for result in results if result.error
    ]
    blocks += [_claim_block(claim) for claim in all_claims(results) if claim.verdict != "holds"]
    blocks += _list_block("numbers that differ from the stored ones", drift.differences)
    blocks += _list_block("figures with numbers on one side only", drift.unmatched)
    blocks += _list_block("numbers not compared", drift.other_profile)
    return "\n\n".join([*blocks, *notes, closing_line(results, page)])


def closing_line(results: Sequence[Result], page: Path) -> str:
    """Return the one line that says it all."""
    failed = sum(result.status == "failed" for result in results)
    notebooks = f"{len(results)} notebook{'s'[: len(results) != 1]}: {len(results) - failed} ok"
    if failed:
        notebooks += f", {failed} failed"
    return f"{notebooks} · {count_claims(all_claims(results))} · {page}"


def count_claims(claims: Sequence[Claim]) -> str:
    """Return how many claims hold, are declared as not reproduced, and fail."""
    verdicts = [claim.verdict for claim in claims]
    holding, failing = verdicts.count("holds"), verdicts.count("fails")
    declared = len(claims) - holding - failing
    return (
        f"{len(claims)} claim{'s'[: len(claims) != 1]}: "
        f"{holding} hold, {declared} declared not reproduced, {failing} fail"
    )


def _table(results: Sequence[Result]) -> str:
    rows = [HEADINGS, *map(_row, results)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADINGS))]
    lines = []
    for row in rows:
        texts = [cell.ljust(width) for cell, width in zip(row[:2], widths)]
        numbers = [cell.rjust(width) for cell, width in zip(row[2:], widths[2:])]
        lines.append("  ".join([*texts, *numbers]))
    return "\n".join(lines)


def _row(result: Result) -> tuple[str, ...]:
    figures, claims = "–", "–"
    if result.report:
        figures = str(len(result.report.figures))
        holding = sum(claim.verdict == "holds" for claim in result.report.claims)
        claims = f"{holding}/{len(result.report.claims)}"
    return result.name, result.status, f"{result.seconds:.1f}", figures, claims


def _claim_block(claim: Claim) -> str:
    mark = "✗" if claim.verdict == "fails" else "○"
    lines = [
        f"{mark} {claim.id} {claim.verdict}: {claim.statement} ({claim.source})",
        f"    measured {claim.result}",
    ]
    if claim.declared:
        lines.append(f"    declared: {claim.declared}")
    return "\n".join(lines)


def _list_block(heading: str, lines: Sequence[str]) -> list[str]:
    return ["\n    ".join([f"{heading}:", *lines])] if lines else []
