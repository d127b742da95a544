"""Claims: what a source says, what was measured here, and whether it holds; and the ledger of all claims."""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from pgtheory.evidence.atomic import write_atomic
from pgtheory.evidence.compare import json_number

PROFILES = ("quick", "paper")

_ID = re.compile(r"[a-z0-9]+(?:[-.][a-z0-9]+)*/[a-z0-9]+(?:[-.][a-z0-9]+)*")
_BLANK = {"setup": "", "notebook": "", "declared": None, "figure": None}  # what may be left out
_REBUILD = "run ./paper_repro.sh again to rebuild it"
COLUMNS = {"verdict": 14, "claim": 26, "measured": 22, "n": 5, "statement": 25}  # 100 with the gaps


@dataclass(frozen=True, kw_only=True)
class Claim:
    """One statement of a source beside what was measured.

    Parameters
    ----------
    id
        Topic and claim in lower case, such as ``"stochastic-pg/n-harpg-rate"``.
    source, statement
        Paper and theorem (figure, equation), and what it claims in a sentence.
    measured
        A number, or several by name.
    interval
        Confidence interval of ``measured``, if it has one.
    holds
        Whether the measurement supports the statement: a decision of the code, true or false.
    n, setup
        Number of seeds or instances, and the whole set-up that the measurement depends on.
    declared
        Why this claim is declared as not reproduced; None when it is expected to hold.
    notebook, profile, figure
        Where it was measured, at which scale ("quick" or "paper"), and the figure that shows it.

    Raises
    ------
    ValueError, TypeError
        For any field that does not fit.
    """

    id: str
    source: str
    statement: str
    measured: float | dict[str, float]
    interval: tuple[float, float] | None = None
    holds: bool
    n: int | None = None
    setup: str = ""
    declared: str | None = None
    notebook: str = ""
    profile: str = "quick"
    figure: str | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.id, str) or not _ID.fullmatch(self.id):
            raise ValueError(f"id must be a slug such as 'stochastic-pg/n-harpg-rate', got {self.id!r}")
        for name in ("source", "statement", *_BLANK):
            value = getattr(self, name)
            blank = name in _BLANK and value == _BLANK[name]
            if not blank and not (isinstance(value, str) and value.strip()):
                raise ValueError(f"claim {self.id!r}: {name} must be non-empty text, got {value!r}")
        if self.profile not in PROFILES:
            raise ValueError(f"claim {self.id!r}: profile must be one of {PROFILES}, got {self.profile!r}")
        if not isinstance(self.holds, bool | np.bool_):
            raise TypeError(f"claim {self.id!r}: holds must be True or False, got {self.holds!r}")
        whole = isinstance(self.n, int | np.integer) and not isinstance(self.n, bool)
        if self.n is not None and not (whole and self.n >= 1):
            raise ValueError(f"claim {self.id!r}: n must be a positive integer or None, got {self.n!r}")
        # plain Python values, so that a claim is equal to its copy from the ledger and prints alike
        object.__setattr__(self, "holds", bool(self.holds))
        object.__setattr__(self, "n", None if self.n is None else int(self.n))
        object.__setattr__(self, "measured", _measured(self.id, self.measured))
        object.__setattr__(self, "interval", _interval(self.id, self.interval))

    @property
    def verdict(self) -> str:
        """One of "holds", "not reproduced (declared)" or "fails"."""
        if self.holds:
            return "holds"
        return "not reproduced (declared)" if self.declared else "fails"

    @property
    def ok(self) -> bool:
        """Whether the claim holds or is declared as not reproduced."""
        return self.verdict != "fails"

    @property
    def result(self) -> str:
        """The measurement and its interval as short text."""
        if isinstance(self.measured, dict):
            text = ", ".join(f"{name} {value:.4g}" for name, value in self.measured.items())
        else:
            text = f"{self.measured:.4g}"
        return text if self.interval is None else f"{text} [{self.interval[0]:.4g}, {self.interval[1]:.4g}]"

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready fields: floats at ten significant digits, non-finite ones as "inf", "-inf", "nan"."""
        out = asdict(self) | {"interval": self.interval and [json_number(bound) for bound in self.interval]}
        if isinstance(self.measured, dict):
            return out | {"measured": {name: json_number(value) for name, value in self.measured.items()}}
        return out | {"measured": json_number(self.measured)}

    @classmethod
    def from_dict(cls, entry: Mapping[str, Any]) -> Claim:
        """The claim of :meth:`to_dict`, checked; ValueError for missing or unknown fields."""
        names = {field.name for field in fields(cls)}
        if not isinstance(entry, Mapping) or entry.keys() != names:
            raise ValueError(f"a claim must have exactly the fields {sorted(names)}, got {entry!r}")
        return cls(**entry)


def merge_reports(folder: str | Path) -> list[Claim]:
    """All claims of ``folder/reports/*.json``, sorted by id.

    Raises
    ------
    FileNotFoundError
        When there are no reports.
    ValueError
        When a report is damaged, or two notebooks record the same id.
    """
    paths = sorted((Path(folder) / "reports").glob("*.json"))
    if not paths:
        raise FileNotFoundError(f"no reports in '{Path(folder) / 'reports'}'; run ./paper_repro.sh first")
    return _unique(claim for path in paths for claim in _read(path))


def write_ledger(folder: str | Path) -> Path:
    """Merge the reports of ``folder`` into ``folder/claims.json``, atomically; errors as merging."""
    ledger = {"claims": [claim.to_dict() for claim in merge_reports(folder)]}
    text = json.dumps(ledger, indent=2, ensure_ascii=False, allow_nan=False)
    return write_atomic(Path(folder) / "claims.json", text + "\n")


def read_ledger(path: str | Path) -> list[Claim]:
    """Read the file that :func:`write_ledger` wrote.

    Raises
    ------
    FileNotFoundError
        When there is none.
    ValueError
        When it is truncated or damaged, naming the file and the fix.
    """
    return _unique(_read(Path(path)))


def format_table(claims: Sequence[Claim]) -> str:
    """The claims as a plain-text table that fits 100 columns, with a count of verdicts below."""
    lines = [*_row(list(COLUMNS)), "  ".join("-" * width for width in COLUMNS.values())]
    for claim in claims:
        lines += _row(table_cells(claim))
    return "\n".join([*lines, "", _count(claims)])


def to_markdown(claims: Sequence[Claim]) -> str:
    """The claims as a Markdown table, with a count of verdicts below."""
    lines = ["| " + " | ".join(COLUMNS) + " |", "|" + " --- |" * len(COLUMNS)]
    for claim in claims:
        cells = [" ".join(cell.split()).replace("|", "\\|") for cell in table_cells(claim)]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join([*lines, "", _count(claims), ""])


def table_cells(claim: Claim) -> list[str]:
    """The claim as one row under :data:`COLUMNS`."""
    statement = f"{claim.statement} ({claim.source})"
    if claim.declared and not claim.holds:
        statement += f" Declared: {claim.declared}"
    return [claim.verdict, claim.id, claim.result, "" if claim.n is None else str(claim.n), statement]


def _row(cells: Sequence[str]) -> list[str]:
    widths = list(COLUMNS.values())
    wrapped = [textwrap.wrap(cell, width) for cell, width in zip(cells, widths)]
    height = max(map(len, wrapped))
    padded = [column + [""] * (height - len(column)) for column in wrapped]
    return [
        "  ".join(part.ljust(width) for part, width in zip(line, widths)).rstrip() for line in zip(*padded)
    ]


def _count(claims: Sequence[Claim]) -> str:
    verdicts = [claim.verdict for claim in claims]
    counts = [f"{verdicts.count(verdict)} {verdict}" for verdict in dict.fromkeys(sorted(verdicts))]
    return f"{len(claims)} claims: {', '.join(counts)}" if claims else "no claims"


def _read(path: Path) -> list[Claim]:
    try:
        return [Claim.from_dict(entry) for entry in json.loads(path.read_bytes())["claims"]]
    except FileNotFoundError as error:
        raise FileNotFoundError(f"no ledger of claims at '{path}'; run ./paper_repro.sh first") from error
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError(f"'{path}' is truncated or damaged ({error!r}); {_REBUILD}") from error


def _unique(claims: Iterable[Claim]) -> list[Claim]:
    seen: dict[str, Claim] = {}
    for claim in claims:
        if claim.id in seen:
            notebooks = f"{seen[claim.id].notebook!r} and {claim.notebook!r}"
            raise ValueError(
                f"claim {claim.id!r} is recorded twice, by the notebooks {notebooks}; rename one"
            )
        seen[claim.id] = claim
    return [seen[id] for id in sorted(seen)]


def _number(id: str, name: str, value: Any) -> float:
    if isinstance(value, str) and value in ("nan", "inf", "-inf"):  # as the ledger writes them
        return float(value)
    number = value.item() if isinstance(value, np.generic | np.ndarray) and value.size == 1 else value
    if isinstance(number, bool) or not isinstance(number, int | float):
        raise TypeError(f"claim {id!r}: {name} must be a number, got {value!r}")
    return float(number)


def _measured(id: str, value: Any) -> float | dict[str, float]:
    if not isinstance(value, Mapping):
        return _number(id, "measured", value)
    if not value or not all(isinstance(name, str) for name in value):
        raise TypeError(f"claim {id!r}: measured must be a number or numbers by name, got {value!r}")
    return {name: _number(id, f"measured[{name!r}]", entry) for name, entry in value.items()}


def _interval(id: str, value: Any) -> tuple[float, float] | None:
    if value is None:
        return None
    if not isinstance(value, list | tuple | np.ndarray) or len(value) != 2:
        raise TypeError(f"claim {id!r}: interval must be (low, high) or None, got {value!r}")
    low, high = (_number(id, "interval", bound) for bound in value)
    if not low <= high:
        raise ValueError(f"claim {id!r}: interval must have low <= high, got ({low}, {high})")
    return low, high
