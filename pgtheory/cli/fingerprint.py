"""What a notebook's result depends on, as one hash."""

from __future__ import annotations

import hashlib
import json
import platform
import re
from collections.abc import Mapping
from functools import cache
from importlib import metadata, util
from pathlib import Path
from typing import Any

from pgtheory.cli.notebooks import Notebook

PACKAGES = ("pgtheory", "small_llm")


def fingerprint(notebook: Notebook, parameters: Mapping[str, Any]) -> str:
    """Return the SHA-256 of everything that decides what a notebook computes.

    That is: its cells, its parameters, the source of this project's packages, the versions of the
    distributions that pgtheory depends on, and the version of Python. The output folder does not count.

    Parameters
    ----------
    notebook
        The notebook as it is on disk.
    parameters
        What is injected into it, without the output folder.
    """
    parts = {
        "cells": notebook.cells,
        "parameters": sorted((name, repr(value)) for name, value in parameters.items()),
        "sources": _source_digest(),
        "versions": _versions(),
    }
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


@cache
def _source_digest() -> str:
    digest = hashlib.sha256()
    for package in PACKAGES:
        found = util.find_spec(package)
        for folder in (found and found.submodule_search_locations) or ():
            for path in sorted(Path(folder).rglob("*.py")):
                digest.update(f"{package}/{path.relative_to(folder).as_posix()}\0".encode())
                digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


@cache
def _versions() -> dict[str, str]:
    versions = {"python": platform.python_version()}
    for requirement in metadata.requires("pgtheory") or ():
        if "extra ==" in requirement:
            continue
        name = re.split(r"[^\w.-]", requirement, maxsplit=1)[0]
        versions[name] = metadata.version(name)
    return versions
