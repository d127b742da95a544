"""The table in the docs is the data of the library."""

from pathlib import Path

from pgtheory.theory.complexity import to_markdown

ROOT = Path(__file__).parents[2]


def test_the_page_shows_the_table_as_it_is():
    assert to_markdown() in (ROOT / "docs" / "methods.md").read_text(encoding="utf-8")
