"""What a notebook reported: its figures and its claims, as read back from ``reports/<notebook>.json``."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from pgtheory.evidence.claims import Claim

FIGURE_ENDINGS = (".svg", ".png", ".json")


@dataclass(frozen=True)
class Figure:
    """A figure by its name, which its files share, and its caption."""

    name: str
    caption: str


@dataclass(frozen=True)
class NotebookReport:
    """The report of one notebook that was run in one profile."""

    notebook: str
    question: str
    profile: str
    papers: tuple[str, ...]
    figures: tuple[Figure, ...]
    claims: tuple[Claim, ...]

    def files(self) -> list[str]:
        """Files that a run of the notebook leaves, relative to the output folder."""
        of_figures = [figure.name + ending for figure in self.figures for ending in FIGURE_ENDINGS]
        executed = [f"notebooks/{self.notebook}{ending}" for ending in (".ipynb", ".html")]
        return [*of_figures, *executed, f"reports/{self.notebook}.json"]


def report_path(out: Path, notebook: str) -> Path:
    """Where a notebook leaves its report."""
    return out / "reports" / f"{notebook}.json"


def read_report(path: Path) -> NotebookReport:
    """Read one report.

    Raises
    ------
    OSError
        When there is none that can be opened.
    ValueError
        When it is damaged, naming the file.
    """
    try:
        content = json.loads(path.read_bytes())
        return NotebookReport(
            notebook=path.stem,
            question=content["question"],
            profile=content["profile"],
            papers=tuple(content["papers"]),
            figures=tuple(Figure(figure["name"], figure["caption"]) for figure in content["figures"]),
            claims=tuple(Claim.from_dict(claim) for claim in content["claims"]),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{path} is damaged ({type(error).__name__}: {error}); run its notebook again"
        ) from error


def read_reports(out: Path) -> list[NotebookReport]:
    """Read every report in the output folder, by notebook; errors as `read_report`."""
    return [read_report(path) for path in sorted((out / "reports").glob("*.json"))]
