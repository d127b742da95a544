"""Attention of one new token, for models in which several queries share a key."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

NAME = "small_llm_grouped_query"
_SPECIAL = (
    "softcap",
    "s_aux",
    "sliding_window",
    "position_bias",
)  # of attention that is more than what is here


@contextmanager
def grouped_query(config: Any) -> Iterator[None]:
    """Models of this configuration read single tokens without a copy of each key for every query that meets it.

    Under a mask, releases of transformers before 5.20 make one, which for eight queries a key is most of the memory
    that a step moves.
    """
    from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

    ALL_ATTENTION_FUNCTIONS.register(NAME, attention)
    usual = config._attn_implementation
    config._attn_implementation = NAME
    try:
        yield
    finally:
        config._attn_implementation = usual


def attention(
    module: Any,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    **kwargs: Any,
) -> tuple[torch.Tensor, None]:
    """Of queries [n, heads, 1, size] to keys [n, fewer heads, length, size]: those that share keys are rows together.

    Raises
    ------
    ValueError
        For attention with a softcap, sinks, a window or a bias by position.
    """
    for name in _SPECIAL:
        if kwargs.get(name) is not None:
            raise ValueError(f"attention with {name} is not computed here: sample with TransformersEngine")
    rows, heads, _, size = query.shape
    found = torch.nn.functional.scaled_dot_product_attention(
        query.reshape(rows, key.shape[1], -1, size), key, value, attn_mask=attention_mask, scale=scaling
    )
    return found.reshape(rows, 1, heads, -1), None
