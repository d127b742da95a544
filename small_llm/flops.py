"""What a pass through a model has to compute, and what a device could do at best.

A product of an [n, k] by a [k, m] matrix is 2nkm floating-point operations; only matrix products count. A token passes
through every weight of the body once; its query meets the keys of the tokens up to itself, not those behind it, and the
head sees answers' tokens only. What is done twice to save memory is not counted: utilisation is of the operations that
the update needs (MFU; Chowdhery et al., arXiv:2204.02311, App. B), less the causal mask's empty half.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

GATED = frozenset({"llama", "olmo2", "qwen2", "qwen3", "smollm3"})
"""Model types made of attention and a gated MLP in every layer, which is what is counted here."""


@dataclass(frozen=True)
class Device:
    """Peak of dense bfloat16 products [FLOP/s] and of memory [bytes/s], as its maker states them."""

    flops: float
    bandwidth: float


DEVICES = {
    "NVIDIA A100-PCIE-40GB": Device(312e12, 1.555e12),
    "NVIDIA A100-SXM4-40GB": Device(312e12, 1.555e12),
    "NVIDIA A100 80GB PCIe": Device(312e12, 1.935e12),
    "NVIDIA A100-SXM4-80GB": Device(312e12, 2.039e12),
    "NVIDIA H100 PCIe": Device(756e12, 2.0e12),
    "NVIDIA H100 NVL": Device(835e12, 3.9e12),
    "NVIDIA H100 80GB HBM3": Device(989e12, 3.35e12),
    "NVIDIA H200": Device(989e12, 4.8e12),
    "NVIDIA L4": Device(121e12, 300e9),
    "NVIDIA L40S": Device(362e12, 864e9),
}
"""By the name that CUDA reports, letter by letter: a part of a device under MIG, say, has another peak."""


def known(device: Any) -> Device | None:
    """The peaks of a torch device; None for a CPU, and for a GPU that is not in the table."""
    import torch

    device = torch.device(device)
    return DEVICES.get(torch.cuda.get_device_name(device)) if device.type == "cuda" else None


@dataclass(frozen=True)
class Cost:
    """Weights and sizes of a model that decide what its passes cost.

    Attributes
    ----------
    body, head : int
        Weights of the layers' matrices, and of the head's.
    context : int
        Numbers of queries in all layers: a token and a key of its context cost 4 × so many operations.
    cache : int
        Numbers that are kept of a token, keys and values of all layers.
    """

    body: int
    head: int
    context: int
    cache: int

    @classmethod
    def of(cls, config: Any) -> Cost:
        """From a transformers configuration.

        Raises
        ------
        ValueError
            For a model that is not in :data:`GATED`, or whose layers look back through a window.
        """
        windows = set(getattr(config, "layer_types", None) or ()) - {"full_attention"}
        if config.model_type not in GATED or windows:
            raise ValueError(
                f"model_type must be one of {', '.join(sorted(GATED))}, with full attention, for its operations to be "
                f"counted; got {config.model_type!r}{' with ' + ', '.join(sorted(windows)) if windows else ''}"
            )
        hidden, layers, heads = config.hidden_size, config.num_hidden_layers, config.num_attention_heads
        kept = getattr(config, "num_key_value_heads", None) or heads
        size = getattr(config, "head_dim", None) or hidden // heads
        attention = (
            2 * hidden * heads * size + 2 * hidden * kept * size
        )  # queries and output; keys and values
        layer = attention + 3 * hidden * config.intermediate_size
        return cls(
            layers * layer, hidden * config.vocab_size, layers * heads * size, 2 * layers * kept * size
        )

    def forward(self, prompts: Sequence[int], answers: Sequence[int]) -> int:
        """Operations of one pass over sequences of such lengths in tokens, which predicts the answers' tokens.

        Where there are G answers to a prompt, they follow one another, and the prompt is read once.
        """
        asked = np.asarray(prompts, np.int64)
        read = np.asarray(answers, np.int64).reshape(len(asked), -1) - 1  # nothing follows the last token
        pairs = (asked * (asked + 1) // 2).sum() + (read * asked[:, None] + read * (read + 1) // 2).sum()
        tokens = asked.sum() + read.sum()
        return int(2 * self.body * tokens + 4 * self.context * pairs + 2 * self.head * sum(answers))

    def training(self, prompts: Sequence[int], answers: Sequence[int]) -> int:
        """Operations of a pass there and back: going back takes two products for each one going there."""
        return 3 * self.forward(prompts, answers)

    def decoding_seconds(self, device: Device, width: int = 2) -> float:
        """The least time a device needs for a token of every answer: each weight crosses its memory once.

        Parameters
        ----------
        device : Device
        width : int
            Bytes of a weight.
        """
        return width * (self.body + self.head) / device.bandwidth


def utilisation(
    model: Any, prompts: Sequence[int], answers: Sequence[int], *, epochs: int, seconds: float
) -> float | None:
    """Share of its device's bfloat16 peak that a model's update needed; None where operations or peak are not known.

    Parameters
    ----------
    model : transformers model
    prompts, answers : lengths in tokens [P], [P*G]
    epochs : int
        Passes over the answers, there and back.
    seconds : float
    """
    peak = known(model.device)
    if peak is None or str(model.dtype) != "torch.bfloat16":  # the peak of other types is another
        return None
    try:
        needed = epochs * Cost.of(model.config).training(prompts, answers)
    except ValueError:
        return None
    return needed / seconds / peak.flops
