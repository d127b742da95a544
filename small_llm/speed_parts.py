"""The parts of a scale run that are about speed, and about a pretrained model."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch

from small_llm import speed
from small_llm.engines import TransformersEngine
from small_llm.logprob import NUMBERS_AT_ONCE
from small_llm.notes import Notes
from small_llm.static_decoding import StaticEngine

if TYPE_CHECKING:
    from small_llm.scale import Plan

UPDATE = {
    "cuda": {"rows": 12, "prompt": 256, "answer": 768},
    "cpu": {"rows": 8, "prompt": 16, "answer": 48},
}
TOKENS = {"cuda": (2048, 8192, 32768), "cpu": (128, 256, 512)}  # of the log-probabilities' memory
PLAIN = {"cuda": 8192, "cpu": 256}  # the most for which all logits are made
AT_ONCE = {"cuda": NUMBERS_AT_ONCE, "cpu": 2**22}  # logits of a chunk
DECODED = {"cuda": {}, "cpu": {"new": 32}}


def measure(
    model: Any, tokenizer: Any, vocabulary: int, may_compile: Callable[[], bool], notes: Notes
) -> None:
    """Training, memory and decoding; what must be compiled comes last."""
    kind = model.device.type
    with notes.part("speed/training"):
        notes.put("speed/training", speed.training(model, **UPDATE[kind]))
    memory: list[dict[str, Any]] = []
    with notes.part("speed/memory"):
        for size in (vocabulary // 4, vocabulary):
            for tokens in TOKENS[kind]:
                for chunk in (
                    (AT_ONCE[kind] // size, None) if tokens <= PLAIN[kind] else (AT_ONCE[kind] // size,)
                ):
                    found = speed.log_prob_memory(
                        model.device, vocabulary=size, tokens=tokens, chunk=chunk, dtype=model.dtype
                    )
                    notes.put("speed/memory", memory := [*memory, found], now=False)
    for name, engine in (
        ("launched", TransformersEngine(model, tokenizer)),
        ("static", StaticEngine(model, tokenizer)),
        ("compiled", StaticEngine(model, tokenizer, compiled=True)),
    ):
        with notes.part(f"speed/decoding/{name}"):
            if name == "compiled" and not may_compile():
                raise TimeoutError("not enough of the time was left to compile a step")
            notes.put(f"speed/decoding/{name}", speed.decoding(model, tokenizer, engine, **DECODED[kind]))


def pretrained(plan: Plan, device: torch.device, left: Callable[[], float], notes: Notes) -> None:
    """GRPO and GBPO on a pretrained model, from the same weights with the same problems."""
    from small_llm.models import load
    from small_llm.scale import compare

    dtype = "bfloat16" if device.type == "cuda" else "float32"
    config = plan.config(
        "grpo", device, model=plan.pretrained, task=plan.pretrained_task, learning_rate=5e-6, dtype=dtype,
        prompts=16 if device.type == "cuda" else 4, evaluation_problems=256 if device.type == "cuda" else 16,
    )  # fmt: skip
    assert plan.pretrained is not None
    model, tokenizer = load(plan.pretrained, device=device, dtype=getattr(torch, dtype))
    compare(model, tokenizer, ["grpo", "gbpo"], config, left, notes, "pretrained")
