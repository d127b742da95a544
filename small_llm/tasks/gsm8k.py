"""GSM8K (Cobbe et al., arXiv:2110.14168), or any file of its form, from a local path."""

from __future__ import annotations

import json
import re
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from small_llm.tasks.task import Problem, Task
from small_llm.verifiers import last_number, read_number

INSTRUCTION = "\nReason step by step. End with #### and the number.\n"

_CALCULATOR = re.compile(r"<<[^<>]*>>")  # "48/2 = <<48/2=24>>24", written for a tool that no model here has


class GSM8K(Task):
    """Word problems whose answer is a number.

    A completion is right when the last number after its last ``####``, or its last number where there is none, equals
    the one in the file (:func:`small_llm.verifiers.last_number`). The file's own division into training and test
    problems does not matter here: each file is split like any other task.

    Parameters
    ----------
    path
        A ``.jsonl`` file with an object a line, or a ``.parquet`` file (which needs pyarrow), with the texts
        ``question`` and ``answer``, the latter ending in ``#### 42``.

    Raises
    ------
    FileNotFoundError, ValueError
        For no such file, another kind of file, or a row of another form, saying which.
    ImportError
        For a parquet file without pyarrow.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        rows = _rows(self.path)
        if not rows:
            raise ValueError(f"path must be a file with problems, {self.path} has none")
        self._problems = [_problem(row, f"{self.path}, row {i}") for i, row in enumerate(rows, 1)]

    @property
    def name(self) -> str:
        return f"gsm8k:{self.path}"

    @cached_property
    def alphabet(self) -> str:
        return "".join(sorted(set().union(*(problem.prompt + problem.answer for problem in self._problems))))

    @cached_property
    def max_new_tokens(self) -> int:
        return max(len(problem.answer) for problem in self._problems) + 1

    def draw(self, rng: np.random.Generator, n: int) -> list[Problem]:
        return [self._problems[i] for i in rng.integers(len(self._problems), size=n).tolist()]

    def verify(self, problem: Problem, completion: str) -> float:
        return float(last_number(completion) == read_number(problem.data["number"]))

    def vote(self, problem: Problem, completion: str) -> str | None:
        number = last_number(completion)
        return None if number is None else str(number)


def _rows(path: Path) -> list[Any]:
    if not path.is_file():
        raise FileNotFoundError(
            f"path must be a .jsonl or .parquet file, got {str(path)!r}, which is none; with internet, "
            "`hf download openai/gsm8k --repo-type dataset --local-dir gsm8k` brings GSM8K here"
        )
    if path.suffix == ".jsonl":
        return [_json(line, f"{path}, line {i}") for i, line in enumerate(_lines(path), 1) if line.strip()]
    if path.suffix == ".parquet":
        try:
            from pyarrow import parquet
        except ImportError:
            raise ImportError("a .parquet file needs pyarrow: pip install pyarrow, or give .jsonl") from None
        return parquet.read_table(path).to_pylist()
    raise ValueError(f"path must end in .jsonl or .parquet, got {str(path)!r}")


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").split("\n")  # not splitlines: JSON may hold other line ends


def _json(line: str, where: str) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{where}: each line must be a JSON object ({error})") from None


def _problem(row: Any, where: str) -> Problem:
    question, answer = (row.get("question"), row.get("answer")) if isinstance(row, dict) else (None, None)
    if not isinstance(question, str) or not isinstance(answer, str):
        raise ValueError(f"{where}: must have the texts 'question' and 'answer', got {str(row)[:80]}")
    number = answer.rpartition("####")[2].strip()
    if "####" not in answer or read_number(number) is None:
        raise ValueError(f"{where}: answer must end in '#### ' and a number, got {answer[-40:]!r}")
    return Problem(question + INSTRUCTION, _CALCULATOR.sub("", answer), {"number": number})
