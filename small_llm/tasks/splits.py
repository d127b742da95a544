"""Held-out problems: the side of the split is a property of the problem, not of who drew it or when."""

from __future__ import annotations

from hashlib import blake2b

SPLITS = ("train", "test")
HELD_OUT = 0.1  # share of all problems that are in "test"

_THRESHOLD = int(HELD_OUT * 2**64)


def split_of(key: str) -> str:
    """Side of the split on which a problem with this key falls: "test" for a tenth of all keys.

    A hash decides, so a problem keeps its side across seeds, machines and versions, and nothing that was learned
    from is ever asked in an evaluation.
    """
    digest = blake2b(key.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return "test" if int.from_bytes(digest, "big") < _THRESHOLD else "train"


def check_split(split: str) -> None:
    """Refuse a split that there is none of."""
    if split not in SPLITS:
        raise ValueError(f'split must be "train" or "test", got {split!r}')
