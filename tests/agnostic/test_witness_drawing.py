"""What is drawn is what the class reaches."""

import numpy as np
import pytest
from matplotlib.figure import Figure

from pgtheory.agnostic import (
    DeterministicMDP,
    all_active,
    draw_paths,
    one_active,
    spanning_capacity,
    tabular,
    thresholds,
)


@pytest.mark.parametrize(
    "policies", [all_active(4, 3), one_active(3, 4), tabular(2, 2, 3), thresholds(7, 3)], ids=lambda x: x.name
)
def test_a_line_for_every_pair_and_a_circle_for_every_state(policies):
    witness = spanning_capacity(policies).witness
    axes = Figure().subplots()
    last = witness.reached(policies)[-1]
    assert draw_paths(axes, witness, policies) == len(last)
    curves = [line for line in axes.lines if len(line.get_xdata()) == 30]
    assert len(curves) == sum(map(len, witness.reached(policies)))
    states = sorted((h, s) for h, pairs in enumerate(witness.reached(policies)) for s, _ in set(pairs))
    drawn = {(int(text.xy[0]), int(text.get_text())) for text in axes.texts}
    assert drawn == set(states)
    for h in range(len(witness.sizes)):
        heights = sorted(text.xy[1] for text in axes.texts if text.xy[0] == h)
        assert all(np.diff(heights) >= 1 - 1e-9)
    squares = next(line for line in axes.lines if line.get_marker() == "s")
    assert len(set(squares.get_ydata())) == len(last)


def test_two_actions_into_one_state_are_two_curves():
    policies = tabular(1, 2)
    merged = DeterministicMDP(0, (np.zeros((1, 2), int),), (1, 1), 2)
    axes = Figure().subplots()
    assert draw_paths(axes, merged, policies) == 2
    one, other = (line for line in axes.lines if len(line.get_xdata()) == 30 and line.get_xdata()[0] == 0)
    assert one.get_linestyle() != other.get_linestyle()
    assert not np.allclose(one.get_ydata(), other.get_ydata())
