"""What the command refuses, and what it lists."""

import subprocess
import sys

import pytest

from pgtheory.cli.main import main

HEAVY = [
    "scipy",
    "numba",
    "torch",
    "pgtheory.oracle",
    "pgtheory.objectives",
    "papermill",
    "nbformat",
    "joblib",
    "tqdm",
    "pgtheory.evidence",
]


def test_help_imports_nothing_heavy():
    code = f"""
import sys
from pgtheory.cli.main import main
try:
    main(["reproduce", "--help"])
except SystemExit:
    sys.exit(", ".join(name for name in {HEAVY} if name in sys.modules) or 0)
"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")
    for option in (
        "--profile",
        "--only",
        "--jobs",
        "--fresh",
        "--out",
        "--notebooks",
        "-p",
        "--check-numbers",
    ):
        assert option in ended.stdout


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["nonsense"],
        ["reproduce", "--jobs", "0"],
        ["reproduce", "--profile", "huge"],
        ["reproduce", "-p", "3=4"],
        ["examine"],
        ["examine", "grpo", "--group-size", "0"],
        ["examine", "grpo", "--p", "rare"],
        ["list", "objectives"],
    ],
)
def test_bad_usage_exits_with_2(arguments, capsys):
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert "error: " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--only", "3-*"], "--only '3-*' fits no notebook; there are: 1-one, 2-two"),
        (
            ["-p", "rate=2"],
            "notebook '1-one' has no parameter 'rate'; its parameters: interactive, seeds, holds",
        ),
        (["-p", "profile='x'"], "use --profile"),
        (["--notebooks", "elsewhere"], "no folder 'elsewhere'"),
        (["--out", "notebooks/1-one.ipynb"], "cannot write to"),
        (["--check-numbers", "elsewhere"], "no stored numbers, in 'elsewhere'"),
    ],
)
def test_requests_that_cannot_be_carried_out(workshop, capsys, arguments, message):
    workshop.write("1-one")
    workshop.write("2-two")
    assert main(["reproduce", *arguments]) == 2
    assert message in capsys.readouterr().err
    assert not workshop.kernels("1-one")


def test_a_missing_kernel_is_refused_before_anything_runs(workshop, capsys):
    workshop.write("1-one")
    workshop.write("2-two", kernel="fortran77")
    assert main(["reproduce"]) == 2
    error = capsys.readouterr().err
    assert "notebook '2-two' needs the Jupyter kernel 'fortran77'" in error
    assert "ipykernel install --sys-prefix --name fortran77" in error
    assert not workshop.kernels("1-one")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not a notebook"),
        ('{"cells": []}', "has 0 cells tagged 'parameters'"),
        (
            '{"cells": [{"cell_type": "code", "source": ["x = 1"], "metadata": {"tags": ["parameters"]}}]}',
            "must set profile and out",
        ),
        (
            '{"cells": [{"cell_type": "code", "source": "%x", "metadata": {"tags": ["parameters"]}}]}',
            "not plain Python",
        ),
    ],
)
def test_files_that_are_no_notebooks(workshop, capsys, text, message):
    workshop.write("1-one").write_text(text)
    assert main(["list", "notebooks"]) == 2
    assert message in capsys.readouterr().err


def test_lists(workshop, capsys):
    workshop.write("1-one")
    assert main(["list", "notebooks"]) == 0
    assert capsys.readouterr().out == "1-one  Is 1-one true?\n"
    assert main(["list", "mdps"]) == 0
    assert "river-swim" in capsys.readouterr().out
    for without_ledger in (["list", "claims"], ["claims"]):
        assert main(without_ledger) == 2
        assert "make it with: pgtheory reproduce" in capsys.readouterr().err
