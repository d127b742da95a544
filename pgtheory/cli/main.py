"""The ``pgtheory`` command.

Nothing is imported here beyond the standard library and the package's own front door, so that
``pgtheory --help`` answers at once; each subcommand imports what it needs when it runs.
"""

from __future__ import annotations

import argparse
import ast
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pgtheory
from pgtheory.cli.usage import UsageError

REPRODUCE = """\
Run the notebooks and collect their figures, numbers and claims.

A notebook that finished earlier is kept when nothing it depends on changed, so a run that was stopped
goes on where it stopped. Exit code 0: every notebook ran (or was kept) and every claim holds or is
declared as not reproduced; 1: something failed; 2: the request cannot be carried out; 130: interrupted.
"""

EXAMPLES = """\
examples:
  pgtheory reproduce                          every notebook, the quick profile
  pgtheory reproduce --profile paper          the full run, as reported
  pgtheory reproduce --only '01-*' -p seeds=50
  pgtheory reproduce --out build/figures --check-numbers figures
"""

EXAMINE = """\
Print what a recipe's update is in expectation, exactly, where answers are right or wrong.

scale: how many times the gradient of the success probability; signal/noise: squared norm of the expected
update over the variance of one group's. Beside ours, the nearest objective of every library that is installed.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code.

    Parameters
    ----------
    argv
        The arguments after the program's name; those of this process when left out.
    """
    arguments = build_parser().parse_args(argv)
    try:
        return arguments.run(arguments)
    except UsageError as error:
        print(f"pgtheory: error: {error}", file=sys.stderr)
        return 2


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command; ``arguments.run(arguments)`` carries a request out."""
    parser = argparse.ArgumentParser(
        prog="pgtheory",
        description=str(pgtheory.__doc__).splitlines()[0],
        epilog="'pgtheory COMMAND --help' says more about a command.",
    )
    parser.add_argument("--version", action="version", version=f"pgtheory {pgtheory.__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _add_reproduce(commands)
    _add_claims(commands)
    _add_examine(commands)
    _add_list(commands)
    return parser


def _add_reproduce(commands: Any) -> None:
    command = commands.add_parser(
        "reproduce",
        help="run the notebooks; collect figures, numbers, claims",
        description=REPRODUCE,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = command.add_argument
    add("--profile", choices=("quick", "paper"), default="quick", help="how much to run (default: quick)")
    add(
        "--only",
        nargs="+",
        action="extend",
        default=[],
        metavar="PATTERN",
        help="only the notebooks whose name contains, or matches, PATTERN",
    )
    add("--jobs", type=_positive, metavar="N", help="notebooks at once (default: one per core)")
    add("--fresh", action="store_true", help="run every notebook again, also those that finished before")
    add("--out", type=Path, default=Path("figures"), metavar="DIR", help="output folder (default: figures)")
    _add_notebooks(command)
    add(
        "-p",
        "--parameter",
        type=_assignment,
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="set a parameter in every selected notebook (may be repeated)",
    )
    add(
        "--check-numbers",
        nargs="?",
        type=Path,
        const=True,
        metavar="DIR",
        help="fail when the numbers behind a figure differ from those stored in DIR "
        "(default: the figures folder beside the notebooks)",
    )
    command.set_defaults(run=_reproduce)


def _add_claims(commands: Any) -> None:
    command = commands.add_parser(
        "claims",
        help="print what papers claim and what was measured here",
        description="Print the ledger of claims. Exit code 1 when a claim fails.",
    )
    command.add_argument("--folder", type=Path, default=Path("figures"), help="default: figures")
    command.add_argument("--markdown", action="store_true", help="print a Markdown table")
    command.set_defaults(run=_claims)


def _add_examine(commands: Any) -> None:
    command = commands.add_parser(
        "examine",
        help="print bias, scale and noise of language-model objectives, exactly",
        description=EXAMINE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = command.add_argument
    add("names", nargs="+", metavar="NAME", help="a recipe ('pgtheory list recipes' names them), or 'all'")
    add("--group-size", type=_positive, default=8, metavar="G", help="answers in a group (default: 8)")
    add(
        "--p",
        type=float,
        nargs="+",
        default=[0.01, 0.1, 0.25, 0.5, 0.9],
        metavar="P",
        help="chances of a right answer (default: 0.01 0.1 0.25 0.5 0.9)",
    )
    add("--ours-only", action="store_true", help="leave other libraries out (importing them takes a while)")
    add("--json", action="store_true", help="print JSON")
    command.set_defaults(run=_examine)


def _add_list(commands: Any) -> None:
    command = commands.add_parser("list", help="list the MDPs, the recipes, the notebooks or the claims")
    command.add_argument("what", choices=("mdps", "recipes", "notebooks", "claims"))
    _add_notebooks(command)
    command.add_argument(
        "--folder", type=Path, default=Path("figures"), help="where the claims are (default: figures)"
    )
    command.set_defaults(run=_list)


def _add_notebooks(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--notebooks",
        type=Path,
        default=Path("notebooks"),
        metavar="DIR",
        help="folder of the notebooks (default: notebooks)",
    )


def _reproduce(arguments: argparse.Namespace) -> int:
    from pgtheory.cli.reproduce import Request, reproduce
    from pgtheory.cli.runs import Setting

    stored = arguments.check_numbers
    if stored is True:
        stored = arguments.notebooks.resolve().parent / "figures"
    setting = Setting(
        out=arguments.out.resolve(),
        profile=arguments.profile,
        parameters=dict(arguments.parameter),
        at_once=arguments.jobs,
        fresh=arguments.fresh,
    )
    return reproduce(Request(arguments.notebooks, tuple(arguments.only), setting, stored))


def _claims(arguments: argparse.Namespace) -> int:
    from pgtheory.cli.ledger import print_ledger

    return print_ledger(arguments.folder, markdown=arguments.markdown)


def _examine(arguments: argparse.Namespace) -> int:
    from pgtheory.cli.examining import examine_recipes

    return examine_recipes(
        arguments.names,
        group_size=arguments.group_size,
        p=arguments.p,
        as_json=arguments.json,
        libraries=not arguments.ours_only,
    )


def _list(arguments: argparse.Namespace) -> int:
    from pgtheory.cli import listing

    if arguments.what == "mdps":
        return listing.list_mdps()
    if arguments.what == "recipes":
        return listing.list_recipes()
    if arguments.what == "notebooks":
        return listing.list_notebooks(arguments.notebooks)
    return listing.list_claims(arguments.folder)


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number of at least 1, got {text!r}")
    return int(text)


def _assignment(text: str) -> tuple[str, Any]:
    """Split ``NAME=VALUE``; VALUE is read as a Python literal, and as text where it is none."""
    name, equals, value = text.partition("=")
    if not equals or not name.isidentifier():
        raise argparse.ArgumentTypeError(f"expected NAME=VALUE, got {text!r}")
    try:
        return name, ast.literal_eval(value)
    except (ValueError, SyntaxError):
        return name, value
