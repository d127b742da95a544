"""GSM8K from a file: what is read, what counts, and what is refused."""

import numpy as np
import pytest
from word_problems import ROWS, word_problems

from small_llm.tasks import task
from small_llm.tasks.gsm8k import INSTRUCTION


def generator(seed=0):
    return np.random.default_rng(seed)


def test_word_problems(tmp_path):
    each = word_problems(tmp_path)
    problem = next(p for p in each.problems(generator(), 300) if "500" in p.prompt)
    assert problem.prompt == f"Ann has 500 apples and buys 500.{INSTRUCTION}"
    assert problem.answer == "She has 1000.\n#### 1,000"
    for right in ("#### 1000", "1000", "It is 1,000.", "900 #### 1000.0", "#### 7\n#### 1000", "so $1000."):
        assert each.verify(problem, right) == 1.0
    for wrong in ("1000 #### 7", "1000 ####", "1000, no, 999", "#### 10000", "#### 1000 or 999"):
        assert each.verify(problem, wrong) == 0.0


def test_word_problems_from_parquet(tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    import pyarrow

    parquet.write_table(pyarrow.Table.from_pylist(ROWS), tmp_path / "a.parquet")
    stored, plain = task(f"gsm8k:{tmp_path / 'a.parquet'}"), word_problems(tmp_path)
    assert stored.problems(generator(), 20) == plain.problems(generator(), 20)


def test_parquet_without_its_package_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    (tmp_path / "a.parquet").touch()
    with pytest.raises(ImportError, match="pip install pyarrow"):
        task(f"gsm8k:{tmp_path / 'a.parquet'}")


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ('{"question": "a", "answer": "#### 1"}\n{"question": ', "line 2: each line must be a JSON object"),
        ('{"question": "a"}', "row 1: must have the texts 'question' and 'answer'"),
        ('{"question": 1, "answer": "#### 1"}', "row 1: must have the texts"),
        ("[1, 2]", "row 1: must have the texts"),
        ('{"question": "a", "answer": "1"}', "row 1: answer must end in '#### ' and a number"),
        ('{"question": "a", "answer": "#### one"}', "row 1: answer must end in"),
        ("[" * 100_000, "line 1: each line must be"),
        ("\n\n", "must be a file with problems"),
    ],
)
def test_a_file_of_another_form_is_refused(tmp_path, rows, message):
    path = tmp_path / "a.jsonl"
    path.write_text(rows)
    with pytest.raises(ValueError, match=message):
        task(f"gsm8k:{path}")


def test_other_files_are_refused(tmp_path):
    (tmp_path / "a.csv").touch()
    with pytest.raises(ValueError, match=r"must end in \.jsonl or \.parquet"):
        task(f"gsm8k:{tmp_path / 'a.csv'}")
    for path in (tmp_path / "none.jsonl", tmp_path):
        with pytest.raises(FileNotFoundError, match="hf download openai/gsm8k"):
            task(f"gsm8k:{path}")
