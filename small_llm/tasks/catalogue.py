"""Tasks by name."""

from __future__ import annotations

import re

from small_llm.tasks.arithmetic import LARGEST_DIGITS, Arithmetic
from small_llm.tasks.chain import Chain
from small_llm.tasks.countdown import Countdown
from small_llm.tasks.gsm8k import GSM8K
from small_llm.tasks.reasoning_gym import ReasoningGym
from small_llm.tasks.sequences import Copy, Sort
from small_llm.tasks.task import Task

_NUMBERED = re.compile(r"(add|sub|mul|sort|copy|countdown|chain)([1-9][0-9]?)?", re.ASCII)
_USUAL = {"add": 2, "sub": 2, "mul": 2, "sort": 5, "copy": 6, "countdown": 3, "chain": 4}


def task(name: str) -> Task:
    """The task of that name.

    ==========================  ===============================================  =========================
    name                        prompt                                           answer
    ==========================  ===============================================  =========================
    ``add1`` … ``add9``         ``12+34=``, numbers of up to so many digits      ``46``
    ``sub1`` … ``sub9``         ``12-34=``                                       ``-22``
    ``mul1`` … ``mul9``         ``12*34=``                                       ``408``
    ``sort1`` … ``sort99``      ``31415>``, so many digits                       ``11345``
    ``copy1`` … ``copy99``      ``xkcdab=``, so many letters                     ``xkcdab``
    ``countdown2`` … ``8``      ``22:3,5,7=``, so many numbers                   ``3*5+7``
    ``chain1`` … ``chain17``    ``271>``, a secret of so many letters            ``bdig``
    ``reasoning-gym:chain_sum`` any data set of reasoning-gym                    ``<answer>42</answer>``
    ``gsm8k:PATH``              a .jsonl or .parquet file                        ``… #### 42``
    ==========================  ===============================================  =========================

    Without a number it is 2 digits, ``sort5``, ``copy6``, ``countdown3`` and ``chain4``.

    Raises
    ------
    ValueError
        For another name.
    ImportError, FileNotFoundError
        Where a package or a file that the task needs is not there.
    """
    if not isinstance(name, str):
        raise TypeError(f"name must be a task's name such as 'add2', got {name!r}")
    kind, colon, rest = name.partition(":")
    if colon and rest and kind == "reasoning-gym":
        return ReasoningGym(rest)
    if colon and rest and kind == "gsm8k":
        return GSM8K(rest)
    match = _NUMBERED.fullmatch(name)
    if match is None:
        raise ValueError(
            f"name must be add1 … add{LARGEST_DIGITS}, sub2, mul2, sort5, copy6, countdown3, chain4, "
            f"reasoning-gym:<data set> or gsm8k:<path>, got {name!r}"
        )
    word, number = match[1], int(match[2] or _USUAL[match[1]])
    if word in ("add", "sub", "mul"):
        return Arithmetic(word, number)
    return {"sort": Sort, "copy": Copy, "countdown": Countdown, "chain": Chain}[word](number)
