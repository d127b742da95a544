"""What a notebook holds while it runs: its figures and its claims, written down at the end."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass, field
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pgtheory.evidence import figures
from pgtheory.evidence.atomic import write_atomic
from pgtheory.evidence.claims import COLUMNS, PROFILES, Claim, format_table, table_cells

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, repr=False)
class Summary:
    """The claims of one notebook, to be displayed as its last cell."""

    claims: tuple[Claim, ...]

    def __repr__(self) -> str:  # a table wherever it is shown, a terminal included
        return format_table(self.claims)

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{escape(name)}</th>" for name in COLUMNS)
        rows = ["".join(f"<td>{escape(cell)}</td>" for cell in table_cells(claim)) for claim in self.claims]
        body = "".join(f"<tr>{row}</tr>" for row in rows)
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


@dataclass
class Report:
    """The evidence of one notebook.

    Parameters
    ----------
    notebook
        Its file's stem, such as ``"stochastic-pg"``.
    question
        The question that it answers; its title.
    profile
        "quick" or "paper".
    out
        Folder of figures and their numbers; the report goes to ``out/reports``.
    papers
        Sources by identifier, such as ``("arXiv:2302.01734",)``.

    Raises
    ------
    ValueError, TypeError
        For arguments that do not fit.
    """

    notebook: str
    question: str
    _kw: KW_ONLY
    profile: str
    out: str | Path
    papers: Sequence[str] = ()
    captions: dict[str, str] = field(init=False, default_factory=dict)
    claims: dict[str, Claim] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        figures.check_name("notebook", self.notebook)
        if not isinstance(self.question, str) or not self.question.strip():
            raise ValueError(f"question must be the notebook's question, got {self.question!r}")
        if self.profile not in PROFILES:
            raise ValueError(f"profile must be one of {PROFILES}, got {self.profile!r}")
        if isinstance(self.papers, str) or not all(isinstance(paper, str) for paper in self.papers):
            raise TypeError(f"papers must be a list such as ['arXiv:2302.01734'], got {self.papers!r}")

    def figure(
        self,
        fig: Figure,
        name: str,
        *,
        caption: str,
        data: Any,
        rtol: float,
        atol: float = 0.0,
        volatile: Sequence[str] = (),
    ) -> Figure:
        """Save a figure with its numbers (:func:`pgtheory.evidence.figures.save`) and return it.

        Raises
        ------
        ValueError
            For a name that this notebook has used already; otherwise as saving does.
        """
        if name in self.captions:
            raise ValueError(f"figure {name!r} was saved already by notebook {self.notebook!r}; rename one")
        figures.save(fig, self.out, name, data=data, caption=caption, rtol=rtol, atol=atol, volatile=volatile)
        self.captions[name] = caption
        return fig

    def claim(
        self,
        id: str,
        *,
        source: str,
        statement: str,
        measured: float | dict[str, float],
        holds: bool,
        interval: tuple[float, float] | None = None,
        n: int | None = None,
        setup: str = "",
        declared: str | None = None,
        figure: str | None = None,
    ) -> Claim:
        """Record a claim (fields as in :class:`pgtheory.evidence.Claim`) and print its verdict.

        Raises
        ------
        ValueError, TypeError
            For fields that do not fit, an id recorded already, or a figure not saved before.
        """
        if id in self.claims:
            raise ValueError(f"claim {id!r} was recorded already by notebook {self.notebook!r}; rename one")
        if figure is not None and figure not in self.captions:
            raise ValueError(
                f"claim {id!r}: figure must be saved before, one of {list(self.captions)}, got {figure!r}"
            )
        claim = Claim(
            id=id,
            source=source,
            statement=statement,
            measured=measured,
            interval=interval,
            holds=holds,
            n=n,
            setup=setup,
            declared=declared,
            notebook=self.notebook,
            profile=self.profile,
            figure=figure,
        )
        self.claims[id] = claim
        print(f"{claim.verdict}: {id} = {claim.result}")
        return claim

    def finish(self) -> Summary:
        """Write ``out/reports/<notebook>.json`` and return the claims for display.

        A claim that fails is written down like any other and raises nothing: the reproduction's summary
        and its exit code say so.
        """
        content = {
            "notebook": self.notebook,
            "question": self.question,
            "profile": self.profile,
            "papers": list(self.papers),
            "figures": [{"name": name, "caption": caption} for name, caption in self.captions.items()],
            "claims": [claim.to_dict() for claim in self.claims.values()],
        }
        text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False)
        write_atomic(Path(self.out) / "reports" / f"{self.notebook}.json", text + "\n")
        return Summary(tuple(self.claims.values()))
