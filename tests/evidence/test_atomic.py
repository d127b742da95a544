"""Writing: the old content or the new, never half of either."""

import os
from pathlib import Path

import pytest

from pgtheory.evidence.atomic import write_atomic, write_together


def listing(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


@pytest.mark.parametrize("content", ["θ ↦ J(θ)\n", b"\x00\xff", ""])
def test_writes_content_and_creates_folders(tmp_path, content):
    path = write_atomic(tmp_path / "a" / "b" / "c.txt", content)
    assert path.read_bytes() == (content.encode() if isinstance(content, str) else content)
    assert listing(path.parent) == {"c.txt"}


def test_replaces_old_content_and_respects_umask(tmp_path):
    path = tmp_path / "c.txt"
    write_atomic(path, "old, and longer")
    write_atomic(path, "new")
    assert path.read_text() == "new"
    umask = os.umask(0)
    os.umask(umask)
    assert path.stat().st_mode & 0o777 == 0o666 & ~umask


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_failure_keeps_the_old_file_and_leaves_nothing_behind(tmp_path, monkeypatch, step):
    path = write_atomic(tmp_path / "c.txt", "old")

    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(*{"fsync": (os, "fsync"), "replace": (Path, "replace")}[step], full)
    with pytest.raises(OSError, match=r"cannot write 'c.txt' in the folder .*No space left.*choose another"):
        write_atomic(path, "new")
    assert path.read_text() == "old"
    assert listing(tmp_path) == {"c.txt"}


def test_interrupt_leaves_nothing_behind(tmp_path, monkeypatch):
    path = write_atomic(tmp_path / "c.txt", "old")

    def interrupt(descriptor):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_atomic(path, "new")
    assert path.read_text() == "old"
    assert listing(tmp_path) == {"c.txt"}


def test_content_of_the_wrong_type_leaves_nothing_behind(tmp_path):
    with pytest.raises(TypeError):
        write_atomic(tmp_path / "c.txt", 3)
    assert listing(tmp_path) == set()


def test_unwritable_folder_is_named_with_the_fix(tmp_path):
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(FileExistsError, match=r"in the folder '.*file'.*make that folder writable"):
        write_atomic(tmp_path / "file" / "c.txt", "x")
    with pytest.raises(NotADirectoryError, match="make that folder writable"):
        write_atomic(tmp_path / "file" / "deeper" / "c.txt", "x")
    assert (tmp_path / "file").read_text() == "not a folder"


def test_permission_error_keeps_its_type(tmp_path, monkeypatch):
    def refuse(*args, **kwargs):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(PermissionError, match="Permission denied; make that folder writable"):
        write_atomic(tmp_path / "c.txt", "x")


def test_several_files_all_or_none(tmp_path):
    (tmp_path / "b").mkdir()
    (tmp_path / "a").write_text("old")
    with pytest.raises(IsADirectoryError, match="'b'"):
        write_together({tmp_path / "a": "new", tmp_path / "b": "new"})
    assert (tmp_path / "a").read_text() == "old"
    assert listing(tmp_path) == {"a", "b"}
