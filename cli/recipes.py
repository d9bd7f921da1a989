"""`sparsedet recipes`, and the recipe that `sparsedet split` is asked for."""

import shutil
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sparsedet.errors import SparseDetError

from .options import DataRoot, Json, complete_recipes
from .output import emit_json, line, say, table

if TYPE_CHECKING:
    from sparsedet.sparsify import Recipe

_WIDEST = 100
"""Columns of text in a wider terminal."""


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

    A recipe says which boxes `sparsedet split` removes. With NAME its rules, their parameters and
    its source are shown. The list also names the published split files, and which of them lie below
    --data-root.
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
        SparseDetError: when there is no such recipe, or it has no such parameter.
    """
    if name is None:
        if drop is not None or settings:
            option = "--set" if drop is None else "--drop"
            raise SparseDetError(f"{option} needs a recipe, as in: --recipe random --drop 0.5")
        return None
    from sparsedet.sparsify import load_recipe

    recipe = load_recipe(name)
    if drop is not None and any(setting.startswith("drop=") for setting in settings):
        raise SparseDetError("--drop and --set drop=... say the same; give one of them")
    for setting in settings:
        parameter, equals, value = setting.partition("=")
        if not (parameter and equals and value):
            raise SparseDetError(f"--set {setting}: expected NAME=VALUE, as in: --set strength=2")
        recipe = recipe.with_parameter(parameter, _number_or_word(value))
    return recipe if drop is None else recipe.with_drop(drop)


def _list_recipes(data_root: Path | None, *, json_output: bool) -> None:
    """Print every recipe, and which of the published split files are at hand."""
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
        ["file", "dataset", "dropped", f"below {data_root}" if data_root else "at hand"],
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
        say("Files are looked for below --data-root (or SPARSEDET_DATA), which is not given.")


def _show(recipe: "Recipe") -> None:
    """Print a recipe for people."""
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
    text = text.replace(".inf", "inf")  # as YAML has it
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            pass
    return text
