"""Where a run stands, and one step of it; saved to and restored from a checkpoint."""

from __future__ import annotations

import copy
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pgtheory.deep import checkpoint
from small_llm import processes
from small_llm.config import Config
from small_llm.drawing import by_all, until_mixed
from small_llm.evaluation import Evaluation, evaluate
from small_llm.experience import Experience, NotFinite, collect
from small_llm.flops import utilisation
from small_llm.learner import Learner
from small_llm.optimiser import rate
from small_llm.policy import at_once
from small_llm.tasks import Task

PROBLEMS, SAMPLING, SHUFFLING = range(3)  # streams of random numbers
TOLERANCE = {"float32": 1e-3, "bfloat16": 0.5}
"""How far log-probabilities kept from sampling may be off those of a teacher-forced pass."""


class Loop:
    """The state of training, the same in every process.

    All its randomness is a function of the seed and the number of steps done, so a checkpoint needs no generators.

    Parameters
    ----------
    config : Config
    model, tokenizer
        Warmed up.
    task, judge : Task
        What gives the rewards, and what says which answers are right.
    """

    def __init__(self, config: Config, model: Any, tokenizer: Any, task: Task, judge: Task) -> None:
        self.config, self.model, self.tokenizer = config, model, tokenizer
        self.task, self.judge = task, judge
        self.longest = config.max_new_tokens or task.max_new_tokens
        self.done = 0
        self.checked = False
        self.objective = config.objective(self.longest)
        reference = None
        if self.objective.kl is not None and config.lora is None:
            reference = copy.deepcopy(model).eval().requires_grad_(False)
        self.learner = Learner(model, self.objective, config, reference)

    @property
    def identity(self) -> dict[str, Any]:
        """What a checkpoint must agree with."""
        return {**self.config.identity(), "rewards": self.task.name}

    def step(self) -> dict[str, float]:
        """Sample, learn, and return the step's metrics.

        Raises
        ------
        NotFinite
            With the step's data saved in the run's folder.
        RuntimeError
            If sampling and teacher forcing disagree at the first step.
        """
        began = time.perf_counter()
        config = self.config
        learning_rate = rate(config.learning_rate, config.schedule, config.ramp, self.done, config.steps)
        measured = config.measure_every > 0 and self.done % config.measure_every == 0
        experience, drawn, draws = until_mixed(self.draw, config.prompts, config.draws)
        row = drawn.summary()
        try:
            if not self.checked:
                self._check(self.learner.discrepancy(experience))
            sampled = time.perf_counter()
            row |= self.learner.update(experience, self._rng(SHUFFLING), learning_rate, measured=measured)
        except NotFinite as error:
            why = str(error)
            where = processes.by_first(lambda: self._kept(why, experience))
            raise NotFinite(
                f"{error}, in step {self.done + 1} of {self.objective.name or 'an unnamed recipe'}; {where}"
            ) from error
        tokens = int(drawn.mask.sum())
        self.done += 1
        row["charts/draws"] = draws
        row["charts/learning_rate"] = learning_rate
        row["charts/tokens_per_second"] = tokens / (time.perf_counter() - began)
        return row | self._utilisation(experience, time.perf_counter() - sampled)

    def draw(self, times: int = 0) -> Experience:
        """Answers to prompts, those of the next step; with ``times`` after so many others of the same step."""
        config = self.config
        problems = self.task.problems(self._rng(PROBLEMS, times), config.prompts, "train")
        seed = int(self._rng(SAMPLING, times).integers(2**62))

        def collected(begin: int, end: int) -> Experience:
            return at_once(
                self.learner.policy,
                collect,
                self.tokenizer,
                problems[begin:end],
                self.task,
                self.judge,
                group_size=config.group_size,
                max_new_tokens=self.longest,
                temperature=config.temperature,
                generator=torch.Generator().manual_seed(seed),  # of the CPU: the same numbers on every device
                before=begin,
            )

        return by_all(collected, config.prompts, self.model.device)

    def evaluate(self) -> Evaluation:
        """On held-out problems, every process on all of them."""
        return at_once(
            self.learner.policy,
            evaluate,
            self.tokenizer,
            self.judge,
            problems=self.config.evaluation_problems,
            max_new_tokens=self.config.max_new_tokens,
        )

    def save(self, folder: Path) -> None:
        """Write a checkpoint; all processes must call this, and the first one writes."""
        record = {**self.identity, "done": self.done}
        tensors = self.learner.optimiser.tensors()
        processes.by_first(lambda: checkpoint.keep(folder, self.done, tensors, record))

    def resume(self, folder: Path) -> None:
        """Go on from the newest checkpoint in a folder, which all processes can read, if there is one.

        A field that it does not know had its default when it was written.

        Raises
        ------
        CheckpointError
            If it belongs to another run, naming what differs.
        """
        path = processes.by_first(lambda: checkpoint.latest(folder))
        if path is None:
            return
        tensors, record = checkpoint.load(path)
        checkpoint.expect_run(path, {**Config().identity(), **record}, self.identity)
        self.learner.optimiser.restore(tensors)
        self.done = record["done"]

    def _utilisation(self, experience: Experience, seconds: float) -> dict[str, float]:
        """MFU of an update that took so long, where the device's peak is known."""
        prompts = experience.rollouts.prompt_mask.sum(-1)
        answers = experience.rollouts.completion_mask.sum(-1)
        share = utilisation(
            self.model,
            prompts.tolist(),
            answers.tolist(),
            epochs=self.config.epochs,
            seconds=seconds * processes.count(),
        )
        return {} if share is None else {"charts/mfu": share}

    def _check(self, discrepancy: float) -> None:
        limit = TOLERANCE[self.config.dtype]
        if not discrepancy <= limit:
            raise RuntimeError(
                f"log-probabilities kept from sampling are up to {discrepancy:.3g} off those of a teacher-forced pass, "
                f"more than {limit:g}: ratios would not start at 1. Does the model have dropout, or a cache that "
                "approximates?"
            )
        self.checked = True

    def _kept(self, why: str, experience: Experience) -> str:
        if self.config.folder is None:
            return "with a folder, the step's data would have been saved there"
        path = Path(self.config.folder) / f"stopped-{self.done + 1:09d}.safetensors"
        experience.save(path, why)
        return f"its data are in '{path}', and checkpoints are from before"

    def _rng(self, stream: int, times: int = 0) -> np.random.Generator:
        """Random numbers of the step to come."""
        return np.random.default_rng((self.config.seed, stream, self.done, times))
