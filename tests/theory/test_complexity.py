"""The table of sample complexities."""

import pytest

from pgtheory.theory.complexity import ABSTRACT, TABLE, to_markdown


def test_what_the_abstract_says():
    rates = {row.method: row.exponent for row in TABLE if row.provenance == ABSTRACT}
    assert rates == {"N-PG-IGT": 2.5, "HARPG, N-HARPG": 2}
    best = min((row for row in TABLE if row.criterion == "global"), key=lambda row: row.exponent)
    assert best.oracle == "Hessian–vector products"


def test_rows_are_complete_and_distinct():
    assert len({(row.method, row.criterion) for row in TABLE}) == len(TABLE)
    for row in TABLE:
        assert row.criterion in ("global", "stationary")
        assert 2 <= row.exponent <= 4
        assert all([row.oracle, row.batch, row.source, row.provenance])


def test_markdown():
    lines = to_markdown().splitlines()
    assert len(lines) == len(TABLE) + 2
    assert {line.count("|") for line in lines} == {8}
    assert (
        "| SVRPG | importance weights | large at restarts | $\\varepsilon^{-10/3}$ | stationary |"
        in lines[11]
    )
    assert "$\\varepsilon^{-2.5}$" in lines[7]
    with pytest.raises(TypeError, match="rows must be a Complexity"):
        to_markdown(["N-PG-IGT"])
