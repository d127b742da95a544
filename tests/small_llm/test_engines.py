"""Engines: one reading of a prompt, what ends an answer, windows and dropout, and drawing a token."""

import importlib.util

import numpy as np
import pytest
import torch
from tiny_models import PROMPTS, generator, log_probs_by_hand, nano, nucleus

from small_llm.engines import TransformersEngine, VLLMEngine, draw, end_tokens
from small_llm.logprob import scaled_logits
from small_llm.rollout import sample

torch.set_num_threads(1)
PAD, END = 0, 1
T = 12


@pytest.fixture(scope="module")
def pair():
    return nano()


def drawn(pair, prompts=PROMPTS, **changes):
    return sample(*pair, prompts, **{"groups": 6, "max_new_tokens": T, "generator": generator()} | changes)


def test_a_prompt_is_read_once_for_its_group(pair):
    shapes = []
    hook = pair[0].register_forward_pre_hook(
        lambda module, args, kwargs: shapes.append(tuple(kwargs["input_ids"].shape)), with_kwargs=True
    )
    rollouts = drawn(pair)
    hook.remove()
    longest = rollouts.prompt_ids.shape[1]
    assert shapes[0] == (len(PROMPTS), longest)
    assert set(shapes[1:]) == {(6 * len(PROMPTS), 1)}
    assert len(shapes) == rollouts.completion_ids.shape[1]


def test_temperature_zero_is_greedy(pair):
    model, tokenizer = pair
    rollouts = drawn(pair, ["12+345="], groups=2, temperature=0.0)
    greedy = model.generate(
        rollouts.prompt_ids, attention_mask=rollouts.prompt_mask.long(), do_sample=False, max_new_tokens=T
    )
    expected = greedy[0, rollouts.prompt_ids.shape[1] :]
    assert all(
        torch.equal(row[mask], expected)
        for row, mask in zip(rollouts.completion_ids, rollouts.completion_mask)
    )
    assert (rollouts.log_prob == 0).all()


def test_layers_with_a_window_too(pair):
    from transformers import MistralConfig, MistralForCausalLM

    config = MistralConfig(
        vocab_size=14, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, sliding_window=5, pad_token_id=PAD, eos_token_id=END, bos_token_id=None,
    )  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = MistralForCausalLM(config).eval()
    with torch.no_grad():
        model.lm_head.weight.mul_(20)
    rollouts = drawn((model, pair[1]))
    np.testing.assert_allclose(rollouts.log_prob.numpy(), log_probs_by_hand(model, rollouts), atol=1e-4)
    far = rollouts.completion_mask.sum(-1) > 5
    assert far.any()


def test_a_model_in_training_is_sampled_without_its_dropout_and_left_in_training():
    model, tokenizer = nano()
    expected = drawn((model, tokenizer))
    model.config.attention_dropout = 0.5
    for layer in model.model.layers:
        layer.self_attn.attention_dropout = 0.5
    getattr(model, "activation_checkpointing_enable", model.gradient_checkpointing_enable)()
    model.train()
    rollouts = drawn((model, tokenizer))
    assert model.training
    assert torch.equal(rollouts.log_prob, expected.log_prob)


def test_more_than_one_token_can_end_an_answer():
    model, tokenizer = nano()
    model.generation_config.eos_token_id = [END, 5]
    assert end_tokens(model, tokenizer) == [END, 5]
    rollouts = drawn((model, tokenizer), groups=20)
    last = rollouts.completion_mask.sum(-1) - 1
    ended = rollouts.completion_ids.gather(1, last[:, None])[~rollouts.truncated].unique()
    assert ended.tolist() == [END, 5]
    assert not (rollouts.completion_ids[:, :-1] == 5)[rollouts.completion_mask[:, 1:]].any()


def test_draw_inverts_the_distribution_and_never_takes_what_is_impossible():
    logits = torch.tensor([[-torch.inf, 0.0, -torch.inf, 0.0, -torch.inf]]).expand(4, 5)
    token, log_prob = draw(logits, torch.tensor([0.0, 0.4999, 0.5, 1 - 2**-53], dtype=torch.float64))
    assert token.tolist() == [1, 1, 3, 3]
    assert log_prob.tolist() == pytest.approx([-np.log(2)] * 4)


def test_a_logit_that_is_no_number_shows_in_the_log_prob():
    _, log_prob = draw(torch.tensor([[0.0, torch.nan], [0.0, 1.0]]), torch.tensor([0.5, 0.5]))
    assert torch.isnan(log_prob).tolist() == [True, False]


def test_scaled_logits_against_the_plain_nucleus():
    logits = torch.randn(50, 30, generator=generator(), dtype=torch.float64) * 3
    for temperature, top_p in ((1.0, 0.9), (0.5, 0.3), (2.0, 1e-9), (1.0, 1.0)):
        found = scaled_logits(logits, temperature, top_p).softmax(-1).numpy()
        expected = [nucleus(p, top_p) for p in (logits / temperature).softmax(-1).numpy()]
        np.testing.assert_allclose(found, expected, atol=1e-12)


def test_another_engine_can_stand_in(pair):
    asked = {}

    class Recorder:
        def complete(self, prompts, **settings):
            asked.update(settings, prompts=prompts)
            return TransformersEngine(*pair).complete(prompts, **settings)

    rollouts = drawn(pair, engine=Recorder())
    assert asked["groups"] == 6
    assert [len(ids) for ids in asked["prompts"]] == [len(prompt) for prompt in PROMPTS]
    assert rollouts.texts == drawn(pair).texts


@pytest.mark.skipif(importlib.util.find_spec("vllm") is not None, reason="vLLM is installed")
def test_vllm_is_asked_for_by_name(pair):
    with pytest.raises(ModuleNotFoundError, match="pip install vllm"):
        VLLMEngine("some/model", pair[1])
