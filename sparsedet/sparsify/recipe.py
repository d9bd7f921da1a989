"""Recipes: removal rules with a name, parameters and a source.

A recipe says what is removed. It never stands for one of the published split files: those are fixed
lists of boxes, and are loaded as they are.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from sparsedet.annotations.table import BoolArray
from sparsedet.errors import RecipeError
from sparsedet.sparsify.candidates import Candidates
from sparsedet.sparsify.orders import TENDENCIES
from sparsedet.sparsify.rules import RULES, KeepAtLeast, Removal, Rule


@dataclass(frozen=True, slots=True)
class Recipe:
    """Named removal rules."""

    name: str
    """The name of its file, without the suffix."""
    rules: tuple[Rule, ...]
    """Removals, one after the other, each on what the one before left; and minimums to keep."""
    description: str
    """What it removes, in one sentence."""
    source: str
    """Where the rules come from."""
    picture: str | None = None
    """An example of what it removes: a path relative to the recipe's file."""

    def removed(self, boxes: Candidates) -> BoolArray:
        """Return which boxes are removed; shape (N,).

        Raises:
            RecipeError: when the rules can't be met on these boxes.
        """
        minimums = [rule for rule in self.rules if isinstance(rule, KeepAtLeast)]
        removals = [rule for rule in self.rules if isinstance(rule, Removal)]
        removed = np.zeros(len(boxes), dtype=np.bool_)
        for number, rule in enumerate(removals):
            left = ~removed
            # Each removal draws anew: what an earlier one left is no longer random in its order.
            candidates = boxes.select(left).reordered(number)
            try:
                removed[left] = rule.removed(candidates, minimums)
            except RecipeError as error:
                raise RecipeError(f"recipe {self.name}: {error}") from error
        return removed

    def with_drop(self, drop: float) -> "Recipe":
        """Return the recipe with another share of dropped boxes.

        Only the last removal may change: with an earlier one the boxes would change that the later
        ones choose from, and a higher drop would no longer remove a superset.

        Raises:
            RecipeError: when the last removal drops no share, or `drop` is not from 0 to 1.
        """
        last = max(n for n, rule in enumerate(self.rules) if isinstance(rule, Removal))
        if "drop" not in asdict(self.rules[last]):
            described = " and ".join(self.describe_rules())
            raise RecipeError(f"recipe {self.name} takes no drop rate: its rules are {described}")
        rules = list(self.rules)
        rules[last] = _with(rules[last], "drop", drop)
        return replace(self, rules=tuple(rules))

    def with_parameter(self, name: str, value: object) -> "Recipe":
        """Return the recipe with another value of a parameter.

        Args:
            name: The parameter's name, or `RULE.NAME` where several rules have it.
            value: Its new value.

        Raises:
            RecipeError: when no rule or several rules have it, or the value is wrong.
        """
        wanted, _, parameter = name.rpartition(".")
        found = [
            n
            for n, rule in enumerate(self.rules)
            if parameter in asdict(rule) and wanted in ("", _name(rule))
        ]
        if len(found) != 1:
            has = "several rules with" if found else "no rule with"
            advice = f" (name one, as in {_name(self.rules[found[0]])}.{name})" if found else ""
            raise RecipeError(
                f"recipe {self.name} has {has} the parameter {name}{advice}: its rules are "
                f"{' and '.join(self.describe_rules())}"
            )
        rules = list(self.rules)
        rules[found[0]] = _with(rules[found[0]], parameter, value)
        return replace(self, rules=tuple(rules))

    def describe_rules(self) -> list[str]:
        """Return every rule with its parameters, as text."""
        return [describe_rule(**rule) for rule in self.as_json()["rules"]]

    def as_json(self) -> dict[str, Any]:
        """Return what `split.json` says about the recipe."""
        rules = [{"rule": _name(rule), "parameters": _parameters(rule)} for rule in self.rules]
        return {"name": self.name, "rules": rules, "source": self.source}


def describe_rule(rule: str, parameters: Mapping[str, object]) -> str:
    """Return a rule with its parameters as text."""
    return f"{rule} ({_list(f'{name} {value}' for name, value in parameters.items())})"


def _name(rule: Rule) -> str:
    return next(name for name, kind in RULES.items() if kind is type(rule))


def _parameters(rule: Rule) -> dict[str, object]:
    """Return the parameters that matter, as JSON has them: it knows no infinity."""
    parameters = asdict(rule)
    if parameters.get("order") not in TENDENCIES:
        parameters.pop("strength", None)
    elif parameters["strength"] == math.inf:
        parameters["strength"] = "inf"
    return parameters


def _with(rule: Rule, name: str, value: object) -> Rule:
    changed: Rule = replace(rule, **{name: value})
    return changed


def _list(items: Iterable[str]) -> str:
    return ", ".join(items)
