"""What counts as equal, and strings that were written to break a verifier."""

import ast
import itertools
import time
from collections import Counter
from fractions import Fraction
from pathlib import Path

import pytest
from hostile_texts import HOSTILE
from hypothesis import example, given
from hypothesis import strategies as st

import small_llm
from small_llm.verifiers import (
    LAST_NUMBER_WITHIN,
    last_number,
    read_expression,
    read_number,
    same_text,
)

NO_NUMERALS = """
- + +-4 --4 1e3 1E3 ٤٢ ４２ 4２ 4² ½ 0x2a 1_000 .5 5. 1.2.3 1/2 1,00 1,0000 ,100 42! $42 forty-two nan inf −42
int('42') 42; (42) 42,
"""
NO_EXPRESSIONS = """
() 1+ +1 -1 1--1 2**3 7//2 2(3) (2)(3) (1 1) )1( 1/0 1/(2-2) 1.5 1e2 x 2^3 2×3 ٣+1 １ 5%2 1,000 3+4=7 1;2
1000000000000 1+(*2) __import__('os') lambda:1 1_0 0x1
"""


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.parametrize(
    "read", [read_number, last_number, read_expression, lambda text: same_text(text, "42")]
)
def test_no_string_breaks_or_stalls_a_verifier(read, text):
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        read(text)
        seconds.append(time.perf_counter() - start)
    assert min(seconds) < 0.05


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("42", 42),
        (" 42\n", 42),
        ("+42", 42),
        ("-42", -42),
        ("-0", 0),
        ("0042", 42),
        ("42.0", 42),
        ("0.125", Fraction(1, 8)),
        ("1,000", 1000),
        ("12,345,678.50", Fraction(24691357, 2)),
        ("9" * 400, 10**400 - 1),
    ],
)
def test_numerals_that_are_equal(text, value):
    assert read_number(text) == value
    assert last_number(f"so it is {text.strip()}.") == value


@pytest.mark.parametrize("text", [*NO_NUMERALS.split(), "", "4 2", "4\n2", "1, 000", "42\0", "9" * 401])
def test_what_is_no_numeral(text):
    assert read_number(text) is None


def test_exact_values_are_compared_where_floats_agree():
    assert float(2**53) == float(2**53 + 1)
    assert read_number(str(2**53)) != read_number(str(2**53 + 1))
    assert read_number("0.1") == Fraction(1, 10)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3 + 4 = 7", 7),
        ("first 8, then 9", 9),
        ("10-5", 5),
        ("f(2)-5", 5),
        ("it is -5", -5),
        ("= $1,250.50.", Fraction(2501, 2)),
        ("1,2", 2),
        ("42 apples in 2x", 42),
        ("12 or 1e3", 12),
        ("7 or v2.0.1", 7),
        ("7 or ４２ or 4２", 7),
        ("#### 42", 42),
        ("90 #### 41 #### 42 #### forty", None),
        ("90 #### 41 #### 42", 42),
        ("90 ####", None),
        ("no number", None),
    ],
)
def test_the_last_number_of_prose(text, value):
    assert last_number(text) == value


def test_the_last_number_is_looked_for_near_the_end_only():
    words = " word" * (LAST_NUMBER_WITHIN // 5)
    assert last_number("42" + words[:-2]) == 42
    assert last_number("42" + words) is None
    assert last_number("x42" + words[:-2]) is None  # the letter lies beyond the part that is searched


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("7", 7),
        ("3*5+7", 22),
        ("3+5*7", 38),
        ("(3+5)*7", 56),
        ("9-3-2", 4),
        ("8/4/2", 1),
        ("8/4*2", 4),
        ("2-3*4+5", -5),
        ("1/3+1/6", Fraction(1, 2)),
        ("((( 2 )))", 2),
        (" 1 +\t1\n", 2),
        ("007", 7),
        ("999999999999", 999999999999),
    ],
)
def test_expressions(text, value):
    assert read_expression(text).value == value


@pytest.mark.parametrize(
    "text", [*NO_EXPRESSIONS.split(), "", "2 3", "1 2+3", "1if 1else 2", "1" + "+1" * 500]
)
def test_what_is_no_expression(text):
    assert read_expression(text) is None


def test_an_expression_lists_the_numbers_that_it_uses():
    assert read_expression("(3+5)*3-12").used == Counter({3: 2, 5: 1, 12: 1})


expressions = st.recursive(
    st.integers(0, 999).map(str),
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from("+-*/"), inner).map("".join), inner.map("({})".format)
    ),
    max_leaves=12,
)


@given(expressions)
@example("8/4/2-1-1*3")
def test_expressions_are_worth_what_python_says(text):
    read = read_expression(text)
    assert (read and read.value) == by_syntax_tree(ast.parse(text, mode="eval").body)


@given(st.text("0123456789+-*/() ", max_size=12))
def test_whatever_is_read_is_an_expression_of_python(text):
    read = read_expression(text)
    if read is not None:
        tree = ast.parse(" ".join(spaced(text)).strip(), mode="eval").body
        assert read.value == by_syntax_tree(tree)


@given(st.text(max_size=50))
def test_any_text_is_read_without_an_error(text):
    for read in (read_number, last_number, read_expression):
        read(text)


def test_nothing_in_the_package_evaluates_text():
    forbidden = {"eval", "exec", "compile", "literal_eval", "parse_expr", "sympify"}
    folder = Path(small_llm.__file__).parent
    files = [folder / "verifiers.py", folder / "wrappers.py", *sorted((folder / "tasks").glob("*.py"))]
    for file, node in itertools.chain(*([(f, n) for n in ast.walk(ast.parse(f.read_text()))] for f in files)):
        if isinstance(node, ast.Call):
            name = node.func.id if isinstance(node.func, ast.Name) else ""
            assert name not in forbidden, f"{file}:{node.lineno}"


def by_syntax_tree(node):
    """The same value by another route: Python's grammar, walked with fractions; None for a division by zero."""
    if isinstance(node, ast.Constant):
        return Fraction(node.value)
    left, right = by_syntax_tree(node.left), by_syntax_tree(node.right)
    if left is None or right is None:
        return None
    if isinstance(node.op, ast.Div):
        return left / right if right else None
    return {ast.Add: left + right, ast.Sub: left - right, ast.Mult: left * right}[type(node.op)]


def spaced(text):
    """Tokens for Python, which refuses leading zeros."""
    return [
        str(int("".join(t))) if is_digit else "".join(t)
        for is_digit, t in itertools.groupby(text, str.isdigit)
    ]
