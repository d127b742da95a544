"""One self-contained page with every figure and its claims: ``<out>/index.html``."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from urllib.parse import quote

from pgtheory.cli.gallery_style import STYLE
from pgtheory.cli.reports import Figure, NotebookReport, read_reports
from pgtheory.evidence.atomic import write_atomic
from pgtheory.evidence.claims import Claim

VERDICTS = {  # style, mark, words for one claim, words for a number of claims
    "holds": ("holds", "✓", "holds", "hold"),
    "fails": ("fails", "✗", "fails", "fail"),
    "not reproduced (declared)": ("declared", "○", "declared not reproduced", "declared not reproduced"),
}
ARXIV = re.compile(r"arXiv:(\d{4}\.\d{4,5}(?:v\d+)?)")


def write_gallery(out: Path, failed: Mapping[str, str]) -> Path:
    """Write the page for all reports in a folder and return where.

    Parameters
    ----------
    out
        The folder with figures and reports.
    failed
        Errors by notebook, of those that did not run to their end just now.

    Raises
    ------
    ValueError
        When a report is damaged.
    """
    return write_atomic(out / "index.html", render_gallery(read_reports(out), failed, out))


def render_gallery(reports: Sequence[NotebookReport], failed: Mapping[str, str], out: Path) -> str:
    """Return the page as text; the same input gives the same text."""
    never_ran = sorted(failed.keys() - {report.notebook for report in reports})
    sections = [_section(report, failed.get(report.notebook), out) for report in reports]
    sections += [_failed_section(name, failed[name]) for name in never_ran]
    claims = [claim for report in reports for claim in report.claims]
    return "\n".join(
        [
            '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>pgtheory: figures and claims</title>\n<style>{STYLE}</style>\n</head>\n<body>",
            _header(reports, claims, len(failed)),
            f"<main>\n{chr(10).join(sections)}\n</main>",
            "<footer><p>Made by <code>pgtheory reproduce</code>. The ledger of claims: "
            '<a href="claims.json">claims.json</a>.</p></footer>\n</body>\n</html>\n',
        ]
    )


def _header(reports: Sequence[NotebookReport], claims: Sequence[Claim], failed: int) -> str:
    figures = sum(len(report.figures) for report in reports)
    totals = [_badge("", _count(len(reports), "notebook")), _badge("", _count(figures, "figure"))]
    for verdict, (style, mark, one, many) in VERDICTS.items():
        count = sum(claim.verdict == verdict for claim in claims)
        totals.append(_badge(style if count else "", f"{mark} {count} {one if count == 1 else many}"))
    if failed:
        totals.append(_badge("fails", f"✗ {_count(failed, 'notebook')} did not run"))
    contents = "\n".join(
        f'<li><a href="#{escape(report.notebook)}">{escape(report.question)}</a></li>' for report in reports
    )
    return f"""<header>
<h1>Policy-gradient theory you can run</h1>
<p class="lead">Every figure below was made by a notebook, from numbers stored beside it. Under each figure stand the
claims it supports: what a paper says, what was measured here, and whether the two agree.</p>
<ul class="totals">{"".join(f"<li>{total}</li>" for total in totals)}</ul>
<nav aria-label="Questions"><ol class="contents">
{contents}
</ol></nav>
</header>"""


def _section(report: NotebookReport, error: str | None, out: Path) -> str:
    name = escape(report.notebook)
    executed = f'<a href="{quote(f"notebooks/{report.notebook}.html")}">the executed notebook</a>'
    papers = [_linked(paper) for paper in report.papers]
    about = " · ".join([*papers, executed, f"profile <em>{escape(report.profile)}</em>"])
    shown = {figure.name for figure in report.figures}
    parts = [f'<section id="{name}" aria-labelledby="{name}-question">']
    parts += [f'<h2 id="{name}-question">{escape(report.question)}</h2>', f'<p class="about">{about}</p>']
    if error:
        parts.append(
            _error("This notebook did not run to its end. What follows is from an earlier run.", error)
        )
    for figure in report.figures:
        parts.append(_figure(figure, [claim for claim in report.claims if claim.figure == figure.name], out))
    parts.append(_claims((claim for claim in report.claims if claim.figure not in shown), "claims outside"))
    return "\n".join([*parts, "</section>"])


def _failed_section(name: str, error: str) -> str:
    message = _error("This notebook did not run to its end.", error)
    return f'<section id="{escape(name)}">\n<h2>{escape(name)}</h2>\n{message}\n</section>'


def _error(message: str, error: str) -> str:
    return f'<div class="error" role="note"><strong>✗ {message}</strong><pre>{escape(error)}</pre></div>'


def _figure(figure: Figure, claims: Iterable[Claim], out: Path) -> str:
    caption = escape(figure.caption)
    files = [ending for ending in (".svg", ".png", ".json") if (out / (figure.name + ending)).exists()]
    names = {".svg": "SVG", ".png": "PNG", ".json": "the numbers behind it (JSON)"}
    links = " · ".join(f'<a href="{quote(figure.name + ending)}">{names[ending]}</a>' for ending in files)
    picture = quote(figure.name + (files[0] if files else ".svg"))
    return f"""<figure id="figure-{escape(figure.name)}">
<a class="picture" href="{picture}"><img src="{picture}" alt="{caption}" loading="lazy"></a>
<figcaption>
<p>{caption}</p>
<p class="files">{links}</p>
{_claims(claims, "claims")}
</figcaption>
</figure>"""


def _claims(claims: Iterable[Claim], style: str) -> str:
    items = "\n".join(map(_claim, claims))
    return f'<ul class="{style}">\n{items}\n</ul>' if items else ""


def _claim(claim: Claim) -> str:
    style, mark, words, _ = VERDICTS[claim.verdict]
    measured = escape(claim.result) + (f" · n = {claim.n}" if claim.n else "")
    setup = f"<details><summary>Set-up</summary><p>{escape(claim.setup)}</p></details>" if claim.setup else ""
    declared = (
        f"<p><strong>Why it is declared:</strong> {escape(claim.declared)}</p>" if claim.declared else ""
    )
    return f"""<li>
<p>{_badge(style, f"{mark} {words}")} <span class="id">{escape(claim.id)}</span></p>
<p>{escape(claim.statement)} <span class="source">({_linked(claim.source)})</span></p>
<p class="measured">Measured: {measured}</p>
{declared}{setup}
</li>"""


def _badge(style: str, text: str) -> str:
    return f'<span class="badge {style}">{escape(text)}</span>'


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"


def _linked(source: str) -> str:
    """Escape the name of a source and make its arXiv number a link."""
    return ARXIV.sub(r'<a href="https://arxiv.org/abs/\1">arXiv:\1</a>', escape(source))
