"""Decoding by a fixed program: the same tokens as without one, and a graph of it on a GPU."""

import copy

import pytest
import torch
from tiny_models import PROMPTS, Sums, generator, nano

from small_llm import engines
from small_llm.engines import TransformersEngine
from small_llm.grouped_query import attention
from small_llm.models import load
from small_llm.rollout import sample
from small_llm.static_decoding import StaticEngine

torch.set_num_threads(1)
T = 12


@pytest.fixture(scope="module")
def pair():
    return nano()


def drawn(pair, engine, prompts=PROMPTS, **changes):
    settings = {"groups": 6, "max_new_tokens": T, "generator": generator()} | changes
    return sample(*pair, prompts, engine=engine(*pair), **settings)


def assert_same(found, expected):
    assert found.texts == expected.texts
    for name in ("completion_ids", "completion_mask", "truncated"):
        assert torch.equal(getattr(found, name), getattr(expected, name)), name
    torch.testing.assert_close(found.log_prob, expected.log_prob, atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"temperature": 0.0},
        {"temperature": 1.4, "top_p": 0.5},
        {"max_new_tokens": 1},
        {"max_new_tokens": 30, "groups": 1},
    ],
)
def test_the_same_tokens_as_the_eager_engine(pair, changes):
    expected = drawn(pair, TransformersEngine, **changes)
    assert_same(drawn(pair, StaticEngine, **changes), expected)
    if not changes:
        lengths = expected.completion_mask.sum(-1)
        assert 0 < expected.truncated.sum() < len(lengths)  # answers that end early, late and not at all
        assert len(set(lengths.tolist())) > 3


def grouped(keys):
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=14, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=keys, pad_token_id=0, eos_token_id=1, bos_token_id=None,
    )  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = LlamaForCausalLM(config).eval()
    with torch.no_grad():
        for name, weight in model.named_parameters():
            weight.mul_(8 if "layers" in name and "norm" not in name else 3)
    return model, load("nano", task=Sums())[1]


@pytest.mark.parametrize("keys", [1, 2, 4])
def test_queries_that_share_keys(keys):
    pair = grouped(keys)
    assert_same(drawn(pair, StaticEngine), drawn(pair, TransformersEngine))
    assert pair[0].config._attn_implementation == "sdpa"


def test_weights_that_moved_in_place(pair):
    model, tokenizer = copy.deepcopy(pair[0]), pair[1]
    before = drawn((model, tokenizer), StaticEngine)
    with torch.no_grad():
        model.lm_head.weight.mul_(0.5)
    after = drawn((model, tokenizer), StaticEngine)
    assert after.texts != before.texts
    assert_same(after, drawn((model, tokenizer), TransformersEngine))


def test_more_than_one_token_can_end_an_answer():
    model, tokenizer = nano()
    model.generation_config.eos_token_id = [1, 5]
    assert_same(
        drawn((model, tokenizer), StaticEngine, groups=20),
        drawn((model, tokenizer), TransformersEngine, groups=20),
    )


def test_compiled(pair):
    found = drawn(pair, lambda model, tokenizer: StaticEngine(model, tokenizer, compiled=True))
    assert_same(found, drawn(pair, TransformersEngine))


def test_every_step_is_the_same_program_on_the_same_memory(pair):
    seen = []

    def look(module, args, kwargs):
        if kwargs["input_ids"].shape[1] == 1:
            layers = kwargs["past_key_values"].layers
            tensors = [
                kwargs["attention_mask"],
                kwargs["position_ids"],
                *(layer.all_keys for layer in layers),
            ]
            seen.append([(tuple(x.shape), x.data_ptr()) for x in tensors])

    hook = pair[0].register_forward_pre_hook(look, with_kwargs=True)
    drawn(pair, StaticEngine)
    hook.remove()
    assert len(seen) == T - 1
    assert all(step == seen[0] for step in seen)


def test_it_stops_when_all_answers_have_ended(pair):
    steps = []
    hook = pair[0].register_forward_pre_hook(lambda *_: steps.append(1))
    found = drawn(pair, StaticEngine, prompts=["1+2="], groups=2, max_new_tokens=500)
    hook.remove()
    assert found.completion_ids.shape[1] <= len(steps) <= found.completion_ids.shape[1] + 8 < 500


@pytest.mark.parametrize("kind", ["window", "eager"])
def test_other_attention_is_refused(pair, kind):
    from transformers import MistralConfig, MistralForCausalLM

    config = MistralConfig(
        vocab_size=14, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, sliding_window=5 if kind == "window" else None, pad_token_id=0, eos_token_id=1,
        bos_token_id=None, attn_implementation="sdpa" if kind == "window" else "eager",
    )  # fmt: skip
    model = MistralForCausalLM._from_config(config).eval()
    with pytest.raises(ValueError, match="sample with TransformersEngine"):
        drawn((model, pair[1]), StaticEngine)


def test_attention_with_more_to_it_is_refused():
    x = torch.zeros(1, 2, 1, 4)
    with pytest.raises(ValueError, match="attention with softcap is not computed here"):
        attention(None, x, x, x, None, softcap=30.0)


def test_the_usual_engine(pair, monkeypatch):
    model, tokenizer = pair
    assert isinstance(engines.usual(model, tokenizer), TransformersEngine)
    monkeypatch.setattr(type(model), "device", torch.device("cuda"))
    assert isinstance(engines.usual(model, tokenizer), StaticEngine)
    for where, name, value in (
        (model, "peft_config", {}),
        (model.config, "layer_types", ["full_attention", "sliding_attention"]),
        (model.config, "model_type", "gpt2"),
    ):
        with monkeypatch.context() as changed:
            changed.setattr(where, name, value, raising=False)
            assert isinstance(engines.usual(model, tokenizer), TransformersEngine), name


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_graph_makes_the_same_tokens():
    model, tokenizer = nano()
    pair = (model.to("cuda"), tokenizer)
    for seed in range(2):  # the second call replays the first one's graph
        settings = {"generator": torch.Generator("cuda").manual_seed(seed)}
        expected = drawn(pair, TransformersEngine, **settings)
        settings = {"generator": torch.Generator("cuda").manual_seed(seed)}
        assert_same(drawn(pair, StaticEngine, **settings), expected)
