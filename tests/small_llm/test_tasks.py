"""Tasks: right answers are right, splits are disjoint, and no completion breaks a verifier."""

import time
from itertools import pairwise

import numpy as np
import pytest
from hostile_texts import HOSTILE
from hypothesis import given, settings
from hypothesis import strategies as st
from word_problems import ROWS, word_problems

from small_llm.tasks import HELD_OUT, Problem, Task, split_of, task
from small_llm.tasks.arithmetic import Arithmetic
from small_llm.tasks.chain import Chain
from small_llm.tasks.countdown import Countdown
from small_llm.tasks.sequences import Copy, Sort

NAMES = ["add1", "add2", "add3", "add4", "add5", "sub2", "mul1", "mul2", "mul9", "sort5", "copy6"]
NAMES += ["countdown2", "countdown3", "countdown5", "chain4", "chain17"]
NO_NAMES = """add0 add02 ADD2 add-1 add٢ add2.0 chain0 sort0 sort100 div2 gsm8k gsm8k: reasoning-gym:"""


@pytest.fixture(params=[*NAMES, "gsm8k"])
def any_task(request, tmp_path):
    return word_problems(tmp_path) if request.param == "gsm8k" else task(request.param)


def generator(seed=0):
    return np.random.default_rng(seed)


# -- every task ---------------------------------------------------------------------------------------------------


def test_right_answers_are_right_and_fit(any_task):
    for split in ("train", "test"):
        for problem in any_task.problems(generator(), 200, split):
            assert any_task.verify(problem, problem.answer) == 1.0
            assert any_task.verify(problem, f" {problem.answer}\n") == 1.0
            assert len(problem.answer) < any_task.max_new_tokens
            assert set(problem.prompt + problem.answer) <= set(any_task.alphabet)


def test_other_answers_are_wrong(any_task):
    problems = any_task.problems(generator(), 100)
    for problem, other in pairwise(problems):
        assert any_task.verify(problem, "") == 0.0
        assert any_task.vote(problem, "") is None
        if any_task.vote(problem, other.answer) != any_task.vote(problem, problem.answer):
            assert any_task.verify(problem, other.answer) == 0.0
    assert any_task.vote(problems[0], problems[0].answer) is not None


def test_the_alphabet_is_sorted_without_repetition(any_task):
    assert any_task.alphabet == "".join(sorted(set(any_task.alphabet)))


def test_names_tell_tasks_apart():
    assert [task(name).name for name in NAMES] == NAMES
    assert Countdown(3, largest=9).name == "countdown3, up to 9, target up to 100"
    assert Countdown(3, target=50).name == "countdown3, up to 20, target up to 50"


def test_the_longest_answer_fills_the_tokens_that_are_allowed_for_it():
    for name, longest in {"add2": "99+99", "sub2": "0-99", "mul2": "99*99"}.items():
        assert task(name).max_new_tokens == len(str(by_hand(longest))) + 1


def test_the_same_seed_gives_the_same_problems_whole_or_in_parts(any_task):
    assert any_task.problems(generator(3), 50) == any_task.problems(generator(3), 50)
    assert any_task.problems(generator(3), 50) != any_task.problems(generator(4), 50)
    assert any_task.problem(generator(3), "test") == any_task.problem(generator(3), "test")
    assert any_task.prompt(7) == any_task.prompt(7) == any_task.problem(generator(7)).prompt
    assert any_task.prompt(7, "test") != any_task.prompt(7)


@settings(max_examples=20, deadline=None)
@given(st.sampled_from([*NAMES[:-1]]), st.integers(0, 2**32))
def test_splits_have_no_problem_in_common(name, seed):
    each = task(name)
    train, test = (
        each.problems(generator(seed + i), 100, split) for i, split in enumerate(("train", "test"))
    )
    assert not {p.prompt for p in train} & {p.prompt for p in test}
    assert not {each.key(p) for p in train} & {each.key(p) for p in test}


def test_the_same_question_asked_differently_stays_on_its_side():
    for a, b in [("12+34=", "34+12="), ("7*80=", "80*7=")]:
        each = task("add2" if "+" in a else "mul2")
        assert each.key(Problem(a, "46")) == each.key(Problem(b, "46"))
    assert task("sub2").key(Problem("12-34=", "-22")) != task("sub2").key(Problem("34-12=", "22"))
    assert task("sort5").key(Problem("31415>", "11345")) == task("sort5").key(Problem("51413>", "11345"))
    first, second = (
        Problem("", "", {"target": 22, "numbers": numbers}) for numbers in ((3, 5, 7), (7, 3, 5))
    )
    assert task("countdown").key(first) == task("countdown").key(second)


def test_a_tenth_of_all_problems_is_held_out():
    keys = [f"{a}+{b}" for a in range(100) for b in range(a, 100)]
    share = np.mean([split_of(key) == "test" for key in keys])
    assert abs(share - HELD_OUT) < 4 * np.sqrt(HELD_OUT * (1 - HELD_OUT) / len(keys))
    assert split_of("12+34") == "train"  # the sides stay what they are between versions
    assert [key for key in keys if split_of(key) == "test"][:3] == ["0+0", "0+3", "0+12"]


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.parametrize("name", ["add3", "sort5", "countdown3", "gsm8k"])
def test_no_completion_breaks_or_stalls_a_task(name, text, tmp_path):
    each = word_problems(tmp_path) if name == "gsm8k" else task(name)
    problem = each.problem(generator())
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        verdict = each.verify(problem, text)
        seconds.append(time.perf_counter() - start)
    assert verdict == 0.0
    assert min(seconds) < 0.05
    each.vote(problem, text)


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(NAMES), st.text(max_size=40))
def test_any_text_is_judged_in_the_unit_interval(name, text):
    each = task(name)
    problem = each.problem(generator())
    assert each.verify(problem, text) in (0.0, 1.0)
    assert each.rewards(problem, [text, problem.answer]).tolist()[1] == 1.0


def test_many_problems_are_cheap():
    for name in NAMES:
        each = task(name)
        start = time.perf_counter()
        each.problems(generator(), 1000)
        assert time.perf_counter() - start < 0.5


# -- one by one ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["add1", "add5", "sub3", "mul2", "mul9"])
def test_arithmetic_is_right(name):
    for problem in task(name).problems(generator(), 300):
        assert int(problem.answer) == by_hand(problem.prompt[:-1])


def test_operands_are_uniform():
    terms = np.array(
        [list(map(int, p.prompt[:-1].split("+"))) for p in task("add2").draw(generator(), 20_000)]
    )
    assert terms.min() == 0
    assert terms.max() == 99
    counts = np.bincount(terms.ravel(), minlength=100)
    assert ((counts - 400) ** 2 / 400).sum() < 150  # chi squared, 99 degrees of freedom


def test_a_sum_is_nothing_but_its_number():
    problem = Problem("12+34=", "46")
    for right in ("46", "046", "+46", "46.0", "46 ", "\n46"):
        assert task("add2").verify(problem, right) == 1.0
    for wrong in (
        "47",
        "4 6",
        "46=46",
        "the answer is 46",
        "12+34",
        "4.6e1",
        "４６",
        "45.9999999999999999999",
        "-46",
    ):
        assert task("add2").verify(problem, wrong) == 0.0


def test_sort_and_copy():
    assert {len(p.prompt) for p in Sort(7).problems(generator(), 50)} == {8}
    for problem in Sort(7).problems(generator(), 50):
        assert problem.answer == "".join(sorted(problem.prompt[:-1]))
    for problem in Copy(4).problems(generator(), 50):
        assert problem.answer + "=" == problem.prompt
    assert Sort(3).verify(Problem("310>", "013"), "13") == 0.0
    assert {c for p in Copy(4).problems(generator(), 500) for c in p.answer} == set(Copy(4).alphabet[1:])
    assert {c for p in Sort(4).problems(generator(), 500) for c in p.answer} == set("0123456789")


def test_countdown_by_hand():
    problem = Problem("22:3,5,7=", "3*5+7", {"target": 22, "numbers": (3, 5, 7)})
    for right in ("3*5+7", "7+5*3", "(7 + (5*3))"):
        assert Countdown(3).verify(problem, right) == 1.0
    for wrong in ("3+5*7", "22", "7+5+5+5", "3*5+7=22", "15+7", "3*5+7+0", "-3", "3*5--7", "int(22)"):
        assert Countdown(3).verify(problem, wrong) == 0.0


def test_countdown_allows_to_leave_numbers_out_and_to_pass_through_fractions():
    problem = Problem("8:3,3,5=", "3+5", {"target": 8, "numbers": (3, 3, 5)})
    assert Countdown(3).verify(problem, "3+5") == 1.0
    problem = Problem("24:8,3,8,3=", "8/(3-8/3)", {"target": 24, "numbers": (8, 3, 8, 3)})
    assert Countdown(4).verify(problem, "8/(3-8/3)") == 1.0
    assert Countdown(4).vote(problem, "8+3") == Countdown(4).vote(problem, "3+8") == "11"
    assert Countdown(4).vote(problem, "8+9") is None


def test_countdown_problems_keep_to_their_bounds():
    each = Countdown(4, largest=9, target=30)
    problems = each.problems(generator(), 500)
    for problem in problems:
        target, numbers = problem.data["target"], problem.data["numbers"]
        assert problem.prompt == f"{target}:{','.join(map(str, numbers))}="
        assert 1 <= target <= 30
        assert target not in numbers
        assert len(numbers) == 4
        assert set(numbers) <= set(range(1, 10))
    assert all(any(sign in p.answer for p in problems) for sign in "+-*/()")
    first = [p.answer.lstrip("(").split("+")[0] for p in problems if p.answer.count("+") == 3]
    assert any(str(p.data["numbers"][0]) != t for p, t in zip(problems, first))  # the order is no hint


# -- doors ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [*NO_NAMES.split(), "", "add2 "])
def test_other_names_are_refused(name):
    with pytest.raises(ValueError, match="name must be add1 … add9"):
        task(name)


def test_names_without_a_number_have_a_usual_one():
    assert [task(name) for name in ("add", "mul", "sort", "copy", "countdown", "chain")] == [
        Arithmetic("add", 2),
        Arithmetic("mul", 2),
        Sort(5),
        Copy(6),
        Countdown(3),
        Chain(4),
    ]


def test_bad_arguments_are_refused():
    each = task("add2")
    with pytest.raises(TypeError, match="name must be a task's name"):
        task(2)
    with pytest.raises(ValueError, match='split must be "train" or "test", got \'eval\''):
        each.problem(generator(), "eval")
    with pytest.raises(TypeError, match="rng"):
        each.problems(0, 5)
    with pytest.raises(ValueError, match="n must be"):
        each.problems(generator(), 0)
    with pytest.raises(ValueError, match="operation must be one of"):
        Arithmetic("div", 2)
    with pytest.raises(ValueError, match="largest must be 5 to 1000"):
        Countdown(3, largest=4)
    with pytest.raises(ValueError, match="products of 8 numbers overflow"):
        Countdown(8, largest=1000)


def test_a_split_without_problems_is_an_error_and_no_endless_search(tmp_path):
    each = word_problems(tmp_path, ROWS[:1])
    side = split_of(each.key(each.draw(generator(), 1)[0]))
    assert each.problem(generator(), side)
    with pytest.raises(ValueError, match="has no problems: the task has too few"):
        each.problem(generator(), {"train": "test", "test": "train"}[side])


def test_a_task_of_ones_own_needs_three_properties_and_three_methods():
    assert Task.__abstractmethods__ == {"name", "alphabet", "max_new_tokens", "draw", "verify", "vote"}


def by_hand(text):
    for sign, result in {"+": int.__add__, "-": int.__sub__, "*": int.__mul__}.items():
        if sign in text:
            return result(*map(int, text.split(sign)))
    raise AssertionError(text)
