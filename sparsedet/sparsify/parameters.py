"""Parameters of removal rules: what a recipe may set, checked when a rule is made."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

from sparsedet.errors import RecipeError


@dataclass(frozen=True, slots=True)
class Expected:
    """What a parameter has to be."""

    description: str
    holds: Callable[[Any], bool]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


Share = Annotated[
    float,
    Expected("a share from 0 to 1", lambda value: _is_number(value) and 0 <= value <= 1),
]
Count = Annotated[int, Expected("a number of boxes (0 or more)", _is_count)]
Strength = Annotated[
    float,
    Expected(
        "a number from 0 (chance alone) to .inf (the property alone)",
        lambda value: _is_number(value) and not math.isnan(value) and value >= 0,
    ),
]


def check_parameters(rule: Any) -> None:
    """Check the fields of a rule, a dataclass, against their types.

    Raises:
        RecipeError: naming the first parameter that is wrong, and what it has to be.
    """
    for name, hint in get_type_hints(type(rule), include_extras=True).items():
        expected = _expected(hint)
        value = getattr(rule, name)
        if not expected.holds(value):
            raise RecipeError(f"{name} is {value!r}, expected {expected.description}")


def _expected(hint: Any) -> Expected:
    if get_origin(hint) is Literal:
        choices = get_args(hint)
        # A list: what YAML made of the value may be unhashable.
        return Expected(f"one of {', '.join(choices)}", lambda value: value in list(choices))
    found: Expected = get_args(hint)[1]
    return found
