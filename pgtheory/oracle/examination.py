"""Put any objective on the bench: a recipe, or a function of tensors from anywhere."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from pgtheory.oracle.expectation import Law, law
from pgtheory.oracle.objective import Objective
from pgtheory.oracle.problem import Problem, success


@dataclass(frozen=True, eq=False)
class Examination:
    """The laws of one objective at several places; prints as a table.

    Attributes
    ----------
    name : str
    places : list of str
    laws : list of Law
    """

    name: str
    places: list[str]
    laws: list[Law]

    def rows(self) -> list[dict[str, Any]]:
        """One mapping for each place."""
        return [
            {
                "at": place,
                "J": one.J,
                "scale": one.scale,
                "cosine": one.cosine,
                "bias": one.bias,
                "signal_to_noise": one.signal_to_noise,
                "rises": one.rises,
                "exact": one.exact,
            }
            for place, one in zip(self.places, self.laws)
        ]

    def __str__(self) -> str:
        head = f"{'at':<12} {'J':>9} {'scale':>11} {'cosine':>9} {'bias':>11} {'signal/noise':>13}  rises"
        lines = [self.name, head]
        for row in self.rows():
            noise = "" if row["signal_to_noise"] is None else f"{row['signal_to_noise']:.4g}"
            lines.append(
                f"{row['at']:<12} {row['J']:>9.4f} {row['scale']:>11.6f} {row['cosine']:>9.5f} {row['bias']:>11.4g} "
                f"{noise:>13}  {'yes' if row['rises'] else 'no'}{'' if row['exact'] else '  (sampled)'}"
            )
        return "\n".join(lines)


def examine(
    objective: Objective,
    problem: Problem | None = None,
    theta: Any = None,
    *,
    group_size: int = 8,
    p: Any = (0.01, 0.1, 0.25, 0.5, 0.9),
    name: str | None = None,
    **options: Any,
) -> Examination:
    """Exact bias, variance and direction of an objective's update.

    Parameters
    ----------
    objective : Recipe or callable
        A function of ``Groups``, or of tensors by name: any of ``log_prob``, ``log_prob_old``, ``mask``,
        ``log_prob_ref`` and ``log_prob_prox`` [P, G, T], and ``rewards`` [P, G]; it returns a scalar loss to minimise.
    problem, theta : Problem and array [dim], optional
        Where to look; by default right-or-wrong answers of one token, at each chance ``p`` of being right.
    group_size : int
    name : str, optional
    **options
        Of ``law``.

    Raises
    ------
    TypeError, ValueError
        If the function's arguments are not among these, it returns no scalar, or others do not fit.
    """
    if name is None:
        name = getattr(objective, "name", "") or getattr(objective, "__name__", type(objective).__name__)
    if problem is not None:
        if theta is None:
            raise ValueError("theta must be given with a problem")
        return Examination(name, [problem.name], [law(objective, problem, theta, group_size, **options)])
    places, laws = [], []
    for chance in np.atleast_1d(np.asarray(p, float)):
        right_or_wrong, logits = success([float(chance)])
        places.append(f"p = {chance:g}")
        laws.append(law(objective, right_or_wrong, logits, group_size, **options))
    return Examination(name, places, laws)
