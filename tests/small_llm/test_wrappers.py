"""Wrong labels and majority votes: rates, symmetry, and nothing learned about held-out problems."""

from collections import Counter
from itertools import permutations

import numpy as np
import pytest
from hostile_texts import HOSTILE
from hypothesis import given, settings
from hypothesis import strategies as st

from small_llm.tasks import Problem, Task, task
from small_llm.wrappers import MajorityVote, NoisyLabels

ADD = task("add3")
TRAIN = ADD.problems(np.random.default_rng(0), 4000)
HELD_OUT = ADD.problems(np.random.default_rng(1), 500, "test")


def verdicts(judge, problems, right=True):
    return np.array([judge.verify(p, p.answer if right else "x") for p in problems])


@pytest.mark.parametrize("p", [0.0, 0.1, 0.4, 1.0])
@pytest.mark.parametrize("right", [True, False])
def test_a_share_p_of_the_verdicts_is_wrong(p, right):
    wrong = verdicts(NoisyLabels(ADD, p), TRAIN, right) != float(right)
    assert abs(wrong.mean() - p) <= 4 * np.sqrt(p * (1 - p) / len(TRAIN))


def test_verdicts_on_held_out_problems_are_never_wrong():
    noisy = NoisyLabels(ADD, 1.0)
    assert verdicts(noisy, HELD_OUT).all()
    assert not verdicts(noisy, HELD_OUT, right=False).any()
    assert noisy.rewards(HELD_OUT[0], [HELD_OUT[0].answer, "x"]).tolist() == [1.0, 0.0]


def test_errors_are_the_same_whenever_they_are_asked_for_and_depend_on_the_seed():
    first, again, other = (verdicts(NoisyLabels(ADD, 0.3, seed), TRAIN) for seed in (0, 0, 1))
    assert (first == again).all()
    both = ((first == 0) & (other == 0)).mean()
    assert abs(both - 0.09) < 4 * np.sqrt(0.09 * 0.91 / len(TRAIN))  # independent


def test_errors_on_two_answers_to_a_problem_are_independent():
    noisy = NoisyLabels(ADD, 0.5)
    a, b = verdicts(noisy, TRAIN), verdicts(noisy, TRAIN, right=False)
    assert abs(np.corrcoef(a, b)[0, 1]) < 4 / np.sqrt(len(TRAIN))


def test_prompt_and_completion_do_not_run_into_each_other():
    noisy = NoisyLabels(ADD, 0.5)
    assert len({noisy._coin("1+1=2", "3"), noisy._coin("1+1=", "23"), noisy._coin("1+1", "=23")}) == 3


def test_noise_on_a_score_between_right_and_wrong():
    class Half(type(ADD)):
        def verify(self, problem, completion):
            return 0.25

    assert NoisyLabels(Half("add", 3), 1.0).verify(TRAIN[0], "") == 0.75


def test_a_wrapped_task_asks_what_the_task_asks():
    for wrapped in (NoisyLabels(ADD, 0.2), MajorityVote(ADD)):
        assert isinstance(wrapped, Task)
        assert (wrapped.alphabet, wrapped.max_new_tokens) == (ADD.alphabet, ADD.max_new_tokens)
        for split in ("train", "test"):
            drawn = (each.problems(np.random.default_rng(5), 50, split) for each in (wrapped, ADD))
            assert next(drawn) == next(drawn)
    assert NoisyLabels(ADD, 0.2).name == "add3, 0.2 of labels wrong, seed 0"
    assert MajorityVote(ADD).name == "add3, majority vote"


@pytest.mark.parametrize(
    ("completions", "rewards"),
    [
        (["7", "7", "8"], [1, 1, 0]),
        (["07", "7.0", "8", "9"], [1, 1, 0, 0]),
        (["7", "8"], [1, 1]),
        (["7", "7", "8", "8", "9"], [1, 1, 1, 1, 0]),
        (["x", "x", "x", "7"], [0, 0, 0, 1]),
        (["x", "", "7e0"], [0, 0, 0]),
        (["7"], [1]),
        ([], []),
    ],
)
def test_what_most_say_is_right(completions, rewards):
    given_rewards = MajorityVote(ADD).rewards(Problem("1+1=", "2"), completions)
    assert given_rewards.dtype == np.float64
    assert given_rewards.tolist() == rewards


@settings(deadline=None)
@given(st.lists(st.sampled_from(["1", "2", "3", "?"]), max_size=6))
def test_votes_do_not_depend_on_order_or_on_the_truth(completions):
    vote = MajorityVote(ADD)
    by_text = dict(zip(completions, vote.rewards(Problem("1+1=", "2"), completions)))
    for shuffled in list(permutations(completions))[:24]:
        rewards = vote.rewards(Problem("1+1=", "3"), shuffled)
        assert rewards.tolist() == [by_text[text] for text in shuffled]
    numbers = Counter(text for text in completions if text != "?")
    assert sum(by_text.values()) == sum(n == max(numbers.values()) for n in numbers.values())


def test_a_vote_is_judged_by_the_truth():
    assert MajorityVote(ADD).verify(Problem("1+1=", "2"), "2") == 1.0
    assert MajorityVote(ADD).verify(Problem("1+1=", "2"), "7") == 0.0


def test_noise_may_be_put_on_a_vote():
    noisy = NoisyLabels(MajorityVote(ADD), 1.0)
    assert noisy.rewards(TRAIN[0], ["7", "7", "8"]).tolist() == [0.0, 0.0, 1.0]


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_no_completion_breaks_a_wrapper(text):
    assert NoisyLabels(ADD, 0.5).verify(TRAIN[0], text) in (0.0, 1.0)
    assert MajorityVote(ADD).rewards(TRAIN[0], [text, "7", "7"]).tolist() == [0.0, 1.0, 1.0]


def test_bad_arguments_are_refused():
    with pytest.raises(TypeError, match="task must be a Task, got 'add2'"):
        NoisyLabels("add2", 0.1)
    with pytest.raises(TypeError, match="task must be a Task"):
        MajorityVote(None)
    with pytest.raises(ValueError, match="p must"):
        NoisyLabels(ADD, 1.5)
    with pytest.raises(ValueError, match="seed must"):
        NoisyLabels(ADD, 0.5, -1)
