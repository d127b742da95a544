"""Checkpoints come back exactly, and a crash, a truncated file or a foreign one never passes for a good one."""

import json
import os
import warnings
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch

from pgtheory.deep import checkpoint, checkpoint_format
from pgtheory.deep.checkpoint import CheckpointError, DamagedCheckpointError

RECORD = {
    "algorithm": "PPO(epsilon=0.2)",
    "seed": 7,
    "step": 2**70,
    "rate": 0.1,
    "worst": float("inf"),
    "of": [1],
}


def some_tensors():
    rng = np.random.default_rng(0)
    flat = torch.as_tensor(rng.standard_normal(12), dtype=torch.float32)
    return {
        "theta": flat,
        "head": flat[3:7],  # shares memory with theta
        "transposed": flat.view(3, 4).T,
        "count": torch.tensor(5),
        "empty": torch.zeros(0, 3),
        "float64": rng.standard_normal((2, 3)),
        "half": torch.ones(2, dtype=torch.bfloat16),
        "bytes": np.arange(9, dtype=np.uint8)[::2],
        "flags": np.array([True, False]),
        "weight": torch.nn.Parameter(torch.ones(2)),
    }


def test_everything_comes_back_exactly(tmp_path):
    tensors = some_tensors()
    path = checkpoint.save(tmp_path / "new" / "a.safetensors", tensors, RECORD)
    loaded, record = checkpoint.load(path)
    assert record == RECORD
    assert loaded.keys() == tensors.keys()
    for name, value in tensors.items():
        value = torch.as_tensor(value)
        assert loaded[name].dtype == value.dtype
        assert loaded[name].shape == value.shape
        assert torch.equal(loaded[name], value)
    loaded["theta"][0] = 9.0  # the caller's own
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


def test_what_is_not_a_number_is_refused(tmp_path):
    path = tmp_path / "a.safetensors"
    for wrong in ([1.0], np.array(["a"]), np.array([1j])):
        with pytest.raises(TypeError, match="tensors"):
            checkpoint.save(path, {"theta": wrong}, {})
    with pytest.raises(TypeError, match="names, got 3"):
        checkpoint.save(path, {3: np.zeros(2)}, {})
    with pytest.raises(TypeError, match=r"record\['rng'\] must be JSON"):
        checkpoint.save(path, {}, {"seed": 1, "rng": np.zeros(2)})
    with pytest.raises(TypeError, match="record must be a mapping"):
        checkpoint.save(path, {}, [1])
    assert not path.exists()


@pytest.mark.parametrize("moment", ["write", "fsync", "replace"])
def test_a_crash_in_mid_write_leaves_the_previous_file(tmp_path, monkeypatch, moment):
    path = checkpoint.save(tmp_path / "a.safetensors", {"theta": np.ones(3)}, {"step": 1})

    def half(self, content):
        with self.open("wb") as file:
            file.write(content[: len(content) // 2])
        raise KeyboardInterrupt

    def crash(*_):
        raise KeyboardInterrupt

    owner, name, broken = {
        "write": (Path, "write_bytes", half),
        "fsync": (os, "fsync", crash),
        "replace": (Path, "replace", crash),
    }[moment]
    with monkeypatch.context() as patch:
        patch.setattr(owner, name, broken)
        with pytest.raises(KeyboardInterrupt):
            checkpoint.save(path, {"theta": np.zeros(3)}, {"step": 2})
    tensors, record = checkpoint.load(path)
    assert record == {"step": 1}
    assert tensors["theta"].tolist() == [1, 1, 1]
    assert list(tmp_path.iterdir()) == [path]


def test_the_content_is_on_disk_before_the_name_changes(tmp_path, monkeypatch):
    order = []
    fsync, replace = os.fsync, Path.replace
    monkeypatch.setattr(os, "fsync", lambda fd: (order.append("fsync"), fsync(fd)))
    monkeypatch.setattr(Path, "replace", lambda *a: (order.append("replace"), replace(*a)))
    checkpoint.save(tmp_path / "a.safetensors", {}, {})
    assert order == ["fsync", "replace"]


def test_a_truncated_or_changed_file_is_damaged(tmp_path):
    path = checkpoint.save(tmp_path / "a.safetensors", {"theta": np.arange(4.0)}, RECORD)
    content = path.read_bytes()
    for size in (0, 5, 8, 40, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:size])
        with pytest.raises(DamagedCheckpointError, match="truncated or not a safetensors file"):
            checkpoint.load(path)
    path.write_bytes(b"something else altogether")
    with pytest.raises(DamagedCheckpointError, match=r"a\.safetensors"):
        checkpoint.load(path)
    for old, new in ((content[-1:], bytes([content[-1] ^ 1])), (b"epsilon=0.2", b"epsilon=0.3")):
        before, _, after = content.rpartition(old)
        path.write_bytes(before + new + after)
        with pytest.raises(DamagedCheckpointError, match="not what was written"):
            checkpoint.load(path)


def test_files_of_others_and_other_versions_are_named(tmp_path, monkeypatch):
    with pytest.raises(FileNotFoundError, match=r"there is no checkpoint '.*gone"):
        checkpoint.load(tmp_path / "gone")
    path = tmp_path / "a.safetensors"
    for metadata in (None, {"other": "x"}):
        path.write_bytes(safetensors.torch.save({"theta": torch.ones(2)}, metadata=metadata))
        with pytest.raises(CheckpointError, match="no 'pgtheory' record"):
            checkpoint.load(path)
    for label in ("{", "[]", "{}", json.dumps({"format": 1, "pgtheory": "0"})):
        path.write_bytes(safetensors.torch.save({}, metadata={"pgtheory": label}))
        with pytest.raises(DamagedCheckpointError):
            checkpoint.load(path)
    with monkeypatch.context() as patch:
        patch.setattr(checkpoint_format, "FORMAT", 2)
        checkpoint.save(path, {}, {})
    with pytest.raises(CheckpointError, match="format version 2, this pgtheory reads 1: use pgtheory"):
        checkpoint.load(path)


def test_another_shape_is_refused_by_name():
    tensors = {"theta": torch.zeros(3, 2), "step": np.array(1)}
    checkpoint.expect(tensors, {"theta": (3, 2), "step": ()})
    with pytest.raises(CheckpointError, match=r"'theta' has shape \[3, 2\], expected \[2, 3\]"):
        checkpoint.expect(tensors, {"theta": (2, 3)})
    with pytest.raises(CheckpointError, match=r"'mean' with shape \[4\] is missing .*'step', 'theta'"):
        checkpoint.expect(tensors, {"mean": [4]})


# -- a folder -------------------------------------------------------------------------------------------------


def names(folder):
    return sorted(int(path.stem.removeprefix("step-")) for path in folder.glob("step-*"))


def put(folder, step, last=3):
    return checkpoint.keep(folder, step, {"theta": np.full(2, step)}, {"step": step}, last=last)


def test_the_last_ones_stay(tmp_path):
    assert checkpoint.latest(tmp_path / "no folder") is None
    (tmp_path / "step-notes.safetensors").write_text("mine")
    for step in (0, 10, 999_999_999, 1_000_000_000):  # the number outgrows its nine digits
        path = put(tmp_path, step, last=2)
        assert checkpoint.latest(tmp_path) == path
    assert path.name == "step-1000000000.safetensors"
    (tmp_path / "step-notes.safetensors").unlink()
    assert names(tmp_path) == [999_999_999, 1_000_000_000]
    put(tmp_path, 1_000_000_000, last=2)  # again, as after a resume
    assert names(tmp_path) == [999_999_999, 1_000_000_000]


def test_a_damaged_newest_file_is_passed_over_with_a_warning(tmp_path):
    for step in (1, 2, 3):
        path = put(tmp_path, step)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.warns(UserWarning, match=r"step-000000003.*falling back"):
        good = checkpoint.latest(tmp_path)
    assert checkpoint.load(good)[1] == {"step": 2}


def test_damaged_files_do_not_count_as_kept(tmp_path):
    for step in (1, 2, 3):
        path = put(tmp_path, step, last=3)
    path.write_bytes(b"")
    put(tmp_path, 4, last=3)
    assert names(tmp_path) == [1, 2, 3, 4]
    put(tmp_path, 5, last=2)
    assert names(tmp_path) == [4, 5]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert checkpoint.load(checkpoint.latest(tmp_path))[1] == {"step": 5}


def test_a_later_checkpoint_of_another_run_is_not_overtaken(tmp_path):
    later = put(tmp_path, 100)
    with pytest.raises(CheckpointError, match="later than step 10"):
        put(tmp_path, 10)
    assert names(tmp_path) == [100]
    later.write_bytes(b"damaged")
    put(tmp_path, 10)
    assert names(tmp_path) == [10, 100]


def test_a_foreign_newest_file_is_not_fallen_back_from(tmp_path):
    put(tmp_path, 1)
    (tmp_path / "step-000000002.safetensors").write_bytes(safetensors.torch.save({"a": torch.ones(1)}))
    with pytest.raises(CheckpointError, match="not a checkpoint of ours"):
        checkpoint.latest(tmp_path)
