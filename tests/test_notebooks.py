"""The shipped notebooks: their form, and that a fresh quick run gives the stored numbers."""

import ast
import json
from pathlib import Path

import pytest

from pgtheory.cli.main import main

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_form(path):
    notebook = json.loads(path.read_text())
    cells = notebook["cells"]
    about = notebook["metadata"]["pgtheory"]
    assert cells[0]["cell_type"] == "markdown"
    assert "".join(cells[0]["source"]).startswith(f"# {about['question']}\n")
    assert about["question"].endswith("?")
    assert set(about["seconds"]) == {"quick", "paper"}
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    assert all(not cell["outputs"] and cell["execution_count"] is None for cell in code)
    assert all(len(cell["source"]) <= 40 for cell in code)
    assert "".join(code[-1]["source"]) == "report.finish()"
    source = "\n".join("".join(cell["source"]) for cell in code)
    assert f'"{path.stem}"' in source
    names = {
        target.id
        for node in ast.parse("".join(code[0]["source"])).body
        for target in getattr(node, "targets", [])
    }
    assert {"profile", "out"} <= names


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_stored_claim_is_backed_by_a_stored_figure(path):
    report = json.loads((ROOT / "figures" / "reports" / f"{path.stem}.json").read_text())
    figures = {figure["name"] for figure in report["figures"]}
    assert report["claims"]
    assert report["profile"] == "quick"
    for claim in report["claims"]:
        assert claim["figure"] in figures
        assert claim["setup"]
    for name in figures:
        for ending in (".svg", ".png", ".json"):
            assert (ROOT / "figures" / f"{name}{ending}").is_file()


def test_a_fresh_quick_run_gives_the_stored_numbers(tmp_path, capsys):
    """One notebook here; the full check of all notebooks is part of ``.ci/run``."""
    arguments = ["reproduce", "--only", "01-landscape", "--notebooks", str(ROOT / "notebooks")]
    code = main([*arguments, "--out", str(tmp_path), "--check-numbers", str(ROOT / "figures")])
    assert code == 0, capsys.readouterr().out
