"""Did the numbers move? Fresh numbers behind the figures beside those that were stored."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pgtheory.cli.reports import NotebookReport, read_report
from pgtheory.evidence.compare import compare_numbers, load_numbers


@dataclass(frozen=True)
class Stored:
    """The numbers of a folder at one moment.

    Attributes
    ----------
    reports : mapping of str to NotebookReport
        By notebook.
    numbers : mapping of str to mapping
        By figure; a figure whose numbers cannot be read is left out.
    """

    reports: Mapping[str, NotebookReport]
    numbers: Mapping[str, Mapping[str, Any]]


@dataclass
class Drift:
    """The result of a comparison.

    Attributes
    ----------
    compared : int
        Figures whose numbers were compared.
    differences : list of str
        What differs beyond the stored tolerances.
    unmatched : list of str
        Figures that only one side has.
    other_profile : list of str
        Notebooks that were stored in another profile, which says nothing about this one.
    """

    compared: int = 0
    differences: list[str] = field(default_factory=list)
    unmatched: list[str] = field(default_factory=list)
    other_profile: list[str] = field(default_factory=list)

    @property
    def passes(self) -> bool:
        """Whether a check of the numbers passes; one that had nothing to compare with does not."""
        if self.other_profile and not self.compared:
            return False
        return not self.differences and not self.unmatched


def remember(folder: Path) -> Stored:
    """Read the reports and the numbers of a folder, before a run replaces them; damaged ones count as missing."""
    reports, numbers = {}, {}
    for path in sorted((folder / "reports").glob("*.json")):
        try:
            report = read_report(path)
        except ValueError:
            continue
        reports[report.notebook] = report
        for figure in report.figures:
            try:
                numbers[figure.name] = load_numbers(folder / f"{figure.name}.json")
            except (OSError, ValueError):
                continue
    return Stored(reports, numbers)


def compare(stored: Stored, fresh: Iterable[NotebookReport], out: Path, check: bool) -> Drift:
    """Compare the numbers of freshly run notebooks with the stored ones of the same profile.

    Parameters
    ----------
    stored
        What `remember` returned.
    fresh
        Reports of the notebooks to compare.
    out
        Folder of the fresh numbers.
    check
        Whether the numbers are being checked, and what could not be compared matters.
    """
    drift = Drift()
    for report in fresh:
        before = stored.reports.get(report.notebook)
        if before is None:
            drift.unmatched += [f"{figure.name}: nothing stored" for figure in report.figures]
        elif before.profile != report.profile:
            drift.other_profile.append(
                f"{report.notebook}: stored in the profile {before.profile!r}, run in {report.profile!r}"
            )
        else:
            _compare_figures(drift, stored, before, report, out)
    return drift if check else Drift(drift.compared, drift.differences)


def _compare_figures(
    drift: Drift, stored: Stored, before: NotebookReport, now: NotebookReport, out: Path
) -> None:
    names_now = [figure.name for figure in now.figures]
    for name in names_now:
        if name not in stored.numbers:
            drift.unmatched.append(f"{name}: nothing stored")
            continue
        drift.compared += 1
        fresh = load_numbers(out / f"{name}.json")
        drift.differences += [f"{name}: {line}" for line in compare_numbers(stored.numbers[name], fresh)]
    for figure in before.figures:
        if figure.name not in names_now:
            drift.unmatched.append(f"{figure.name}: stored, but {now.notebook} no longer makes it")
