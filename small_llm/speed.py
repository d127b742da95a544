"""Speed and memory of a model on its device, against what the device could do at best."""

from __future__ import annotations

import time
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from pgtheory.objectives import RECIPES
from small_llm.config import Config
from small_llm.engines import Engine, prefill
from small_llm.experience import Experience
from small_llm.flops import Cost, known, utilisation
from small_llm.learner import Learner
from small_llm.logprob import token_log_probs
from small_llm.rollout import Rollouts

REPEATS = 3  # the fastest counts: what disturbs a measurement makes it slower


def decoding(
    model: Any, tokenizer: Any, engine: Engine, *, rows: int = 256, prompt: int = 16, new: int = 128
) -> dict[str, float | None]:
    """Tokens per second of ``rows`` answers at a time, without the prefill, and the share of the bound by bandwidth.

    The bound is that of reading every weight once for each token; keys and values come on top of it. Almost any
    token is drawn with equal probability, so that answers go on to the end.
    """

    prompts = np.random.default_rng(0).integers(2, 12, (rows, prompt)).tolist()
    settings: dict[str, Any] = {"groups": 1, "max_new_tokens": new, "temperature": 1e4, "top_p": 1.0}

    def answers() -> None:
        engine.complete(prompts, generator=torch.Generator(model.device).manual_seed(0), **settings)

    @torch.no_grad()
    def reading() -> None:
        prefill(model, tokenizer, prompts)

    for work in (answers, reading):
        work()  # compiles, captures, fills caches
    fastest = [min(timed(model.device, work) for _ in range(REPEATS)) for work in (answers, reading)]
    step = (fastest[0] - fastest[1]) / new
    peak = known(model.device)
    least = None if peak is None else Cost.of(model.config).decoding_seconds(peak, model.dtype.itemsize)
    return {
        "rows": rows,
        "prompt": prompt,
        "new": new,
        "tokens_per_second": rows / step,
        "milliseconds_per_token": 1e3 * step,
        "share_of_bound": None if least is None else least / step,
    }


def training(model: Any, *, rows: int, prompt: int, answer: int) -> dict[str, float | None]:
    """Seconds, operations per second and MFU of an update by REINFORCE on one answer to each of ``rows`` prompts.

    With the optimiser's step, and without it.
    """
    config = Config(prompts=rows, group_size=1, measure_every=0, recipe="reinforce", learning_rate=1.0)
    learner = Learner(model, RECIPES["reinforce"], config)
    rollouts = some_rollouts(model, rows, prompt, answer)
    with torch.no_grad():
        kept = token_log_probs(model, rollouts)
    rollouts.log_prob.copy_(kept)
    experience = Experience([], rollouts, torch.ones(rows, 1, device=model.device), 1.0)
    decisions, everyone = learner.decisions(experience), torch.arange(rows)

    def gradient() -> None:
        learner.backward(experience, decisions, everyone)

    def update() -> None:
        gradient()
        learner.optimiser.step(0.0)

    lengths = {"prompts": [prompt] * rows, "answers": [answer] * rows}
    found: dict[str, float | None] = {"rows": rows, "prompt": prompt, "answer": answer}
    for name, work in (("update", update), ("gradient", gradient)):
        timed(model.device, work)
        took = min(timed(model.device, work) for _ in range(REPEATS))
        found[f"{name}/seconds"] = took
        found[f"{name}/flops_per_second"] = Cost.of(model.config).training(**lengths) / took
        found[f"{name}/mfu"] = utilisation(model, **lengths, epochs=1, seconds=took)
    model.zero_grad(set_to_none=True)
    return found


def log_prob_memory(
    device: torch.device, *, vocabulary: int, tokens: int, chunk: int | None, dtype: torch.dtype
) -> dict[str, Any]:
    """Most bytes in use at once, above those before it, in a pass there and back over so many answers' tokens.

    By a model of one narrow layer, so that what has the vocabulary's size is all there is to see; by
    ``token_log_probs`` with so many tokens a chunk, or without a chunk by a softmax of all logits.
    """
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=vocabulary, hidden_size=64, intermediate_size=64, num_hidden_layers=1, num_attention_heads=4,
        pad_token_id=0, eos_token_id=1, bos_token_id=None,
    )  # fmt: skip
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []), torch.device(device):
        model: Any = LlamaForCausalLM(config)
    model.to(dtype)
    for weight in model.parameters():
        weight.grad = torch.zeros_like(weight)  # there before, so that it does not count
    rollouts = some_rollouts(model, tokens // 64, 8, 64)

    def work() -> None:
        if chunk:
            log_prob = token_log_probs(model, rollouts, chunk=chunk)
        else:
            ids = torch.cat([rollouts.prompt_ids, rollouts.completion_ids], 1)
            logits = model(input_ids=ids[:, :-1]).logits[:, 7:].float()
            log_prob = logits.log_softmax(-1).gather(-1, rollouts.completion_ids[..., None])
        log_prob.sum().backward()

    return {"vocabulary": vocabulary, "tokens": tokens, "chunk": chunk, "bytes": peak_bytes(device, work)}


def some_rollouts(model: Any, rows: int, prompt: int, answer: int) -> Rollouts:
    """Answers of one length to as many prompts, of any tokens."""
    rng = np.random.default_rng(0)
    device, most = model.device, min(model.config.vocab_size, 1000)
    prompts = torch.from_numpy(rng.integers(2, most, (rows, prompt))).to(device)
    ids = torch.from_numpy(rng.integers(2, most, (rows, answer))).to(device)
    there = torch.ones_like(ids, dtype=torch.bool)
    cut = torch.ones(rows, dtype=torch.bool, device=device)
    log_prob = torch.zeros(ids.shape, device=device)
    return Rollouts(
        prompts, torch.ones_like(prompts, dtype=torch.bool), ids, there, log_prob, cut, [""] * rows
    )


def timed(device: torch.device, work: Callable[[], Any]) -> float:
    """Seconds of a piece of work, up to its end on the device."""
    settle = torch.cuda.synchronize if device.type == "cuda" else lambda: None
    settle()
    began = time.perf_counter()
    work()
    settle()
    return time.perf_counter() - began


# -- memory ---------------------------------------------------------------------------------------------------


def peak_bytes(device: torch.device, work: Callable[[], Any]) -> int:
    """Most bytes of tensors that a piece of work holds at once, above what was there before."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        before = torch.cuda.memory_allocated(device)
        torch.cuda.reset_peak_memory_stats(device)
        work()
        torch.cuda.synchronize(device)
        return torch.cuda.max_memory_allocated(device) - before
    with _Living() as living:
        work()
    return living.peak


class _Living(TorchDispatchMode):
    """Bytes of the tensors that are made under it, for devices whose allocator does not count."""

    def __init__(self) -> None:
        super().__init__()
        self.sizes: dict[Any, int] = {}
        self.now = self.peak = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        for tensor in tree_leaves((args, kwargs)):
            self._count(tensor, new=False)
        made = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(made):
            self._count(tensor, new=True)
        return made

    def _count(self, tensor: Any, *, new: bool) -> None:
        """Know a tensor's storage from now on; what an operation is given and nobody knows was there before."""
        if not isinstance(tensor, torch.Tensor):
            return
        reference = weakref.ref(tensor.untyped_storage(), self._forget)
        if reference not in self.sizes:
            self.sizes[reference] = tensor.untyped_storage().nbytes() if new else 0
            self.now += self.sizes[reference]
            self.peak = max(self.peak, self.now)

    def _forget(self, reference: Any) -> None:
        self.now -= self.sizes.pop(reference, 0)
