"""Recipes: removal rules with a name, parameters and a source, read from YAML files.

A recipe says what is removed. It never stands for one of the published split files: those are fixed
lists of boxes, and are loaded as they are.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

import yaml

from sparsedet.errors import RecipeError
from sparsedet.sparsify.rules import RULES, DropFraction, DropFractionPerImage, Rule

_PACKAGE = "sparsedet.splits"
_SUFFIXES = (".yaml", ".yml")
_KEYS = ("description", "source", "rule", "parameters")


@dataclass(frozen=True, slots=True)
class Recipe:
    """A named removal rule."""

    name: str
    """The name of its file, without the suffix."""
    rule: str
    """The rule's name, a key of `RULES`."""
    removal: Rule
    """The rule with this recipe's parameters."""
    description: str
    """What it removes, in one sentence."""
    source: str
    """Where the rule comes from."""

    @property
    def parameters(self) -> dict[str, float]:
        """The rule's parameters by name."""
        return asdict(self.removal)

    def with_drop(self, drop: float) -> "Recipe":
        """Return the recipe with another share of dropped boxes.

        Raises:
            RecipeError: when the recipe drops no share, or `drop` is not from 0 to 1.
        """
        if not isinstance(self.removal, DropFraction | DropFractionPerImage):
            raise RecipeError(
                f"recipe {self.name} takes no drop rate: its rule is {self.rule} with "
                f"{_list(f'{name} {value}' for name, value in self.parameters.items())}"
            )
        return replace(self, removal=replace(self.removal, drop=drop))


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
    """Read a recipe from YAML text; `where` names it in errors."""
    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        place = getattr(error, "problem_mark", None)
        line = f" at line {place.line + 1}" if place else ""
        raise RecipeError(f"{where}: not valid YAML{line}") from error
    _check_keys(where, "key", content, _KEYS)
    rule = content["rule"]
    if rule not in RULES:
        raise RecipeError(f"{where}: no rule named {rule!r}; there are {_list(RULES)}")
    parameters = content["parameters"]
    names = tuple(field.name for field in fields(RULES[rule]))
    _check_keys(f"{where}: rule {rule}", "parameter", parameters, names)
    try:
        removal = RULES[rule](**parameters)
    except RecipeError as error:
        raise RecipeError(f"{where}: rule {rule}: {error}") from error
    return Recipe(name, rule, removal, str(content["description"]), str(content["source"]))


def _packaged() -> Mapping[str, Traversable]:
    return {
        entry.name.removesuffix(".yaml"): entry
        for entry in files(_PACKAGE).iterdir()
        if entry.name.endswith(".yaml")
    }


def _check_keys(where: str, what: str, found: Any, expected: tuple[str, ...]) -> None:
    """Refuse anything but a mapping with exactly the `expected` keys."""
    if not isinstance(found, dict):
        raise RecipeError(f"{where}: expected a mapping with the {what}s {_list(expected)}")
    if unknown := [str(key) for key in found if key not in expected]:
        raise RecipeError(f"{where}: unknown {what} {_list(unknown)}; valid are {_list(expected)}")
    if missing := [key for key in expected if key not in found]:
        raise RecipeError(f"{where}: the {what} {_list(missing)} is missing")


def _list(items: Any) -> str:
    return ", ".join(items)
