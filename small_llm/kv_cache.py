"""What a model keeps of the tokens it has read: keys and values, written in place where every layer sees all."""

from __future__ import annotations

from typing import Any

import torch
from transformers.cache_utils import Cache, DynamicLayer


class Reserved(DynamicLayer):
    """A layer's keys and values with room for a known number of tokens, where transformers would copy all at each.

    Parameters
    ----------
    prompt : layer of a DynamicCache
        As the prefill of the prompts, [P, heads, L, size], left it.
    groups : int
        Every row is repeated this often in succession.
    room : int
        Tokens to come.
    """

    def __init__(self, prompt: Any, groups: int, room: int) -> None:
        super().__init__()
        self.length = prompt.keys.shape[-2]
        self._all_keys = _repeated(prompt.keys, groups, room)
        self._all_values = _repeated(prompt.values, groups, room)
        self.dtype, self.device, self.is_initialized = prompt.keys.dtype, prompt.keys.device, True

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Keys and values of all tokens up to these [rows, heads, length, size]."""
        begin, self.length = self.length, self.length + key_states.shape[-2]
        self._all_keys[:, :, begin : self.length] = key_states
        self._all_values[:, :, begin : self.length] = value_states
        return self._all_keys[:, :, : self.length], self._all_values[:, :, : self.length]

    def get_seq_length(self) -> int:
        """Tokens read so far, padding included."""
        return self.length


class Memory:
    """Reads one more token of every answer.

    Parameters
    ----------
    config : transformers configuration of the model
    cache : DynamicCache
        After the prefill of P prompts.
    mask : bool tensor [P, L]
        Of the prompts.
    groups, room : int
        Answers to each prompt, and tokens of each to come.
    """

    def __init__(self, config: Any, cache: Any, mask: torch.Tensor, groups: int, room: int) -> None:
        self.seen = mask.shape[1]
        self.position = mask.sum(-1).repeat_interleave(groups)[:, None]
        mask = torch.nn.functional.pad(mask, (0, room), value=True).repeat_interleave(groups, 0)
        if (
            all(type(layer) is DynamicLayer for layer in cache.layers)
            and config._attn_implementation == "sdpa"
        ):
            dtype = cache.layers[0].keys.dtype
            bias = torch.zeros(mask.shape, dtype=dtype, device=mask.device)
            # made once, in the form that attention adds to its scores, so that no layer makes it anew
            self.mask = bias.masked_fill_(~mask, torch.finfo(dtype).min)[:, None, None]
            self.cache = Cache(layers=[Reserved(layer, groups, room) for layer in cache.layers])
        else:  # layers with a window or a state of their own: transformers knows how
            cache.batch_repeat_interleave(groups)
            self.mask, self.cache = mask, cache

    def step(self, model: Any, token: torch.Tensor) -> torch.Tensor:
        """Logits [rows, V] behind one more token [rows] of each answer."""
        self.seen += 1
        output = model(
            input_ids=token[:, None],
            attention_mask=self.mask[..., : self.seen],
            position_ids=self.position,
            past_key_values=self.cache,
            use_cache=True,
        )
        self.position = self.position + 1
        return output.logits[:, -1]


def _repeated(states: torch.Tensor, groups: int, room: int) -> torch.Tensor:
    """States [P, heads, L, size] as [P * groups, heads, L + room, size], the new ones yet unwritten."""
    prompts, heads, length, size = states.shape
    made = states.new_empty(prompts * groups, heads, length + room, size)
    made[:, :, :length] = states.repeat_interleave(groups, 0)
    return made
