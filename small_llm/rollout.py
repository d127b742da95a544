"""Answers to prompts: sampled in groups or written by hand, with all that a policy gradient needs of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

import torch

from pgtheory.mdp import validate
from small_llm.logprob import check_top_p
from small_llm.tokenizer import encode_completions, encode_prompts, left_padded, right_padded

if TYPE_CHECKING:
    from small_llm.engines import Engine


@dataclass(frozen=True, eq=False)
class Rollouts:
    """P prompts with G answers each; the answers to one prompt follow one another.

    Attributes
    ----------
    prompt_ids : int64 tensor [P, L]
        Flush right: padding stands before the prompt.
    prompt_mask : bool tensor [P, L]
        True for tokens, False for padding.
    completion_ids : int64 tensor [P*G, T]
        Flush left: padding stands behind the answer.
    completion_mask : bool tensor [P*G, T]
        True for an answer's tokens, the one that ends it included.
    log_prob : tensor [P*G, T]
        Of each token in the distribution that it was really drawn from: after the temperature, and within the
        nucleus, renormalised, for ``top_p`` < 1. 0 behind an answer's end; NaN where nothing was sampled.
    truncated : bool tensor [P*G]
        Whether an answer ran out of tokens before it ended.
    texts : list of str, [P*G]
        The answers, without special tokens.
    """

    prompt_ids: torch.Tensor
    prompt_mask: torch.Tensor
    completion_ids: torch.Tensor
    completion_mask: torch.Tensor
    log_prob: torch.Tensor
    truncated: torch.Tensor
    texts: list[str]

    @property
    def groups(self) -> int:
        """G, the answers to each prompt."""
        return len(self.completion_ids) // len(self.prompt_ids)

    def to(self, device: str | torch.device) -> Rollouts:
        """The same rollouts on a device."""
        moved = {f.name: getattr(self, f.name).to(device) for f in fields(self) if f.name != "texts"}
        return replace(self, **moved)

    def rows(self, index: torch.Tensor) -> Rollouts:
        """Some answers [n], by integer index, each with a prompt of its own: G is then 1."""
        places = index.tolist()
        index = index.to(self.completion_ids.device)
        prompts = index // self.groups
        return Rollouts(
            self.prompt_ids[prompts],
            self.prompt_mask[prompts],
            self.completion_ids[index],
            self.completion_mask[index],
            self.log_prob[index],
            self.truncated[index],
            [self.texts[i] for i in places],
        )


def sample(
    model: Any,
    tokenizer: Any,
    prompts: Sequence[str],
    *,
    groups: int = 1,
    max_new_tokens: int,
    temperature: float = 1.0,
    top_p: float = 1.0,
    generator: torch.Generator,
    engine: Engine | None = None,
) -> Rollouts:
    """Sample ``groups`` answers to each prompt, with the log-probabilities of their tokens.

    An answer depends on the weights, its prompt, and its own random numbers: not on the padding, nor (up to the
    rounding of larger or smaller matrix products) on the answers beside it. All random numbers are drawn before the
    first token, [P*G, max_new_tokens], so a generator moves on equally far whatever is sampled.

    Parameters
    ----------
    model, tokenizer
        From :func:`small_llm.load`; the model is left in the mode it was in.
    prompts : texts, [P]
        As a user's turn of a conversation where the tokenizer has a chat template.
    groups : int
        G, answers to each prompt; its prefill is computed once.
    max_new_tokens : int
        T at most, the token that ends an answer included.
    temperature : float
        Logits are divided by it; 0 takes the most likely token, with log-probability 0.
    top_p : float
        Tokens come from the nucleus of this probability, renormalised.
    generator : torch.Generator
        Equal states give equal answers to the bit on one machine.
    engine : Engine, optional
        What generates; by default :class:`small_llm.static_decoding.StaticEngine` on a CUDA device, where it can, and
        :class:`small_llm.engines.TransformersEngine` elsewhere.

    Raises
    ------
    TypeError, ValueError
        For arguments out of range, and prompts that are empty or not of the tokenizer's characters.
    """
    validate.positive_integer("groups", groups)
    validate.positive_integer("max_new_tokens", max_new_tokens)
    validate.non_negative("temperature", temperature)
    check_top_p(top_p)
    validate.instance_of("generator", generator, torch.Generator)
    ids = encode_prompts(tokenizer, prompts)
    if engine is None:
        from small_llm.engines import usual

        engine = usual(model, tokenizer)
    made = engine.complete(
        ids,
        groups=groups,
        max_new_tokens=max_new_tokens,
        temperature=temperature,
        top_p=top_p,
        generator=generator,
    )
    prompt_ids, prompt_mask = left_padded(ids, tokenizer.pad_token_id)
    texts = _texts(tokenizer, made.ids, made.mask)
    rollouts = Rollouts(prompt_ids, prompt_mask, made.ids, made.mask, made.log_prob, made.truncated, texts)
    return rollouts.to(model.device)


def written(
    tokenizer: Any,
    prompts: Sequence[str],
    completions: Sequence[str],
    *,
    device: str | torch.device = "cpu",
) -> Rollouts:
    """Given answers as rollouts, one to each prompt, for supervised learning: nobody sampled them (NaN).

    Raises
    ------
    TypeError, ValueError
        If there are not as many answers as prompts, or the tokenizer cannot encode one.
    """
    if len(prompts) != len(completions):
        raise ValueError(f"expected an answer to each of {len(prompts)} prompts, got {len(completions)}")
    pad = tokenizer.pad_token_id
    prompt_ids, prompt_mask = left_padded(encode_prompts(tokenizer, prompts), pad)
    ids, mask = right_padded(encode_completions(tokenizer, completions), pad)
    log_prob = torch.full(ids.shape, torch.nan).masked_fill(~mask, 0.0)
    made = Rollouts(
        prompt_ids,
        prompt_mask,
        ids,
        mask,
        log_prob,
        torch.zeros(len(ids), dtype=torch.bool),
        list(completions),
    )
    return made.to(device)


def _texts(tokenizer: Any, ids: torch.Tensor, mask: torch.Tensor) -> list[str]:
    rows = [row[:length] for row, length in zip(ids.tolist(), mask.sum(-1).tolist())]
    return tokenizer.batch_decode(rows, skip_special_tokens=True)
