"""Free parameters are recovered from a recipe's output; the others stay."""

from dataclasses import replace

import numpy as np
import pytest

from sparsedet.comparison.fitting import fit, without
from sparsedet.comparison.replicates import Sample, candidates, make_sample
from sparsedet.comparison.tables import make_tables
from sparsedet.sparsify import Recipe, load_recipe
from sparsedet.sparsify.recipe import parse_recipe
from sparsedet.sparsify.rules import DropFraction
from tests.comparison.data import boxes_of, coco_like, small


def _sample(recipe: Recipe) -> Sample:
    """Return a sample of what a recipe removed."""
    boxes = boxes_of(coco_like(800))
    full = candidates(boxes, 1)
    removed = recipe.removed(full.reordered(77))
    return make_sample(full, removed, make_tables(full, boxes.classes))


@pytest.mark.parametrize(
    ("name", "changes", "close"),
    [
        ("random", {"drop": 0.33}, {"drop": 0.001}),
        ("per-class", {"drop": 0.71}, {"drop": 0.005}),
        ("per-image", {"drop": 0.4}, {"drop": 1e-9}),
        ("hard", {"drop": 0.7}, {"drop": 1e-9}),
        ("smallest-first", {"drop": 0.2}, {"drop": 0.001}),
        ("skip-small", {"drop": 0.3, "strength": 2.5}, {"drop": 0.001, "strength": 0.4}),
        ("skip-crowded", {"strength": 0.5}, {"drop": 0.001, "strength": 0.15}),
        ("images-x-boxes", {"share": 0.3, "drop": 0.6}, {"share": 0.03, "drop": 1e-9}),
    ],
)
def test_parameters_are_found_again(
    name: str, changes: dict[str, float], close: dict[str, float]
) -> None:
    recipe = load_recipe(name)
    for parameter, value in changes.items():
        recipe = recipe.with_parameter(parameter, value)
    found = fit(load_recipe(name), _sample(recipe)).parameters
    assert set(found) == set(close)
    for parameter, distance in close.items():
        true = changes.get(parameter, 0.5)
        assert found[parameter] == pytest.approx(true, abs=distance), parameter


@pytest.mark.parametrize("name", ["easy", "extreme", "keep1"])
def test_numbers_of_boxes_stay(name: str) -> None:
    recipe = load_recipe(name)
    found = fit(recipe, _sample(load_recipe("random")))
    assert found.recipe == recipe
    assert found.parameters == {}


def test_a_tendency_that_does_not_show_is_unidentified() -> None:
    found = fit(load_recipe("skip-small"), _sample(load_recipe("random")))
    assert found.unidentified == ("strength",)
    assert set(found.parameters) == {"drop"}
    assert without(found.recipe, found.unidentified).rules == (DropFraction(drop=0.5),)


@pytest.mark.parametrize("strength", [0, 0.02])
def test_an_unidentified_tendency_comes_down_to_chance(strength: float) -> None:
    recipe = load_recipe("skip-small").with_parameter("strength", strength)
    assert without(recipe, ("strength",)).rules == load_recipe("random").rules
    assert without(recipe, ()) == recipe


def test_whole_images_that_do_not_show_are_unidentified() -> None:
    found = fit(load_recipe("images-x-boxes"), _sample(load_recipe("per-image")))
    assert found.unidentified == ("share",)
    assert found.parameters == {"drop": 0.5}
    assert without(found.recipe, found.unidentified).rules == load_recipe("per-image").rules


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("drop", [0.5, 0.3])
def test_shares_are_found_on_images_of_few_boxes(seed: int, drop: float) -> None:
    """There, images lose all of their boxes by the second rule as well."""
    full = coco_like(800)
    few = full.with_images(
        image for image in full.images if 1 <= len(full.boxes_by_image[image.id]) <= 3
    )
    boxes = boxes_of(few)
    columns = candidates(boxes, seed)
    recipe = load_recipe("images-x-boxes")
    removed = recipe.with_drop(drop).removed(columns.reordered(77))
    sample = make_sample(columns, removed, make_tables(columns, boxes.classes))
    found = fit(recipe, sample).parameters
    # Half of 2 boxes is 1, always; 0.3 of them are 0 or 1, and the share shows by how often.
    assert found["drop"] == (0.5 if drop == 0.5 else pytest.approx(0.3, abs=0.09))
    assert found["share"] == pytest.approx(0.5, abs=0.08)


@pytest.mark.parametrize(("removed", "drop"), [(155, 0.5), (185, pytest.approx(0.617, abs=0.02))])
def test_round_shares_are_taken_only_where_they_explain_as_much(removed: int, drop: float) -> None:
    """Of 300 images of one box each, half are not 185."""
    boxes = boxes_of(small(boxes=1, images=300))
    columns = candidates(boxes, 1)
    sample = make_sample(columns, np.arange(300) < removed, make_tables(columns, boxes.classes))
    assert fit(load_recipe("per-image"), sample).parameters == {"drop": drop}


def test_a_strict_order_has_no_strength_to_fit() -> None:
    text = (
        "{description: x, source: y, rule: drop-fraction, "
        "parameters: {drop: 0.5, order: small, strength: .inf}}"
    )
    recipe = parse_recipe("strict", text, where="test")
    found = fit(recipe, _sample(recipe.with_drop(0.3)))
    assert set(found.parameters) == {"drop"}
    assert found.parameters["drop"] == pytest.approx(0.3, abs=0.001)


def test_a_share_that_decides_nothing_is_unidentified() -> None:
    """All that minimums spare is gone: any high share would do."""
    found = fit(load_recipe("hard"), _sample(load_recipe("keep1")))
    assert found.unidentified == ("drop",)
    assert found.parameters == {}


def test_fits_do_not_depend_on_the_order_of_boxes() -> None:
    sample = _sample(load_recipe("skip-small"))
    backwards = np.arange(len(sample.boxes))[::-1]
    boxes = sample.boxes
    turned = Sample(
        boxes=replace(
            boxes,
            image=boxes.image[backwards],
            category=boxes.category[backwards],
            xyxy=boxes.xyxy[backwards],
            rank=boxes.rank[backwards],
            propensities={},
        ),
        removed=sample.removed[backwards],
        tables=sample.tables,
        is_all=True,
        image_bins=sample.image_bins,
    )
    recipe = load_recipe("skip-small")
    assert fit(recipe, turned).parameters == pytest.approx(fit(recipe, sample).parameters, abs=1e-9)
