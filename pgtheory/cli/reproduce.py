"""``pgtheory reproduce``: bring the notebooks up to date, then collect figures, numbers and claims."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pgtheory.cli.drift import compare, remember
from pgtheory.cli.gallery import write_gallery
from pgtheory.cli.lock import only_one
from pgtheory.cli.notebooks import Notebook, check_kernels, check_parameters, discover, select
from pgtheory.cli.runs import Setting, run_or_keep
from pgtheory.cli.summary import Result, all_claims, format_summary
from pgtheory.cli.usage import UsageError
from pgtheory.evidence.claims import write_ledger

INTERRUPTED = 130


@dataclass(frozen=True)
class Request:
    """What to reproduce.

    Attributes
    ----------
    notebooks : pathlib.Path
        Folder of the notebooks.
    only : tuple of str
        Patterns of notebook names; empty for all.
    setting : Setting
        How they are run, and where the figures go.
    check_against : pathlib.Path or None
        Folder whose stored numbers the fresh ones must equal; None to report differences only.
    """

    notebooks: Path
    only: tuple[str, ...]
    setting: Setting
    check_against: Path | None = None


def reproduce(request: Request) -> int:
    """Carry a request out, print the summary, and return the exit code.

    Returns
    -------
    int
        0 when every selected notebook ran or was kept, every claim of theirs is fine, and so are the
        numbers if they were to be checked; 1 otherwise; 130 when interrupted.

    Raises
    ------
    UsageError
        When the request cannot be carried out; nothing has run then.
    """
    present = discover(request.notebooks)
    selected = select(present, request.only)
    check_parameters(selected, request.setting.parameters)
    check_kernels(selected)
    try:
        with only_one(request.setting.out):
            return _reproduce(request, present, selected)
    except KeyboardInterrupt:
        print(
            "\ninterrupted; the notebooks that finished are kept. "
            "The same command (without --fresh) goes on with the others.",
            file=sys.stderr,
        )
        return INTERRUPTED


def _reproduce(request: Request, present: Sequence[Notebook], selected: Sequence[Notebook]) -> int:
    out, check = request.setting.out, request.check_against is not None
    stored = remember(request.check_against or out)
    if check and not stored.reports:
        raise UsageError(
            f"--check-numbers: no reports, so no stored numbers, in {str(request.check_against)!r}"
        )
    results = run_or_keep(selected, request.setting)
    problems = _collect(out, results)
    compared = [result.report for result in results if result.report and (check or result.status == "ran")]
    drift = compare(stored, compared, out, check)
    notes = [*problems, *_left_behind(out, present)]
    print(format_summary(results, drift, notes, _from_here(out / "index.html")))
    fine = all(claim.ok for claim in all_claims(results)) and not any(result.error for result in results)
    return 0 if fine and not problems and (drift.passes or not check) else 1


def _collect(out: Path, results: Sequence[Result]) -> list[str]:
    """Write the ledger and the gallery; return what stood in the way."""
    try:
        write_gallery(out, {result.name: result.error for result in results if result.error})
        write_ledger(out)
    except FileNotFoundError:
        return []  # no notebook has ever finished here: the table says so already
    except ValueError as error:
        return [f"✗ the claims cannot be collected: {error}"]
    return []


def _left_behind(out: Path, present: Sequence[Notebook]) -> list[str]:
    """Reports of notebooks that were renamed or removed; the ledger still counts their claims."""
    names = {notebook.name for notebook in present}
    stale = [path for path in sorted((out / "reports").glob("*.json")) if path.stem not in names]
    return [f"no notebook is named {path.stem!r}: delete its report, {_from_here(path)}" for path in stale]


def _from_here(path: Path) -> Path:
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path
