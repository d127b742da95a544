"""The report of one notebook."""

import json

import matplotlib as mpl
import pytest

mpl.use("agg")

import matplotlib.pyplot as plt

from pgtheory.evidence import Claim, Report, merge_reports

CLAIM = {"source": "Thm. 1", "statement": "a < b & so on", "measured": 0.5, "interval": (0.4, 0.6), "n": 5}


@pytest.fixture
def report(tmp_path):
    yield Report("01-rates", "How fast?", profile="quick", out=tmp_path, papers=["arXiv:2302.01734"])
    plt.close("all")


def add_figure(report, name="rate", **options):
    fig = plt.figure()
    assert report.figure(fig, name, caption="A line.", data={"x": [1.0]}, rtol=0.1, **options) is fig


def test_report_holds_figures_and_claims(report, tmp_path, capsys):
    add_figure(report, volatile=["x"])
    report.claim("rates/one", holds=True, figure="rate", setup="chain", **CLAIM)
    report.claim("rates/two", holds=False, **CLAIM)
    report.claim("rates/three", holds=False, declared="too slow", **CLAIM)
    assert capsys.readouterr().out.splitlines() == [
        "holds: rates/one = 0.5 [0.4, 0.6]",
        "fails: rates/two = 0.5 [0.4, 0.6]",
        "not reproduced (declared): rates/three = 0.5 [0.4, 0.6]",
    ]
    summary = report.finish()
    assert "1 fails" in str(summary)
    assert "a &lt; b &amp; so on" in summary._repr_html_()
    written = json.loads((tmp_path / "reports" / "01-rates.json").read_text())
    assert written["figures"] == [{"name": "rate", "caption": "A line."}]
    assert {key: written[key] for key in ("notebook", "question", "profile", "papers")} == {
        "notebook": "01-rates",
        "question": "How fast?",
        "profile": "quick",
        "papers": ["arXiv:2302.01734"],
    }
    claims = merge_reports(tmp_path)
    assert [claim.id for claim in claims] == ["rates/one", "rates/three", "rates/two"]
    assert all(isinstance(claim, Claim) and claim.notebook == "01-rates" for claim in claims)
    assert claims[0].figure == "rate"


def test_finish_twice_writes_the_same_bytes_and_empty_reports_are_fine(report, tmp_path):
    report.finish()
    path = tmp_path / "reports" / "01-rates.json"
    content = path.read_bytes()
    report.finish()
    assert path.read_bytes() == content


def test_duplicates_and_unknown_figures_are_refused(report):
    add_figure(report)
    report.claim("rates/one", holds=True, **CLAIM)
    with pytest.raises(ValueError, match="figure 'rate' was saved already"):
        add_figure(report)
    with pytest.raises(ValueError, match="claim 'rates/one' was recorded already"):
        report.claim("rates/one", holds=True, **CLAIM)
    with pytest.raises(ValueError, match=r"figure must be saved before, one of \['rate'\], got 'gap'"):
        report.claim("rates/two", holds=True, figure="gap", **CLAIM)


def test_refused_entries_are_not_recorded(report, tmp_path):
    with pytest.raises(TypeError, match="holds must be"):
        report.claim("rates/one", holds="yes", **CLAIM)
    with pytest.raises(ValueError, match="volatile"):
        add_figure(report, volatile=["y"])
    report.finish()
    written = json.loads((tmp_path / "reports" / "01-rates.json").read_text())
    assert written["figures"] == written["claims"] == []


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"profile": "full"}, ValueError, "profile must be one of"),
        ({"notebook": "../x"}, ValueError, "notebook must be letters"),
        ({"question": ""}, ValueError, "question must be"),
        ({"papers": "arXiv:2302.01734"}, TypeError, "papers must be a list"),
        ({"papers": [2302]}, TypeError, "papers must be a list"),
    ],
)
def test_bad_arguments_are_refused(tmp_path, changes, error, message):
    arguments = {"notebook": "x", "question": "Why?", "profile": "quick", "out": tmp_path} | changes
    with pytest.raises(error, match=message):
        Report(**arguments)


def test_unwritable_folder_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match=r"cannot write 'x.json' in the folder '.*reports'.*choose another"):
        Report("x", "Why?", profile="quick", out=tmp_path / "file").finish()
