"""The task of parts: any sum is right that adds up, whatever its length, and nothing else is."""

import numpy as np
import pytest
from hostile_texts import HOSTILE

from small_llm.tasks import Problem, task
from small_llm.tasks.parts import MOST_PARTS, Parts

SEVENTEEN = Problem("17=", "9+5+3")
WRONG = "17 9+5+4 17+0 0+17 18-1 9+5+3+ +9+8 (9)+8 9+(5+3) 8.5+8.5 9++8 ٩+8 1*17 34/2 9+8= 17=9+8"


@pytest.mark.parametrize("text", ["9+5+3", "16+1", "+".join("1" * 17), " 08+9\n", "9+3+5"])
def test_sums_that_are_worth_the_number_are_right(text):
    assert Parts(2).verify(SEVENTEEN, text) == 1.0


@pytest.mark.parametrize("text", [*WRONG.split(), "", "9 + 8"])
def test_other_texts_are_wrong(text):
    assert Parts(2).verify(SEVENTEEN, text) == 0.0


@pytest.mark.parametrize("text", HOSTILE)
def test_no_text_breaks_it(text):
    assert Parts(2).verify(SEVENTEEN, text) == 0.0


def test_votes_are_for_values():
    assert Parts(2).vote(SEVENTEEN, "9+8") == Parts(2).vote(SEVENTEEN, "16+01") == "17"
    assert Parts(2).vote(SEVENTEEN, "9+9") == "18"
    assert Parts(2).vote(SEVENTEEN, "18") is None


def test_answers_have_every_number_of_parts_and_every_number_is_asked():
    problems = Parts(1).draw(np.random.default_rng(0), 2000)
    assert {problem.prompt for problem in problems} == {f"{n}=" for n in range(2, 10)}
    longest = {n: max(p.answer.count("+") + 1 for p in problems if p.prompt == f"{n}=") for n in (2, 3, 9)}
    assert longest == {2: 2, 3: 3, 9: MOST_PARTS}
    assert {p.answer.count("+") + 1 for p in problems} == set(range(2, MOST_PARTS + 1))


def test_it_has_a_name_and_limits():
    assert task("parts") == task("parts2") == Parts(2)
    with pytest.raises(ValueError, match="digits must be 6 at most, got 7"):
        task("parts7")
