"""Numbers compared within the stored tolerances."""

import copy
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgtheory.evidence.compare import compare_numbers, json_number, load_numbers

STORED = {
    "figure": "rate",
    "caption": "…",
    "rtol": 0.1,
    "atol": 0.0,
    "volatile": ["seconds"],
    "data": {
        "t": [1, 2, 4],
        "gap": [[1.0, 0.5, 0.0], ["inf", "nan", 2.0]],
        "name": ["a", "b"],
        "seconds": [3.0],
    },
}


def changed(series, value):
    fresh = copy.deepcopy(STORED)
    fresh["data"][series] = value
    return fresh


entries = st.one_of(st.floats(), st.integers(-(10**6), 10**6)).map(lambda v: json_number(float(v)))


@given(st.lists(entries, max_size=20), st.lists(st.text(max_size=4), max_size=5))
def test_numbers_agree_with_themselves(numbers, labels):
    stored = STORED | {"rtol": 0.0, "data": {"x": numbers, "label": labels}, "volatile": []}
    assert compare_numbers(stored, json.loads(json.dumps(stored, allow_nan=False))) == []


@pytest.mark.parametrize(
    ("series", "value"),
    [
        ("gap", [[1.09, 0.46, 0.0], ["inf", "nan", 1.81]]),
        ("seconds", [99.0]),
        ("seconds", [1.0, 2.0]),
        ("t", [1.0, 2.0, 4.0]),
    ],
)
def test_within_tolerance_or_volatile(series, value):
    assert compare_numbers(STORED, changed(series, value)) == []


@pytest.mark.parametrize(
    ("series", "value", "message"),
    [
        (
            "gap",
            [[1.2, 0.5, 0.0], ["inf", "nan", 4.0]],
            r"'gap' differs at \[1, 2\]: fresh 4.0, stored 2.0 \(2 of 6",
        ),
        ("gap", [[1.0, 0.5, 1e-12], ["inf", "nan", 2.0]], r"at \[0, 2\].*beyond rtol=0.1, atol=0"),
        ("gap", [[1.0, 0.5, 0.0], ["-inf", "nan", 2.0]], r"at \[1, 0\]: fresh -inf, stored inf"),
        ("gap", [[1.0, 0.5, 0.0], ["inf", 7.0, 2.0]], r"at \[1, 1\]: fresh 7.0, stored nan"),
        ("gap", [[1.0, "nan", 0.0], ["inf", "nan", 2.0]], r"at \[0, 1\]: fresh nan, stored 0.5"),
        ("gap", [[9.0, "nan", 0.0], ["inf", "nan", 2.0]], r"at \[0, 1\]: fresh nan, stored 0.5 \(2 of 6"),
        ("t", [1, 2], r"'t' has shape \(2,\), stored \(3,\)"),
        ("t", ["x", "y", "z"], "'t' holds text, stored numbers"),
        ("name", ["a", "c"], r"'name' differs at \[1\]: fresh c, stored b"),
        ("new", [1.0], "'new' is fresh but not in the stored"),
    ],
)
def test_differences_name_series_and_worst_index(series, value, message):
    (difference,) = compare_numbers(STORED, changed(series, value))
    with pytest.raises(AssertionError, match=message):
        raise AssertionError(difference)


def test_missing_series_and_other_figure():
    fresh = changed("t", [])
    del fresh["data"]["t"], fresh["data"]["seconds"]
    fresh["figure"] = "other"
    assert len(compare_numbers(STORED, fresh)) == 3


def test_tolerances_and_volatility_of_the_fresh_file_do_not_count():
    fresh = changed("t", [1, 2, 8]) | {"rtol": 10.0, "volatile": ["t"]}
    assert len(compare_numbers(STORED, fresh)) == 1
    assert compare_numbers(STORED | {"rtol": 1.0}, fresh) == []
    assert compare_numbers(STORED | {"rtol": 0.0, "atol": 4.0}, fresh) == []


def test_json_number_keeps_ten_digits_and_names_the_rest():
    assert json_number(1 / 3) == 0.3333333333
    assert [json_number(v) for v in (np.inf, -np.inf, np.nan, np.float64("inf"))] == [
        "inf",
        "-inf",
        "nan",
        "inf",
    ]


def test_load_numbers(tmp_path):
    path = tmp_path / "rate.json"
    path.write_text(json.dumps(STORED))
    assert load_numbers(path) == STORED
    with pytest.raises(FileNotFoundError, match=r"no stored numbers at .*other.json.*run the notebook"):
        load_numbers(tmp_path / "other.json")
    path.write_text(json.dumps(STORED)[:-10])
    with pytest.raises(ValueError, match=r"rate.json' is truncated or not JSON.*run the notebook"):
        load_numbers(path)
    for wrong, field in [
        ([], "figure"),
        (STORED | {"rtol": "0.1"}, "rtol"),
        (STORED | {"data": {"x": 1}}, "data"),
    ]:
        path.write_text(json.dumps(wrong))
        with pytest.raises(ValueError, match=rf"does not hold a figure's numbers \(check .*{field}"):
            load_numbers(path)
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match="truncated or not JSON"):
        load_numbers(path)
