"""A reasoning-gym data set in a process of its own: ``python -m small_llm.tasks.gym_process NAME SEED SIZE MEMORY``.

Its scorers were written for honest answers. Here they cannot hang or exhaust the process that trains: the parent
kills this one when a score is overdue, and its memory is limited. The two talk in lines of JSON. First comes
``{"scorer": …}`` or ``{"error": …}``; then ``{"draw": [indices]}`` is answered by ``[[question, answer], …]``,
and ``{"index": i, "completion": text}`` by a number.
"""

from __future__ import annotations

import ast
import inspect
import json
import os
import sys
from functools import lru_cache
from typing import Any

_RUNS_TEXT = {"eval", "exec", "parse_expr", "sympify", "lambdify"}


def scorer_runs_text(dataset: Any) -> bool:
    """Whether ``score_answer``, or what it calls in its file, evaluates a string as code (SymPy's parser does)."""
    method = inspect.unwrap(type(dataset).score_answer)
    tree = ast.parse(inspect.getsource(inspect.getmodule(method)))  # type: ignore[arg-type]
    written = {node.name: node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    reached, waiting = set(), {"score_answer"}
    while waiting:
        name = waiting.pop()
        reached.add(name)
        if name in written:
            waiting |= _names(written[name]) - reached
    return bool(_RUNS_TEXT & reached - written.keys())


def _names(function: ast.AST) -> set[str]:
    nodes = list(ast.walk(function))
    return {n.id for n in nodes if isinstance(n, ast.Name)} | {
        n.attr for n in nodes if isinstance(n, ast.Attribute)
    }


def score(dataset: Any, entry: dict[str, Any], completion: str, own: bool) -> float:
    """The data set's own score in [0, 1]; equality of texts up to white space where that would run the text."""
    if not own:
        return float(completion.split() == str(entry["answer"]).split())
    try:
        return min(1.0, max(0.0, float(dataset.score_answer(completion, entry))))
    except Exception:  # whatever a scorer chokes on is no right answer
        return 0.0


def main(name: str, seed: int, size: int, memory: int) -> None:
    """Answer requests from standard input until it closes."""
    replies = os.fdopen(os.dup(1), "w", encoding="ascii")
    os.dup2(2, 1)  # what a data set prints must not pass for a reply

    def reply(message: Any) -> None:
        replies.write(json.dumps(message) + "\n")
        replies.flush()

    dataset = _open(name, seed, size)
    if isinstance(dataset, str):
        return reply({"error": dataset})
    own = not scorer_runs_text(dataset)
    entry = lru_cache(maxsize=4096)(dataset.__getitem__)
    _limit_memory(memory)
    reply({"scorer": "own" if own else "text"})
    for line in sys.stdin:
        request = json.loads(line)
        if "draw" in request:
            entries = [entry(i) for i in request["draw"]]
            reply([[str(e["question"]), str(e["answer"])] for e in entries])
        else:
            reply(score(dataset, entry(request["index"]), request["completion"], own))
    return None


def _open(name: str, seed: int, size: int) -> Any:
    """The data set, or why there is none."""
    try:
        from reasoning_gym.factory import DATASETS, create_dataset
    except ImportError as error:
        return f"reasoning-gym cannot be imported: {error}"
    if name not in DATASETS:
        return f"reasoning-gym has no data set {name!r}; it has {', '.join(sorted(DATASETS))}"
    try:
        return create_dataset(name, seed=seed, size=size)
    except Exception as error:
        return f"reasoning-gym cannot make {name!r}: {error!r}"


def _limit_memory(memory: int) -> None:
    """Let this process have ``memory`` more bytes, where the system can be told so."""
    try:
        import resource
    except ImportError:
        return
    _, most = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (memory, most))


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
