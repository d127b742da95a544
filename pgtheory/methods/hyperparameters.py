"""The door of a method: what its hyper-parameters may be."""

from dataclasses import fields
from typing import Any

from pgtheory.mdp import validate
from pgtheory.methods.schedules import constant


def check_hyperparameters(method: Any) -> None:
    """Check a method's fields by the kind of their defaults; call it from ``__post_init__``.

    Where the default is a schedule, a number is taken for a constant one. Integers are counts and must be at
    least 1; other numbers must be finite.

    Raises
    ------
    TypeError, ValueError
        Naming the field, what it held and what was expected.
    """
    for field in fields(method):
        name, value, default = field.name, getattr(method, field.name), field.default
        if callable(default) and not callable(value):
            object.__setattr__(method, name, constant(validate.finite(name, value)))
        elif isinstance(default, bool):
            validate.flag(name, value)
        elif isinstance(default, int):
            validate.positive_integer(name, value)
        elif isinstance(default, float):
            validate.finite(name, value)
