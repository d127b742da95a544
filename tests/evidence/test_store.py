"""One cell, one file."""

import functools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pgtheory.evidence.grid import Cell
from pgtheory.evidence.store import CorruptResultError, Store, task_identity

CELL = Cell({"method": "npg", "eta": 0.1}, 3)


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path, "task")


@settings(max_examples=20, deadline=None)
@given(
    value=hnp.arrays(
        st.sampled_from([np.float64, np.float32, np.int64, np.bool_]),
        hnp.array_shapes(min_dims=0, max_dims=3),
    )
)
def test_round_trip_keeps_every_bit(tmp_path_factory, value):
    store = Store(tmp_path_factory.mktemp("cells"), "task")
    store.save(CELL, {"cell": value, "file": value.T})
    loaded = store.load(CELL)
    assert list(loaded) == ["cell", "file"]
    assert loaded["cell"].dtype == value.dtype
    assert loaded["cell"].tobytes() == value.tobytes()
    assert loaded["file"].shape == value.T.shape


def test_missing_cell_is_none_and_discard_forgets(store):
    assert store.load(CELL) is None
    store.save(CELL, {"x": np.array(np.nan)})
    assert np.isnan(store.load(CELL)["x"])
    store.discard([CELL, Cell({}, 0)])
    assert store.load(CELL) is None


def test_same_result_same_bytes(store):
    store.save(CELL, {"x": np.arange(3.0)})
    first = store.path(CELL).read_bytes()
    store.save(CELL, {"x": np.arange(3.0)})
    assert store.path(CELL).read_bytes() == first


@pytest.mark.parametrize("damage", ["truncate", "empty", "flip", "text", "npy"])
def test_damaged_file_is_refused_with_path_and_fix(store, damage):
    store.save(CELL, {"x": np.arange(100.0)})
    path = store.path(CELL)
    content = path.read_bytes()
    if damage == "npy":
        np.save(path.with_suffix(".npy"), np.arange(3.0))
        path.with_suffix(".npy").replace(path)
    else:
        middle = content.index(np.float64(50).tobytes())
        flipped = content[:middle] + b"\x01" + content[middle + 1 :]
        path.write_bytes(
            {"truncate": content[:-200], "empty": b"", "flip": flipped, "text": b"hello"}[damage]
        )
    with pytest.raises(
        CorruptResultError, match=rf"{path.name}.*seed=3.*delete that file or run with fresh=True"
    ):
        store.load(CELL)


class Trap:
    """Creates a file when unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (type(self.path).touch, (self.path,))


def test_pickled_content_is_refused_and_never_run(store, tmp_path):
    trap = np.array([Trap(tmp_path / "sprung")], dtype=object)
    np.savez(store.path(CELL), cell=np.array(CELL.label), result_x=trap)
    with pytest.raises(CorruptResultError, match="allow_pickle=False"):
        store.load(CELL)
    assert not (tmp_path / "sprung").exists()


def test_file_of_another_cell_is_refused(store):
    other = Cell({"method": "npg", "eta": 0.2}, 3)
    store.save(other, {"x": np.array(1.0)})
    store.path(other).rename(store.path(CELL))
    with pytest.raises(CorruptResultError, match=r"holds another cell, .*0\.2"):
        store.load(CELL)


def test_key_depends_on_everything_that_matters(tmp_path):
    cells = [
        CELL,
        Cell({"method": "npg", "eta": 0.2}, 3),
        Cell(CELL.condition, 4),
        Cell({"a": 1}, 0),
        Cell({"a": True}, 0),
    ]
    paths = {Store(tmp_path, identity).path(cell) for identity in ("one", "two") for cell in cells}
    assert len(paths) == 2 * len(cells)
    swapped = Cell({"eta": 0.1, "method": "npg"}, 3)
    assert Store(tmp_path, "one").path(CELL) == Store(tmp_path, "one").path(swapped)


def test_identity_sees_source_name_and_version():
    def task(rng):
        return {"x": 1.0}

    before = task_identity(task, "")

    def task(rng):
        return {"x": 2.0}

    assert task_identity(task, "") != before
    assert task_identity(task, "") != task_identity(task, "2")


def test_hidden_state_needs_a_version():
    step = 0.1

    def capturing(rng):
        return {"x": step}

    plain = functools.partial(capturing)
    unseen = {}
    exec("def task(rng):\n    return {'x': 1.0}", unseen)
    for task, reason in [
        (capturing, "captures step"),
        (plain, "is a partial"),
        (unseen["task"], "has no source"),
    ]:
        with pytest.raises(ValueError, match=rf"task {reason}.*pass version="):
            task_identity(task, "")
        assert task_identity(task, "step=0.1") != task_identity(task, "step=0.2")
