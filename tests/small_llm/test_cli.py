"""``python -m small_llm``: train, evaluate, look at answers; and say what was wrong."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from small_llm import Config, NotFinite, evaluate, load, task
from small_llm.__main__ import build_parser, main
from small_llm.evaluation import Evaluation
from small_llm.painting import GREEN, PLAIN, RED, YELLOW, paint
from small_llm.tasks import Problem, split_of

torch.set_num_threads(1)
ROOT = Path(__file__).parents[2]
TRAIN = ["train", "--task", "add1", "--steps", "2", "--prompts", "2", "--group-size", "2", "--no-progress"]


def test_train_eval_sample(tmp_path, capsys):
    folder = str(tmp_path / "run")
    arguments = ["--recipe", "gbpo", "--evaluation-problems", "8", "--folder", folder]
    assert main([*TRAIN, *arguments]) == 0
    assert "of 8 held-out problems" in capsys.readouterr().out
    config = Config.from_dict(json.loads((tmp_path / "run" / "config.json").read_text()))
    assert (config.recipe, config.group_size, config.steps, config.kl) == ("gbpo", 2, 2, None)
    assert main(["eval", folder, "-n", "16"]) == 0
    assert "of 16 held-out problems" in capsys.readouterr().out
    assert main(["sample", folder, "-n", "3", "--colour", "always"]) == 0
    *lines, _ = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    assert all(line.count(PLAIN) == 1 for line in lines)
    assert main(["sample", "nano", "--task", "add1", "-n", "3"]) == 0
    assert PLAIN not in capsys.readouterr().out  # no terminal


def test_the_warm_up_is_an_option(tmp_path, capsys, monkeypatch):
    seen = []
    monkeypatch.setattr(
        "small_llm.training.train", lambda config, **options: seen.append(config) or FakeRun()
    )
    main([*TRAIN, "--warm-up", "0.4", "--kl", "0.1", "--gradient-checkpointing"])
    assert seen[0].warm_up.accuracy == 0.4
    assert seen[0].kl == 0.1
    assert seen[0].gradient_checkpointing


class FakeRun:
    evaluation = "done"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([*TRAIN, "--recipe", "gprpo"], "name must be one of"),
        ([*TRAIN, "--minibatches", "3"], "must divide prompts = 2"),
        ([*TRAIN, "--warm-up", "40"], "accuracy must lie in (0, 1], got 40"),
        ([*TRAIN, "--task", "ad2"], "got 'ad2'"),
        (["eval", "nano"], "'nano' is no folder of a run, so it takes a task"),
        (["eval", "nowhere", "--task", "add1"], "got 'nowhere'"),
        (["sample", "nano", "--task", "add1", "-n", "0"], "problems must be at least 1"),
    ],
)
def test_what_cannot_be_is_said(arguments, says, capsys):
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith("small_llm: error: ")
    assert says in error
    assert "Traceback" not in error


def test_a_run_that_had_to_stop_is_said(capsys, monkeypatch):
    def stopped(*_, **__):
        raise NotFinite("a reward is nan")

    monkeypatch.setattr("small_llm.training.train", stopped)
    assert main(TRAIN) == 1
    assert capsys.readouterr().err == "small_llm: stopped: a reward is nan\n"


def test_a_run_without_a_checkpoint_is_said(tmp_path, capsys):
    (tmp_path / "config.json").write_text(json.dumps(Config(task="add1").to_dict()))
    assert main(["eval", str(tmp_path)]) == 2
    assert "has not reached its first checkpoint" in capsys.readouterr().err


def test_every_field_of_a_run_is_an_option():
    arguments = build_parser().parse_args(["train"])
    defaults = Config()
    for name in Config.__dataclass_fields__:
        expected = getattr(defaults, name)
        assert getattr(arguments, name) == expected, name


def test_help_answers_at_once():
    code = (
        "import sys; from small_llm.__main__ import build_parser; build_parser().format_help(); "
        "print([m for m in ('torch', 'transformers', 'matplotlib') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    shown = subprocess.run(
        [sys.executable, "-m", "small_llm", "train", "--help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "--group-size INT" in shown.stdout
    assert "(default: grpo)" in shown.stdout


def test_colours():
    problems = [Problem("1+1=", "2"), Problem("1+2=", "3"), Problem("1+3=", "4"), Problem("1+4=", "5")]
    texts = ["2", "4", "4\x1b[2J\n", "5"]
    cut = np.array([False, False, True, True])
    verdicts, lengths = np.array([1.0, 0.5, 0.0, 1.0]), np.array([2, 2, 6, 2])
    found = Evaluation(0.5, 0.0, 1.0, 0.5, 3.0, 0.5, problems, texts, verdicts, cut, lengths)
    right, wrong, truncated, late = paint(found).splitlines()
    assert right == f"right  1+1={GREEN}2{PLAIN}"
    assert wrong == f"wrong  1+2={RED}4{PLAIN}   (right: 3)"
    assert truncated == f"cut    1+3={YELLOW}4\\x1b[2J\\n{PLAIN}   (right: 4)"
    assert GREEN in late
    assert "\x1b" not in paint(found, coloured=False)


def test_an_evaluation_by_hand():
    model, tokenizer = load("nano", task=task("add1"))
    found = evaluate(model, tokenizer, task("add1"), problems=300, temperature=1.0)
    right = [number(found.texts[i]) == int(found.problems[i].answer) for i in range(300)]
    assert found.accuracy == pytest.approx(np.mean(right))
    assert found.low - 1e-12 <= found.accuracy <= found.high < 0.1
    assert {split_of(task("add1").key(problem)) for problem in found.problems} == {"test"}
    assert found.truncated == found.cut.mean()
    assert all(len(text) <= 3 for text in found.texts)
    assert evaluate(model, tokenizer, task("add1"), problems=300, temperature=1.0).texts == found.texts
    assert (
        evaluate(model, tokenizer, task("add1"), problems=300, temperature=1.0, seed=1).texts != found.texts
    )
    greedy = [evaluate(model, tokenizer, task("add1"), problems=20, max_new_tokens=n).texts for n in (1, 3)]
    assert all(b.startswith(a) for a, b in zip(*greedy))


def number(text):
    """What a text of digits, + and = is worth, or nothing."""
    try:
        return int(text)
    except ValueError:
        return None
