"""Claims and their ledger."""

import json
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgtheory.evidence import Claim, format_table, merge_reports, read_ledger, to_markdown, write_ledger

FIELDS = {
    "id": "stochastic-pg/n-harpg-rate",
    "source": "arXiv:2302.01734, Thm. 3",
    "statement": "The gap shrinks as the number of samples to the power -1/2.",
    "measured": -0.52,
    "interval": (-0.61, -0.44),
    "holds": True,
    "n": 20,
    "setup": "chain of 5 states, discount 0.9",
}


def make(**changes):
    return Claim(**(FIELDS | changes))


def report(folder, notebook, claims):
    path = folder / "reports" / f"{notebook}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"notebook": notebook, "claims": [claim.to_dict() for claim in claims]}))
    return path


@pytest.mark.parametrize(
    ("holds", "declared", "verdict", "ok"),
    [
        (True, None, "holds", True),
        (np.True_, "too slow here", "holds", True),
        (False, "too slow here", "not reproduced (declared)", True),
        (np.False_, None, "fails", False),
    ],
)
def test_verdict(holds, declared, verdict, ok):
    claim = make(holds=holds, declared=declared)
    assert (claim.verdict, claim.ok) == (verdict, ok)
    assert type(claim.holds) is bool


numbers = st.floats(allow_nan=False)


@given(
    measured=st.one_of(numbers, st.dictionaries(st.text(max_size=5), numbers, min_size=1, max_size=3)),
    bounds=st.none() | st.tuples(numbers, numbers).map(sorted),
    n=st.none() | st.integers(1, 1000),
)
def test_round_trip_through_json(measured, bounds, n):
    claim = make(measured=measured, interval=bounds, n=n)
    text = json.dumps(claim.to_dict(), allow_nan=False)
    again = Claim.from_dict(json.loads(text))
    assert json.dumps(again.to_dict()) == text
    assert (again.id, again.n, again.verdict) == (claim.id, claim.n, claim.verdict)


def test_numbers_in_json_are_short_and_strict():
    entry = make(
        measured={"a": 1 / 3, "b": np.inf, "c": np.nan}, interval=np.array([0.1 + 0.2, np.inf])
    ).to_dict()
    assert entry["measured"] == {"a": 0.3333333333, "b": "inf", "c": "nan"}
    assert entry["interval"] == [0.3, "inf"]
    assert Claim.from_dict(entry).measured["b"] == np.inf


def test_numpy_scalars_become_plain():
    claim = make(measured=np.float32(0.5), n=np.int64(3))
    assert type(claim.measured) is float
    assert type(claim.n) is int
    assert make(measured=np.array(0.5)) == make(measured=0.5)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"id": "Rate"}, ValueError, "id must be a slug such as"),
        ({"id": "a/b/"}, ValueError, "id must be a slug"),
        ({"id": "a/b\n"}, ValueError, "id must be a slug"),
        ({"id": None}, ValueError, "id must be a slug"),
        ({"holds": 1}, TypeError, "holds must be True or False, got 1"),
        ({"holds": "yes"}, TypeError, "holds must be True or False"),
        ({"holds": None}, TypeError, "holds must be True or False"),
        ({"measured": True}, TypeError, "measured must be a number"),
        ({"measured": "-0.5"}, TypeError, "measured must be a number"),
        ({"measured": [1.0, 2.0]}, TypeError, "measured must be a number"),
        ({"measured": {}}, TypeError, "measured must be a number or numbers by name"),
        ({"measured": {1: 0.5}}, TypeError, "numbers by name"),
        ({"measured": {"a": None}}, TypeError, r"measured\['a'\] must be a number"),
        ({"interval": (1.0, 0.0)}, ValueError, "low <= high"),
        ({"interval": (np.nan, 0.0)}, ValueError, "low <= high"),
        ({"interval": (1.0,)}, TypeError, r"interval must be \(low, high\)"),
        ({"interval": 0.5}, TypeError, r"interval must be \(low, high\)"),
        ({"n": 0}, ValueError, "n must be a positive integer"),
        ({"n": 2.0}, ValueError, "n must be a positive integer"),
        ({"n": True}, ValueError, "n must be a positive integer"),
        ({"source": ""}, ValueError, "source must be non-empty text"),
        ({"statement": None}, ValueError, "statement must be non-empty text"),
        ({"declared": " "}, ValueError, "declared must be non-empty text"),
        ({"declared": True}, ValueError, "declared must be non-empty text"),
        ({"setup": None}, ValueError, "setup must be non-empty text"),
        ({"profile": "fast"}, ValueError, "profile must be one of"),
    ],
)
def test_bad_fields_are_refused(changes, error, message):
    with pytest.raises(error, match=message):
        make(**changes)


def test_unknown_and_missing_fields_are_refused():
    entry = make().to_dict()
    for wrong in (entry | {"extra": 1}, {k: v for k, v in entry.items() if k != "holds"}, [1]):
        with pytest.raises(ValueError, match="exactly the fields"):
            Claim.from_dict(wrong)


def test_ledger_merges_reports_sorted_and_round_trips(tmp_path):
    first, second = make(id="b/one", notebook="x"), make(id="a/two", notebook="y", holds=False)
    report(tmp_path, "x", [first])
    report(tmp_path, "y", [second])
    assert merge_reports(tmp_path) == [second, first]
    path = write_ledger(tmp_path)
    assert path == tmp_path / "claims.json"
    assert read_ledger(path) == [second, first]
    content = path.read_bytes()
    write_ledger(tmp_path)
    assert path.read_bytes() == content


def test_duplicate_ids_across_notebooks_keep_the_old_ledger(tmp_path):
    report(tmp_path, "x", [make(notebook="x")])
    content = write_ledger(tmp_path).read_bytes()
    report(tmp_path, "y", [make(notebook="y")])
    with pytest.raises(
        ValueError, match="'stochastic-pg/n-harpg-rate' is recorded twice, by the notebooks 'x' and 'y'"
    ):
        write_ledger(tmp_path)
    assert (tmp_path / "claims.json").read_bytes() == content


@pytest.mark.parametrize("damage", ["truncate", "empty", "list", "nan", "holds", "binary"])
def test_damaged_ledger_names_file_and_fix(tmp_path, damage):
    report(tmp_path, "x", [make()])
    path = write_ledger(tmp_path)
    text = path.read_text()
    path.write_bytes(
        {
            "truncate": text[: len(text) // 2].encode(),
            "empty": b"",
            "list": b"[]",
            "nan": b'{"claims": [{"id": NaN}]}',
            "holds": text.replace('"holds": true', '"holds": 1').encode(),
            "binary": b"\xff\x00\x01",
        }[damage]
    )
    with pytest.raises(
        ValueError, match=r"claims.json' is truncated or damaged .*run ./paper_repro.sh again to rebuild it"
    ):
        read_ledger(path)


def test_missing_or_damaged_inputs(tmp_path):
    with pytest.raises(FileNotFoundError, match="no reports in"):
        merge_reports(tmp_path)
    with pytest.raises(FileNotFoundError, match="no ledger of claims at"):
        read_ledger(tmp_path / "claims.json")
    path = report(tmp_path, "x", [make()])
    path.write_text(path.read_text()[:-5])
    with pytest.raises(ValueError, match=r"x.json' is truncated or damaged"):
        merge_reports(tmp_path)


CLAIMS = [
    make(),
    make(id="a-very-long-topic-name/and-an-even-longer-claim-name-that-needs-wrapping", holds=False),
    make(
        id="a/b", holds=False, declared="needs | 1000 seeds", measured={"first": 0.1, "second": 1e-9}, n=None
    ),
]


def test_table_fits_a_terminal_and_loses_nothing():
    table = format_table(CLAIMS)
    assert max(map(len, table.splitlines())) <= 100
    assert table.endswith("3 claims: 1 fails, 1 holds, 1 not reproduced (declared)")
    assert "-0.52 [-0.61, -0.44]" in table
    last = "".join(line[-25:] for line in table.splitlines())
    for word in ("Thm.", "Declared:", "1000"):
        assert word in last
    assert "no claims" in format_table([])


def test_markdown_has_one_row_a_claim_and_escapes():
    lines = to_markdown(CLAIMS).splitlines()
    rows = [line for line in lines if line.startswith("|")]
    assert len(rows) == 2 + len(CLAIMS)
    assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} == {6}
    assert r"needs \| 1000 seeds" in rows[-1]
