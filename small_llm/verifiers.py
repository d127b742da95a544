"""What counts as a right answer: numbers, texts and arithmetic expressions, read without ever running them.

A completion is text that a policy was rewarded for, so every reader here takes any string, up to millions of
characters, in bounded time and memory, and answers ``None`` where it finds nothing. None of them calls ``eval``.

**Equal numbers.** A *numeral* is an optional sign (``+`` or ``-``), ASCII digits, which may be grouped in threes by
commas, and an optional point with further digits; ``NUMERAL_LENGTH`` characters at most. Two numerals are equal when
their exact values are: ``42``, ``042``, ``+42`` and ``42.0`` are, and so are ``1,000`` and ``1000``. Anything else is
no numeral: ``1e3``, ``.5``, ``42.``, ``٤٢`` (other scripts' digits), ``0x2a``, ``1_000``, ``1/2``, ``forty-two``.
"""

from __future__ import annotations

import re
from collections import Counter
from fractions import Fraction
from operator import add, mul, sub, truediv
from typing import NamedTuple

NUMERAL_LENGTH = 400
LAST_NUMBER_WITHIN = 1000  # characters from the end; more than a numeral can fill
EXPRESSION_LENGTH = 1000

_DIGITS = r"(?:[0-9]{1,3}(?:,[0-9]{3})+|[0-9]+)(?:\.[0-9]+)?"
_NUMERAL = re.compile(rf"[+-]?{_DIGITS}")
# in prose: not a piece of a word or of a longer number, and the minus of "10-5" is no sign
_IN_PROSE = re.compile(rf"(?:(?<![\w)])[+-])?(?<![\w.]){_DIGITS}(?!\w|\.[0-9])")
_TOKEN = re.compile(r"\s*([0-9]+|[-+*/()])", re.ASCII)
_LARGEST_DIGITS = 12  # of one number in an expression
_RANK = {"+": (1, add), "-": (1, sub), "*": (2, mul), "/": (2, truediv)}


def same_text(completion: str, answer: str) -> bool:
    """Whether the two are the same characters, white space at both ends aside."""
    return completion.strip() == answer.strip()


def read_number(text: str) -> Fraction | None:
    """The exact value of a text that is one numeral and nothing else (white space at both ends aside)."""
    text = text.strip()
    if len(text) > NUMERAL_LENGTH or not _NUMERAL.fullmatch(text):
        return None
    return Fraction(text.replace(",", ""))


def last_number(text: str, marker: str = "####") -> Fraction | None:
    """The last numeral in prose, which is where chains of reasoning end.

    Where ``marker`` (GSM8K's) occurs, only what follows its last occurrence counts, and in any case only numerals
    that begin in the last ``LAST_NUMBER_WITHIN`` characters. A full stop, a unit after a space, or a sign of
    currency may touch a numeral; a letter, a digit of another script or a second point may not.
    """
    found = text.rfind(marker)
    start = max(0 if found < 0 else found + len(marker), len(text) - LAST_NUMBER_WITHIN)
    last = None
    for match in _IN_PROSE.finditer(text, start):
        last = match.group()
    return None if last is None else read_number(last)


class Value(NamedTuple):
    """What an expression is worth, exactly, and how often it uses each number."""

    value: Fraction
    used: Counter[int]


def read_expression(text: str) -> Value | None:
    """Value of an arithmetic expression in whole numbers, ``+ - * /`` and parentheses, with exact fractions.

    The shunting-yard algorithm (Dijkstra, 1961) with two stacks, so that nesting costs no recursion. There is no
    sign in front of a number and no implied product; ``**`` and ``//`` are two operators in a row, and so no
    expression. A text longer than ``EXPRESSION_LENGTH``, a number of more than twelve digits, or a division by zero
    gives ``None`` as well.
    """
    text = text.strip()
    if len(text) > EXPRESSION_LENGTH:
        return None
    try:
        return _evaluate(text)
    except ZeroDivisionError:
        return None


def _evaluate(text: str) -> Value | None:
    values: list[Fraction] = []
    pending: list[str] = []
    used: Counter[int] = Counter()
    after_value, position = False, 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            return None
        token, position = match.group(1), match.end()
        is_number = token.isdigit()
        if after_value == (is_number or token == "("):  # two values or two operators side by side
            return None
        if is_number:
            if len(token) > _LARGEST_DIGITS:
                return None
            values.append(Fraction(int(token)))
            used[int(token)] += 1
        elif token == "(":
            pending.append(token)
        elif token == ")":
            _reduce(values, pending, 0)
            if not pending:
                return None
            pending.pop()
        else:
            _reduce(values, pending, _RANK[token][0])
            pending.append(token)
        after_value = is_number or token == ")"
    if not after_value:
        return None
    _reduce(values, pending, 0)
    return None if pending else Value(values[0], used)


def _reduce(values: list[Fraction], pending: list[str], rank: int) -> None:
    """Carry out the operators on top, as far as they bind at least as tightly as ``rank``."""
    while pending and pending[-1] != "(" and _RANK[pending[-1]][0] >= rank:
        right = values.pop()
        values[-1] = _RANK[pending.pop()][1](values[-1], right)
