"""Measurements of speed and memory that can be checked by hand."""

import pytest
import torch
from tiny_models import nano

from small_llm import flops, speed
from small_llm.engines import TransformersEngine
from small_llm.flops import Cost, Device

torch.set_num_threads(1)


def test_bytes_that_live_at_once():
    outside = torch.ones(1000)

    def work():
        a = torch.ones(1000)  # 4000 bytes
        b = a + 1  # 8000 together
        del a
        outside.add_(b)  # there before: does not count
        c = torch.ones(500, dtype=torch.float64)  # b and c
        c.add_(1)
        b[:10].view(5, 2)

    assert speed.peak_bytes(torch.device("cpu"), work) == 8000


def test_memory_of_log_probabilities_does_not_grow():
    def peak(vocabulary, tokens, chunk):
        found = speed.log_prob_memory(
            torch.device("cpu"), vocabulary=vocabulary, tokens=tokens, chunk=chunk, dtype=torch.float32
        )
        assert (found["vocabulary"], found["tokens"], found["chunk"]) == (vocabulary, tokens, chunk)
        return found["bytes"]

    # what is no logit grows with tokens: hidden states of 64 numbers, some of which are kept
    few, many = peak(8000, 128, 8), peak(8000, 1024, 8)
    assert many < few + 896 * 64 * 4 * 40 < 1.5 * 1024 * 8000 * 4
    assert peak(8000, 1024, None) > 2 * 1024 * 8000 * 4


def test_decoding_against_the_bound(monkeypatch):
    model, tokenizer = nano()
    monkeypatch.setattr(speed, "known", lambda device: Device(1e12, 1e9))
    found = speed.decoding(model, tokenizer, TransformersEngine(model, tokenizer), rows=8, new=20)
    least = 4 * (Cost.of(model.config).body + 14 * 64) / 1e9  # seconds for float32 weights, each once
    assert found["share_of_bound"] == pytest.approx(least / (found["milliseconds_per_token"] / 1e3))
    assert found["tokens_per_second"] == pytest.approx(8e3 / found["milliseconds_per_token"])


def test_decoding_goes_on_to_the_end():
    model, tokenizer = nano()
    steps = []
    hook = model.register_forward_pre_hook(lambda *_: steps.append(1))
    speed.decoding(model, tokenizer, TransformersEngine(model, tokenizer), rows=64, new=20)
    hook.remove()
    assert len(steps) == (1 + speed.REPEATS) * (20 + 1)  # the prefill alone, too


def test_training_counts_an_update_and_changes_nothing(monkeypatch):
    model, _ = nano(torch.bfloat16)
    before = [weight.clone() for weight in model.parameters()]
    monkeypatch.setattr(flops, "known", lambda device: Device(1e12, 1e9))
    found = speed.training(model, rows=8, prompt=3, answer=5)
    needed = Cost.of(model.config).training([3] * 8, [5] * 8)
    for name in ("update", "gradient"):
        assert found[f"{name}/flops_per_second"] == pytest.approx(needed / found[f"{name}/seconds"])
        assert found[f"{name}/mfu"] == pytest.approx(found[f"{name}/flops_per_second"] / 1e12)
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters()))
    assert all(weight.grad is None for weight in model.parameters())
