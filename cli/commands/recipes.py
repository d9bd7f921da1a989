"""`sparsedet recipes`, and the options that choose a recipe in `sparsedet split`."""

import shutil
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sparsedet.errors import SparseDetError

from ..options import DataRoot, Json, complete_recipes
from ..output import emit_json, line, say, table

if TYPE_CHECKING:
    from sparsedet.sparsify import Recipe

_WIDEST = 100
"""Maximum text width."""


def recipes(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="NAME",
            help="A recipe to show: a name, or the path of a YAML file. Default: list all.",
            show_default=False,
            autocompletion=complete_recipes,
        ),
    ] = None,
    data_root: DataRoot = None,
    json_output: Json = False,
) -> None:
    """List the recipes of sparse splits, or show one.

    A recipe defines which boxes `sparsedet split` removes. With NAME, shows its rules, their
    parameters and its source. The list also includes the published split files, and whether they
    are available in --data-root.
    """
    from sparsedet.sparsify import load_recipe

    if name is None:
        _list_recipes(data_root, json_output=json_output)
        return
    recipe = load_recipe(name)
    if json_output:
        emit_json(_as_json(recipe))
    else:
        _show(recipe)


def choose_recipe(name: str | None, drop: float | None, settings: Sequence[str]) -> "Recipe | None":
    """Return the recipe of `--recipe` with `--drop` and every `--set` (NAME=VALUE) applied.

    Raises:
        SparseDetError: if the recipe does not exist, or lacks a parameter.
    """
    if name is None:
        if drop is not None or settings:
            option = "--set" if drop is None else "--drop"
            raise SparseDetError(f"{option} needs a recipe, as in: --recipe random --drop 0.5")
        return None
    from sparsedet.sparsify import load_recipe

    recipe = load_recipe(name)
    if drop is not None and any(setting.startswith("drop=") for setting in settings):
        raise SparseDetError("--drop and --set drop=... set the same parameter; pass only one")
    for setting in settings:
        parameter, equals, value = setting.partition("=")
        if not (parameter and equals and value):
            raise SparseDetError(f"--set {setting}: expected NAME=VALUE, as in: --set strength=2")
        recipe = recipe.with_parameter(parameter, _number_or_word(value))
    return recipe if drop is None else recipe.with_drop(drop)


def _list_recipes(data_root: Path | None, *, json_output: bool) -> None:
    """Print every recipe, and which of the published split files are available."""
    from sparsedet.loop.data_sources import RELEASED, is_at_hand
    from sparsedet.sparsify import load_recipe, recipe_names

    found = [load_recipe(name) for name in recipe_names()]
    if json_output:
        published = [
            {
                "name": split.name,
                "dataset": split.dataset,
                "dropped": split.dropped,
                "at_hand": is_at_hand(split, data_root),
            }
            for split in RELEASED.values()
        ]
        emit_json({"recipes": [_as_json(recipe) for recipe in found], "paper": published})
        return
    width = max(len(recipe.name) for recipe in found)
    line("recipes (sparsedet split --recipe NAME; sparsedet recipes NAME shows one):")
    for recipe in found:
        line(f"  {recipe.name:<{width}}  {_first_sentence(recipe)}")
    line()
    table(
        "published split files, used as they are (sparsedet split --released NAME):",
        ["file", "dataset", "dropped", f"in {data_root}" if data_root else "available"],
        [
            [
                split.name,
                split.dataset,
                split.dropped,
                "yes" if is_at_hand(split, data_root) else "",
            ]
            for split in RELEASED.values()
        ],
    )
    if data_root is None:
        say("To see which files are available, pass --data-root (or set SPARSEDET_DATA).")


def _show(recipe: "Recipe") -> None:
    """Print a recipe."""
    line(recipe.name)
    line()
    _paragraph(recipe.description)
    rules = recipe.as_json()["rules"]
    line()
    line("rules (--set NAME=VALUE changes a parameter):")
    for rule in rules:
        line(f"  {rule['rule']}")
        width = max(map(len, rule["parameters"]))
        for parameter, value in rule["parameters"].items():
            line(f"    {parameter:<{width}}  {value}")
    line()
    line("source:")
    _paragraph(recipe.source)


def _paragraph(text: str) -> None:
    width = min(shutil.get_terminal_size().columns, _WIDEST)
    indent = "  "
    for part in textwrap.wrap(text, width, initial_indent=indent, subsequent_indent=indent):
        line(part)


def _as_json(recipe: "Recipe") -> dict[str, Any]:
    return {**recipe.as_json(), "description": recipe.description}


def _first_sentence(recipe: "Recipe") -> str:
    return recipe.description.split(". ")[0].removesuffix(".")


def _number_or_word(text: str) -> int | float | str:
    text = text.replace(".inf", "inf")  # as in YAML
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            pass
    return text
