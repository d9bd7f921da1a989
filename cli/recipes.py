"""The recipe options of `sparsedet split`: which recipe, its parameters, and what there is."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from sparsedet.errors import SparseDetError
from sparsedet.recipe_files import recipe_files

from .output import emit_json, say, table

if TYPE_CHECKING:
    from sparsedet.sparsify import Recipe

RECIPE_HELP = (
    f"Which boxes to remove: {', '.join(recipe_files())} (see --recipes), or the path of a YAML "
    "file. Without it, images are only divided into training and validation."
)


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


def refuse_with_released(given: Mapping[str, object]) -> None:
    """Refuse options (by name, None where not given) that would change a released file."""
    if unfit := [name for name, value in given.items() if value is not None]:
        raise SparseDetError(f"--released uses the file as it is; leave out {' and '.join(unfit)}")


def show_recipes(data_root: Path | None, *, json_output: bool) -> None:
    """Print every recipe, and which of the published split files are at hand."""
    from sparsedet.data_sources import RELEASED, is_at_hand
    from sparsedet.sparsify import load_recipe

    recipes = [load_recipe(name) for name in recipe_files()]
    if json_output:
        emit_json(
            {
                "recipes": [
                    {**recipe.as_json(), "description": recipe.description} for recipe in recipes
                ],
                "paper": [
                    {
                        "name": split.name,
                        "dataset": split.dataset,
                        "dropped": split.dropped,
                        "at_hand": is_at_hand(split, data_root),
                    }
                    for split in RELEASED.values()
                ],
            }
        )
        return
    width = max(len(recipe.name) for recipe in recipes)
    lines = [f"  {recipe.name:<{width}}  {_first_sentence(recipe)}" for recipe in recipes]
    typer.echo("\n".join(["recipes (--recipe NAME):", *lines]))
    at_hand = {
        name: "yes" if is_at_hand(split, data_root) else "" for name, split in RELEASED.items()
    }
    table(
        "\npaper: published split files, used as they are (--released NAME); no recipe is one",
        ["file", "dataset", "dropped", f"below {data_root}" if data_root else "at hand"],
        [
            [split.name, split.dataset, split.dropped, at_hand[split.name]]
            for split in RELEASED.values()
        ],
    )
    if data_root is None:
        say("Files are looked for below --data-root (or SPARSEDET_DATA), which is not given.")


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
