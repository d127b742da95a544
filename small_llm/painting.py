"""Answers on a terminal: right ones green, wrong ones red, cut ones yellow."""

from __future__ import annotations

from small_llm.evaluation import Evaluation

GREEN, RED, YELLOW, PLAIN = "\x1b[32m", "\x1b[31m", "\x1b[33m", "\x1b[0m"
_MARKS = {GREEN: "right", RED: "wrong", YELLOW: "cut"}


def paint(evaluation: Evaluation, *, coloured: bool = True) -> str:
    """One line an answer: what became of it, the prompt, the answer, and the right one where it is another.

    What a model wrote is shown with control characters escaped: it must not command the terminal.
    """
    lines = []
    for problem, text, verdict, cut in zip(
        evaluation.problems, evaluation.texts, evaluation.verdicts, evaluation.cut
    ):
        colour = GREEN if verdict == 1 else YELLOW if cut else RED
        on, off = (colour, PLAIN) if coloured else ("", "")
        expected = "" if verdict == 1 else f"   (right: {escaped(problem.answer)})"
        lines.append(f"{_MARKS[colour]:5}  {escaped(problem.prompt)}{on}{escaped(text)}{off}{expected}")
    return "\n".join(lines)


def escaped(text: str) -> str:
    """The text on one line, what is not printable written as Python does."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)
