"""Recipes: named removal rules with parameters and a source, in YAML files.

A recipe is a rule for what to remove. The published split files are fixed lists of boxes, used as
they are; no recipe claims to reproduce one.
"""

import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import MISSING, asdict, dataclass, fields, replace
from difflib import get_close_matches
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

import numpy as np

from sparsedet.annotations.table import BoolArray
from sparsedet.errors import RecipeError, SparseDetError
from sparsedet.reading import MOST_SETTINGS, quoted, read_text
from sparsedet.sparsify.candidates import Candidates
from sparsedet.sparsify.orders import TENDENCIES
from sparsedet.sparsify.rules import RULES, KeepAtLeast, Removal, Rule
from sparsedet.splits import PAPER, recipe_files
from sparsedet.yaml_reading import parse_yaml

_SUFFIXES = (".yaml", ".yml")
_RULE_KEYS = ("rule", "parameters")
_NAMED = 3
"""Unknown keys that an error names."""
_TEXTS = ("description", "source", "picture")


@dataclass(frozen=True, slots=True)
class Recipe:
    """Named removal rules."""

    name: str
    """The name of its file, without the suffix."""
    rules: tuple[Rule, ...]
    """Removals, each applied to what the previous one left; and minimums to keep."""
    description: str
    """What it removes, in one sentence."""
    source: str
    """Where the rules come from."""
    picture: str | None = None
    """A picture of what it removes: a path relative to the recipe's file."""

    def removed(self, boxes: Candidates) -> BoolArray:
        """Return which boxes are removed; shape (N,).

        Raises:
            RecipeError: when the rules can't be satisfied on these boxes.
        """
        minimums = [rule for rule in self.rules if isinstance(rule, KeepAtLeast)]
        removals = [rule for rule in self.rules if isinstance(rule, Removal)]
        removed = np.zeros(len(boxes), dtype=np.bool_)
        for number, rule in enumerate(removals):
            left = ~removed
            # A new random order: the boxes left by an earlier removal are no longer in random
            # order.
            candidates = boxes.select(left).reordered(number)
            try:
                removed[left] = rule.removed(candidates, minimums)
            except RecipeError as error:
                raise RecipeError(f"recipe {self.name}: {error}") from error
        return removed

    def with_drop(self, drop: float) -> "Recipe":
        """Return the recipe with another share of dropped boxes.

        Only the last removal may change: a change to an earlier one would change what later ones
        choose from, and a higher drop would no longer remove a superset.

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
            name: The parameter's name, or `RULE.NAME` if several rules have it.
            value: Its new value.

        Raises:
            RecipeError: when no rule or several rules have it, or the value is invalid.
        """
        wanted, _, parameter = name.rpartition(".")
        found = [
            n
            for n, rule in enumerate(self.rules)
            if parameter in asdict(rule) and wanted in ("", _name(rule))
        ]
        if len(found) != 1:
            has = "several rules with" if found else "no rule with"
            advice = f" (use for example {_name(self.rules[found[0]])}.{name})" if found else ""
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
        """Return the recipe's entry of `split.json`."""
        rules = [{"rule": _name(rule), "parameters": _parameters(rule)} for rule in self.rules]
        return {"name": self.name, "rules": rules, "source": self.source}


def describe_rule(rule: str, parameters: Mapping[str, object]) -> str:
    """Return a rule with its parameters as text."""
    return f"{rule} ({_list(f'{name} {value}' for name, value in parameters.items())})"


def recipe_names() -> list[str]:
    """Return the names of the recipes that come with sparsedet."""
    return list(recipe_files())


def load_recipe(name: str) -> Recipe:
    """Return a packaged recipe by its name, or one of your own by the path of its YAML file.

    Raises:
        RecipeError: listing the valid names, rules or keys.
    """
    path = Path(name)
    packaged: Mapping[str, Traversable] = recipe_files()
    if name.endswith(_SUFFIXES) or "/" in name or (name not in packaged and path.is_file()):
        if not path.exists():
            raise RecipeError(f"{path}: no such recipe file")
        try:
            text = read_text(path, "YAML file", most=MOST_SETTINGS)
        except SparseDetError as error:
            raise RecipeError(str(error)) from error
        return parse_recipe(path.stem, text, where=str(path))
    if name == PAPER:
        raise RecipeError(
            f"{name} is not a recipe but a list of published files, whose rules are unknown; "
            "use one of them as it is with --released"
        )
    if name not in packaged:
        likely = get_close_matches(name.lower().replace("_", "-"), packaged, n=1)
        meant = f" (did you mean {likely[0]}?)" if likely else ""
        raise RecipeError(
            f"no recipe named {name!r}{meant}; choose from {_list(packaged)}, "
            "or pass the path of a YAML file"
        )
    return parse_recipe(name, packaged[name].read_text(encoding="utf-8"), where=f"recipe {name}")


def parse_recipe(name: str, text: str, *, where: str) -> Recipe:
    """Read a recipe from YAML text; `where` names it in errors.

    A recipe has either one `rule` with its `parameters`, or a list of `rules`; and, for readers, a
    `description`, a `source` and a `picture`.
    """
    try:
        content = parse_yaml(text, where)
    except SparseDetError as error:
        raise RecipeError(str(error)) from error
    several = isinstance(content, dict) and "rules" in content
    needed = ("rules",) if several else _RULE_KEYS
    _check_keys(where, "key", content, needed, optional=_TEXTS)
    for key in _TEXTS:
        if key in content and not (isinstance(content[key], str) and content[key].strip()):
            raise RecipeError(f"{where}: {key} is {quoted(content[key])}, expected text")
    entries = content["rules"] if several else [{key: content[key] for key in _RULE_KEYS}]
    if not isinstance(entries, list):
        raise RecipeError(f"{where}: rules is {quoted(entries)}, expected a list")
    rules = tuple(_parse_rule(where, entry) for entry in entries)
    if not any(isinstance(rule, Removal) for rule in rules):
        raise RecipeError(f"{where}: none of its rules removes anything")
    return Recipe(
        name=name,
        rules=rules,
        description=" ".join(content.get("description", "").split()),
        source=" ".join(content.get("source", "").split()),
        picture=content.get("picture"),
    )


def _parse_rule(where: str, entry: Any) -> Rule:
    _check_keys(f"{where}: rules", "key", entry, _RULE_KEYS)
    name, parameters = entry["rule"], entry["parameters"]
    if not isinstance(name, str) or name not in RULES:
        raise RecipeError(f"{where}: no rule named {quoted(name)}; choose from {_list(RULES)}")
    kind = RULES[name]
    needed = [field.name for field in fields(kind) if field.default is MISSING]
    optional = [field.name for field in fields(kind) if field.default is not MISSING]
    _check_keys(f"{where}: rule {name}", "parameter", parameters, needed, optional=optional)
    try:
        return kind(**parameters)
    except RecipeError as error:
        raise RecipeError(f"{where}: rule {name}: {error}") from error


def _check_keys(
    where: str,
    what: str,
    found: Any,
    needed: Collection[str],
    *,
    optional: Collection[str] = (),
) -> None:
    """Refuse anything but a mapping with the `needed` and at most the `optional` keys."""
    valid = [*needed, *optional]
    if not isinstance(found, dict):
        raise RecipeError(f"{where}: expected a mapping with the {what}s {_list(valid)}")
    if unknown := [key for key in found if key not in valid]:
        shown = _list(key if isinstance(key, str) else quoted(key) for key in unknown[:_NAMED])
        raise RecipeError(f"{where}: unknown {what} {shown}; valid are {_list(valid)}")
    if missing := [key for key in needed if key not in found]:
        raise RecipeError(f"{where}: the {what} {_list(missing)} is missing")


def _name(rule: Rule) -> str:
    return next(name for name, kind in RULES.items() if kind is type(rule))


def _parameters(rule: Rule) -> dict[str, object]:
    """Return the parameters in effect as JSON values, which have no infinity."""
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
