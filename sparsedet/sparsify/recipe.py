"""Recipes: removal rules with a name, parameters and a source, read from YAML files.

A recipe says what is removed. It never stands for one of the published split files: those are fixed
lists of boxes, and are loaded as they are.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import MISSING, asdict, dataclass, fields, replace
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from sparsedet.annotations.table import BoolArray
from sparsedet.errors import RecipeError
from sparsedet.sparsify.candidates import Candidates
from sparsedet.sparsify.rules import RULES, KeepAtLeast, Removal, Rule

_PACKAGE = "sparsedet.splits"
_SUFFIXES = (".yaml", ".yml")
_RULE_KEYS = ("rule", "parameters")


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
        removed = np.zeros(len(boxes), dtype=np.bool_)
        for rule in self.rules:
            if isinstance(rule, Removal):
                left = ~removed
                removed[left] = rule.removed(boxes.select(left), minimums)
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
        """Return the recipe with another value of the parameter that one of its rules has.

        Raises:
            RecipeError: when none or several have it, or the value is wrong.
        """
        found = [n for n, rule in enumerate(self.rules) if name in asdict(rule)]
        if len(found) != 1:
            has = "several rules with" if found else "no"
            raise RecipeError(
                f"recipe {self.name} has {has} the parameter {name}: its rules are "
                f"{' and '.join(self.describe_rules())}"
            )
        rules = list(self.rules)
        rules[found[0]] = _with(rules[found[0]], name, value)
        return replace(self, rules=tuple(rules))

    def describe_rules(self) -> list[str]:
        """Return every rule with its parameters, as text."""
        return [describe_rule(**rule) for rule in self.as_json()["rules"]]

    def as_json(self) -> dict[str, Any]:
        """Return what `split.json` says about the recipe."""
        names = {kind: name for name, kind in RULES.items()}
        rules = [{"rule": names[type(rule)], "parameters": asdict(rule)} for rule in self.rules]
        return {"name": self.name, "rules": rules, "source": self.source}


def describe_rule(rule: str, parameters: Mapping[str, object]) -> str:
    """Return a rule with its parameters as text."""
    return f"{rule} ({_list(f'{name} {value}' for name, value in parameters.items())})"


def recipe_names() -> list[str]:
    """Return the names of the recipes that come with sparsedet."""
    return sorted(_packaged())


def load_recipe(name: str) -> Recipe:
    """Return a packaged recipe by its name, or one of your own by the path of its YAML file.

    Raises:
        RecipeError: listing the names, rules or keys that are valid.
    """
    if name.endswith(_SUFFIXES) or "/" in name:
        path = Path(name)
        if not path.is_file():
            raise RecipeError(f"{path}: no such recipe file")
        return parse_recipe(path.stem, path.read_text(encoding="utf-8"), where=str(path))
    packaged = _packaged()
    if name not in packaged:
        raise RecipeError(
            f"no recipe named {name!r}; there are {_list(sorted(packaged))}, "
            "or give the path of a YAML file"
        )
    return parse_recipe(name, packaged[name].read_text(encoding="utf-8"), where=f"recipe {name}")


def parse_recipe(name: str, text: str, *, where: str) -> Recipe:
    """Read a recipe from YAML text; `where` names it in errors.

    A recipe has a `description`, a `source`, and either one `rule` with its `parameters`, or
    `rules`, a list of them.
    """
    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        place = getattr(error, "problem_mark", None)
        line = f" at line {place.line + 1}" if place else ""
        raise RecipeError(f"{where}: not valid YAML{line}") from error
    several = isinstance(content, dict) and "rules" in content
    needed = ("description", "source", *(("rules",) if several else _RULE_KEYS))
    _check_keys(where, "key", content, needed, optional=("picture",))
    entries = content["rules"] if several else [{key: content[key] for key in _RULE_KEYS}]
    if not isinstance(entries, list):
        raise RecipeError(f"{where}: rules is not a list")
    rules = tuple(_parse_rule(where, entry) for entry in entries)
    if not any(isinstance(rule, Removal) for rule in rules):
        raise RecipeError(f"{where}: none of its rules removes anything")
    return Recipe(
        name=name,
        rules=rules,
        description=str(content["description"]),
        source=str(content["source"]),
        picture=content.get("picture"),
    )


def _parse_rule(where: str, entry: Any) -> Rule:
    _check_keys(f"{where}: rules", "key", entry, _RULE_KEYS)
    name, parameters = entry["rule"], entry["parameters"]
    if not isinstance(name, str) or name not in RULES:
        raise RecipeError(f"{where}: no rule named {name!r}; there are {_list(RULES)}")
    kind = RULES[name]
    needed = [field.name for field in fields(kind) if field.default is MISSING]
    optional = [field.name for field in fields(kind) if field.default is not MISSING]
    _check_keys(f"{where}: rule {name}", "parameter", parameters, needed, optional=optional)
    try:
        return kind(**parameters)
    except RecipeError as error:
        raise RecipeError(f"{where}: rule {name}: {error}") from error


def _with(rule: Rule, name: str, value: object) -> Rule:
    changed: Rule = replace(rule, **{name: value})
    return changed


def _packaged() -> Mapping[str, Traversable]:
    return {
        entry.name.removesuffix(".yaml"): entry
        for entry in files(_PACKAGE).iterdir()
        if entry.name.endswith(".yaml")
    }


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
    if unknown := [str(key) for key in found if key not in valid]:
        raise RecipeError(f"{where}: unknown {what} {_list(unknown)}; valid are {_list(valid)}")
    if missing := [key for key in needed if key not in found]:
        raise RecipeError(f"{where}: the {what} {_list(missing)} is missing")


def _list(items: Iterable[str]) -> str:
    return ", ".join(items)
