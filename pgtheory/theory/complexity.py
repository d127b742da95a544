r"""How many trajectories each method is proven to need: a table as data.

Rows with a global criterion (:math:`J^*-\mathbb EJ\le\varepsilon` up to the bias floor) are for Fisher-non-degenerate
policies, rows with the stationary one (:math:`\|\nabla J\|\le\varepsilon`) for smooth ones. Table 1 of arXiv:2302.01734
was not seen: provenance says how each row is known, and the assumptions of the papers are not repeated.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from pgtheory.mdp import validate

ABSTRACT = "abstract"
FIELD = "general knowledge, not re-checked"
STUDY = "a study of the paper, second-hand"


@dataclass(frozen=True)
class Complexity:
    r"""A row: trajectories for accuracy :math:`\varepsilon` are :math:`\tilde O(\varepsilon^{-\text{exponent}})`.

    Attributes
    ----------
    method : str
    oracle : str
        What it asks for beside rewards and scores.
    batch : str
        Trajectories an iteration.
    exponent : float
    criterion : {"global", "stationary"}
    source : str
    provenance : str
        How we know.
    """

    method: str
    oracle: str
    batch: str
    exponent: float
    criterion: Literal["global", "stationary"]
    source: str
    provenance: str


_IS, _HVP, _NOTHING = "importance weights", "Hessian–vector products", "—"
_RESTARTS, _SINGLE, _UNSTATED = "large at restarts", "small, single loop", "not stated"
_HERE, _MOMENTUM, _LIU = "arXiv:2302.01734", "arXiv:2110.10116", "Liu et al. 2020"

TABLE = (
    Complexity("vanilla PG", _NOTHING, _UNSTATED, 4, "global", _MOMENTUM, STUDY),
    Complexity("vanilla PG, later analysis", _NOTHING, _UNSTATED, 3, "global", "not stated", FIELD),
    Complexity("NPG", "inner solver", _UNSTATED, 3, "global", _LIU, STUDY),
    Complexity("SRVR-PG, SRVR-NPG", _IS, _RESTARTS, 3, "global", _LIU, FIELD),
    Complexity("momentum PG", _IS, _SINGLE, 3, "global", _MOMENTUM, STUDY),
    Complexity("N-PG-IGT", _NOTHING, "1", 2.5, "global", _HERE, ABSTRACT),
    Complexity("HARPG, N-HARPG", _HVP, "2", 2, "global", _HERE, ABSTRACT),
    Complexity("vanilla PG", _NOTHING, _UNSTATED, 4, "stationary", "not stated", STUDY),
    Complexity("normalised PG with IGT", _NOTHING, _SINGLE, 3.5, "stationary", "not stated", STUDY),
    Complexity("SVRPG", _IS, _RESTARTS, 10 / 3, "stationary", "arXiv:1806.05618", STUDY),
    Complexity("SRVR-PG", _IS, _RESTARTS, 3, "stationary", "arXiv:1909.08610", STUDY),
    Complexity("STORM-PG", _IS, "small, large at the start", 3, "stationary", "arXiv:2003.04302", STUDY),
    Complexity("IS-MBPG", _IS, _SINGLE, 3, "stationary", "arXiv:2007.06680", STUDY),
    Complexity("HAPG", _HVP, _RESTARTS, 3, "stationary", "ICML 2019", STUDY),
    Complexity("PAGE-PG", _IS, "large at random restarts", 3, "stationary", "arXiv:2202.00308", STUDY),
)


def to_markdown(rows: Sequence[Complexity] = TABLE) -> str:
    """The rows as a Markdown table."""
    rows = validate.sequence("rows", rows, "Complexity rows")
    head = (
        "method",
        "needs",
        "trajectories an iteration",
        "sample complexity",
        "criterion",
        "source",
        "known from",
    )
    lines = [head, ("---",) * len(head)]
    for row in rows:
        validate.instance_of("rows", row, Complexity)
        rate = f"$\\varepsilon^{{-{_fraction(row.exponent)}}}$"
        lines.append((row.method, row.oracle, row.batch, rate, row.criterion, row.source, row.provenance))
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def _fraction(exponent: float) -> str:
    thirds = round(3 * exponent)
    whole = exponent == int(exponent) or abs(3 * exponent - thirds) > 1e-12
    return f"{exponent:g}" if whole else f"{thirds}/3"
