"""Recipes: packaged ones, the user's own, and broken ones."""

import json
from pathlib import Path

import PIL.Image
import pytest

from sparsedet.errors import RecipeError
from sparsedet.sparsify import load_recipe, recipe_names
from sparsedet.sparsify.orders import ORDERS
from sparsedet.sparsify.recipe import parse_recipe
from sparsedet.sparsify.rules import DropCount, DropFraction, DropImages, KeepAtLeast, KeepCount
from sparsedet.splits import PAPER, recipe_files

SPLITS = Path(__file__).parents[2] / "splits"

ONE = """
description: Drops a third.
source: Our annotators.
rule: drop-fraction
parameters:
  drop: 0.33
  per: image
"""
SEVERAL = """
description: Half of every class, one per image at least.
source: Our annotators.
rules:
- rule: drop-fraction
  parameters: {drop: 0.5, per: class, order: small, strength: .inf}
- rule: keep-at-least
  parameters: {count: 1, per: image}
"""


def test_the_recipes_that_come_along() -> None:
    assert recipe_names() == [
        "easy",
        "extreme",
        "hard",
        "images-x-boxes",
        "keep1",
        "per-class",
        "per-image",
        "random",
        "skip-border",
        "skip-crowded",
        "skip-repeated",
        "skip-small",
        "smallest-first",
    ]
    # Every file but the list of published splits, however the package is laid out.
    assert {path.stem for path in SPLITS.glob("*.yaml")} == {*recipe_names(), PAPER}


@pytest.mark.parametrize("name", recipe_files())
def test_each_has_description_source_and_picture(name: str) -> None:
    recipe = load_recipe(name)
    assert recipe.name == name
    assert recipe.description.endswith(".")
    assert len(recipe.description.split(". ")[0]) < 100
    assert recipe.source.endswith(".")
    assert recipe.picture == f"pictures/{name}.jpg"
    with PIL.Image.open(SPLITS / recipe.picture) as picture:
        assert picture.format == "JPEG"
        assert min(picture.size) > 200
    assert (SPLITS / recipe.picture).stat().st_size < 120_000


def test_each_picture_is_of_a_recipe() -> None:
    assert {path.stem for path in (SPLITS / "pictures").glob("*.jpg")} == set(recipe_names())


def test_own_recipe_by_path(tmp_path: Path) -> None:
    path = tmp_path / "ours.yaml"
    path.write_text(ONE, encoding="utf-8")
    recipe = load_recipe(str(path))
    assert recipe.name == "ours"
    assert recipe.rules == (DropFraction(0.33, "image"),)
    assert recipe.picture is None


def test_rules_are_composed() -> None:
    recipe = parse_recipe("ours", SEVERAL, where="ours")
    assert recipe.rules == (
        DropFraction(0.5, "class", "small", float("inf")),
        KeepAtLeast(1, "image"),
    )


def test_all_rules_and_orders_can_be_written() -> None:
    rules = [
        "{rule: drop-count, parameters: {count: 2}}",
        "{rule: drop-images, parameters: {share: 1}}",
        "{rule: keep-count, parameters: {keep: 0, per: class-in-image}}",
        *(f"{{rule: drop-fraction, parameters: {{drop: 0, order: {order}}}}}" for order in ORDERS),
    ]
    text = f"{{description: d, source: s, rules: [{', '.join(rules)}]}}"
    assert parse_recipe("all", text, where="all").rules == (
        DropCount(2),
        DropImages(1),
        KeepCount(0, "class-in-image"),
        *(DropFraction(0, order=order) for order in ORDERS),
    )


def test_unknown_name_lists_the_valid_ones() -> None:
    with pytest.raises(
        RecipeError, match="'soft'; choose from easy, extreme, hard, images-x-boxes"
    ):
        load_recipe("soft")


def test_the_published_files_are_no_recipe() -> None:
    with pytest.raises(RecipeError, match="paper is not a recipe but a list of published files"):
        load_recipe("paper")


def test_unreadable_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"gone\.yaml: no such recipe file"):
        load_recipe(str(tmp_path / "gone.yaml"))
    (tmp_path / "latin.yml").write_bytes("description: Fällt weg.".encode("latin-1"))
    with pytest.raises(RecipeError, match=r"latin\.yml: not UTF-8 text \(byte 14\)"):
        load_recipe(str(tmp_path / "latin.yml"))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (ONE, "- 1", "ours: expected a mapping with the keys rule, parameters, description"),
        (ONE, "", "ours: expected a mapping with the keys rule, parameters, description"),
        (ONE, "a: [1\nb: 2", "ours: not valid YAML at line 2"),
        (ONE, "description: 2026-13-45", "ours: not valid YAML"),
        ("source:", "sources:", "ours: unknown key sources; valid are rule, parameters, desc"),
        (ONE, "a: " + "[" * 5000, "ours: not valid YAML"),
        ("per: image", "per: image\n  per: class", "ours: duplicate key per at line 8"),
        ("Our annotators.", "", "ours: source is None, expected text"),
        ("Our annotators.", "[a, b]", "ours: source is ['a', 'b'], expected text"),
        ("Drops a third.", "''", "ours: description is '', expected text"),
        ("source:", "picture: 3\nsource:", "ours: picture is 3, expected text"),
        ("rule: drop-fraction", "", "ours: the key rule is missing"),
        ("drop-fraction", "drop-third", "ours: no rule named 'drop-third'; choose from drop-"),
        ("drop-fraction", "[1]", "ours: no rule named [1]; choose from drop-"),
        (
            "per:",
            "for:",
            "ours: rule drop-fraction: unknown parameter for; valid are drop, per, order, strength",
        ),
        ("drop: 0.33", "", "ours: rule drop-fraction: the parameter drop is missing"),
        (ONE, ONE.split("  drop")[0], "rule drop-fraction: expected a mapping with the parameters"),
        ("  drop: 0.33\n  per: image", "  - 1", "expected a mapping with the parameters drop, per"),
        ("0.33", "1.2", "drop is 1.2, expected a share from 0 to 1"),
        ("0.33", "-0.1", "drop is -0.1, expected a share"),
        ("0.33", ".nan", "drop is nan, expected a share"),
        ("0.33", "half", "drop is 'half', expected a share"),
        ("0.33", "true", "drop is True, expected a share"),
        ("0.33", "[0.5]", "drop is [0.5], expected a share"),
        ("per: image", "per: day", "per is 'day', expected one of dataset, class, image, class-in"),
        ("per: image", "per: {a: 1}", "per is {'a': 1}, expected one of dataset, class"),
        ("per: image", "order: tall", "order is 'tall', expected one of random, small, large"),
        ("per: image", "strength: -1", "strength is -1, expected a number from 0"),
        ("per: image", "strength: .nan", "strength is nan, expected a number from 0"),
        ("per: image", f"strength: {10**400}", "expected a number from 0"),
        ("rule:", "rules: []\nrule:", "ours: unknown key rule, parameters; valid are rules, desc"),
    ],
)
def test_broken_recipe_says_what_is_wrong(old: str, new: str, message: str) -> None:
    assert old in ONE
    _refused(ONE.replace(old, new), message)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (SEVERAL, "{description: d, source: s, rules: []}", "ours: none of its rules removes any"),
        (SEVERAL, "{description: d, source: s, rules: }", "ours: rules is None, expected a list"),
        (SEVERAL, "{description: d, source: s, rules: {}}", "ours: rules is {}, expected a list"),
        (SEVERAL, "{description: d, source: s, rules: [1]}", "ours: rules: expected a mapping"),
        ("drop-fraction", "keep-count", "rule keep-count: unknown parameter drop; valid are keep"),
        ("count: 1", "count: 1.5", "rule keep-at-least: count is 1.5, expected a number of boxes"),
        ("count: 1", "count: -1", "count is -1, expected a number of boxes"),
        ("count: 1", "count: true", "count is True, expected a number of boxes"),
        (", per: image", "", "rule keep-at-least: the parameter per is missing"),
        (
            "- rule: keep-at-least",
            "- rules: keep",
            "ours: rules: unknown key rules; valid are rule",
        ),
    ],
)
def test_broken_list_of_rules_says_what_is_wrong(old: str, new: str, message: str) -> None:
    assert old in SEVERAL
    _refused(SEVERAL.replace(old, new), message)


def _refused(text: str, message: str) -> None:
    with pytest.raises(RecipeError) as error:
        parse_recipe("ours", text, where="ours")
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_a_recipe_of_minimums_removes_nothing_and_is_refused() -> None:
    text = "{description: d, source: s, rule: keep-at-least, parameters: {count: 1, per: image}}"
    _refused(text, "ours: none of its rules removes anything")


def test_drop_can_be_set_where_a_share_is_dropped_last() -> None:
    assert load_recipe("random").with_drop(0.9).rules == (DropFraction(0.9),)
    assert load_recipe("hard").with_drop(0.9).rules[0] == DropFraction(0.9, "image")
    rules = load_recipe("images-x-boxes").with_drop(0.9).rules
    assert rules == (DropImages(0.5), DropFraction(0.9, "image"))
    with pytest.raises(RecipeError, match="recipe keep1 takes no drop rate: its rules are keep-c"):
        load_recipe("keep1").with_drop(0.5)
    with pytest.raises(RecipeError, match=r"drop is 1\.5"):
        load_recipe("random").with_drop(1.5)


def test_any_parameter_can_be_set() -> None:
    assert load_recipe("extreme").with_parameter("keep", 3).rules == (KeepCount(3),)
    skip = load_recipe("skip-small").with_parameter("strength", 2.5).with_parameter("per", "class")
    assert skip.rules == (DropFraction(0.5, "class", "small", 2.5),)
    easy = load_recipe("easy").with_parameter("drop-count.count", 2)
    assert easy.rules == (DropCount(2), KeepAtLeast(1, "class-in-image"))


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("keeps", 1, "recipe easy has no rule with the parameter keeps: its rules are drop-count"),
        ("count", 2, "several rules with the parameter count (use for example drop-count.count)"),
        ("keep-count.count", 2, "no rule with the parameter keep-count.count"),
        ("drop-count.count", "two", "count is 'two', expected a number of boxes"),
    ],
)
def test_parameters_that_cannot_be_set(name: str, value: object, message: str) -> None:
    with pytest.raises(RecipeError) as error:
        load_recipe("easy").with_parameter(name, value)
    assert message in str(error.value)


def test_the_record_holds_what_makes_the_recipe_again() -> None:
    recipe = parse_recipe("ours", SEVERAL, where="ours")
    record = json.loads(json.dumps(recipe.as_json(), allow_nan=False))
    assert record == {
        "name": "ours",
        "source": "Our annotators.",
        "rules": [
            {
                "rule": "drop-fraction",
                "parameters": {"drop": 0.5, "per": "class", "order": "small", "strength": "inf"},
            },
            {"rule": "keep-at-least", "parameters": {"count": 1, "per": "image"}},
        ],
    }
    # Strength says nothing where no tendency is followed.
    assert load_recipe("random").describe_rules() == [
        "drop-fraction (drop 0.5, per dataset, order random)"
    ]
