"""Rows of metrics survive a kill in mid-line, and a resumed run cuts what will come again."""

import io
import json
import math
import sys

import numpy as np
import pytest

from pgtheory.deep.metrics import Metrics, TensorBoard
from pgtheory.deep.progress import Progress


def written(path, steps=(10, 20, 30)):
    metrics = Metrics(path)
    for step in steps:
        metrics.add(step, {"charts/return": step / 3, "losses/policy": np.float32(0.1)})
    return metrics


def steps(path):
    return [json.loads(line)["step"] for line in path.read_text().splitlines()]


def test_rows_come_back_exactly(tmp_path):
    path = tmp_path / "new" / "metrics.jsonl"
    metrics = written(path)
    metrics.add(40, {"charts/return": math.nan, "ratio/q99": math.inf})
    again = Metrics(path, resume_from=40)
    data = again.to_xarray()
    assert len(again) == 4
    assert data.identical(metrics.to_xarray())
    assert data.step.values.tolist() == [10, 20, 30, 40]
    assert data["charts/return"].values[:3].tolist() == [10 / 3, 20 / 3, 10.0]
    assert data["losses/policy"].values[0] == float(np.float32(0.1))
    assert np.isnan(data["ratio/q99"].values[:3]).all()
    assert data["ratio/q99"].values[3] == math.inf
    assert data["ratio/q99"].dtype == np.float64


def test_in_memory_and_empty():
    metrics = Metrics(None, resume_from=0)
    assert metrics.to_xarray().sizes == {"step": 0}
    metrics.add(1, {"a": 2})
    assert float(metrics.to_xarray()["a"].sel(step=1)) == 2.0


def test_every_way_to_tear_the_last_line(tmp_path):
    path = tmp_path / "metrics.jsonl"
    written(path)
    content = path.read_bytes()
    whole = content.rindex(b"\n", 0, -1) + 1
    for size in range(whole, len(content)):
        path.write_bytes(content[:size])
        metrics = Metrics(path, resume_from=30)
        assert path.read_bytes() == content[:whole]
        metrics.add(30, {"charts/return": 1.0})
        assert steps(path) == [10, 20, 30]


def test_rows_beyond_the_checkpoint_are_cut(tmp_path):
    path = tmp_path / "metrics.jsonl"
    written(path)
    metrics = Metrics(path, resume_from=20)
    assert steps(path) == [10, 20]
    metrics.add(25, {"charts/return": 0.0})
    assert steps(path) == [10, 20, 25]
    assert metrics.to_xarray().step.values.tolist() == [10, 20, 25]
    assert len(Metrics(path, resume_from=0)) == 0


def test_a_write_that_fails_half_way_is_made_good(tmp_path, monkeypatch):
    path = tmp_path / "metrics.jsonl"
    metrics = written(path)
    real = type(path).open

    class Full(io.FileIO):
        def write(self, data):
            super().write(data[:7])
            raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(type(path), "open", lambda self, mode: Full(self, mode.replace("b", "")))
        with pytest.raises(OSError, match="No space"):
            metrics.add(40, {"charts/return": 1.0})
    assert type(path).open is real
    assert path.read_bytes()[-1:] != b"\n"
    assert len(metrics) == 3
    metrics.add(40, {"charts/return": 1.0})
    assert steps(path) == [10, 20, 30, 40]


def test_an_earlier_run_is_not_mixed_in(tmp_path):
    path = tmp_path / "metrics.jsonl"
    written(path)
    with pytest.raises(FileExistsError, match="resume_from"):
        Metrics(path)
    assert steps(path) == [10, 20, 30]


@pytest.mark.parametrize("line", ["[]", "{}", "garbage", '{"step": 1, "a": "x"}', '{"step": 10}', ""])
def test_a_wrong_line_in_the_middle_is_named_and_nothing_is_cut(tmp_path, line):
    path = tmp_path / "metrics.jsonl"
    text = f'{{"step": 10}}\n{line}\n{{"step": 30}}\n'
    path.write_text(text)
    with pytest.raises(ValueError, match="line 2 of"):
        Metrics(path, resume_from=30)
    assert path.read_text() == text


def test_bad_rows_are_refused_and_leave_no_trace(tmp_path):
    path = tmp_path / "metrics.jsonl"
    metrics = written(path)
    with pytest.raises(ValueError, match="beyond the last one, 30, got 30"):
        metrics.add(30, {})
    with pytest.raises(TypeError, match=r"row\['a'\] must be a number"):
        metrics.add(40, {"a": "1"})
    with pytest.raises(ValueError, match="'step'"):
        metrics.add(40, {"step": 1.0})
    assert len(metrics) == 3
    assert steps(path) == [10, 20, 30]


# -- TensorBoard ----------------------------------------------------------------------------------------------


def test_tags_are_the_keys(tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    with TensorBoard(tmp_path) as writer:
        writer.add(10, {"charts/return": 1.5, "losses/policy": -2.0})
        writer.add(20, {"charts/return": 2.5})
    events = EventAccumulator(str(tmp_path)).Reload()
    assert sorted(events.Tags()["scalars"]) == ["charts/return", "losses/policy"]
    assert [(e.step, e.value) for e in events.Scalars("charts/return")] == [(10, 1.5), (20, 2.5)]


def test_without_the_package_only_an_explicit_wish_fails(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    for name in [name for name in sys.modules if name.startswith("torch.utils.tensorboard")]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(ImportError, match="pip install tensorboard"):
        TensorBoard(tmp_path)
    for wanted in (None, False):
        with TensorBoard(tmp_path, wanted=wanted) as writer:
            writer.add(1, {"a": 1.0})
    assert list(tmp_path.iterdir()) == []


# -- the bar --------------------------------------------------------------------------------------------------


def test_the_bar_shows_steps_speed_and_return():
    stream = io.StringIO()
    with Progress(4000, initial=1000, file=stream) as bar:
        bar.update(2000, 195.25)
        bar.update(1000)
    last = stream.getvalue().split("\r")[-1]
    assert "4.00k/4.00k" in last
    assert "steps/s" in last
    assert "return=195.2" in last


def test_an_unwanted_bar_writes_nothing():
    stream = io.StringIO()
    with Progress(10, shown=False, file=stream) as bar:
        bar.update(5, 1.0)
    assert stream.getvalue() == ""
    with pytest.raises(ValueError, match="total"):
        Progress(0)
