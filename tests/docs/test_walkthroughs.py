"""The pages keep their word: their Python runs, their notebook holds and fails as told, their links lead somewhere.

A ``python`` block without a title is run, in order with the others of its page, in a process and an empty folder of
their own. A block with the title of a Python file is that file, in that folder. Blocks with the title of a notebook
are its cells in order (``json``: its metadata).
"""

import json
import os
import pkgutil
import re
import shlex
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import nbformat
import pytest

import pgtheory

ROOT = Path(__file__).parents[2]
CONTRIBUTING = ROOT / "CONTRIBUTING.md"
PAGES = [
    page
    for page in (ROOT / "README.md", CONTRIBUTING, *sorted((ROOT / "docs").glob("*.md")))
    if page.exists()
]
BLOCK = re.compile(r'^```(\w+)(?: title="([^"]+)")?\n(.*?)^```$', re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)\s#]+)[^)]*\)")
NAME = re.compile(r"`(pgtheory(?:\.\w+)+)")
ENVIRONMENT = os.environ | {"PYTHONPATH": str(ROOT), "MPLBACKEND": "Agg"}

on_every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


@dataclass(frozen=True)
class Block:
    """A fenced block of a page; ``line`` is where its text starts, counted from 0."""

    language: str
    title: str
    text: str
    line: int


def blocks(page: str) -> list[Block]:
    found = BLOCK.finditer(page)
    return [Block(m[1], m[2] or "", m[3], page.count("\n", 0, m.start(3))) for m in found]


def as_script(found: list[Block]) -> str:
    """The untitled Python blocks at the lines where they stand, so that a traceback names the page's line."""
    lines: list[str] = []
    for block in found:
        if block.language == "python" and not block.title:
            lines += [""] * (block.line - len(lines)) + block.text.splitlines()
    return "\n".join(lines)


def run_blocks(page: str, name: str, folder: Path) -> subprocess.CompletedProcess[str]:
    found = blocks(page)
    for block in found:
        if block.title.endswith(".py"):
            (folder / block.title).write_text(block.text, encoding="utf-8")
    (folder / name).write_text(as_script(found), encoding="utf-8")
    command = [sys.executable, name]
    return subprocess.run(
        command, cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, check=False, timeout=120
    )


@on_every_page
def test_every_fence_is_a_block(page):
    text = page.read_text(encoding="utf-8")
    assert len(re.findall(r"^\s*(?:```|~~~)", text, re.MULTILINE)) == 2 * len(blocks(text))


@on_every_page
def test_python_blocks_run(page, tmp_path):
    text = page.read_text(encoding="utf-8")
    if not as_script(blocks(text)):
        pytest.skip("a page without Python")
    ended = run_blocks(text, page.name, tmp_path)
    assert ended.returncode == 0, ended.stderr


def test_a_block_that_fails_is_reported_with_its_line(tmp_path):
    page = 'Text\n\n```python title="a.py"\nx = 1\n```\n\n```python\nimport a\n```\n\n```python\nassert a.x == 2\n```\n'
    ended = run_blocks(page, "page.md", tmp_path)
    assert ended.returncode == 1
    assert 'page.md", line 12' in ended.stderr


@on_every_page
def test_links_and_names_lead_somewhere(page):
    text = page.read_text(encoding="utf-8")
    links = [link for link in LINK.findall(text) if "://" not in link]
    assert [link for link in links if not (page.parent / link).exists()] == []
    assert all(pkgutil.resolve_name(name) is not None for name in NAME.findall(text))


def test_the_notebook_of_the_walkthrough_holds_and_fails_when_broken(tmp_path):
    page = CONTRIBUTING.read_text(encoding="utf-8")
    name = write_notebook(blocks(page), tmp_path / "notebooks")
    holding, breaking, *_ = commands(page)
    figures = tmp_path / "figures"

    with ThreadPoolExecutor() as pool:
        ended, broken = pool.map(reproduce, [tmp_path] * 2, [holding, breaking])
    assert ended.returncode == 0, ended.stdout + ended.stderr
    for file in (
        "softmax-rate.svg",
        "softmax-rate.png",
        "softmax-rate.json",
        f"reports/{name}.json",
        "index.html",
    ):
        assert (figures / file).stat().st_size > 0
    (claim,) = json.loads((figures / "claims.json").read_text())["claims"]
    assert claim["holds"]
    assert claim["interval"][0] <= claim["measured"] <= claim["interval"][1] <= -0.95
    says_as_promised(page, ended, "1 claim: 1 hold, 0 declared not reproduced, 0 fail")

    assert broken.returncode == 1, broken.stdout + broken.stderr
    (claim,) = json.loads((tmp_path / "build/broken/claims.json").read_text())["claims"]
    assert not claim["holds"]
    says_as_promised(page, broken, "1 claim: 0 hold, 0 declared not reproduced, 1 fail")


def write_notebook(found: list[Block], folder: Path) -> str:
    """Write the notebook that the blocks make; return its name without ending."""
    parts = [block for block in found if block.title.endswith(".ipynb")]
    (title,) = {block.title for block in parts}
    (metadata,) = [json.loads(block.text) for block in parts if block.language == "json"]
    new = {"markdown": nbformat.v4.new_markdown_cell, "python": nbformat.v4.new_code_cell}
    cells = [new[block.language](block.text.rstrip()) for block in parts if block.language in new]
    next(cell for cell in cells if cell.cell_type == "code").metadata["tags"] = ["parameters"]
    folder.mkdir()
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=metadata), folder / title)
    return title.removesuffix(".ipynb")


def commands(page: str) -> list[list[str]]:
    """Arguments of the reproductions that a page shows."""
    lines = "".join(block.text for block in blocks(page) if block.language == "console").splitlines()
    script = "$ ./paper_repro.sh "
    return [shlex.split(line.removeprefix(script)) for line in lines if line.startswith(script)]


def reproduce(folder: Path, arguments: list[str]) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pgtheory.cli", "reproduce", *arguments]
    return subprocess.run(
        command, cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, check=False, timeout=120
    )


def says_as_promised(page: str, ended: subprocess.CompletedProcess[str], words: str) -> None:
    assert words in page
    assert words in ended.stdout


def test_the_version_is_the_same_everywhere():
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert re.findall(r"^version: (.+)$", citation, re.MULTILINE) == [pgtheory.__version__]
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.findall(r"^## \[([^\]]+)\]", changes, re.MULTILINE)[0] == pgtheory.__version__
