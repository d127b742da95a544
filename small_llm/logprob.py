"""Log-probabilities of given tokens under a model, in one teacher-forced pass that never holds all logits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, overload

import torch
from torch.utils.checkpoint import checkpoint

from pgtheory.mdp import validate

if TYPE_CHECKING:
    from small_llm.rollout import Rollouts

NUMBERS_AT_ONCE = 2**26
"""Logits that a chunk may hold by default: 256 MiB in float32, 512 positions at a vocabulary of 128k."""
WORTH_A_PASS = 2**30
"""Tokens × weights that reading a prompt once must save, for a pass of its own: below, two passes take longer."""
_RECOMPUTES = ("is_activation_checkpointing", "is_gradient_checkpointing")  # the second before transformers 5
_RESCALED = ("final_logit_softcapping", "logits_scaling", "logit_scale")  # Gemma's, Granite's, Cohere's


@overload
def token_log_probs(
    model: Any, rollouts: Rollouts, *, temperature: float = ..., top_p: float = ...,
    chunk: int | None = ..., entropy: Literal[False] = ...,
) -> torch.Tensor: ...  # fmt: skip
@overload
def token_log_probs(
    model: Any, rollouts: Rollouts, *, temperature: float = ..., top_p: float = ...,
    chunk: int | None = ..., entropy: bool,
) -> Any: ...  # fmt: skip
def token_log_probs(
    model: Any,
    rollouts: Rollouts,
    *,
    temperature: float = 1.0,
    top_p: float = 1.0,
    chunk: int | None = None,
    entropy: bool = False,
) -> Any:
    r"""Log-probabilities of the rollouts' tokens, with gradients, as sampling them would have kept.

    The model's body sees whole sequences, or a prompt once for all of its answers where that saves enough. Its head,
    and whatever has the vocabulary's size, sees a chunk of the answers' tokens at a time, padding left out, and sees it
    again on the way back: of logits, only a chunk's exist at any moment.

    Parameters
    ----------
    model : transformers causal language model
        Its logits must be its head's output, without rescaling behind.
    rollouts : Rollouts
        ``log_prob`` is not read.
    temperature : float
        Logits are divided by it, as in sampling: with another one, the first step's ratios are not 1.
    top_p : float
        Below 1, of the nucleus of *this* model at each position: renormalised, and :math:`-\infty` for a token
        outside. 1 by default, also for rollouts sampled with less, whose ratios then start above 1 in the
        denominator; take both sides of a ratio from here, or sample with ``top_p=1``, for ratios that start at 1.
    chunk : int, optional
        Tokens per chunk; by default as many as keep chunk x vocabulary below :data:`NUMBERS_AT_ONCE`.
    entropy : bool
        Also return the entropy of the distribution that each token was drawn from, in nats.

    Returns
    -------
    log_prob : tensor [P*G, T], at least float32
        0 behind an answer's end.
    entropy : tensor [P*G, T]
        Only where asked for; 0 behind an answer's end.

    Raises
    ------
    ValueError
        If temperature is not positive, top_p is not in (0, 1], chunk is not positive, or the model rescales logits.
    """
    validate.positive("temperature", temperature)
    check_top_p(top_p)
    head = output_head(model)
    if chunk is None:
        chunk = max(1, NUMBERS_AT_ONCE // head.weight.shape[0])
    validate.positive_integer("chunk", chunk)
    mask = rollouts.completion_mask
    hidden, targets = _hidden_states(model, rollouts)[mask], rollouts.completion_ids[mask]
    parts = list(zip(hidden.split(chunk), targets.split(chunk)))

    def of_part(hidden: torch.Tensor, targets: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return _of_chunk(head(hidden), targets, temperature, top_p, entropy)

    if len(parts) == 1 or not torch.is_grad_enabled():
        found = [of_part(*part) for part in parts]
    else:
        found = [checkpoint(of_part, *part, use_reentrant=False) for part in parts]
    log_prob, spread = (_scattered(values, mask) for values in zip(*found))
    return (log_prob, spread) if entropy else log_prob


def scaled_logits(logits: torch.Tensor, temperature: float, top_p: float) -> torch.Tensor:
    r"""Logits [..., V] of the distribution that tokens are drawn from, in at least float32, up to a constant.

    Divided by the temperature (at 0, only the largest is left), then without those outside the nucleus: the fewest
    most likely tokens that together have probability ``top_p`` (Holtzman et al., arXiv:1904.09751), at least one.
    What is outside has :math:`-\infty`, so a softmax renormalises the rest.
    """
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    if temperature == 0:
        best = logits.argmax(-1, keepdim=True)
        return torch.full_like(logits, -torch.inf).scatter(-1, best, 0.0)
    logits = logits / temperature
    if top_p == 1:
        return logits
    with torch.no_grad():  # which tokens are inside is no smooth function of the logits
        sorted_probs, order = logits.softmax(-1).sort(dim=-1, descending=True, stable=True)
        above = sorted_probs.cumsum(-1) - sorted_probs
        outside = torch.empty_like(above, dtype=torch.bool).scatter(-1, order, above >= top_p)
    return logits.masked_fill(outside, -torch.inf)


def check_top_p(top_p: float) -> None:
    """Refuse what is not in (0, 1]."""
    if validate.probability("top_p", top_p) == 0:
        raise ValueError("top_p must be in (0, 1], got 0; temperature=0 keeps only the most likely token")


def output_head(model: Any) -> Any:
    """The layer from hidden states to logits.

    Raises
    ------
    ValueError
        If the model does more to its logits than this layer.
    """
    for name in _RESCALED:
        if getattr(model.config, name, None) not in (None, 1.0):
            raise ValueError(
                f"model rescales its logits behind its head ({name} = {getattr(model.config, name)}), which chunked "
                "log-probabilities do not: expected a model without, such as a Llama, a Qwen or a SmolLM"
            )
    return model.get_output_embeddings()


def _hidden_states(model: Any, rollouts: Rollouts) -> torch.Tensor:
    """Hidden states [P*G, T, H] that predict the answers' tokens."""
    groups = rollouts.groups
    saved = rollouts.prompt_ids.numel() * (groups - 1)
    if saved * sum(weights.numel() for weights in model.parameters()) >= WORTH_A_PASS:
        cache = _empty_cache(model)
        if cache is not None:
            return _behind_shared_prompts(model, rollouts, cache)
    prompt_mask = rollouts.prompt_mask.repeat_interleave(groups, 0)
    prompt_ids = rollouts.prompt_ids.repeat_interleave(groups, 0)
    ids = torch.cat([prompt_ids, rollouts.completion_ids], 1)
    mask = torch.cat([prompt_mask, rollouts.completion_mask], 1)
    longest = prompt_ids.shape[1]
    hidden = model.get_decoder()(
        input_ids=ids[:, :-1],  # nothing is predicted from the last token
        attention_mask=mask[:, :-1],
        position_ids=positions(mask)[:, :-1],
        use_cache=False,
    ).last_hidden_state
    return hidden[:, longest - 1 :]


def _empty_cache(model: Any) -> Any:
    """What can keep a prompt's keys and values with their gradients; None where layers keep something else, or none."""
    from transformers import DynamicCache
    from transformers.cache_utils import DynamicLayer

    recomputes = next(name for name in _RECOMPUTES if hasattr(model, name))
    if model.training and getattr(model, recomputes):
        return None  # layers that recompute their activations keep nothing
    cache = DynamicCache(config=model.config)
    return cache if all(type(layer) is DynamicLayer for layer in cache.layers) else None


def _behind_shared_prompts(model: Any, rollouts: Rollouts, cache: Any) -> torch.Tensor:
    """Hidden states [P*G, T, H] that predict the answers' tokens, each prompt read once for all of its answers."""
    groups, body = rollouts.groups, model.get_decoder()
    prompts = body(
        input_ids=rollouts.prompt_ids,
        attention_mask=rollouts.prompt_mask,
        position_ids=positions(rollouts.prompt_mask),
        past_key_values=cache,
        use_cache=True,
    )
    first = prompts.last_hidden_state[:, -1:].repeat_interleave(groups, 0)
    if rollouts.completion_ids.shape[1] == 1:
        return first
    cache.batch_repeat_interleave(groups)
    mask = torch.cat([rollouts.prompt_mask.repeat_interleave(groups, 0), rollouts.completion_mask], 1)
    longest = rollouts.prompt_ids.shape[1]
    answers = body(
        input_ids=rollouts.completion_ids[:, :-1],  # nothing is predicted from the last token
        attention_mask=mask[:, :-1],
        position_ids=positions(mask)[:, longest:-1],
        past_key_values=cache,
        use_cache=True,
    )
    return torch.cat([first, answers.last_hidden_state], 1)


def positions(mask: torch.Tensor) -> torch.Tensor:
    """Each token's place in its own sequence [n, T], whatever padding stands before it."""
    return (mask.long().cumsum(-1) - 1).clamp(min=0)


def _of_chunk(
    logits: torch.Tensor, targets: torch.Tensor, temperature: float, top_p: float, entropy: bool
) -> tuple[torch.Tensor, torch.Tensor]:
    """Log-probabilities of the targets [n] from logits [n, V], and entropies [n] (zeros unless asked for)."""
    logits = scaled_logits(logits, temperature, top_p)
    total = logits.logsumexp(-1)
    log_prob = logits.gather(-1, targets[:, None])[:, 0] - total
    if not entropy:
        return log_prob, torch.zeros_like(total)
    mean = (logits.softmax(-1) * logits.masked_fill(logits == -torch.inf, 0.0)).sum(-1)
    return log_prob, total - mean


def _scattered(values: tuple[torch.Tensor, ...], mask: torch.Tensor) -> torch.Tensor:
    """Values of the mask's tokens back in its shape, 0 elsewhere."""
    flat = torch.cat(values)
    return torch.zeros(mask.shape, dtype=flat.dtype, device=flat.device).masked_scatter(mask, flat)
