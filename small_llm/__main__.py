"""``python -m small_llm``: train a model, evaluate it, look at what it answers.

Only the standard library and the record of a run are imported before a command runs, so that ``--help`` answers at
once.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from small_llm.config import Config
from small_llm.scale import Plan
from small_llm.warm_up_settings import WarmUp

EXAMPLES = """\
examples:
  python -m small_llm train --task add2 --recipe gbpo --warm-up 0.4 --steps 50 --folder runs/add2
  torchrun --nproc-per-node 2 -m small_llm train --task add2 --prompts 32 --folder runs/two
  python -m small_llm eval runs/add2 --problems 1000
  python -m small_llm sample runs/add2 -n 20
  python -m small_llm sample smollm2-135m --task add2
  python -m small_llm scale --minutes 9
"""
HELP = {
    "model": "nano, small, smollm2-135m, 1b, a local folder, or a name on the hub",
    "task": "add2, sort5, copy6, countdown, reasoning-gym:DATASET, gsm8k:PATH, ...",
    "recipe": "the objective; 'pgtheory list recipes' names them",
    "kl": "coefficient of the penalty towards the model before the first step",
    "steps": "steps of sampling and learning",
    "prompts": "prompts a step",
    "group_size": "answers to each prompt",
    "draws": "times that prompts are drawn at most, until all groups have mixed rewards",
    "epochs": "passes over a step's answers",
    "minibatches": "parts of a pass, an update each",
    "accumulate": "parts in which a minibatch goes through the model",
    "schedule": "of the learning rate: constant, linear or cosine",
    "ramp": "steps over which the learning rate rises",
    "max_new_tokens": "longest answer (default: the task's)",
    "dtype": "float32 or bfloat16",
    "lora": "learn low-rank updates of this rank, not the weights",
    "gradient_checkpointing": "recompute activations: less memory, a third more time",
    "sharded": "divide weights and optimiser between processes (FSDP)",
    "warm_up": "first learn from right answers, up to this share of held-out problems",
    "evaluate_every": "steps between evaluations (default: only at the end)",
    "measure_every": "steps between looks at ratios and entropy; 0 for none",
    "checkpoint_every": "steps between checkpoints (default: a tenth of the run)",
    "folder": "where checkpoints and metrics go; the same command made again goes on from there",
    "cache": "where warmed-up models are kept for other runs",
    "minutes": "what a scale run may take in all",
    "recipes": "objectives to compare, with commas between",
    "warm_up_rate": "learning rate of the warm-up (default: by the model's size)",
    "accuracy": "share of held-out problems at which the warm-up ends",
    "vocabulary": "of the measurement of memory",
    "pretrained": "also train this pretrained model: smollm2-135m, a folder, or a name on the hub",
    "pretrained_task": "what it is trained on",
    "commit": "of the code, where there is no git to ask",
    "out": "the file that is written (default: by device and date, in figures/data)",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; returns 0, 1 where training had to stop, or 2 for what cannot be done."""
    arguments = build_parser().parse_args(argv)
    from small_llm.experience import NotFinite
    from small_llm.processes import Stopped
    from small_llm.warm_up import WarmUpFailed

    try:
        return arguments.run(arguments)
    except (NotFinite, Stopped, WarmUpFailed) as error:
        print(f"small_llm: stopped: {error}", file=sys.stderr)
        return 1
    except (ValueError, FileNotFoundError, ImportError) as error:
        print(f"small_llm: error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("small_llm: interrupted; the same command goes on from the last checkpoint", file=sys.stderr)
        return 130


def build_parser() -> argparse.ArgumentParser:
    """The parser; ``arguments.run(arguments)`` carries a request out."""
    parser = argparse.ArgumentParser(
        prog="python -m small_llm",
        description="Policy gradients on a small language model.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    command = commands.add_parser("train", help="warm a model up and train it")
    for field in fields(Config):
        _add_field(command, field.name, str(field.type), field.default)
    command.add_argument("--no-progress", action="store_true", help="show no bar")
    command.set_defaults(run=_train)
    command = commands.add_parser("eval", help="answer held-out problems and count")
    _add_source(command, problems=256, temperature=0.0)
    command.set_defaults(run=_evaluate)
    command = commands.add_parser("sample", help="print answers: right in green, wrong in red, cut in yellow")
    _add_source(command, problems=10, temperature=1.0)
    command.add_argument(
        "--colour", choices=("auto", "always", "never"), default="auto", help="default: auto"
    )
    command.set_defaults(run=_sample)
    command = commands.add_parser(
        "scale", help="one run for one GPU: recipes at 1B parameters, speed and memory"
    )
    for field in fields(Plan):
        _add_field(command, field.name, str(field.type), field.default)
    command.set_defaults(run=_scale)
    return parser


def _add_field(command: argparse.ArgumentParser, name: str, kind: str, default: Any) -> None:
    option, text = f"--{name.replace('_', '-')}", HELP.get(name, name.replace("_", " "))
    if kind == "bool":
        command.add_argument(option, action="store_true", help=text)
        return
    read: Any = float if name == "warm_up" else {"int": int, "float": float}.get(kind.split(" | ")[0], str)
    shown = "" if default is None else f" (default: {default})"
    command.add_argument(option, type=read, default=default, metavar=read.__name__.upper(), help=text + shown)


def _add_source(command: argparse.ArgumentParser, *, problems: int, temperature: float) -> None:
    add = command.add_argument
    add("source", metavar="SOURCE", help="the folder of a run, or a model as train's --model knows it")
    add("--task", help="default: the run's")
    add("-n", "--problems", type=int, default=problems, help=f"held-out problems (default: {problems})")
    add(
        "--temperature",
        type=float,
        default=temperature,
        help=f"0: most likely tokens (default: {temperature:g})",
    )
    add("--max-new-tokens", type=int, help="longest answer (default: the task's)")
    add("--device", default="cpu", help="default: cpu")
    add("--seed", type=int, default=0, help="default: 0")


def _train(arguments: argparse.Namespace) -> int:
    from small_llm import processes
    from small_llm.training import train

    given = {field.name: getattr(arguments, field.name) for field in fields(Config)}
    if given["warm_up"] is not None:
        given["warm_up"] = WarmUp(accuracy=given["warm_up"])
    config = Config(**given)
    with processes.together(config.device):
        run = train(config, progress=not arguments.no_progress)
        if processes.rank() == 0:
            print(run.evaluation)
    return 0


def _evaluate(arguments: argparse.Namespace) -> int:
    print(_evaluation(arguments))
    return 0


def _sample(arguments: argparse.Namespace) -> int:
    from small_llm.painting import paint

    evaluation = _evaluation(arguments)
    coloured = {"always": True, "never": False}.get(arguments.colour)
    print(paint(evaluation, coloured=sys.stdout.isatty() if coloured is None else coloured))
    print(evaluation)
    return 0


def _scale(arguments: argparse.Namespace) -> int:
    from small_llm.scale import scale

    print(scale(Plan(**{field.name: getattr(arguments, field.name) for field in fields(Plan)})))
    return 0


def _evaluation(arguments: argparse.Namespace) -> Any:
    from small_llm.evaluation import evaluate
    from small_llm.opening import open_source

    model, tokenizer, task = open_source(arguments.source, task=arguments.task, device=arguments.device)
    return evaluate(
        model,
        tokenizer,
        task,
        problems=arguments.problems,
        temperature=arguments.temperature,
        max_new_tokens=arguments.max_new_tokens,
        seed=arguments.seed,
    )


if __name__ == "__main__":
    raise SystemExit(main())
