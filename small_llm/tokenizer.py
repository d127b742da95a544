"""Text to tokens and back: a tokenizer with a character a token, and prompts as ids, chat template included."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch

from pgtheory.mdp import validate

PAD, END = "<pad>", "<end>"


def character_tokenizer(alphabet: Iterable[str]) -> Any:
    """A ``PreTrainedTokenizerFast`` with one token for each character, one for padding and one for the end.

    Parameters
    ----------
    alphabet : characters
        Each counts once; their order does not matter, so that equal alphabets give equal tokenizers.

    Raises
    ------
    TypeError, ValueError
        If there is none, or one is not a single character.
    """
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    characters = sorted(set(alphabet))
    if not characters:
        raise ValueError("alphabet must have at least one character, got none")
    for character in characters:
        if not isinstance(character, str) or len(character) != 1:
            raise ValueError(f"alphabet must hold single characters, got {character!r}")
    vocabulary = {token: i for i, token in enumerate((PAD, END, *characters))}
    tokenizer = Tokenizer(models.WordLevel(vocabulary))  # no unknown token: a strange character is an error
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), behavior="isolated")
    tokenizer.decoder = decoders.Fuse()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token=PAD, eos_token=END, clean_up_tokenization_spaces=False
    )


def encode_prompts(tokenizer: Any, prompts: Sequence[str]) -> list[list[int]]:
    """Token ids of prompts; as one turn of a user where the tokenizer has a chat template.

    Raises
    ------
    TypeError, ValueError
        If there is no prompt, one is not text, is empty, or has characters that the tokenizer does not know.
    """
    texts = validate.sequence("prompts", prompts, "texts")
    if not texts:
        raise ValueError("prompts must hold at least one prompt, got none")
    ids = []
    for i, text in enumerate(texts):
        validate.instance_of(f"prompts[{i}]", text, str)
        ids.append(_encoded(tokenizer, f"prompts[{i}]", text, chat=bool(tokenizer.chat_template)))
        if not ids[-1]:
            raise ValueError(f"prompts[{i}] must have at least one token, got {text!r}")
    return ids


def encode_completions(tokenizer: Any, completions: Sequence[str]) -> list[list[int]]:
    """Token ids of answers, each closed by the end-of-sequence token.

    Raises
    ------
    TypeError, ValueError
        If one is not text, or has characters that the tokenizer does not know.
    """
    ids = []
    for i, text in enumerate(validate.sequence("completions", completions, "texts")):
        validate.instance_of(f"completions[{i}]", text, str)
        ids.append([*_encoded(tokenizer, f"completions[{i}]", text), tokenizer.eos_token_id])
    return ids


def left_padded(sequences: Sequence[Sequence[int]], pad: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Sequences flush right: ids, and a mask that is True for tokens and False for padding, both [n, longest]."""
    longest = max(map(len, sequences))
    ids = torch.tensor([[pad] * (longest - len(row)) + list(row) for row in sequences])
    mask = torch.tensor([[False] * (longest - len(row)) + [True] * len(row) for row in sequences])
    return ids, mask


def right_padded(sequences: Sequence[Sequence[int]], pad: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Sequences flush left, as :func:`left_padded`."""
    longest = max(map(len, sequences))
    ids = torch.tensor([list(row) + [pad] * (longest - len(row)) for row in sequences])
    mask = torch.tensor([[True] * len(row) + [False] * (longest - len(row)) for row in sequences])
    return ids, mask


def _encoded(tokenizer: Any, name: str, text: str, *, chat: bool | None = None) -> list[int]:
    """Ids of a text: a user's turn (``chat``), a bare prompt (not ``chat``), or an answer (None)."""
    try:
        if chat:
            turn = [{"role": "user", "content": text}]
            encoded = tokenizer.apply_chat_template(turn, add_generation_prompt=True, return_dict=True)
            return list(encoded["input_ids"])
        return list(tokenizer(text, add_special_tokens=chat is not None)["input_ids"])
    except Exception as error:  # the tokenizers library raises nothing narrower
        raise ValueError(f"{name} cannot be encoded by this tokenizer ({error}), got {text!r}") from error
