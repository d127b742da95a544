"""Notebooks on disk: what is there, what each one asks, which parameters it takes."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from pgtheory.cli.usage import UsageError

REQUIRED_PARAMETERS = ("profile", "out")


@dataclass(frozen=True)
class Notebook:
    """One notebook, read but not run.

    Attributes
    ----------
    path : pathlib.Path
        Absolute path of the file.
    cells : tuple of (str, str)
        Type and source of each cell, in order.
    parameters : tuple of str
        Names assigned in the cell tagged ``parameters``.
    kernel : str
        Name of the Jupyter kernel that runs it.
    question : str
        What the notebook answers; its title.
    papers : tuple of str
        Sources, such as ``"arXiv:2302.01734"``.
    seconds : mapping of str to float
        Stated running time per profile.
    """

    path: Path
    cells: tuple[tuple[str, str], ...]
    parameters: tuple[str, ...]
    kernel: str
    question: str
    papers: tuple[str, ...]
    seconds: Mapping[str, float]

    @property
    def name(self) -> str:
        """The file's name without its ending."""
        return self.path.stem


def discover(folder: Path) -> list[Notebook]:
    """Return the notebooks of a folder, by name.

    Raises
    ------
    UsageError
        When the folder or its notebooks are missing, or one of them cannot be read.
    """
    if not folder.is_dir():
        raise UsageError(
            f"no folder {str(folder)!r}: run from the repository's root, or name it: --notebooks DIR"
        )
    found = [read_notebook(path) for path in sorted(folder.resolve().glob("*.ipynb"))]
    if not found:
        raise UsageError(f"no notebook (*.ipynb) in {str(folder)!r}")
    return found


def read_notebook(path: Path) -> Notebook:
    """Read one notebook file.

    Raises
    ------
    UsageError
        When the file is no notebook, or has no cell tagged ``parameters`` that sets ``profile`` and ``out``.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        cells = content["cells"]
        sources = tuple((cell["cell_type"], "".join(cell["source"])) for cell in cells)
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{path} is not a notebook in format 4 ({type(error).__name__}: {error})") from error
    metadata = content.get("metadata", {})
    about = metadata.get("pgtheory", {})
    return Notebook(
        path=path,
        cells=sources,
        parameters=_parameter_names(path, cells),
        kernel=metadata.get("kernelspec", {}).get("name", "python3"),
        question=about.get("question", path.stem),
        papers=tuple(about.get("papers", ())),
        seconds=about.get("seconds", {}),
    )


def _parameter_names(path: Path, cells: Iterable[Mapping[str, Any]]) -> tuple[str, ...]:
    tagged = [cell for cell in cells if "parameters" in cell.get("metadata", {}).get("tags", ())]
    if len(tagged) != 1:
        raise UsageError(f"{path} has {len(tagged)} cells tagged 'parameters'; expected one")
    try:
        statements = ast.parse("".join(tagged[0]["source"])).body
    except SyntaxError as error:
        raise UsageError(f"the cell tagged 'parameters' of {path} is not plain Python: {error}") from error
    names = []
    for statement in statements:
        if isinstance(statement, ast.Assign):
            names += [target.id for target in statement.targets if isinstance(target, ast.Name)]
        elif isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            names.append(statement.target.id)
    missing = [name for name in REQUIRED_PARAMETERS if name not in names]
    if missing:
        raise UsageError(f"the cell tagged 'parameters' of {path} must set {' and '.join(missing)}")
    return tuple(names)


def select(notebooks: Sequence[Notebook], patterns: Sequence[str]) -> list[Notebook]:
    """Keep the notebooks whose name contains, or matches, one of the patterns; all without patterns.

    Raises
    ------
    UsageError
        When a pattern fits no notebook.
    """
    for pattern in patterns:
        if not any(_fits(notebook.name, pattern) for notebook in notebooks):
            names = ", ".join(notebook.name for notebook in notebooks)
            raise UsageError(f"--only {pattern!r} fits no notebook; there are: {names}")
    if not patterns:
        return list(notebooks)
    return [notebook for notebook in notebooks if any(_fits(notebook.name, p) for p in patterns)]


def _fits(name: str, pattern: str) -> bool:
    name_of_pattern = pattern.removesuffix(".ipynb")
    return name_of_pattern in name or fnmatchcase(name, name_of_pattern)


def check_parameters(notebooks: Iterable[Notebook], parameters: Iterable[str]) -> None:
    """Refuse a parameter that a selected notebook does not have, or that an option sets.

    Raises
    ------
    UsageError
        With the names that the notebook knows.
    """
    for name in parameters:
        if name in REQUIRED_PARAMETERS:
            raise UsageError(f"-p {name}=…: use --{name}")
        for notebook in notebooks:
            if name not in notebook.parameters:
                known = ", ".join(p for p in notebook.parameters if p not in REQUIRED_PARAMETERS) or "none"
                raise UsageError(
                    f"notebook {notebook.name!r} has no parameter {name!r}; its parameters: {known}. "
                    "Choose the notebooks that have it with --only"
                )


def check_kernels(notebooks: Iterable[Notebook]) -> None:
    """Refuse notebooks whose Jupyter kernel is not installed.

    Raises
    ------
    UsageError
        With the command that installs the kernel.
    """
    from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel

    installed = KernelSpecManager()
    for notebook in notebooks:
        try:
            installed.get_kernel_spec(notebook.kernel)
        except NoSuchKernel:
            raise UsageError(
                f"notebook {notebook.name!r} needs the Jupyter kernel {notebook.kernel!r}, which is not installed. "
                f"Install it: python -m pip install ipykernel && "
                f"python -m ipykernel install --sys-prefix --name {notebook.kernel}"
            ) from None
