"""Memory of answers in the making, of a fixed size: where the next token goes is a tensor, not a shape."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from transformers.cache_utils import Cache, DynamicLayer

from small_llm.engines import Completions, draw
from small_llm.logprob import scaled_logits

GRAIN = 8  # prompts and buffers are filled up to multiples of it: fewer shapes, and aligned masks


@dataclass(frozen=True)
class Settings:
    """What decides a program: rows, places before an answer, tokens of it, how they are drawn, what ends it."""

    rows: int
    before: int
    new: int
    temperature: float
    top_p: float
    pad: int
    ends: tuple[int, ...]


class Answers:
    """The memory that a program works on: what is known of ``rows`` answers, and where they stand."""

    def __init__(self, model: Any, settings: Settings) -> None:
        self.settings = settings
        config, device, dtype = model.config, model.device, model.dtype
        rows, total = settings.rows, filled(settings.before + settings.new)
        heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
        size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
        self.place = torch.zeros(1, dtype=torch.long, device=device)  # of the token to be read
        self.drawn = torch.zeros(1, dtype=torch.long, device=device)  # tokens of each answer so far
        shape = (rows, heads, total, size)
        made = [torch.zeros(2, *shape, dtype=dtype, device=device) for _ in range(config.num_hidden_layers)]
        self.slots = [Slots(keys, values, self.place) for keys, values in made]
        self.cache = Cache(layers=[*self.slots])
        self.bias = torch.zeros(rows, 1, 1, total, dtype=dtype, device=device)  # added to attention's scores
        self.position = torch.zeros(rows, 1, dtype=torch.long, device=device)
        self.token = torch.zeros(rows, dtype=torch.long, device=device)
        self.alive = torch.ones(rows, dtype=torch.bool, device=device)
        self.ends = torch.tensor(settings.ends, device=device)
        self.uniforms = torch.zeros(rows, settings.new, dtype=torch.float64, device=device)
        self.ids = torch.zeros(rows, settings.new, dtype=torch.long, device=device)
        self.mask = torch.zeros(rows, settings.new, dtype=torch.bool, device=device)
        self.log_prob = torch.zeros(rows, settings.new, device=device)

    def start(
        self, memory: Any, mask: torch.Tensor, groups: int, uniforms: torch.Tensor, logits: torch.Tensor
    ) -> None:
        """Take over what the prefill of the prompts left, and draw the first tokens."""
        begin, end = self.settings.before - mask.shape[1], self.settings.before
        for slots, layer in zip(self.slots, memory.layers):
            for buffer, states in ((slots.all_keys, layer.keys), (slots.all_values, layer.values)):
                buffer.zero_()  # what an earlier call left may be no number, and 0 times that is none
                buffer[:, :, begin:end] = states.repeat_interleave(groups, 0)
        self.bias.fill_(torch.finfo(self.bias.dtype).min)
        self.bias[:, 0, 0, begin:end].masked_fill_(mask.repeat_interleave(groups, 0), 0.0)
        self.position.copy_(mask.sum(-1).repeat_interleave(groups)[:, None])
        self.place.fill_(end)
        self.drawn.zero_()
        self.alive.fill_(True)
        self.uniforms.copy_(uniforms)
        self.ids.fill_(self.settings.pad)
        self.mask.zero_()
        self.log_prob.zero_()
        self.take(logits)

    def take(self, logits: torch.Tensor) -> None:
        """Draw the next token of every answer from its logits [rows, V]."""
        settings = self.settings
        uniforms = self.uniforms.index_select(1, self.drawn)[:, 0]
        token, chosen = draw(scaled_logits(logits, settings.temperature, settings.top_p), uniforms)
        ended = ~self.alive
        token = token.masked_fill(ended, settings.pad)
        self.ids.index_copy_(1, self.drawn, token[:, None])
        self.mask.index_copy_(1, self.drawn, self.alive[:, None])
        self.log_prob.index_copy_(1, self.drawn, chosen.masked_fill(ended, 0.0)[:, None])
        self.alive.logical_and_((token[:, None] != self.ends).all(-1))
        self.token.copy_(token)
        self.drawn.add_(1)

    def completions(self) -> Completions:
        """The answers up to the longest one's end."""
        longest = int(self.mask.any(0).sum())
        ids, mask, log_prob = (x[:, :longest].clone() for x in (self.ids, self.mask, self.log_prob))
        return Completions(ids, mask, log_prob, self.alive.clone())


def filled(length: int) -> int:
    return -(-length // GRAIN) * GRAIN


class Slots(DynamicLayer):
    """A layer's keys and values [rows, heads, places, size]; the next ones go to ``place``, which is a tensor."""

    def __init__(self, keys: torch.Tensor, values: torch.Tensor, place: torch.Tensor) -> None:
        super().__init__()
        self.all_keys, self.all_values, self.place = keys, values, place
        self.dtype, self.device, self.is_initialized = keys.dtype, keys.device, True

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Keys and values of all places, the unused ones included."""
        self.all_keys.index_copy_(2, self.place, key_states)
        self.all_values.index_copy_(2, self.place, value_states)
        return self.all_keys, self.all_values

    def get_seq_length(self) -> int:
        """Places, the unused ones included."""
        return self.all_keys.shape[-2]
