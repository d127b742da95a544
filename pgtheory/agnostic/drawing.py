"""Deterministic MDPs as graphs, with the paths that a policy class takes through them."""

from __future__ import annotations

from typing import Any

import numpy as np

from pgtheory.agnostic.policy_class import PolicyClass
from pgtheory.agnostic.witness import DeterministicMDP

Pair = tuple[int, int]
STYLES = ("-", (0, (4, 1.5)), (0, (1, 1.2)), "-.")
"""Lines of the actions, told apart without colour."""


def draw_paths(ax: Any, mdp: DeterministicMDP, policies: PolicyClass) -> int:
    """Draw on Matplotlib axes what a class reaches; returns the number of pairs reached in the last layer.

    Layers from left to right; a circle is a state that some policy visits, with its number, a line an action that
    some policy plays there (solid 0, dashed 1, dotted 2, …), thicker for more policies. The squares on the right are
    the state–action pairs of the last layer: what spanning capacity counts.
    """
    layers = mdp.reached(policies)
    states, ends = _heights(mdp, layers)
    last = len(layers)
    for h, pairs in enumerate(layers):
        for (s, a), present in pairs.items():
            end = ends[(s, a)] if h == last - 1 else states[h + 1][int(mdp.successors[h][s, a])]
            share = present.bit_count() / len(policies)
            _line(ax, (h, states[h][s]), (h + 1, end), a, 0.8 + 3.2 * share**0.5)
        ax.plot([h] * len(states[h]), list(states[h].values()), "o", ms=15, mfc="white", mec="0.2", zorder=3)
        for s, y in states[h].items():
            ax.annotate(str(s), (h, y), ha="center", va="center", fontsize=8, zorder=4)
    ax.plot([last] * len(ends), list(ends.values()), "s", color="0.2", ms=5, zorder=3)
    ax.set_xticks(range(last), [f"layer {h}" for h in range(1, last + 1)])
    ax.set(yticks=[], xlim=(-0.35, last + 0.2))
    ax.margins(y=0.12)
    ax.grid(False)
    ax.spines[["left", "bottom"]].set_visible(False)
    ax.tick_params(length=0)
    return len(ends)


def _heights(
    mdp: DeterministicMDP, layers: list[dict[Pair, int]]
) -> tuple[list[dict[int, float]], dict[Pair, float]]:
    """Where each visited state is drawn, layer by layer, and each pair of the last layer.

    States stand in the order of those that lead to them, and in the middle of what they lead to, one apart.
    """
    ranks = [{mdp.start: 0.0}]
    for h, after in enumerate(mdp.successors):
        origins: dict[int, list[float]] = {}
        for s, a in layers[h]:
            origins.setdefault(int(after[s, a]), []).append(ranks[h][s] + a / mdp.n_actions)
        order = sorted(origins, key=lambda s: float(np.mean(origins[s])))
        ranks.append({s: float(i) for i, s in enumerate(order)})
    order_of_pairs = sorted(layers[-1], key=lambda pair: (ranks[-1][pair[0]], pair[1]))
    ends = {pair: -float(i) for i, pair in enumerate(order_of_pairs)}
    states: list[dict[int, float]] = []
    for h in reversed(range(len(layers))):
        targets: dict[int, list[float]] = {s: [] for s in ranks[h]}
        for s, a in layers[h]:
            targets[s].append(states[0][int(mdp.successors[h][s, a])] if states else ends[(s, a)])
        states.insert(0, _apart({s: float(np.mean(y)) for s, y in targets.items()}))
    return states, ends


def _apart(wanted: dict[int, float]) -> dict[int, float]:
    """Heights that fall by one at least, in the order given, and keep the mean."""
    heights: list[float] = []
    for y in wanted.values():
        heights.append(min(y, heights[-1] - 1) if heights else y)
    shift = float(np.mean(list(wanted.values())) - np.mean(heights))
    return {s: y + shift for s, y in zip(wanted, heights)}


def _line(ax: Any, start: tuple[float, float], end: tuple[float, float], action: int, width: float) -> None:
    t = np.linspace(0, 1, 30)
    rise = t**2 * (3 - 2 * t)  # leaves and arrives level
    bend = 0.08 * np.sin(np.pi * t) * (1 if action % 2 == 0 else -1)  # two actions may lead to one state
    ax.plot(
        start[0] + t * (end[0] - start[0]),
        start[1] + rise * (end[1] - start[1]) + bend,
        ls=STYLES[action % len(STYLES)],
        color=f"C{action % 8}",
        lw=width,
        zorder=2,
    )
