"""Everything that decides a run, as one frozen record: checked once, written to JSON and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

from pgtheory.mdp import validate
from small_llm.warm_up_settings import WarmUp

if TYPE_CHECKING:
    from pgtheory.objectives import Recipe

SCHEDULES = ("constant", "linear", "cosine")
DTYPES = ("float32", "bfloat16")
_COUNTS = (
    "steps",
    "prompts",
    "group_size",
    "draws",
    "epochs",
    "minibatches",
    "accumulate",
    "evaluation_problems",
)
_HOUSEKEEPING = {
    "folder",
    "cache",
    "checkpoint_every",
    "evaluate_every",
    "evaluation_problems",
    "measure_every",
    "sharded",
}


@dataclass(frozen=True)
class Config:
    r"""A run: which model learns which task by which objective.

    A *step* samples ``prompts`` × ``group_size`` answers, gives credit to all of them together, and passes over them
    ``epochs`` times in ``minibatches`` parts made of whole groups.

    Parameters
    ----------
    model, task : str
        As ``models.load`` and ``tasks.task`` know them.
    recipe : str or Recipe
        A name in ``pgtheory.objectives.RECIPES``, or a recipe of your own. Dr. GRPO by name divides by this run's
        longest answer. Dynamic sampling and the penalty towards a reference policy are the recipe's.
    kl : float, optional
        Another coefficient for that penalty, and a penalty (k3) where the recipe has none; 0 takes it away.
    steps, prompts, group_size, epochs, minibatches : int
    draws : int
        Times that prompts are drawn at most in a step, until it has ``prompts`` groups of mixed rewards, as DAPO
        does (arXiv:2503.14476); what is then missing is filled with groups of equal rewards.
    accumulate : int
        Parts in which a minibatch goes through the model. The gradient is that of the whole minibatch, whatever
        the recipe averages over, for one more forward pass.
    learning_rate, schedule, ramp
        Of AdamW: constant, or falling to 0 linearly or along a cosine; rising to it over the first ``ramp`` steps.
    weight_decay, max_grad_norm : float
    temperature : float
        Of sampling, and of the log-probabilities that are learned from.
    max_new_tokens : int, optional
        The task's by default.
    dtype : {"float32", "bfloat16"}
        Of the model; the optimiser keeps float32 weights either way.
    lora : int, optional
        Learn low-rank updates of this rank (Hu et al., arXiv:2106.09685) in place of the weights, which stay as
        warm-up left them and are the reference policy. Needs peft.
    gradient_checkpointing : bool
    sharded : bool
        Between several processes, divide weights and optimiser (FSDP) in place of keeping all in each (DDP).
    device : str
    warm_up : WarmUp, optional
        Before the first step; the result is kept in ``cache``, or else in the folder.
    seed : int
    evaluate_every, evaluation_problems : int
        Steps between evaluations on so many held-out problems; without the first only at the end.
    measure_every : int
        Steps between looks at ratios, entropy and KL after the update, which cost one forward pass; 0 for none.
    checkpoint_every : int, optional
        A tenth of the run by default.
    folder, cache : str, optional
        Where the run, and warmed-up models for other runs, are written; nothing is written without them.

    Raises
    ------
    TypeError, ValueError
        For a field that cannot be, saying what was expected.
    """

    model: str = "nano"
    task: str = "add2"
    recipe: str | Recipe = "grpo"
    kl: float | None = None
    steps: int = 100
    prompts: int = 16
    group_size: int = 8
    draws: int = 1
    epochs: int = 1
    minibatches: int = 1
    accumulate: int = 1
    learning_rate: float = 3e-4
    schedule: str = "constant"
    ramp: int = 0
    weight_decay: float = 0.0
    max_grad_norm: float = 1.0
    temperature: float = 1.0
    max_new_tokens: int | None = None
    dtype: str = "float32"
    lora: int | None = None
    gradient_checkpointing: bool = False
    sharded: bool = False
    device: str = "cpu"
    warm_up: WarmUp | None = None
    seed: int = 0
    evaluate_every: int | None = None
    evaluation_problems: int = 256
    measure_every: int = 1
    checkpoint_every: int | None = None
    folder: str | None = None
    cache: str | None = None

    def __post_init__(self) -> None:
        from pgtheory.objectives import Recipe, recipe

        for name in ("model", "task", "device"):
            _text(name, getattr(self, name))
        if isinstance(self.recipe, str):
            recipe(self.recipe)
        else:
            validate.instance_of("recipe", self.recipe, Recipe)
        for name in _COUNTS:
            validate.positive_integer(name, getattr(self, name))
        for name in ("ramp", "seed", "measure_every"):
            validate.positive_integer(name, getattr(self, name), 0)
        for name in ("max_new_tokens", "evaluate_every", "checkpoint_every", "lora"):
            if getattr(self, name) is not None:
                validate.positive_integer(name, getattr(self, name))
        for name in ("learning_rate", "max_grad_norm", "temperature"):
            validate.positive(name, getattr(self, name))
        validate.non_negative("weight_decay", self.weight_decay)
        if self.kl is not None:
            validate.non_negative("kl", self.kl)
        for name in ("gradient_checkpointing", "sharded"):
            validate.flag(name, getattr(self, name))
        if self.warm_up is not None:
            validate.instance_of("warm_up", self.warm_up, WarmUp)
        for name in ("folder", "cache"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, _text(name, str(getattr(self, name))))
        _one_of("schedule", self.schedule, SCHEDULES)
        _one_of("dtype", self.dtype, DTYPES)
        if self.prompts % (self.minibatches * self.accumulate):
            raise ValueError(
                f"minibatches * accumulate must divide prompts = {self.prompts}, so that no group is split; "
                f"got {self.minibatches} * {self.accumulate}"
            )

    def objective(self, longest: int) -> Recipe:
        """The recipe with this run's penalty and, for a named one, this run's longest answer in tokens."""
        from pgtheory.objectives import KLPenalty, Recipe, SequenceSum, recipe

        chosen = self.recipe if isinstance(self.recipe, Recipe) else recipe(self.recipe)
        if isinstance(self.recipe, str) and isinstance(chosen.aggregate, SequenceSum):
            chosen = chosen.replace(aggregate=replace(chosen.aggregate, length=longest))
        if self.kl is None:
            return chosen
        penalty = replace(chosen.kl or KLPenalty(), coefficient=self.kl) if self.kl else None
        return chosen.replace(kl=penalty)

    def replace(self, **changes: Any) -> Config:
        """The same run with other fields, checked again."""
        return replace(self, **changes)

    def to_dict(self) -> dict[str, Any]:
        """What JSON can hold; ``Config.from_dict`` is the way back.

        Raises
        ------
        TypeError
            If the recipe has a part that is not one of ``pgtheory.objectives``.
        """
        record = {field.name: getattr(self, field.name) for field in fields(self)}
        if not isinstance(self.recipe, str):
            record["recipe"] = self.recipe.to_dict()
        if self.warm_up is not None:
            record["warm_up"] = {field.name: getattr(self.warm_up, field.name) for field in fields(WarmUp)}
        return record

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Config:
        """A run from what ``to_dict`` returned.

        Raises
        ------
        ValueError
            If it names a field that there is none of, or a field's value cannot be.
        """
        from pgtheory.objectives import Recipe

        given = dict(_known("record", record, cls))
        if isinstance(given.get("recipe"), Mapping):
            given["recipe"] = Recipe.from_dict(dict(given["recipe"]))
        if given.get("warm_up") is not None:
            given["warm_up"] = WarmUp(**_known("warm_up", given["warm_up"], WarmUp))
        return cls(**given)

    def identity(self) -> dict[str, Any]:
        """The fields that decide what is learned: those in which a run that goes on may not differ."""
        record = {name: value for name, value in self.to_dict().items() if name not in _HOUSEKEEPING}
        if self.schedule == "constant":
            del record["steps"]  # a longer run begins as a shorter one does
        return record


def _known(name: str, record: Any, kind: type) -> Mapping[str, Any]:
    if not isinstance(record, Mapping):
        raise ValueError(f"{name} must be a mapping of fields, got {record!r}")
    unknown = sorted(map(str, record.keys() - {field.name for field in fields(kind)}))
    if unknown:
        raise ValueError(f"{name} has no field {', '.join(unknown)}")
    return record


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{name} must be a string, got {value!r}")
    if not value:
        raise ValueError(f"{name} must not be empty")
    return value


def _one_of(name: str, value: Any, options: tuple[str, ...]) -> None:
    if value not in options:
        raise ValueError(f"{name} must be one of {', '.join(options)}, got {value!r}")
