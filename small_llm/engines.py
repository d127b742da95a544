"""What turns prompts into answers: transformers with a lean loop of our own, or vLLM for those who have it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import torch

from small_llm.flops import GATED
from small_llm.kv_cache import Memory
from small_llm.logprob import positions, scaled_logits
from small_llm.policy import divided
from small_llm.tokenizer import left_padded, right_padded


@dataclass(frozen=True, eq=False)
class Completions:
    """Answers as tokens, flush left [P*G, T], as :class:`small_llm.Rollouts` describes them."""

    ids: torch.Tensor
    mask: torch.Tensor
    log_prob: torch.Tensor
    truncated: torch.Tensor


class Engine(Protocol):
    """Samples ``groups`` answers to each prompt, the answers to one prompt in succession."""

    def complete(
        self,
        prompts: list[list[int]],
        *,
        groups: int,
        max_new_tokens: int,
        temperature: float,
        top_p: float,
        generator: torch.Generator,
    ) -> Completions:
        """Answers with the log-probabilities of the distribution they were drawn from."""
        ...


@dataclass(frozen=True, eq=False)
class TransformersEngine:
    """Any causal language model of transformers, a token for all answers at a time, keys and values kept.

    Parameters
    ----------
    model, tokenizer
        From :func:`small_llm.load`.
    """

    model: Any
    tokenizer: Any

    @torch.no_grad()
    def complete(
        self,
        prompts: list[list[int]],
        *,
        groups: int,
        max_new_tokens: int,
        temperature: float,
        top_p: float,
        generator: torch.Generator,
    ) -> Completions:
        """As :class:`Engine`; stops when every answer has ended."""
        device, pad = self.model.device, self.tokenizer.pad_token_id
        ends = torch.tensor(end_tokens(self.model, self.tokenizer), device=device)
        rows = len(prompts) * groups
        uniforms = random_numbers(rows, max_new_tokens, generator, device)
        ids = torch.full((rows, max_new_tokens), pad, device=device)
        mask = torch.zeros(rows, max_new_tokens, dtype=torch.bool, device=device)
        log_prob = torch.zeros(rows, max_new_tokens, device=device)
        alive = torch.ones(rows, dtype=torch.bool, device=device)
        with evaluating(self.model):
            logits, cache, prompt_mask = prefill(self.model, self.tokenizer, prompts)
            logits = logits.repeat_interleave(groups, 0)
            memory = Memory(self.model.config, cache, prompt_mask, groups, max_new_tokens)
            for t in range(max_new_tokens):
                token, chosen = draw(scaled_logits(logits, temperature, top_p), uniforms[:, t])
                ids[:, t] = torch.where(alive, token, pad)
                log_prob[:, t] = torch.where(alive, chosen, 0.0)
                mask[:, t] = alive
                alive = alive & ~torch.isin(token, ends)
                if t + 1 == max_new_tokens or not alive.any():
                    break
                logits = memory.step(self.model, ids[:, t])
        longest = t + 1
        return Completions(ids[:, :longest], mask[:, :longest], log_prob[:, :longest], alive)


@dataclass(frozen=True, eq=False)
class VLLMEngine:
    """vLLM, where it is installed; it holds weights of its own, which ``model`` names.

    Parameters
    ----------
    model : vllm.LLM or str
        A running engine whose ``logprobs_mode`` is "processed_logprobs", or what to start one from.
    tokenizer
        From :func:`small_llm.load`.

    Raises
    ------
    ModuleNotFoundError
        If vLLM is not installed.
    """

    model: Any
    tokenizer: Any

    def __post_init__(self) -> None:
        try:
            from vllm import LLM
        except ImportError as error:
            raise ModuleNotFoundError(
                "VLLMEngine needs vLLM, which is not installed: pip install vllm (on a machine with a GPU), or "
                "leave engine=None to sample with transformers"
            ) from error
        if isinstance(self.model, str):
            # its default, raw log-probabilities, are those before temperature and nucleus
            object.__setattr__(self, "model", LLM(self.model, logprobs_mode="processed_logprobs"))

    def complete(
        self,
        prompts: list[list[int]],
        *,
        groups: int,
        max_new_tokens: int,
        temperature: float,
        top_p: float,
        generator: torch.Generator,
    ) -> Completions:
        """As :class:`Engine`, on the CPU."""
        from vllm import SamplingParams

        seeds = torch.randint(2**31, (len(prompts),), generator=generator, device=generator.device)
        shared = {"temperature": temperature, "top_p": top_p, "logprobs": 0, "detokenize": False}
        parameters = [
            SamplingParams(n=groups, max_tokens=max_new_tokens, seed=seed, **shared)
            for seed in seeds.tolist()
        ]
        outputs = self.model.generate(
            [{"prompt_token_ids": ids} for ids in prompts], parameters, use_tqdm=False
        )
        answers = [answer for output in outputs for answer in output.outputs]
        ids, mask = right_padded([list(answer.token_ids) for answer in answers], self.tokenizer.pad_token_id)
        chosen = [step[token].logprob for a in answers for token, step in zip(a.token_ids, a.logprobs)]
        log_prob = torch.zeros(ids.shape).masked_scatter(mask, torch.tensor(chosen))
        return Completions(ids, mask, log_prob, torch.tensor([a.finish_reason == "length" for a in answers]))


def prefill(model: Any, tokenizer: Any, prompts: list[list[int]]) -> tuple[torch.Tensor, Any, torch.Tensor]:
    """Logits [P, V] behind prompts, a DynamicCache of what the model keeps of them, and their mask [P, L]."""
    from transformers import DynamicCache

    ids, mask = (x.to(model.device) for x in left_padded(prompts, tokenizer.pad_token_id))
    cache = DynamicCache(config=model.config)
    output = model(
        input_ids=ids,
        attention_mask=mask,
        position_ids=positions(mask),
        past_key_values=cache,
        use_cache=True,
        logits_to_keep=1,
    )
    return output.logits[:, -1], cache, mask


def usual(model: Any, tokenizer: Any) -> Engine:
    """What samples where nobody asks for an engine: on a CUDA device a fixed program, where the model allows one."""
    config = model.config
    full = set(getattr(config, "layer_types", None) or ()) <= {"full_attention"}
    plain = config.model_type in GATED and full and config._attn_implementation == "sdpa"
    alone = not hasattr(model, "peft_config") and not divided(model)
    if model.device.type == "cuda" and plain and alone:
        from small_llm.static_decoding import StaticEngine

        return StaticEngine(model, tokenizer)
    return TransformersEngine(model, tokenizer)


def random_numbers(rows: int, new: int, generator: torch.Generator, device: torch.device) -> torch.Tensor:
    """All uniform numbers [rows, new] that answers of at most ``new`` tokens can need, drawn before the first token."""
    numbers = torch.rand(rows, new, generator=generator, device=generator.device, dtype=torch.float64)
    return numbers.to(device)


def draw(logits: torch.Tensor, uniforms: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Tokens [n] by inversion of each row's distribution [n, V] at uniform numbers [n], and their log-probabilities.

    In double precision: in single, tokens less likely than 6e-8 could never be drawn.
    """
    log_probs = logits.log_softmax(-1)
    reached = log_probs.double().exp().cumsum(-1)
    # the first token whose cumulated probability exceeds the number, so never one of probability 0
    token = torch.searchsorted(reached, (uniforms.double() * reached[:, -1])[:, None], right=True)
    token.clamp_(max=logits.shape[-1] - 1)  # nothing exceeds NaN: the log-probability is NaN too and tells
    return token[:, 0], log_probs.gather(-1, token)[:, 0]


def end_tokens(model: Any, tokenizer: Any) -> list[int]:
    """Ids that end an answer: the tokenizer's, and those that the model's authors list beside it."""
    listed: int | Sequence[int] | None = getattr(model.generation_config, "eos_token_id", None)
    listed = [] if listed is None else [listed] if isinstance(listed, int) else listed
    return sorted({tokenizer.eos_token_id, *listed})


@contextmanager
def evaluating(model: Any) -> Iterator[None]:
    """Without dropout; also, layers that recompute activations in training keep no keys and values."""
    training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(training)
