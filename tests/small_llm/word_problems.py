"""A file of word problems in the form of GSM8K."""

import json

from small_llm.tasks import task

ROWS = [
    {
        "question": f"Ann has {i} apples and buys {i}.",
        "answer": f"She has <<{i}+{i}={2 * i}>>{2 * i}.\n#### {2 * i:,}",
    }
    for i in range(400, 700)
]


def word_problems(folder, rows=ROWS):
    path = folder / "problems.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return task(f"gsm8k:{path}")
