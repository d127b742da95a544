"""One figure style, and figures saved with the numbers behind them."""

from __future__ import annotations

import contextlib
import io
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pgtheory.evidence.atomic import write_together
from pgtheory.evidence.compare import json_number

if TYPE_CHECKING:
    from matplotlib.figure import Figure

OKABE_ITO = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#F0E442")
"""Okabe and Ito's colours, told apart by colour-blind readers; yellow last, faint on white."""

MAX_NUMBERS = 20_000
"""What still makes a small text file."""

_STYLE: dict[str, Any] = {
    "figure.figsize": (6.4, 4.0),
    "figure.constrained_layout.use": True,
    "font.size": 11,
    "axes.titlesize": 12,
    "axes.labelsize": 11,
    "xtick.labelsize": 10,
    "ytick.labelsize": 10,
    "legend.fontsize": 10,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#dddddd",
    "grid.linewidth": 0.6,
    "lines.linewidth": 1.8,
    "svg.hashsalt": "pgtheory",
}
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")


def use_style() -> None:
    """Make the package's figure style the default for this process."""
    import matplotlib

    matplotlib.rcParams.update(_with_cycle())


@contextlib.contextmanager
def style() -> Iterator[None]:
    """Use the package's figure style inside a ``with`` block."""
    import matplotlib

    with matplotlib.rc_context(_with_cycle()):
        yield


def save(
    fig: Figure,
    folder: str | Path,
    name: str,
    *,
    data: Any,
    caption: str,
    rtol: float,
    atol: float = 0.0,
    volatile: Sequence[str] = (),
    meta: Mapping[str, Any] | None = None,
) -> list[Path]:
    """Write ``name.svg``, ``name.png`` and ``name.json``: the picture and the numbers behind it.

    Same figure, same machine → the same bytes: no dates, no versions, fixed identifiers. Everything is
    rendered before anything is written, so a failure leaves the three old files as they were. Saving fixes
    the figure's layout.

    Parameters
    ----------
    data
        Series by name: arrays or lists of one or two dimensions, of numbers or strings; or an xarray
        object, whose variables and coordinates become series. Together at most :data:`MAX_NUMBERS`.
    caption
        What the figure shows, error bands included.
    rtol, atol
        How far a fresh quick run may be from these numbers (:func:`pgtheory.evidence.compare_numbers`).
    volatile
        Series that change from run to run (timings) and are not compared.
    meta
        Anything else that JSON can hold, kept under "meta".

    Returns
    -------
    list of Path
        The three files.

    Raises
    ------
    ValueError, TypeError
        For names, captions, tolerances or data that do not fit.
    OSError
        When the folder cannot be written.
    """
    check_name("name", name)
    if not isinstance(caption, str) or not caption.strip():
        raise ValueError(f"caption must say what the figure shows and what its bands are, got {caption!r}")
    for label, tolerance in (("rtol", rtol), ("atol", atol)):
        if not 0 <= tolerance < math.inf:
            raise ValueError(f"{label} must be a finite non-negative number, got {tolerance!r}")
    series = _series(data)
    if isinstance(volatile, str) or not set(volatile) <= series.keys():
        raise ValueError(f"volatile must list series among {sorted(series)}, got {volatile!r}")
    header = {"figure": name, "caption": caption, "rtol": float(rtol), "atol": float(atol)}
    header |= {"volatile": list(volatile)} | ({"meta": dict(meta)} if meta else {})
    svg, png = _render(fig)
    stem = Path(folder) / name
    text = _text(header, series)
    return write_together(
        {stem.with_suffix(".svg"): svg, stem.with_suffix(".png"): png, stem.with_suffix(".json"): text}
    )


def check_name(argument: str, value: Any) -> str:
    """Refuse what cannot be a file's name on every system; returns the value."""
    if not isinstance(value, str) or not _NAME.fullmatch(value):
        raise ValueError(f"{argument} must be letters, digits, '-' and '_' such as 'npg-rate', got {value!r}")
    return value


def _with_cycle() -> Any:  # Matplotlib types these keys as a closed list
    from cycler import cycler

    return _STYLE | {"axes.prop_cycle": cycler(color=OKABE_ITO)}


def _render(fig: Figure) -> tuple[bytes, bytes]:
    import matplotlib

    if not hasattr(fig, "savefig"):
        raise TypeError(f"fig must be a Matplotlib figure, got {type(fig).__name__}")
    if fig.get_layout_engine() is not None:
        # automatic layout moves a little at every draw; fixed, both files and all later ones agree
        fig.draw_without_rendering()
        fig.set_layout_engine("none")
    svg, png = io.BytesIO(), io.BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": _STYLE["svg.hashsalt"]}):
        fig.savefig(svg, format="svg", metadata={"Date": None, "Creator": None})
        fig.savefig(png, format="png", dpi=160, metadata={"Software": None})
    return svg.getvalue(), png.getvalue()


def _series(data: Any) -> dict[str, np.ndarray]:
    """The data as named arrays of numbers or strings, checked."""
    import xarray

    if isinstance(data, xarray.DataArray):
        data = data.to_dataset(name=data.name or "value")
    if isinstance(data, xarray.Dataset):
        data = {str(name): variable.values for name, variable in data.variables.items()}
    if not isinstance(data, Mapping) or not data:
        raise TypeError(f"data must be a non-empty mapping of series or an xarray object, got {data!r}")
    series = {name: _array(name, values) for name, values in data.items()}
    total = sum(values.size for values in series.values())
    if total > MAX_NUMBERS:
        raise ValueError(
            f"data holds {total} numbers, at most {MAX_NUMBERS} make a small text file: thin the curves or "
            "keep a summary over seeds"
        )
    return series


def _array(name: Any, values: Any) -> np.ndarray:
    if not isinstance(name, str):
        raise TypeError(f"series names must be strings, got {name!r}")
    try:
        array = np.atleast_1d(np.asarray(values))
    except ValueError as error:
        raise ValueError(f"series {name!r} is not rectangular: {error}") from error
    if array.ndim > 2 or array.dtype.kind not in "biufU":
        raise ValueError(
            f"series {name!r} must be numbers or strings in one or two dimensions, got {array.dtype} with "
            f"{array.ndim} dimensions"
        )
    return array


def _text(header: Mapping[str, Any], series: Mapping[str, np.ndarray]) -> str:
    """JSON with one series a line, so that a change of numbers is a readable diff."""
    fields = [f"  {_json(key)}: {_json(value)}" for key, value in header.items()]
    lines = [f"    {_json(name)}: {_json(_plain(values))}" for name, values in series.items()]
    fields.append('  "data": {\n' + ",\n".join(lines) + "\n  }")
    return "{\n" + ",\n".join(fields) + "\n}\n"


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def _plain(values: np.ndarray) -> list[Any]:
    if values.ndim == 2:
        return [_plain(row) for row in values]
    return [json_number(v) for v in values.tolist()] if values.dtype.kind == "f" else values.tolist()
