"""Recipes in YAML files: those that come with sparsedet, and people's own."""

from collections.abc import Collection, Hashable
from dataclasses import MISSING, fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import yaml

from sparsedet.errors import RecipeError
from sparsedet.recipe_files import PAPER, recipe_files
from sparsedet.sparsify.recipe import Recipe
from sparsedet.sparsify.rules import RULES, Removal, Rule

_SUFFIXES = (".yaml", ".yml")
_RULE_KEYS = ("rule", "parameters")
_TEXTS = ("description", "source", "picture")


def recipe_names() -> list[str]:
    """Return the names of the recipes that come with sparsedet."""
    return list(recipe_files())


def load_recipe(name: str) -> Recipe:
    """Return a packaged recipe by its name, or one of your own by the path of its YAML file.

    Raises:
        RecipeError: listing the names, rules or keys that are valid.
    """
    path = Path(name)
    if name.endswith(_SUFFIXES) or "/" in name or (name not in recipe_files() and path.is_file()):
        if not path.is_file():
            raise RecipeError(f"{path}: no such recipe file")
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            raise RecipeError(f"{path}: not UTF-8 text (byte {error.start})") from None
        return parse_recipe(path.stem, text, where=str(path))
    if name == PAPER:
        raise RecipeError(
            f"{name} is no recipe but a list of published files, whose rules are not known; "
            "use one of them as it is with --released"
        )
    packaged = recipe_files()
    if name not in packaged:
        likely = get_close_matches(name.lower().replace("_", "-"), packaged, n=1)
        meant = f" (did you mean {likely[0]}?)" if likely else ""
        raise RecipeError(
            f"no recipe named {name!r}{meant}; there are {_list(packaged)}, "
            "or give the path of a YAML file"
        )
    return parse_recipe(name, packaged[name].read_text(encoding="utf-8"), where=f"recipe {name}")


def parse_recipe(name: str, text: str, *, where: str) -> Recipe:
    """Read a recipe from YAML text; `where` names it in errors.

    A recipe has either one `rule` with its `parameters`, or `rules`, a list of them; and, if people
    shall understand it later, a `description` and a `source`.
    """
    try:
        content = yaml.load(text, _Loader)
    # ValueError: a date that does not exist; RecursionError: a thousand brackets.
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        place = getattr(error, "problem_mark", None)
        line = f" at line {place.line + 1}" if place else ""
        what = error.problem if isinstance(error, _RepeatedKey) else "not valid YAML"
        raise RecipeError(f"{where}: {what}{line}") from error
    several = isinstance(content, dict) and "rules" in content
    needed = ("rules",) if several else _RULE_KEYS
    _check_keys(where, "key", content, needed, optional=_TEXTS)
    for key in _TEXTS:
        if key in content and not (isinstance(content[key], str) and content[key].strip()):
            raise RecipeError(f"{where}: {key} is {content[key]!r}, expected text")
    entries = content["rules"] if several else [{key: content[key] for key in _RULE_KEYS}]
    if not isinstance(entries, list):
        raise RecipeError(f"{where}: rules is {entries!r}, expected a list")
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
        raise RecipeError(f"{where}: no rule named {name!r}; there are {_list(RULES)}")
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
    if unknown := [str(key) for key in found if key not in valid]:
        raise RecipeError(f"{where}: unknown {what} {_list(unknown)}; valid are {_list(valid)}")
    if missing := [key for key in needed if key not in found]:
        raise RecipeError(f"{where}: the {what} {_list(missing)} is missing")


class _RepeatedKey(yaml.constructor.ConstructorError):
    """A mapping has a key twice."""


class _Loader(yaml.SafeLoader):
    """Reads plain data only, and no key twice: of two the first would be lost without a word."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if key.value in seen:
                raise _RepeatedKey(
                    problem=f"the key {key.value} stands twice", problem_mark=key.start_mark
                )
            seen.add(str(key.value))
        return super().construct_mapping(node, deep)


def _list(items: Collection[str]) -> str:
    return ", ".join(items)
