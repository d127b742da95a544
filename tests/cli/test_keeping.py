"""When a finished notebook is kept, and which notebooks a pattern selects."""

import pytest

from pgtheory.cli import fingerprint as module
from pgtheory.cli.fingerprint import fingerprint
from pgtheory.cli.notebooks import discover, read_notebook, select
from pgtheory.cli.state import Record, hash_outputs, is_current, read_record, write_record


def test_a_fingerprint_follows_cells_parameters_sources_and_versions(workshop, monkeypatch):
    one = read_notebook(workshop.write("1-one"))
    marks = [fingerprint(one, {"profile": "quick"})]
    assert fingerprint(one, {"profile": "quick"}) == marks[0]
    marks.append(fingerprint(one, {"profile": "paper"}))
    marks.append(fingerprint(one, {"profile": "quick", "seeds": 4}))
    marks.append(fingerprint(read_notebook(workshop.write("1-one", "1 + 1")), {"profile": "quick"}))
    monkeypatch.setattr(module, "_source_digest", lambda: "another source")
    marks.append(fingerprint(one, {"profile": "quick"}))
    monkeypatch.setattr(module, "_versions", lambda: {"python": "4.0"})
    marks.append(fingerprint(one, {"profile": "quick"}))
    assert len(set(marks)) == len(marks)


def test_versions_are_those_of_the_required_distributions_only():
    versions = module._versions()
    assert {"python", "numpy", "torch"} <= versions.keys()
    assert not {"pytest", "ruff"} & versions.keys()


def test_the_source_digest_sees_a_changed_module(tmp_path, monkeypatch):
    package = tmp_path / "some_room"
    package.mkdir()
    (package / "__init__.py").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(module, "PACKAGES", ("some_room", "absent_room"))
    digest = module._source_digest.__wrapped__
    before = digest()
    (package / "__init__.py").write_text("x = 1")
    assert digest() != before


def test_a_record_is_current_while_its_files_are_as_they_were(tmp_path):
    (tmp_path / "a.svg").write_text("a")
    record = Record("mark", 1.5, hash_outputs(tmp_path, ["a.svg"]))
    write_record(tmp_path, "quick", "1-one", record)
    assert read_record(tmp_path, "quick", "1-one") == record
    assert read_record(tmp_path, "paper", "1-one") is None
    assert is_current(tmp_path, record, "mark")
    assert not is_current(tmp_path, record, "another mark")
    (tmp_path / "a.svg").write_text("b")
    assert not is_current(tmp_path, record, "mark")
    (tmp_path / "a.svg").unlink()
    assert not is_current(tmp_path, record, "mark")


def test_a_damaged_record_counts_as_none(tmp_path):
    write_record(tmp_path, "quick", "1-one", Record("mark", 1.0, {}))
    (tmp_path / ".state/quick/1-one.json").write_text('{"fingerprint": "mark"')
    assert read_record(tmp_path, "quick", "1-one") is None


@pytest.mark.parametrize(
    ("patterns", "expected"),
    [
        ([], ["1-one", "2-two", "3-twin"]),
        (["tw"], ["2-two", "3-twin"]),
        (["3-*", "one"], ["1-one", "3-twin"]),
        (["2-two.ipynb"], ["2-two"]),
    ],
)
def test_selection(workshop, patterns, expected):
    for name in ("3-twin", "1-one", "2-two"):
        path = workshop.write(name)
    assert [notebook.name for notebook in select(discover(path.parent), patterns)] == expected
