"""Low-rank updates in place of the weights (Hu et al., arXiv:2106.09685), by peft."""

from __future__ import annotations

import warnings
from typing import Any

import torch


def adapted(model: Any, rank: int, seed: int) -> Any:
    r"""The model with updates :math:`2BA` beside every linear layer but the head; they alone are learned.

    :math:`A` is random and :math:`B=0`, so nothing has changed yet: with the updates switched off
    (``model.disable_adapter()``) the model stays its own reference.

    Parameters
    ----------
    model : transformers causal language model
    rank : int
        Of each update.
    seed : int
        Of :math:`A`. Global random state is left as it was.

    Raises
    ------
    ModuleNotFoundError
        If peft is not installed.
    """
    try:
        from peft import LoraConfig, get_peft_model
    except ImportError as error:
        raise ModuleNotFoundError(
            "lora needs peft, which is not installed: pip install peft, or leave lora=None to learn all weights"
        ) from error
    device = model.device
    settings = LoraConfig(r=rank, lora_alpha=2 * rank, target_modules="all-linear", task_type="CAUSAL_LM")
    with (
        torch.random.fork_rng(devices=[device] if device.type == "cuda" else []),
        warnings.catch_warnings(),
    ):
        torch.manual_seed(seed)
        # peft 0.21 asks transformers 5 by a name that is going
        warnings.filterwarnings("ignore", ".*is_gradient_checkpointing", FutureWarning)
        # in the model's precision, which FSDP wants to be one; the optimiser keeps float32 all the same
        return get_peft_model(model, settings, autocast_adapter_dtype=False).eval()
