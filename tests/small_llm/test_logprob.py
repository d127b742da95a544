"""Teacher-forced log-probabilities: equal to the full computation in value and slope, never holding all logits."""

import dataclasses
import weakref

import numpy as np
import pytest
import torch
from tiny_models import PROMPTS, distributions, generator, log_probs_by_hand, nano
from torch.utils._python_dispatch import TorchDispatchMode

from small_llm import logprob
from small_llm.logprob import token_log_probs
from small_llm.rollout import sample

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def exact():
    """The nano model in double precision, and answers of it."""
    model, tokenizer = nano(torch.float64)
    return model, sample(model, tokenizer, PROMPTS, groups=3, max_new_tokens=9, generator=generator(1))


def slopes(model, loss):
    return torch.cat([g.flatten() for g in torch.autograd.grad(loss, [*model.parameters()])])


def some_loss(log_prob, entropy, mask):
    """Sums over tokens, with another factor for each."""
    factors = torch.linspace(-1, 2, mask.numel(), dtype=log_prob.dtype).reshape(mask.shape)
    return ((log_prob.exp() * factors + 0.3 * entropy * factors.flip(0)) * mask).sum()


def in_full(model, rollouts, temperature):
    """Log-probabilities and entropies with all logits at once, as a first implementation would."""
    G = rollouts.groups
    prompt_mask = rollouts.prompt_mask.repeat_interleave(G, 0)
    mask = torch.cat([prompt_mask, rollouts.completion_mask], 1).long()
    ids = torch.cat([rollouts.prompt_ids.repeat_interleave(G, 0), rollouts.completion_ids], 1)
    places = (mask.cumsum(-1) - 1).clamp(min=0)
    logits = model(input_ids=ids, attention_mask=mask, position_ids=places).logits / temperature
    log_probs = logits[:, prompt_mask.shape[1] - 1 : -1].log_softmax(-1)
    log_prob = log_probs.gather(-1, rollouts.completion_ids[..., None])[..., 0]
    entropy = -(log_probs.exp() * log_probs).sum(-1)
    return log_prob * rollouts.completion_mask, entropy * rollouts.completion_mask


@pytest.mark.parametrize(
    ("temperature", "top_p"), [(1.0, 1.0), (0.5, 1.0), (2.0, 1.0), (1.0, 0.8), (0.7, 0.5)]
)
def test_against_one_answer_at_a_time(exact, temperature, top_p):
    model, rollouts = exact
    found, entropy = token_log_probs(model, rollouts, temperature=temperature, top_p=top_p, entropy=True)
    expected = log_probs_by_hand(model, rollouts, temperature, top_p)
    assert np.isinf(expected).any() == (
        top_p < 1
    )  # drawn from the whole vocabulary, some lie outside the nucleus
    np.testing.assert_allclose(found.detach().numpy(), expected, atol=1e-10)
    for row in range(len(expected)):
        probs = distributions(model, rollouts, row, temperature, top_p)
        by_hand = -(probs * np.log(np.where(probs > 0, probs, 1))).sum(-1)
        np.testing.assert_allclose(entropy[row, : len(by_hand)].detach().numpy(), by_hand, atol=1e-10)
        assert (entropy[row, len(by_hand) :] == 0).all()


@pytest.mark.parametrize("chunk", [1, 7, 10_000, None])
@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_chunks_change_neither_values_nor_slopes(exact, chunk, temperature):
    model, rollouts = exact
    mask = rollouts.completion_mask
    found = token_log_probs(model, rollouts, temperature=temperature, chunk=chunk, entropy=True)
    full = in_full(model, rollouts, temperature)
    for a, b in zip(found, full):
        torch.testing.assert_close(a, b, atol=1e-12, rtol=0)
    torch.testing.assert_close(
        slopes(model, some_loss(*found, mask)), slopes(model, some_loss(*full, mask)), atol=1e-11, rtol=0
    )


def test_entropy_is_only_made_on_request(exact):
    model, rollouts = exact
    log_prob, _ = token_log_probs(model, rollouts, entropy=True)
    assert torch.equal(token_log_probs(model, rollouts), log_prob)


def test_slopes_do_not_see_padding(exact):
    model, rollouts = exact

    def wider(x, left, right, value):
        return torch.nn.functional.pad(x, (left, right), value=value)

    padded = dataclasses.replace(
        rollouts,
        prompt_ids=wider(rollouts.prompt_ids, 5, 0, 7),
        prompt_mask=wider(rollouts.prompt_mask, 5, 0, False),
        completion_ids=wider(rollouts.completion_ids, 0, 4, 3),
        completion_mask=wider(rollouts.completion_mask, 0, 4, False),
        log_prob=wider(rollouts.log_prob, 0, 4, torch.nan),
    )
    T = rollouts.completion_ids.shape[1]
    plain, wide = (token_log_probs(model, r, entropy=True) for r in (rollouts, padded))
    for a, b in zip(plain, wide):
        torch.testing.assert_close(a, b[:, :T], atol=1e-12, rtol=0)
        assert (b[:, T:] == 0).all()
    mask = rollouts.completion_mask
    narrow = some_loss(*(x[:, :T] for x in wide), mask)
    torch.testing.assert_close(
        slopes(model, some_loss(*plain, mask)), slopes(model, narrow), atol=1e-11, rtol=0
    )


@pytest.mark.parametrize("parts", [2, 5, 12])
def test_slopes_do_not_see_how_a_batch_is_split(exact, parts):
    model, rollouts = exact
    whole = token_log_probs(model, rollouts)
    order = torch.randperm(len(whole), generator=generator())
    together = slopes(model, (whole.exp() * rollouts.completion_mask).sum())
    split = torch.zeros_like(together)
    for rows in order.chunk(parts):
        part = rollouts.rows(rows)
        found = token_log_probs(model, part)
        torch.testing.assert_close(found, whole[rows], atol=1e-12, rtol=0)
        split += slopes(model, (found.exp() * part.completion_mask).sum())
    torch.testing.assert_close(split, together, atol=1e-11, rtol=0)


class VocabularyWatch(TorchDispatchMode):
    """The most numbers at any moment in living tensors whose last axis is the vocabulary."""

    def __init__(self, size):
        super().__init__()
        self.size, self.living, self.peak = size, {}, 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        made = func(*args, **(kwargs or {}))
        for x in made if isinstance(made, (tuple, list)) else [made]:
            if isinstance(x, torch.Tensor) and x.ndim and x.shape[-1] == self.size and x._base is None:
                self.living[weakref.ref(x.untyped_storage())] = (
                    x.untyped_storage().nbytes() // x.element_size()
                )
        self.living = {ref: size for ref, size in self.living.items() if ref() is not None}
        self.peak = max(self.peak, sum(self.living.values()))
        return made


def peak_logits(answers, *, chunk, entropy=True):
    """Tokens of some long answers, and the peak of numbers with the vocabulary's size, there and back."""
    from transformers import LlamaConfig, LlamaForCausalLM

    from small_llm.rollout import Rollouts

    config = LlamaConfig(
        vocab_size=1009, hidden_size=8, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2,
        num_key_value_heads=2, pad_token_id=0, eos_token_id=1, bos_token_id=None,
    )  # fmt: skip
    model = LlamaForCausalLM(config)
    ids = torch.randint(2, 1009, (answers, 30), generator=generator())
    yes = torch.ones(answers, 30, dtype=torch.bool)
    none = torch.zeros(answers, dtype=torch.bool)
    rollouts = Rollouts(ids[:, :3], yes[:, :3], ids, yes, torch.zeros(answers, 30), none, [""] * answers)
    with VocabularyWatch(1009) as watch:
        found = token_log_probs(model, rollouts, chunk=chunk, entropy=True)
        sum(x.sum() for x in found).backward()
    return yes.sum().item(), watch.peak


def test_of_all_logits_only_a_chunk_exists():
    chunk = 16
    few, small = peak_logits(4, chunk=chunk)
    many, large = peak_logits(16, chunk=chunk)
    assert many == 4 * few
    assert large <= 10 * chunk * 1009 < many * 1009 / 2  # a few temporaries of a chunk; never all tokens
    assert large <= small * 1.05  # and no more for more tokens
    _, whole = peak_logits(16, chunk=many)
    assert whole >= many * 1009  # the watch does see what it looks for


def test_no_slopes_where_none_are_wanted(exact):
    model, rollouts = exact
    with torch.no_grad():
        assert not token_log_probs(model, rollouts, chunk=2).requires_grad


# -- prompts read once for all of their answers ------------------------------------------------------------------


def watched(model, monkeypatch):
    """Shapes of what the model's body reads from here on."""
    seen, body = [], model.get_decoder()
    true = body.forward
    monkeypatch.setattr(
        body, "forward", lambda **given: seen.append(tuple(given["input_ids"].shape)) or true(**given)
    )
    return seen


@pytest.mark.parametrize("chunk", [7, None])
def test_a_prompt_read_once_gives_the_same_values_and_slopes(exact, chunk, monkeypatch):
    model, rollouts = exact
    assert rollouts.prompt_mask.logical_not().any()  # padding before prompts, and behind answers
    assert rollouts.completion_mask.logical_not().any()
    full = in_full(model, rollouts, 0.7)
    monkeypatch.setattr(logprob, "WORTH_A_PASS", 0)
    seen = watched(model, monkeypatch)
    found = token_log_probs(model, rollouts, temperature=0.7, chunk=chunk, entropy=True)
    (P, L), (n, T) = rollouts.prompt_ids.shape, rollouts.completion_ids.shape
    assert seen == [(P, L), (n, T - 1)]
    for a, b in zip(found, full):
        torch.testing.assert_close(a, b, atol=1e-12, rtol=0)
    mask = rollouts.completion_mask
    expected = slopes(model, some_loss(*full, mask))
    off = (slopes(model, some_loss(*found, mask)) - expected).abs().max() / expected.abs().max()
    assert off < 1e-6  # norms and rotations are float32 whatever the weights are, and see slopes summed


def test_a_prompt_is_read_once_where_that_saves_enough(exact, monkeypatch):
    model, rollouts = exact
    (P, L), (n, T) = rollouts.prompt_ids.shape, rollouts.completion_ids.shape
    worth = P * L * 2 * sum(p.numel() for p in model.parameters())  # three answers to each
    seen = watched(model, monkeypatch)
    for least in (worth, worth + 1):
        monkeypatch.setattr(logprob, "WORTH_A_PASS", least)
        token_log_probs(model, rollouts)
    assert seen == [(P, L), (n, T - 1), (n, L + T - 1)]


def test_answers_of_one_token_and_answers_alone(exact, monkeypatch):
    model, rollouts = exact
    monkeypatch.setattr(logprob, "WORTH_A_PASS", 0)
    short = dataclasses.replace(
        rollouts,
        completion_ids=rollouts.completion_ids[:, :1],
        completion_mask=rollouts.completion_mask[:, :1],
    )
    everything = token_log_probs(model, rollouts)
    torch.testing.assert_close(token_log_probs(model, short), everything[:, :1], atol=1e-12, rtol=0)
    alone = rollouts.rows(torch.arange(len(everything)))
    torch.testing.assert_close(token_log_probs(model, alone), everything, atol=1e-12, rtol=0)


def test_layers_that_recompute_keep_no_prompt(exact, monkeypatch):
    _, rollouts = exact
    model, _ = nano(torch.float64)
    expected = slopes(model, token_log_probs(model, rollouts).sum())
    getattr(model, "activation_checkpointing_enable", model.gradient_checkpointing_enable)()
    model.train()
    monkeypatch.setattr(logprob, "WORTH_A_PASS", 0)
    found = token_log_probs(model, rollouts).sum()
    torch.testing.assert_close(slopes(model, found), expected, atol=1e-11, rtol=0)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_lifted(dtype):
    model, tokenizer = nano(dtype)
    rollouts = sample(model, tokenizer, PROMPTS, groups=2, max_new_tokens=5, generator=generator())
    found = token_log_probs(model, rollouts)
    assert found.dtype == rollouts.log_prob.dtype == torch.float32
    torch.testing.assert_close(found, rollouts.log_prob, atol=0.15, rtol=0)


def test_lora_adapters_are_seen():
    peft = pytest.importorskip("peft")
    model, tokenizer = nano(torch.float64)
    adapted = peft.get_peft_model(model, peft.LoraConfig(target_modules=["q_proj"], init_lora_weights=False))
    rollouts = sample(adapted, tokenizer, PROMPTS, groups=2, max_new_tokens=6, generator=generator())
    found = token_log_probs(adapted, rollouts, chunk=5)
    torch.testing.assert_close(found.float(), rollouts.log_prob, atol=1e-5, rtol=0)
    with adapted.disable_adapter():
        assert (token_log_probs(adapted, rollouts) - found).abs().max() > 1e-3
    found.sum().backward()
    assert any(
        p.grad is not None and p.grad.abs().max() > 0 for n, p in adapted.named_parameters() if "lora" in n
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"temperature": 0.0}, "temperature must be positive"),
        ({"top_p": 0}, "top_p must be in"),
        ({"chunk": 0}, "chunk must be at least 1"),
    ],
)
def test_refusals(exact, changes, message):
    with pytest.raises(ValueError, match=message):
        token_log_probs(*exact, **changes)


def test_rescaled_logits_are_refused():
    model, tokenizer = nano()
    rollouts = sample(model, tokenizer, ["1="], max_new_tokens=2, generator=generator())
    model.config.final_logit_softcapping = 30.0
    with pytest.raises(ValueError, match="rescales its logits behind its head"):
        token_log_probs(model, rollouts)
