"""reasoning-gym by name: its problems, its scorers kept within bounds, and none that runs what it is given."""

import os
import signal
import time
from types import SimpleNamespace

import numpy as np
import pytest
from hostile_texts import HOSTILE

from small_llm.tasks import reasoning_gym, task
from small_llm.tasks.gym_process import score, scorer_runs_text
from small_llm.tasks.reasoning_gym import tagged


@pytest.mark.parametrize(
    ("completion", "answer"),
    [
        ("42", "42"),
        (" 42\n", "42"),
        ("so <answer> 42 </answer>.", "42"),
        ("<answer>1</answer> no: <answer>2</answer>", "2"),
        ("<answer>1<answer>2</answer>", "2"),
        ("<answer>1</answer></answer>", "1</answer>"),
        ("</answer>2<answer>", "</answer>2<answer>"),
        ("<answer></answer>", ""),
    ],
)
def test_the_answer_stands_between_the_last_tags(completion, answer):
    assert tagged(completion) == answer


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_no_completion_stalls_the_search_for_tags(text):
    start = time.perf_counter()
    tagged(text)
    assert time.perf_counter() - start < 0.5


DATA_SET = """
def value(text):
    return eval(text)

class Data:
    def score_answer(self, answer, entry):
        {body}

    def check(self, answer):
        return value(answer)

    def sympify(self, answer):
        return 1.0

    def make(self):
        return eval("1")
"""


@pytest.mark.parametrize(
    ("body", "runs"),
    [
        ("return float(eval(answer) == 1)", True),
        ("return float(value(answer) == 1)", True),
        ("return self.check(answer)", True),
        ("return float(sympy.parse_expr(answer) == 1)", True),
        ("return float(int(answer) == 1)", False),
        ("return float(re.compile('1').match(answer) is not None)", False),
        ("return self.sympify(answer)", False),
    ],
)
def test_scorers_that_run_text_are_recognised(tmp_path, monkeypatch, body, runs):
    name = f"data_{body.encode().hex()[-40:]}"
    (tmp_path / f"{name}.py").write_text(DATA_SET.format(body=body))
    monkeypatch.syspath_prepend(tmp_path)
    assert scorer_runs_text(__import__(name).Data()) is runs


def test_scores_are_held_in_the_unit_interval_and_failures_are_wrong():
    def scores(value):
        return SimpleNamespace(score_answer=lambda answer, entry: value)

    entry = {"answer": "a  b"}
    assert [score(scores(value), entry, "x", own=True) for value in (-1, 0.3, 7)] == [0.0, 0.3, 1.0]
    assert score(scores("?"), entry, "x", own=True) == 0.0
    assert score(SimpleNamespace(), entry, "x", own=True) == 0.0
    assert score(SimpleNamespace(), entry, " a b\n", own=False) == 1.0
    assert score(SimpleNamespace(), entry, "ab", own=False) == 0.0


def test_without_the_package_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setattr(reasoning_gym, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match="pip install reasoning-gym"):
        task("reasoning-gym:chain_sum")


# -- with the package ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def chain_sum():
    pytest.importorskip("reasoning_gym")
    return task("reasoning-gym:chain_sum")


def test_problems_of_a_data_set(chain_sum):
    assert (chain_sum.name, chain_sum.scorer) == ("reasoning-gym:chain_sum", "own")
    for split in ("train", "test"):
        for problem in chain_sum.problems(np.random.default_rng(0), 20, split):
            bare = problem.answer.removeprefix("<answer>").removesuffix("</answer>")
            for right in (
                problem.answer,
                bare,
                f"I think {problem.answer}, yes",
                f"<answer>{bare}.0</answer>",
            ):
                assert chain_sum.verify(problem, right) == 1.0
            assert chain_sum.verify(problem, "<answer>x</answer>") == 0.0
            assert chain_sum.vote(problem, problem.answer) == bare
            assert set(problem.prompt + problem.answer) <= set(chain_sum.alphabet)


def test_problems_are_the_same_in_another_process(chain_sum):
    first = chain_sum.problems(np.random.default_rng(1), 10)
    chain_sum._stop()
    assert chain_sum.problems(np.random.default_rng(1), 10) == first


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_no_completion_breaks_or_stalls_a_scorer(chain_sum, text):
    problem = chain_sum.problem(np.random.default_rng(0))
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        assert 0.0 <= chain_sum.verify(problem, text) < 1.0
        seconds.append(time.perf_counter() - start)
    assert min(seconds) < 0.05


def test_a_scorer_that_takes_too_long_is_stopped_and_the_next_one_works(chain_sum, monkeypatch):
    problem = chain_sum.problem(np.random.default_rng(0))
    monkeypatch.setattr(reasoning_gym, "SCORE_SECONDS", 0.2)
    os.kill(chain_sum._process.pid, signal.SIGSTOP)
    start = time.perf_counter()
    assert chain_sum.verify(problem, problem.answer) == 0.0
    assert 0.2 <= time.perf_counter() - start < 2.0
    monkeypatch.undo()
    assert chain_sum.verify(problem, problem.answer) == 1.0


def test_a_process_that_died_is_replaced(chain_sum):
    problem = chain_sum.problem(np.random.default_rng(0))
    chain_sum._process.kill()
    chain_sum._process.wait()
    assert chain_sum.verify(problem, problem.answer) == 0.0
    assert chain_sum.verify(problem, problem.answer) == 1.0


def test_a_data_set_whose_scorer_runs_text_is_scored_by_text(tmp_path):
    pytest.importorskip("reasoning_gym")
    queens = task("reasoning-gym:n_queens")
    assert queens.scorer == "text"
    problem = queens.problem(np.random.default_rng(0))
    proof = tmp_path / "it-ran"
    assert queens.verify(problem, f"<answer>open({str(proof)!r}, 'w')</answer>") == 0.0
    assert not proof.exists()
    assert queens.verify(problem, problem.answer) == 1.0


def test_an_unknown_data_set_is_refused_with_the_known_ones():
    pytest.importorskip("reasoning_gym")
    with pytest.raises(ValueError, match=r"no data set 'chain_som'; it has .*chain_sum"):
        task("reasoning-gym:chain_som")
