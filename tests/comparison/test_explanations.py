"""Which recipes are ruled out: every recipe tested on every recipe's output."""

from pathlib import Path

import pytest

from sparsedet.annotations import Dataset
from sparsedet.comparison import Comparison, Explanation, compare
from sparsedet.sparsify import load_recipe, recipe_names, remove_boxes
from tests.comparison.data import boxes_of, coco_like, small, sparse

RECIPES = recipe_names()


def _compare(full: Dataset, left: Dataset, *names: str, seed: int = 1) -> Comparison:
    recipes = [load_recipe(name) for name in names or RECIPES]
    return compare(boxes_of(full), boxes_of(left), recipes, seed=seed)


def _by_name(found: Comparison) -> dict[str, Explanation]:
    return {one.recipe: one for one in found.explanations}


SPECIAL_CASES = {
    "random": {"skip-border", "skip-crowded", "skip-repeated", "skip-small"},
    "per-image": {"images-x-boxes"},
    "keep1": {"hard"},
}
"""Recipe -> recipes that do the same with a strength or share of 0, or with the highest drop."""


@pytest.mark.parametrize("applied", RECIPES)
def test_the_true_rule_fits_and_all_others_are_ruled_out(applied: str) -> None:
    full = coco_like(800)
    found = _compare(full, sparse(full, applied))
    judged = {one.recipe: one.judgement for one in found.explanations}
    expected = dict.fromkeys(RECIPES, "ruled out")
    expected |= dict.fromkeys(SPECIAL_CASES.get(applied, ()), "can't tell")
    assert judged == {**expected, applied: "fits"}, [
        (one.recipe, one.p, one.reason) for one in found.explanations
    ]
    assert f"only {applied} fits" in found.conclusion
    assert "does not prove" in found.conclusion
    for one in found.explanations:
        assert bool(one.reason) == (one.judgement != "fits")


@pytest.mark.parametrize(
    ("name", "parameter", "value"),
    [("skip-small", "strength", 0.15), ("images-x-boxes", "share", 0.04)],
)
def test_a_weak_tendency_is_not_ruled_out(name: str, parameter: str, value: float) -> None:
    full, recipe = coco_like(100), load_recipe(name).with_parameter(parameter, value)
    judged = []
    for seed in range(12):
        left = remove_boxes(full, recipe, seed)[0]
        explanation = _compare(full, left, name, seed=seed).explanations[0]
        judged.append(explanation.judgement)
        assert (parameter in explanation.parameters) == (explanation.judgement == "fits")
        if explanation.judgement == "can't tell":
            assert "indistinguishable from" in explanation.reason
    assert "ruled out" not in judged
    # Four images that lost all are clear; a slight preference for small boxes is not.
    assert ("can't tell" in judged) == (parameter == "strength")


def test_images_of_few_boxes_do_not_rule_out_the_true_rule() -> None:
    full = coco_like(1000)
    few = full.with_images(
        image for image in full.images if 1 <= len(full.boxes_by_image[image.id]) <= 3
    )
    assert len(few.images) > 250
    judged = [
        _compare(few, sparse(few, "images-x-boxes", seed), "images-x-boxes")
        .explanations[0]
        .judgement
        for seed in range(20)
    ]
    assert judged.count("ruled out") <= 1


@pytest.mark.parametrize("drop", [0.05, 0.95])
@pytest.mark.parametrize("images", [40, 100])
def test_the_true_rule_is_seldom_ruled_out(images: int, drop: float) -> None:
    full = coco_like(images)
    rejected = {}
    for applied in ("random", "per-image", "per-class", "images-x-boxes", "skip-small"):
        recipe = load_recipe(applied).with_drop(drop)
        judged = [
            compare(
                boxes_of(full), boxes_of(remove_boxes(full, recipe, seed)[0]), [recipe], seed=seed
            )
            .explanations[0]
            .judgement
            for seed in range(12)
        ]
        rejected[applied] = judged.count("ruled out")
    # At a level of 1 % these are 0 or 1 of 60; more than 4 once in a thousand times.
    assert sum(rejected.values()) <= 4, rejected


def test_every_recipe_is_seldom_ruled_out() -> None:
    full = coco_like(150)
    rejected = {
        applied: [
            _compare(full, sparse(full, applied, seed), applied, seed=seed)
            .explanations[0]
            .judgement
            for seed in range(6)
        ].count("ruled out")
        for applied in RECIPES
    }
    # At a level of 1 % these are 0 or 1 of 78; more than 4 once in a thousand times.
    assert sum(rejected.values()) <= 4, rejected
    assert max(rejected.values()) <= 2, rejected


def test_fitted_parameters_are_told() -> None:
    full = coco_like(1200)
    left = sparse(full, "skip-small")
    parameters = _by_name(_compare(full, left, "skip-small"))["skip-small"].parameters
    assert parameters["drop"] == pytest.approx(0.5, abs=0.001)
    assert parameters["strength"] == pytest.approx(1, abs=0.2)


def test_parameters_are_those_of_all_images_where_seeds_are_equal() -> None:
    """More boxes than a sample has, and the split's seed is that of the comparison."""
    full = coco_like(4000)
    found = _compare(full, sparse(full, "images-x-boxes", seed=1), "images-x-boxes", seed=1)
    explanation = found.explanations[0]
    assert explanation.judgement == "fits"
    assert explanation.parameters["share"] == pytest.approx(0.5, abs=0.04)
    assert explanation.parameters["drop"] == pytest.approx(0.5)


def test_a_recipe_with_another_number_of_boxes_is_ruled_out(tmp_path: Path) -> None:
    text = "{{description: x, source: y, rule: keep-count, parameters: {{keep: {}, per: image}}}}"
    for keep in (1, 2):
        (tmp_path / f"keep-{keep}.yaml").write_text(text.format(keep), encoding="utf-8")
    names = [str(tmp_path / f"keep-{keep}.yaml") for keep in (1, 2)]
    full = coco_like(150)
    found = _by_name(_compare(full, sparse(full, names[1]), *names))
    assert found["keep-1"].judgement == "ruled out"
    assert found["keep-1"].p == 0
    assert found["keep-2"].judgement == "fits"


def test_counts_over_all_images_are_played_on_all_images(tmp_path: Path) -> None:
    file = tmp_path / "some.yaml"
    file.write_text(
        "{description: x, source: y, rule: drop-count, parameters: {count: 40, per: class}}",
        encoding="utf-8",
    )
    full = coco_like(3000)  # more boxes than a sample has
    found = _by_name(_compare(full, sparse(full, str(file)), str(file), "per-class", "random"))
    assert {name: explanation.judgement for name, explanation in found.items()} == {
        "some": "fits",
        "per-class": "ruled out",
        "random": "ruled out",
    }


def test_even_classes_tell_a_sample_per_class_from_random() -> None:
    """A sample's classes say nothing about that; only all boxes together do."""
    full = coco_like(4000)
    found = _by_name(_compare(full, sparse(full, "per-class"), "per-class", "random"))
    assert found["per-class"].judgement == "fits"
    assert found["random"].judgement == "ruled out"
    assert "same share" in found["random"].reason


@pytest.mark.parametrize("seed", range(3))
def test_even_classes_rule_out_unidentified_tendencies_as_well(seed: int) -> None:
    full, names = coco_like(800), ("random", "skip-small", "skip-repeated", "skip-crowded")
    found = _compare(full, sparse(full, "per-class", seed), *names)
    assert {one.judgement for one in found.explanations} == {"ruled out"}


def test_little_data_is_no_proof() -> None:
    full = coco_like(10)
    found = _compare(full, sparse(full, "random"), "random", "skip-border", "skip-crowded")
    judged = {one.recipe: one.judgement for one in found.explanations}
    assert judged["random"] != "ruled out"
    few = small(boxes=4, images=5)
    found = _compare(few, sparse(few, "random"))
    assert _by_name(found)["random"].judgement == "can't tell"
    assert "fits" not in {one.judgement for one in found.explanations}
    assert "neither confirms nor rules out" in found.conclusion


def test_violated_invariants_are_certain_on_little_data() -> None:
    full = small(boxes=4, images=3)
    found = _by_name(_compare(full, sparse(full, "extreme")))
    assert found["keep1"].judgement == found["easy"].judgement == "ruled out"
    assert found["extreme"].judgement == "can't tell"


@pytest.mark.parametrize(("kept", "reason"), [(0, "all boxes were removed"), (8, "no box was")])
def test_nothing_or_everything_removed_tells_nothing(kept: int, reason: str) -> None:
    full = small()
    found = _compare(full, full.with_boxes(full.boxes[:kept]))
    assert {one.judgement for one in found.explanations} == {"can't tell"}
    assert all(reason in one.reason and one.p is None for one in found.explanations)


def test_what_no_recipe_explains_is_said() -> None:
    full = coco_like(400)
    cats = {category.id for category in full.categories[:40]}
    left = full.with_boxes(box for box in full.boxes if box.category_id in cats)
    found = _compare(full, left)
    assert {one.judgement for one in found.explanations} == {"ruled out"}
    assert found.conclusion == "None of these recipes explains what was removed."


def test_recipes_that_can_not_be_told_apart_are_all_named(tmp_path: Path) -> None:
    file = tmp_path / "again.yaml"
    file.write_text(
        "{description: x, source: y, rule: drop-fraction, parameters: {drop: 0.1}}",
        encoding="utf-8",
    )
    full = coco_like(150)
    found = _compare(full, sparse(full, "random"), "random", str(file), "extreme")
    assert found.conclusion.startswith("The data can't tell these apart: ")
    assert {"again", "random"} <= set(found.conclusion[33:-1].split(", "))
