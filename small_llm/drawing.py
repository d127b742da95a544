"""A step's answers: sampled by all processes, and again with other prompts until every group has mixed rewards."""

from __future__ import annotations

from collections.abc import Callable

import torch

from small_llm import processes
from small_llm.experience import Experience, joined


def by_all(collect: Callable[[int, int], Experience], prompts: int, device: torch.device) -> Experience:
    """The answers to ``prompts`` prompts, of which each process collects from one number to another.

    Raises
    ------
    Stopped
        If another process could not.
    """
    if processes.count() == 1:
        return collect(0, prompts)
    each = prompts // processes.count()
    begin = processes.rank() * each
    return joined(processes.everyones(lambda: collect(begin, begin + each).to("cpu"))).to(device)


def until_mixed(
    draw: Callable[[int], Experience], prompts: int, draws: int
) -> tuple[Experience, Experience, int]:
    """Draw up to ``draws`` times, until ``prompts`` groups have mixed rewards.

    Returns
    -------
    kept : Experience
        ``prompts`` groups, in the order of drawing: the first mixed ones, then, where they are too few, others.
    drawn : Experience
        All that was sampled.
    count : int
        Times drawn.
    """
    found: list[Experience] = []
    while len(found) < draws and sum(int(part.mixed.sum()) for part in found) < prompts:
        found.append(draw(len(found)))
    drawn = joined(found)
    if len(found) == 1:
        return drawn, drawn, 1
    level_last = torch.argsort((~drawn.mixed).int(), stable=True)
    return drawn.some(level_last[:prompts].sort().values), drawn, len(found)
