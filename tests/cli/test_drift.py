"""Which differences between stored and fresh numbers a check notices."""

import json

import pytest

from pgtheory.cli.drift import compare, remember
from pgtheory.cli.reports import read_reports


def _write(folder, curves, notebook="1-npg", profile="quick"):
    figures = [{"name": name, "caption": "A curve"} for name in curves]
    report = {"question": "?", "profile": profile, "papers": [], "figures": figures, "claims": []}
    (folder / "reports").mkdir(parents=True, exist_ok=True)
    (folder / f"reports/{notebook}.json").write_text(json.dumps(report))
    for name, values in curves.items():
        about = {
            "figure": name,
            "caption": "A curve",
            "rtol": 0.1,
            "atol": 0,
            "volatile": [],
            "data": {"y": values},
        }
        (folder / f"{name}.json").write_text(json.dumps(about))


def _compare(tmp_path, check=True):
    return compare(remember(tmp_path / "old"), read_reports(tmp_path / "new"), tmp_path / "new", check)


def test_numbers_within_the_stored_tolerance_agree(tmp_path):
    _write(tmp_path / "old", {"curve": [1.0, 2.0]})
    _write(tmp_path / "new", {"curve": [1.05, 2.0]})
    drift = _compare(tmp_path)
    assert drift.passes
    assert drift.compared == 1


@pytest.mark.parametrize(
    ("new", "where", "what"),
    [
        ({"curve": [1.0, 2.5]}, "differences", "curve: series 'y' differs at [1]"),
        ({"curve": [1.0, 2.0], "more": [1.0]}, "unmatched", "more: nothing stored"),
        ({}, "unmatched", "curve: stored, but 1-npg no longer makes it"),
    ],
)
def test_what_fails_a_check(tmp_path, new, where, what):
    _write(tmp_path / "old", {"curve": [1.0, 2.0]})
    _write(tmp_path / "new", new)
    drift = _compare(tmp_path)
    assert not drift.passes
    assert getattr(drift, where)[0].startswith(what)
    assert not _compare(tmp_path, check=False).unmatched


def test_another_profile_is_not_compared_but_a_check_that_compared_nothing_fails(tmp_path):
    _write(tmp_path / "old", {"curve": [1.0]}, profile="paper")
    _write(tmp_path / "new", {"curve": [5.0]})
    drift = _compare(tmp_path)
    assert not drift.passes
    assert drift.other_profile == ["1-npg: stored in the profile 'paper', run in 'quick'"]
    assert not drift.differences
    for folder in ("old", "new"):
        _write(tmp_path / folder, {"second": [1.0]}, notebook="2-pg")
    assert _compare(tmp_path).passes


def test_damaged_stored_numbers_count_as_missing(tmp_path):
    _write(tmp_path / "old", {"curve": [1.0]})
    _write(tmp_path / "new", {"curve": [1.0]})
    (tmp_path / "old/curve.json").write_text("{")
    assert _compare(tmp_path).unmatched == ["curve: nothing stored"]
    (tmp_path / "old/reports/1-npg.json").write_text("{")
    assert _compare(tmp_path).unmatched == ["curve: nothing stored"]
