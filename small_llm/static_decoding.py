"""Sampling in which every token is made by the same program on the same memory: it can be compiled, and replayed.

Launching the some thousand kernels of a step one by one takes a GPU's host longer than running them. Here keys and
values have buffers of a fixed length, the place of the next token is a tensor, and drawing is part of the step; what
stands behind that place is masked. A CUDA graph of one step then makes every token, with one launch each.
"""

from __future__ import annotations

import warnings
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any
from weakref import WeakKeyDictionary

import torch

from small_llm.engines import Completions, end_tokens, evaluating, prefill, random_numbers
from small_llm.grouped_query import grouped_query
from small_llm.static_memory import Answers, Settings, filled

LOOK = 8  # tokens between looks at whether all answers have ended
GRAPHS = 4  # kept of each model, the latest used


@dataclass(frozen=True, eq=False)
class StaticEngine:
    """As :class:`small_llm.engines.TransformersEngine`, and with the same tokens, a fixed program for each.

    On a CUDA device the step is captured as a graph, which serves later calls of equal shape: weights may change in
    place, as an optimiser changes them, but not where they lie.

    Parameters
    ----------
    model, tokenizer
        From :func:`small_llm.load`; every layer attends to all tokens, by PyTorch's fused attention.
    compiled : bool
        Also fuse the small kernels of a step with ``torch.compile``: the better part of a minute for each shape.
    """

    model: Any
    tokenizer: Any
    compiled: bool = False

    @torch.no_grad()
    def complete(
        self,
        prompts: list[list[int]],
        *,
        groups: int,
        max_new_tokens: int,
        temperature: float,
        top_p: float,
        generator: torch.Generator,
    ) -> Completions:
        """As :class:`small_llm.engines.Engine`.

        Raises
        ------
        ValueError
            For a model with another kind of attention, or of memory.
        """
        uniforms = random_numbers(len(prompts) * groups, max_new_tokens, generator, self.model.device)
        with evaluating(self.model):
            logits, memory, mask = prefill(self.model, self.tokenizer, prompts)
            require_plain(self.model.config, memory)
            settings = Settings(
                rows=len(uniforms), before=filled(mask.shape[1]), new=max_new_tokens, temperature=temperature,
                top_p=top_p, pad=self.tokenizer.pad_token_id, ends=tuple(end_tokens(self.model, self.tokenizer)),
            )  # fmt: skip
            answers, advance = self._program(settings)
            answers.start(memory, mask, groups, uniforms, logits.repeat_interleave(groups, 0))
            for t in range(1, max_new_tokens):
                if t % LOOK == 1 and not answers.alive.any():
                    break
                advance()
        return answers.completions()

    def _program(self, settings: Settings) -> tuple[Answers, Callable[[], None]]:
        """Buffers, and what moves them on by a token."""
        step = _compiled_step() if self.compiled else _step
        if self.model.device.type != "cuda":
            answers = Answers(self.model, settings)
            return answers, lambda: step(self.model, answers)
        where = tuple(weight.data_ptr() for weight in self.model.parameters())
        key = (settings, self.compiled, where)
        kept = _GRAPHS.setdefault(self.model, OrderedDict())
        if key not in kept:
            kept[key] = _captured(self.model, Answers(self.model, settings), step)
        kept.move_to_end(key)
        while len(kept) > GRAPHS:
            kept.popitem(last=False)
        answers, graph = kept[key]
        return answers, (lambda: step(self.model, answers)) if graph is None else graph.replay


def require_plain(config: Any, memory: Any) -> None:
    """Refuse layers with a window or a state of their own, and attention that is not PyTorch's fused one."""
    kinds = {type(layer).__name__ for layer in memory.layers}
    if kinds != {"DynamicLayer"} or config._attn_implementation != "sdpa":
        raise ValueError(
            "StaticEngine needs layers that attend to all tokens, by PyTorch's fused attention ('sdpa'); got "
            f"{', '.join(sorted(kinds))} by {config._attn_implementation!r}: sample with TransformersEngine"
        )


def _step(model: Any, answers: Answers) -> None:
    """Read the latest token of every answer and draw the next."""
    answers.bias.index_fill_(3, answers.place, 0.0)
    with grouped_query(model.config):
        output = model(
            input_ids=answers.token[:, None],
            attention_mask=answers.bias,
            position_ids=answers.position,
            past_key_values=answers.cache,
            use_cache=True,
        )
    answers.place.add_(1)
    answers.position.add_(1)
    answers.take(output.logits[:, -1])


@cache
def _compiled_step() -> Callable[[Any, Answers], None]:
    return torch.compile(_step, dynamic=False)


# -- on a GPU -------------------------------------------------------------------------------------------------

_GRAPHS: WeakKeyDictionary[Any, OrderedDict[Any, Any]] = WeakKeyDictionary()


def _captured(model: Any, answers: Answers, step: Callable[[Any, Answers], None]) -> tuple[Answers, Any]:
    """The buffers with a graph of a step on them; without one where the model does what cannot be captured."""
    graph = torch.cuda.CUDAGraph()
    side = torch.cuda.Stream(answers.place.device)
    try:
        side.wait_stream(torch.cuda.current_stream(answers.place.device))
        with torch.cuda.stream(
            side
        ):  # libraries set themselves up, and the compiler compiles, before the capture
            for _ in range(2):
                answers.place.zero_()
                answers.drawn.zero_()
                step(model, answers)
        torch.cuda.current_stream(answers.place.device).wait_stream(side)
        answers.drawn.zero_()
        with torch.cuda.graph(graph):
            step(model, answers)
    except RuntimeError as error:
        warnings.warn(f"no CUDA graph of this model's step ({error}): it is launched in parts", stacklevel=2)
        return answers, None
    return answers, graph
