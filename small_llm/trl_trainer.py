"""Any recipe inside TRL's ``GRPOTrainer``: its generation, engines and scale, and our objective.

>>> from small_llm.trl_trainer import RecipeTrainer  # doctest: +SKIP
>>> RecipeTrainer("Qwen/Qwen2.5-1.5B", reward, recipe="gbpo", args=GRPOConfig(...), train_dataset=data).train()
"""

from __future__ import annotations

from copy import copy
from typing import Any

import torch

from pgtheory.mdp import validate
from pgtheory.objectives import Decisions, Groups, Recipe, SequenceSum
from pgtheory.objectives import recipe as recipe_named
from pgtheory.oracle.adapters.releases import installed_release, refuse_unknown
from small_llm.diagnostics import measure
from small_llm.trl_settings import refuse, refuse_parts

TESTED = ("1.16",)
"""Releases whose trainer is known to call what is overridden here."""
refuse_unknown("trl", installed_release("trl"), TESTED, "trainer is")

from trl import GRPOConfig, GRPOTrainer  # noqa: E402  (after its release is known to fit)


class RecipeTrainer(GRPOTrainer):
    """TRL's ``GRPOTrainer`` with the credit, surrogate, aggregation, penalty and dynamic sampling of a recipe.

    The gradient of an optimiser's step is that of the recipe's loss of all answers in it together, on however many
    processes and in however many accumulated parts: parts are weighted by what each token counts in the whole.
    Surrogates that couple answers see them whole, which needs one process and one part.

    Ratios are taken to the model's own log-probabilities when a batch was sampled, as TRL does, at the sampling
    temperature; ``top_p``, ``top_k`` and the like change what is sampled and not the ratios. ``num_iterations`` are
    the epochs, ``steps_per_generation`` the parts of the optimiser's steps. Dr. GRPO by name divides by
    ``max_completion_length``. TRL logs its advantages and its own metrics of rewards, and beside them those of
    :func:`small_llm.diagnostics.measure`, of one process's part.

    Parameters
    ----------
    model, reward_funcs, args, **rest
        As ``GRPOTrainer`` knows them; for a recipe with a penalty, by name or folder or with low-rank updates, because
        TRL reads the reference where the model is from. The fields of ``args`` in ``trl_settings.OF_THE_RECIPE``
        must be left alone.
    recipe : str or Recipe

    Raises
    ------
    ImportError
        On import, for a release of TRL that is not in ``TESTED``.
    ValueError
        For settings that would change the recipe's loss, and recipes that need what TRL does not give, saying which.
    """

    def __init__(
        self, model: Any, reward_funcs: Any, args: GRPOConfig, *, recipe: str | Recipe = "grpo", **rest: Any
    ) -> None:
        validate.instance_of("args", args, GRPOConfig)
        if isinstance(recipe, str):
            recipe = recipe_named(recipe)
            if isinstance(recipe.aggregate, SequenceSum):
                recipe = recipe.replace(aggregate=SequenceSum(args.max_completion_length))
        validate.instance_of("recipe", recipe, Recipe)
        refuse(args, GRPOConfig, recipe)
        self.recipe = recipe
        self._rewards: torch.Tensor | None = None
        args = copy(args)
        if recipe.kl is not None:
            args.beta = recipe.kl.coefficient  # TRL then keeps a reference model, or switches adapters off
        super().__init__(model, reward_funcs, args, **rest)
        parts = args.steps_per_generation or 1
        self._in_parts = self.accelerator.num_processes > 1 or parts > 1
        if self._in_parts:
            refuse_parts(recipe, parts, self.accelerator.num_processes)
        if self.aux_loss_enabled:
            raise ValueError("args must have router_aux_loss_coef=0: a recipe has no loss of a router's")

    @property
    def _group_size(self) -> Any:
        return self.num_generations if self._learns else self.num_generations_eval

    @property
    def _learns(self) -> bool:
        model: Any = self.model
        return model.training

    def _calculate_rewards(self, *inputs: Any) -> torch.Tensor:
        found = super()._calculate_rewards(*inputs)
        self._rewards = (found * self.reward_weights.to(found.device)).nansum(1)
        self._rewards[found.isnan().all(1)] = torch.nan
        return found

    def _generate_and_score_completions(self, inputs: Any) -> dict[str, Any]:
        output = super()._generate_and_score_completions(inputs)
        if "pixel_values" in output:
            raise ValueError("train_dataset must be of texts: recipes are run on tokens alone")
        size = self._group_size
        mask = _mask(output)
        lengths = self.accelerator.gather(mask.sum(1)).unflatten(0, (-1, size))
        mine = len(mask) * self.accelerator.process_index + torch.arange(len(mask), device=mask.device)
        assert self._rewards is not None
        credit = credit_of(self.recipe, self._rewards.unflatten(0, (-1, size)), lengths)
        output |= {name: values.flatten(0, 1)[mine] for name, values in credit.items()}
        return output | {"row": mine}

    def _prepare_inputs(self, generation_batch: Any) -> dict[str, Any]:
        before = self._buffered_inputs
        inputs = super()._prepare_inputs(generation_batch)
        buffered = self._buffered_inputs
        if self._learns and self._in_parts and buffered is not before:
            window = self.args.gradient_accumulation_steps
            for first in range(0, len(buffered), window):
                self._weigh(buffered[first : first + window])
        return inputs

    def _weigh(self, parts: list[dict[str, Any]]) -> None:
        """What each token's loss counts in the loss of an optimiser's step, as another column of its parts."""
        weights = torch.cat([_mask(part) * part["kept"][:, None] for part in parts])
        everyones = self.accelerator.gather(self.accelerator.pad_across_processes(weights, dim=1))
        losses = torch.zeros_like(everyones, requires_grad=True)
        (slope,) = torch.autograd.grad(self.recipe.aggregate(losses, everyones), losses)
        begin = len(weights) * self.accelerator.process_index
        own = slope[begin : begin + len(weights), : weights.shape[1]]
        own = own * self.accelerator.num_processes  # DDP takes the mean over processes
        for part, counted in zip(parts, own.chunk(len(parts))):
            part["counted"] = counted

    def _compute_loss(self, model: Any, inputs: dict[str, Any]) -> torch.Tensor:
        log_prob, entropy, _ = self._get_per_token_logps_and_entropies(
            model,
            torch.cat([inputs["prompt_ids"], inputs["completion_ids"]], 1),
            torch.cat([inputs["prompt_mask"], inputs["completion_mask"]], 1),
            inputs["completion_ids"].shape[1],
            compute_entropy=True,
        )
        whole = "counted" not in inputs
        size = self._group_size if whole else 1
        order = inputs["row"].argsort() if whole else torch.arange(len(log_prob), device=log_prob.device)

        def arranged(values: torch.Tensor | None) -> Any:
            """Rows as groups [P, G, T], or each alone [n, 1, T] where parts have split them."""
            return None if values is None else values[order].unflatten(0, (-1, size))

        decisions = self._decisions(inputs, log_prob, arranged)
        recipe = self.recipe
        if not whole:
            counted = arranged(inputs["counted"])
            recipe = recipe.replace(aggregate=lambda losses, _: (losses * counted).sum())
        measured = measure(self.recipe, decisions, arranged(entropy.detach()), arranged(_mask(inputs)))
        for name, value in measured.items():
            self._metrics["train" if self._learns else "eval"][name].append(value)
        return recipe.loss(decisions)

    def _decisions(self, inputs: dict[str, Any], log_prob: torch.Tensor, arranged: Any) -> Decisions:
        there = _mask(inputs)
        weight = there * inputs["kept"][:, None]

        def of_tokens(name: str) -> torch.Tensor | None:
            return arranged(inputs[name][:, None].expand_as(log_prob)) if name in inputs else None

        old = inputs.get("old_per_token_logps")
        return Decisions(
            arranged(log_prob.float()),
            arranged((log_prob.detach() if old is None else old).float()),
            of_tokens("advantages"),
            median_advantage=of_tokens("median_advantage"),
            target=of_tokens("target"),
            weight=arranged(weight.float()),
            log_prob_ref=arranged(inputs.get("ref_per_token_logps")),
        )


def credit_of(recipe: Recipe, rewards: torch.Tensor, lengths: torch.Tensor) -> dict[str, torch.Tensor]:
    """A recipe's credit for answers [P, G] of given rewards and lengths, by the names of TRL's columns."""
    if not torch.isfinite(rewards).all():
        raise ValueError(
            "reward_funcs must give every answer a finite reward: recipes compare all of a group"
        )
    mask = torch.arange(int(lengths.max().clamp(min=1)), device=lengths.device) < lengths[..., None]
    nothing = torch.zeros(mask.shape, device=mask.device)
    decisions = recipe.decisions(Groups(nothing, nothing, rewards.float(), mask))
    found = {"advantages": decisions.advantage, "kept": (decisions.weights > 0).any(-1, keepdim=True).float()}
    found |= {"median_advantage": decisions.median_advantage, "target": decisions.target}
    return {name: values[..., 0] for name, values in found.items() if values is not None}


def _mask(inputs: dict[str, Any]) -> torch.Tensor:
    """Tokens that the model wrote itself."""
    mask = inputs["completion_mask"]
    return mask * inputs["tool_mask"] if "tool_mask" in inputs else mask
