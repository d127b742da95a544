"""The page with all figures."""

from dataclasses import replace
from html.parser import HTMLParser

import pytest

from pgtheory.cli.gallery import render_gallery, write_gallery
from pgtheory.cli.reports import Figure, NotebookReport
from pgtheory.evidence.claims import Claim

HOSTILE = "<script>alert('&\")</script>"
CLAIM = Claim(
    id="npg/rate",
    source="arXiv:2302.01734, Thm. 3",
    statement="It converges linearly.",
    measured=0.5,
    interval=(0.4, 0.6),
    holds=True,
    n=20,
    setup="20 seeds",
    notebook="1-npg",
    figure="curve",
)
REPORT = NotebookReport(
    notebook="1-npg",
    question="Does it converge?",
    profile="quick",
    papers=("arXiv:2302.01734", "Kakade (2001)"),
    figures=(Figure("curve", "Gap over iterations"),),
    claims=(
        CLAIM,
        replace(CLAIM, id="npg/tight", holds=False, declared="No constant is given.", figure=None),
        replace(CLAIM, id="npg/fast", holds=False, n=None),
    ),
)


class _Seen(HTMLParser):
    def __init__(self):
        super().__init__()
        self.tags, self.open, self.alts = [], [], []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        if tag == "img":
            self.alts.append(dict(attributes)["alt"])
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def _parse(page):
    seen = _Seen()
    seen.feed(page)
    assert not seen.open
    return seen


def test_a_figure_stands_with_its_claims(tmp_path):
    for ending in (".svg", ".json"):
        (tmp_path / f"curve{ending}").touch()
    page = render_gallery([REPORT], {}, tmp_path)
    assert _parse(page).alts == ["Gap over iterations"]
    for part in (
        ">Does it converge?</h2>",
        '<a href="https://arxiv.org/abs/2302.01734">arXiv:2302.01734</a> · Kakade (2001)',
        'href="notebooks/1-npg.html"',
        'href="curve.json"',
        '<span class="badge holds">✓ holds</span>',
        '<span class="badge fails">✗ fails</span>',
        '<span class="badge declared">○ declared not reproduced</span>',
        '<span class="badge holds">✓ 1 holds</span>',
        "Measured: 0.5 [0.4, 0.6] · n = 20",
        "No constant is given.",
    ):
        assert part in page
    assert 'href="curve.png"' not in page
    figure = page[page.index("<figure") : page.index("</figure>")]
    assert "npg/fast" in figure
    assert "npg/tight" not in figure


def test_everything_that_is_written_by_hand_is_escaped(tmp_path):
    claim = replace(
        CLAIM,
        source=HOSTILE,
        statement=HOSTILE,
        setup=HOSTILE,
        declared=HOSTILE,
        holds=False,
        measured={HOSTILE: 1},
    )
    report = replace(
        REPORT, question=HOSTILE, papers=(HOSTILE,), figures=(Figure("curve", HOSTILE),), claims=(claim,)
    )
    page = render_gallery([report], {"1-npg": HOSTILE, "2-new": HOSTILE}, tmp_path)
    seen = _parse(page)
    assert "script" not in seen.tags
    assert seen.alts == [HOSTILE]


def test_the_page_is_the_same_each_time_and_says_what_did_not_run(tmp_path):
    page = render_gallery([REPORT], {"1-npg": "it raised"}, tmp_path)
    assert page == render_gallery([REPORT], {"1-npg": "it raised"}, tmp_path)
    assert "from an earlier run" in page
    assert "it raised" in page
    assert "✗ 1 notebook did not run" in page


def test_a_damaged_report_is_named(tmp_path):
    (tmp_path / "reports").mkdir()
    (tmp_path / "reports/1-npg.json").write_text('{"question": "Does it')
    with pytest.raises(ValueError, match=r"1-npg\.json is damaged"):
        write_gallery(tmp_path, {})
