"""Recipes: those that come along, one's own, and broken ones."""

from pathlib import Path

import pytest

from sparsedet.errors import RecipeError
from sparsedet.sparsify import load_recipe, recipe_names
from sparsedet.sparsify.recipe import parse_recipe

TEXT = """
description: Drops a third.
source: Our annotators.
rule: drop-fraction-per-image
parameters:
  drop: 0.33
  keep_per_class: 2
"""


def test_the_recipes_that_come_along() -> None:
    assert recipe_names() == ["easy", "extreme", "hard", "keep1", "random"]
    for name in recipe_names():
        recipe = load_recipe(name)
        assert recipe.name == name
        assert recipe.description.endswith(".")
        assert recipe.source


def test_own_recipe_by_path(tmp_path: Path) -> None:
    path = tmp_path / "ours.yaml"
    path.write_text(TEXT, encoding="utf-8")
    recipe = load_recipe(str(path))
    assert recipe.name == "ours"
    assert recipe.rule == "drop-fraction-per-image"
    assert recipe.parameters == {"drop": 0.33, "keep_per_class": 2}


def test_unknown_name_lists_the_valid_ones() -> None:
    with pytest.raises(RecipeError, match="'soft'; there are easy, extreme, hard, keep1, random"):
        load_recipe("soft")


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"gone\.yaml: no such recipe file"):
        load_recipe(str(tmp_path / "gone.yaml"))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (TEXT, "- 1", "ours: expected a mapping with the keys description, source, rule"),
        (TEXT, "a: [1\nb: 2", "ours: not valid YAML at line 2"),
        ("source:", "sources:", "ours: unknown key sources; valid are description, source, rule"),
        ("source: Our annotators.", "", "ours: the key source is missing"),
        ("-per-image", "-per-day", "ours: no rule named 'drop-fraction-per-day'; there are drop-"),
        (
            "keep_per_class",
            "keep",
            "ours: rule drop-fraction-per-image: unknown parameter keep; "
            "valid are drop, keep_per_class",
        ),
        ("keep_per_class: 2", "", "the parameter keep_per_class is missing"),
        ("0.33", "1.2", "drop is 1.2, expected a share from 0 to 1"),
        ("0.33", "-0.1", "drop is -0.1, expected a share"),
        ("0.33", ".nan", "drop is nan, expected a share"),
        ("0.33", "half", "drop is 'half', expected a share"),
        ("0.33", "true", "drop is True, expected a share"),
        (": 2", ": 1.5", "keep_per_class is 1.5, expected a number of boxes"),
        (": 2", ": -1", "keep_per_class is -1, expected a number of boxes"),
    ],
)
def test_broken_recipe_says_what_is_wrong(old: str, new: str, message: str) -> None:
    assert old in TEXT
    with pytest.raises(RecipeError) as error:
        parse_recipe("ours", TEXT.replace(old, new), where="ours")
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_drop_can_be_set_where_a_share_is_dropped() -> None:
    assert load_recipe("random").with_drop(0.9).parameters == {"drop": 0.9}
    assert load_recipe("hard").with_drop(0.9).parameters == {"drop": 0.9, "keep_per_class": 1}
    with pytest.raises(RecipeError, match="recipe keep1 takes no drop rate"):
        load_recipe("keep1").with_drop(0.5)
    with pytest.raises(RecipeError, match=r"drop is 1\.5"):
        load_recipe("random").with_drop(1.5)
