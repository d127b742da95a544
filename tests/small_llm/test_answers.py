"""Sampling: log-probabilities are those of the distribution really drawn from, whatever stands around an answer."""

import dataclasses

import numpy as np
import pytest
import torch
from tiny_models import ALPHABET, PROMPTS, distributions, generator, log_probs_by_hand, nano

from small_llm.logprob import token_log_probs
from small_llm.rollout import sample, written

torch.set_num_threads(1)
PAD, END = 0, 1
T = 12


@pytest.fixture(scope="module")
def pair():
    return nano()


def drawn(pair, prompts=PROMPTS, seed=0, **changes):
    settings = {"groups": 6, "max_new_tokens": T, "generator": generator(seed)} | changes
    return sample(*pair, prompts, **settings)


@pytest.mark.parametrize(
    ("temperature", "top_p"), [(1.0, 1.0), (0.6, 1.0), (1.7, 1.0), (1.0, 0.7), (1.4, 0.5)]
)
def test_log_probs_are_those_of_the_distribution_drawn_from(pair, temperature, top_p):
    rollouts = drawn(pair, temperature=temperature, top_p=top_p)
    lengths = rollouts.completion_mask.sum(-1)
    assert (
        len(set(rollouts.prompt_mask.sum(-1).tolist())) > 2
    )  # left padding, answers that end early and late,
    assert len(set(lengths.tolist())) > 3
    assert 0 < rollouts.truncated.sum() < len(lengths)  # and answers that do not end: all in one batch
    by_hand = log_probs_by_hand(pair[0], rollouts, temperature, top_p)
    assert by_hand.min() < -1.5
    np.testing.assert_allclose(rollouts.log_prob.numpy(), by_hand, atol=1e-4)
    forced = token_log_probs(pair[0], rollouts, temperature=temperature, top_p=top_p)
    np.testing.assert_allclose(rollouts.log_prob.numpy(), forced.detach().numpy(), atol=1e-4)


@pytest.mark.parametrize(("temperature", "top_p"), [(1.0, 1.0), (0.6, 1.0), (1.0, 0.7)])
def test_tokens_come_as_often_as_their_probability_says(pair, temperature, top_p):
    n = 4000
    rollouts = drawn(pair, PROMPTS[:2], groups=n, max_new_tokens=1, temperature=temperature, top_p=top_p)
    for i in range(2):
        probs = distributions(pair[0], rollouts, i * n, temperature, top_p)[0]
        counts = np.bincount(rollouts.completion_ids[i * n : (i + 1) * n, 0], minlength=len(probs))
        assert (counts[probs == 0] == 0).all()
        assert (np.abs(counts - n * probs) <= 5 * np.sqrt(n * probs * (1 - probs)) + 1e-9).all()


def test_prompts_stand_flush_right(pair):
    rollouts = drawn(pair)
    vocabulary = pair[1].get_vocab()
    for text, ids, mask in zip(PROMPTS, rollouts.prompt_ids, rollouts.prompt_mask):
        before = len(mask) - len(text)
        assert ids.tolist() == [PAD] * before + [vocabulary[character] for character in text]
        assert mask.tolist() == [False] * before + [True] * len(text)


def test_the_end_counts_and_nothing_behind_it(pair):
    rollouts = drawn(pair)
    for ids, mask, log_prob, cut, text in zip(
        rollouts.completion_ids,
        rollouts.completion_mask,
        rollouts.log_prob,
        rollouts.truncated,
        rollouts.texts,
    ):
        length = int(mask.sum())
        assert mask.tolist() == [True] * length + [False] * (len(mask) - length)
        assert (ids[:length] == END).tolist() == [False] * (length - 1) + [not cut]
        assert length == T or not cut
        assert (log_prob[:length] < 0).all()
        assert ids[length:].tolist() == [PAD] * (len(mask) - length)
        assert (log_prob[length:] == 0).all()
        kept = [i for i in ids[:length].tolist() if i > END]
        assert text == "".join(sorted(ALPHABET)[i - 2] for i in kept)


def test_an_answer_that_ends_with_its_last_token_is_not_truncated(pair):
    rollouts = drawn(pair, groups=40, max_new_tokens=3)
    ends = rollouts.completion_ids[:, -1] == END
    assert ends.any()
    assert not rollouts.truncated[ends].any()


def test_stops_with_the_last_answer(pair):
    rollouts = drawn(pair, ["7="], groups=2, max_new_tokens=300)
    assert rollouts.completion_ids.shape[1] == rollouts.completion_mask.sum(-1).max() < 300


def test_same_generator_same_bits(pair):
    one, two = drawn(pair, seed=3), drawn(pair, seed=3)
    for field in dataclasses.fields(one):
        a, b = getattr(one, field.name), getattr(two, field.name)
        assert a == b if isinstance(a, list) else torch.equal(a, b)
    assert drawn(pair, seed=4).texts != one.texts


def test_a_generator_moves_on_equally_far_whatever_was_sampled(pair):
    states = []
    for prompt in PROMPTS:
        source = generator()
        drawn(pair, [prompt], generator=source)
        states.append(source.get_state())
    assert all(torch.equal(state, states[0]) for state in states)


def test_global_random_state_is_left_alone(pair):
    state = torch.random.get_rng_state()
    drawn(pair)
    assert torch.equal(state, torch.random.get_rng_state())


def test_rows_do_not_see_padding_or_each_other(pair):
    alone = drawn(pair, ["7="], groups=6)
    beside = drawn(pair, ["7=", "1234567890+1234567890=", "1+2="], groups=6)
    width = alone.completion_ids.shape[1]
    assert alone.texts == beside.texts[:6]
    assert torch.equal(alone.completion_mask, beside.completion_mask[:6, :width])
    torch.testing.assert_close(alone.log_prob, beside.log_prob[:6, :width], atol=1e-5, rtol=0)


def test_rows_take_their_prompts_along(pair):
    rollouts = drawn(pair)
    index = torch.tensor([17, 3, 3, 8])
    some = rollouts.rows(index)
    assert some.groups == 1
    assert some.texts == [rollouts.texts[i] for i in (17, 3, 3, 8)]
    assert torch.equal(some.prompt_ids, rollouts.prompt_ids[torch.tensor([2, 0, 0, 1])])
    forced = token_log_probs(pair[0], some)
    torch.testing.assert_close(forced, rollouts.log_prob[index], atol=1e-4, rtol=0)


def test_written_answers(pair):
    model, tokenizer = pair
    rollouts = written(tokenizer, PROMPTS, ["3", "357", "", "9"])
    assert rollouts.completion_ids.tolist()[1][-1] == END
    assert rollouts.completion_mask.sum(-1).tolist() == [2, 4, 1, 2]
    assert torch.isnan(rollouts.log_prob[rollouts.completion_mask]).all()
    np.testing.assert_allclose(
        token_log_probs(model, rollouts).detach().numpy(), log_probs_by_hand(model, rollouts), atol=1e-4
    )
    with pytest.raises(ValueError, match="expected an answer to each of 2 prompts, got 1"):
        written(tokenizer, ["1=", "2="], ["1"])


@pytest.mark.parametrize(
    ("changes", "kind", "message"),
    [
        ({"groups": 0}, ValueError, "groups must be at least 1"),
        ({"max_new_tokens": 0}, ValueError, "max_new_tokens must be at least 1"),
        ({"temperature": -1.0}, ValueError, "temperature must be non-negative"),
        ({"temperature": float("nan")}, ValueError, "temperature must be non-negative"),
        ({"top_p": 0.0}, ValueError, r"top_p must be in \(0, 1\]"),
        ({"top_p": 1.5}, ValueError, "top_p must be a probability"),
        ({"generator": None}, TypeError, "generator must be"),
        ({"prompts": []}, ValueError, "at least one prompt"),
        ({"prompts": "1+1="}, TypeError, "prompts must be a sequence"),
        ({"prompts": ["1=", 2]}, TypeError, r"prompts\[1\] must be"),
        ({"prompts": ["1=", ""]}, ValueError, r"prompts\[1\] must have at least one token"),
        ({"prompts": ["1=", "what?"]}, ValueError, r"prompts\[1\] cannot be encoded .* 'what\?'"),
    ],
)
def test_refusals(pair, changes, kind, message):
    with pytest.raises(kind, match=message):
        drawn(pair, **changes)
