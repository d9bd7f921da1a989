"""Recipes' guarantees for every image, class or group, and files that violate them."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from sparsedet.annotations import Dataset
from sparsedet.comparison.invariants import Observation, violated_invariant
from sparsedet.comparison.replicates import candidates
from sparsedet.errors import RecipeError
from sparsedet.sparsify import load_recipe, remove_boxes
from sparsedet.sparsify.recipe import parse_recipe
from tests.comparison.data import boxes_of, small
from tests.sparsify.datasets import datasets

GROUPS = st.sampled_from(["dataset", "class", "image", "class-in-image"])
# In full: YAML takes 1e-05 for a text.
SHARES = (st.sampled_from([0, 0.1, 0.25, 0.3, 0.5, 0.7, 1]) | st.floats(0, 1)).map("{:.9f}".format)
COUNTS = st.integers(0, 3) | st.just(10**30)
RULES = st.one_of(
    st.builds("{{rule: drop-count, parameters: {{count: {}, per: {}}}}}".format, COUNTS, GROUPS),
    st.builds("{{rule: keep-count, parameters: {{keep: {}, per: {}}}}}".format, COUNTS, GROUPS),
    st.builds("{{rule: drop-fraction, parameters: {{drop: {}, per: {}}}}}".format, SHARES, GROUPS),
    st.builds("{{rule: drop-images, parameters: {{share: {}}}}}".format, SHARES),
)
NO_SHARE = "no single share gives both"
MINIMUMS = st.builds(
    "{{rule: keep-at-least, parameters: {{count: {}, per: {}}}}}".format, COUNTS, GROUPS
)


def _observed(full: Dataset, kept: set[int], is_whole: bool = True) -> Observation:
    boxes = boxes_of(full)
    removed = np.array([number not in kept for number in boxes.id.tolist()], dtype=np.bool_)
    return Observation(candidates(boxes, 1), boxes.classes, removed, is_whole)


@given(
    datasets(),
    st.lists(RULES, min_size=1, max_size=2),
    st.lists(MINIMUMS, max_size=2),
    st.integers(0, 99),
)
def test_no_recipe_violates_its_own_invariants(
    dataset: Dataset, rules: list[str], minimums: list[str], seed: int
) -> None:
    text = f"description: x\nsource: y\nrules: [{', '.join([*rules, *minimums])}]"
    recipe = parse_recipe("any", text, where="test")
    try:
        left, _ = remove_boxes(dataset, recipe, seed)
    except RecipeError:
        assume(False)
    assume(any(not box.iscrowd for box in dataset.boxes))
    seen = _observed(dataset, {box.id for box in left.boxes})
    assert violated_invariant(recipe, seen) is None


# Two images of 4 boxes (10 to 13, 20 to 23), cats and dogs in turn.
@pytest.mark.parametrize(
    ("recipe", "kept", "violated"),
    [
        ("extreme", {10, 20}, None),
        ("extreme", {10, 20, 21}, "image 2.jpg lost 2 of 4 boxes; the rule keeps 1, so that it"),
        ("extreme", {10}, "image 2.jpg lost 4 of 4 boxes"),
        ("keep1", {10, 11, 22, 23}, None),
        ("keep1", {10, 11, 22}, "class dog in image 2.jpg lost 2 of 2 boxes"),
        ("easy", {10, 11, 12, 20, 21, 23}, None),
        ("easy", {10, 11, 12, 20, 21, 22, 23}, "image 2.jpg lost 0 of 4 boxes; the rule drops 1"),
        ("easy", {10, 12, 13, 20, 22}, "class dog in image 2.jpg kept 0 of 2 boxes; at least 1"),
        ("hard", {10, 11, 22, 23}, None),
        ("hard", {10, 11, 20, 21, 22, 23}, "lost 2 of 4 boxes, but image 2.jpg lost 0 of 4"),
        ("per-image", {10, 11, 12, 20, 22}, None),
        ("per-image", {10, 11, 12}, "image 2.jpg lost 4 of 4 boxes, but image 1.jpg lost 1 of 4"),
        ("per-class", {10, 12, 21, 23}, None),
        ("per-class", {10, 12, 20, 21, 22}, "class dog lost 3 of 4 boxes, but class cat lost 0"),
        ("images-x-boxes", {10, 11}, None),
        ("images-x-boxes", {10, 11, 12, 20}, "image 2.jpg lost 3 of 4 boxes, but image 1.jpg"),
        ("random", {10, 11, 12, 20}, None),
        ("skip-small", {10, 11, 12, 20}, None),
    ],
)
def test_violations_are_described(recipe: str, kept: set[int], violated: str | None) -> None:
    found = violated_invariant(load_recipe(recipe), _observed(small(), kept))
    if violated is None:
        assert found is None
    else:
        assert found is not None
        assert violated in found


def test_a_class_may_be_half_a_box_away_from_its_share() -> None:
    """Half of 1 box is none, half of 11 are 6: halves are rounded to the even number."""
    full = small(boxes=12, images=1)
    full = full.with_boxes(replace(box, category_id=1 if box.id == 10 else 2) for box in full.boxes)
    recipe = load_recipe("per-class")
    assert violated_invariant(recipe, _observed(full, set(range(10, 16)))) is None
    found = violated_invariant(recipe, _observed(full, set(range(10, 15))))
    assert found == "class dog lost 7 of 11 boxes, but class cat lost 0 of 1 boxes; " + NO_SHARE


@pytest.mark.parametrize(("kept", "holds"), [(2, True), (3, True), (5, False)])
def test_boxes_kept_by_number_and_by_minimum_may_be_others(kept: int, holds: bool) -> None:
    """The two that are kept may be cats, and the dog that has to stay is a third one then."""
    text = (
        "{description: x, source: y, rules: ["
        "{rule: keep-count, parameters: {keep: 2, per: image}}, "
        "{rule: keep-at-least, parameters: {count: 1, per: class-in-image}}]}"
    )
    seen = _observed(small(boxes=6, images=1), set(range(10, 10 + kept)))
    found = violated_invariant(parse_recipe("two", text, where="test"), seen)
    assert (found is None) == holds


def test_whole_images_go_or_stay() -> None:
    text = "{description: x, source: y, rule: drop-images, parameters: {share: 0.5}}"
    recipe = parse_recipe("images", text, where="test")
    assert violated_invariant(recipe, _observed(small(), {10, 11, 12, 13})) is None
    found = violated_invariant(recipe, _observed(small(), {10, 11, 12, 13, 20}))
    assert found == "image 2.jpg lost 3 of 4 boxes instead of all or none"


def test_the_first_of_many_violations_is_described_and_the_others_counted() -> None:
    found = violated_invariant(load_recipe("extreme"), _observed(small(images=5), set()))
    assert found is not None
    assert found.endswith("(and 4 more like it)")


def test_sums_over_classes_say_nothing_where_images_are_left_out() -> None:
    seen = _observed(small(), {10, 12, 20, 21, 22}, is_whole=False)
    assert violated_invariant(load_recipe("per-class"), seen) is None
