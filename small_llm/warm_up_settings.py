"""How a model is warmed up, as a part of the record of a run."""

from __future__ import annotations

from dataclasses import dataclass

from pgtheory.mdp import validate


@dataclass(frozen=True)
class WarmUp:
    """Supervised learning on a task's own answers, until the model gets some of them right.

    Parameters
    ----------
    accuracy : float
        Share of held-out problems to answer rightly, by most likely tokens; warming up ends there.
    learning_rate : float
    batch : int
        Problems a step.
    most_steps : int
        Give up after so many.
    check_every, problems : int
        Steps between looks at the accuracy, and held-out problems a look.
    """

    accuracy: float = 0.5
    learning_rate: float = 3e-3
    batch: int = 128
    most_steps: int = 3000
    check_every: int = 50
    problems: int = 256

    def __post_init__(self) -> None:
        if not 0 < validate.real("accuracy", self.accuracy) <= 1:
            raise ValueError(
                f"accuracy must lie in (0, 1], got {self.accuracy}: it is a share of the problems"
            )
        validate.positive("learning_rate", self.learning_rate)
        for name in ("batch", "most_steps", "check_every", "problems"):
            validate.positive_integer(name, getattr(self, name))
