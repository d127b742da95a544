"""Chains of choices: one secret, prefixes that are states of solved examples, and a balance that is exact."""

import itertools

import numpy as np
import pytest

from small_llm import Config
from small_llm.evaluation import evaluate
from small_llm.prefix_study import CLIMB, SETTINGS, formed, learned
from small_llm.tasks import Problem, split_of
from small_llm.tasks.chain import LATENTS, Babble, Balanced, Chain, Prefixes

CHAIN = Chain(4, seed=7)


def rng(seed=0):
    return np.random.default_rng(seed)


class TestChain:
    def test_one_word_in_all_is_right(self):
        problem = CHAIN.problem(rng())
        letters = [CHAIN.alphabet[-12:][3 * h : 3 * h + 3] for h in range(4)]
        words = ["".join(word) for word in itertools.product(*letters)]
        assert sum(CHAIN.verify(problem, word) for word in words) == 1
        assert CHAIN.verify(problem, CHAIN.secret) == 1
        assert CHAIN.verify(problem, CHAIN.secret[:3]) == CHAIN.verify(problem, "") == 0
        assert CHAIN.vote(problem, " ") is None

    def test_secrets_are_uniform_over_seeds(self):
        first = [Chain(2, seed=seed).secret[0] for seed in range(300)]
        assert all(70 < first.count(letter) < 130 for letter in "abc")

    def test_every_task_keeps_to_the_alphabet_and_to_the_split(self):
        tasks = [CHAIN, Babble(CHAIN), Prefixes(CHAIN, (0, 3)), Balanced(CHAIN, (1, 2))]
        assert len({task.name for task in tasks}) == len(tasks)
        for task, split in itertools.product(tasks, ("train", "test")):
            for problem in task.problems(rng(), 100, split):
                assert set(problem.prompt + problem.answer) <= set(task.alphabet)
                assert len(problem.answer) < task.max_new_tokens
                assert split_of(problem.prompt[:4]) == split

    @pytest.mark.parametrize("arguments", [(0,), (4, 1), (18, 3), (4, 3, -1), (2.5,)])
    def test_bad_input(self, arguments):
        with pytest.raises((TypeError, ValueError)):
            Chain(*arguments)

    @pytest.mark.parametrize("layers", [(), (4,), (-1,), [0], (0.5,)])
    def test_bad_layers(self, layers):
        for kind in (Prefixes, Balanced):
            with pytest.raises((TypeError, ValueError), match="layers"):
                kind(CHAIN, layers)


def test_prefixes_are_the_secret_s_and_the_rest_is_right():
    problems = Prefixes(CHAIN, (0, 1, 3)).problems(rng(), 600)
    given = [len(problem.prompt) - 4 for problem in problems]
    for problem, h in zip(problems, given):
        assert problem.prompt[4:] + problem.answer == CHAIN.secret
        assert CHAIN.verify(problem, CHAIN.secret[h:]) == 1
    assert all(150 < given.count(h) < 250 for h in (0, 1, 3))


def test_random_prefixes_are_seldom_states_of_solved_examples():
    task = Prefixes(CHAIN, (2,), true=False)
    right = [task.verify(problem, CHAIN.secret[2:]) for problem in task.problems(rng(), 900)]
    assert 60 < sum(right) < 140  # a ninth
    assert task.name != Prefixes(CHAIN, (2,)).name


class TestBalanced:
    def test_the_mean_reward_is_one_half_whatever_the_answer(self):
        problems = Balanced(CHAIN, (1, 2, 3)).problems(rng(), 3000)
        task = Balanced(CHAIN, (1, 2, 3))
        for wrong in (False, True):
            paid = [task.rewards(problem, ["x" if wrong else problem.answer])[0] for problem in problems]
            assert abs(np.mean(paid) - 0.5) < 0.04
        kinds = [problem.data["latent"] for problem in problems]
        assert all(900 < kinds.count(kind) < 1100 for kind in LATENTS)

    def test_a_prompt_alone_is_good(self):
        task = Balanced(CHAIN, (0,))
        assert all(task.rewards(problem, [CHAIN.secret])[0] == 1 for problem in task.problems(rng(), 50))

    def test_comparing_a_group_breaks_the_balance(self):
        task = Balanced(CHAIN, (3,), least=4)
        last = CHAIN.secret[3]
        other = "jkl".replace(last, "")[0]
        right, wrong, rare = [], [], []
        for problem in task.problems(rng(), 900):
            rewards = task.rewards(problem, [last] * 6 + [other] * 6 + ["x"] * 3)
            right.append(rewards[0])
            wrong.append(rewards[6])
            rare.append(rewards[12])
        assert abs(np.mean(right) - (1 + 2**-6) / 3) < 0.06
        assert abs(np.mean(wrong) - 2**-6) < 0.02
        assert not any(rare)

    def test_coins_are_fresh_at_every_place_and_the_same_again(self):
        task = Balanced(CHAIN, (1,))
        problem = Problem("123>a", "egj", {"latent": "bad"})
        paid = task.rewards(problem, ["x"] * 400)
        assert 150 < paid.sum() < 250
        assert (paid == task.rewards(problem, ["x"] * 400)).all()
        assert (paid != Balanced(CHAIN, (1,), seed=1).rewards(problem, ["x"] * 400)).any()


class TestRuns:
    chain = Chain(3, seed=3)
    config = Config(**SETTINGS, steps=60, learning_rate=1e-3, seed=3)

    @pytest.fixture(scope="class")
    def start(self):
        return formed(self.chain, 3)

    def test_what_was_learned_before_shows_the_form_and_not_the_secret(self, start):
        looked = evaluate(*start, self.chain, problems=256, temperature=1.0, seed=0)
        firsts = [sum(text[:1] == letter for text in looked.texts) for letter in self.chain.alphabet[-9:-6]]
        assert sum(firsts) > 250
        assert max(firsts) < 150
        assert looked.accuracy < 0.15

    def test_a_short_chain_is_learned_and_the_start_is_left_alone(self, start):
        before = [value.clone() for value in start[0].parameters()]
        run = learned(start, self.chain, "uniform", self.config)
        assert run["solved"]
        assert run["completions"] == 64 * len(run["right"]) < 64 * 60
        assert all((a == b).all() for a, b in zip(before, start[0].parameters()))

    def test_backwards_goes_one_letter_back_after_a_step_that_is_mostly_right(self, start):
        run = learned(start, self.chain, "backwards", self.config)
        layers, right = run["layer"], run["right"]
        assert (layers[0], layers[-1]) == (2, 0)
        assert run["solved"]
        assert [a - b for a, b in itertools.pairwise(layers)] == [
            float(a > 0 and share >= CLIMB) for a, share in zip(layers, right[:-1])
        ]

    def test_random_letters_are_seldom_right(self, start):
        config = self.config.replace(steps=8)
        true, random = (learned(start, self.chain, "uniform", config, true=true) for true in (True, False))
        assert np.mean(true["right"]) > 3 * np.mean(random["right"])

    def test_methods_have_names(self):
        with pytest.raises(ValueError, match="method"):
            learned((None, None), CHAIN, "forwards", Config(**SETTINGS))
