"""Evidence: runs with progress and resume, honest statistics, claims, figures with their numbers.

Nothing here knows any single paper. Matplotlib, xarray, SciPy and joblib are imported on first use.
"""

from pgtheory.evidence import figures
from pgtheory.evidence.atomic import write_atomic
from pgtheory.evidence.claims import (
    Claim,
    format_table,
    merge_reports,
    read_ledger,
    to_markdown,
    write_ledger,
)
from pgtheory.evidence.compare import compare_numbers, load_numbers
from pgtheory.evidence.figures import style, use_style
from pgtheory.evidence.intervals import Estimate
from pgtheory.evidence.report import Report
from pgtheory.evidence.runner import CellError, run
from pgtheory.evidence.statistics import (
    Paired,
    iqm,
    linear_rate,
    loglog_slope,
    median,
    paired,
    summary,
)
from pgtheory.evidence.store import CorruptResultError

__all__ = [
    "CellError",
    "Claim",
    "CorruptResultError",
    "Estimate",
    "Paired",
    "Report",
    "compare_numbers",
    "figures",
    "format_table",
    "iqm",
    "linear_rate",
    "load_numbers",
    "loglog_slope",
    "median",
    "merge_reports",
    "paired",
    "read_ledger",
    "run",
    "style",
    "summary",
    "to_markdown",
    "use_style",
    "write_atomic",
    "write_ledger",
]
