"""Images absent from the sparse file: removed, held out, or either."""

from functools import cache
from typing import Any

import pytest

from sparsedet.annotations import Dataset
from sparsedet.comparison import Comparison, compare
from sparsedet.sparsify import Validation, load_recipe, make_split
from tests.comparison.data import boxes_of, coco_like, small, sparse


def _absent(keeps_empty: bool, validation: tuple[str, ...] = (), **options: str) -> Comparison:
    """Compare with a file that lacks the last of three images, and may hold an empty second one."""
    full = small(boxes=2, images=3)
    kept = {1} if keeps_empty else {1, 2}
    left = full.with_images(full.images[:2])
    left = left.with_boxes(box for box in left.boxes if box.image_id in kept)
    chosen: dict[str, Any] = {"validation": validation, **options}
    return compare(boxes_of(full), boxes_of(left), [], **chosen)


def test_absent_images_count_as_removed_where_no_empty_image_is_kept() -> None:
    found = _absent(keeps_empty=False)
    assert (found.total.boxes, found.total.removed) == (6, 2)
    assert "1 image with boxes is not in the sparse file, which holds no image" in found.notes[0]
    assert "--absent-images removed or left-out" in found.notes[0]


def test_absent_images_are_left_out_where_empty_ones_are_kept() -> None:
    found = _absent(keeps_empty=True)
    assert (found.total.boxes, found.total.removed) == (4, 2)
    assert found.notes[0].endswith("which holds other images without boxes; they are left out.")


@pytest.mark.parametrize("keeps_empty", [True, False])
def test_validation_images_are_left_out(keeps_empty: bool) -> None:
    found = _absent(keeps_empty, validation=("images/3.jpg",))
    assert found.total.boxes == 4
    assert found.notes[0].endswith("they are validation images, and left out.")


def test_other_images_that_are_held_out_change_nothing() -> None:
    found = _absent(keeps_empty=False, validation=("1.jpg", "7.jpg"))
    assert (found.total.boxes, found.total.removed) == (6, 2)


def test_what_absent_images_mean_can_be_said() -> None:
    assert _absent(keeps_empty=True, absent="removed").total.boxes == 6
    assert _absent(keeps_empty=False, absent="left-out").total.boxes == 4


@cache
def _crowded() -> Dataset:
    """Return images of so many boxes that none loses all of them by a drop of 0.3."""
    full = coco_like(1500)
    return full.with_images(
        image for image in full.images if len(full.boxes_by_image[image.id]) >= 12
    )


@pytest.mark.parametrize("name", ["random", "per-class", "per-image", "skip-small"])
@pytest.mark.parametrize("is_known", [True, False], ids=["known", "not known"])
def test_the_recipe_of_a_split_with_validation_fits(name: str, is_known: bool) -> None:
    """Without `val.json` and without empty images there is no telling: both ways are tested."""
    full, recipe = _crowded(), load_recipe(name).with_drop(0.3)
    split = make_split(full, recipe, Validation(0.2), 1)
    assert split.val is not None
    assert all(split.train.boxes_by_image.values())
    names = [image.file_name for image in split.val.images] if is_known else []
    found = compare(boxes_of(full), boxes_of(split.train), [recipe], validation=names)
    explanation = found.explanations[0]
    assert explanation.judgement == "fits", explanation
    if is_known:
        assert (explanation.absent, explanation.reason) == (None, "")
        assert found.total.share == pytest.approx(0.3, abs=0.02)
    else:
        assert explanation.absent == "left-out"
        assert explanation.reason == "only with absent images left out"
        assert found.total.boxes == len(boxes_of(full))


def test_boxes_of_absent_images_may_have_been_removed() -> None:
    """A tool that writes no images without boxes."""
    full = coco_like(1200)
    left = sparse(full, "images-x-boxes")
    left = left.with_images(image for image in left.images if left.boxes_by_image[image.id])
    recipes = [load_recipe(name) for name in ("images-x-boxes", "easy")]
    explanations = compare(boxes_of(full), boxes_of(left), recipes).explanations
    assert [one.judgement for one in explanations] == ["fits", "ruled out"]
    assert explanations[0].absent == "removed"
    assert explanations[0].reason == "only with absent images counted as removed"
    assert explanations[1].absent is None


def test_classes_need_not_be_exact_on_a_part_of_the_images() -> None:
    full = coco_like(300)
    left = sparse(full, "per-class")
    part = left.with_images(left.images[::2])
    recipes = [load_recipe("per-class"), load_recipe("keep1")]
    found = compare(boxes_of(full), boxes_of(part), recipes, absent="left-out")
    assert {one.recipe: one.judgement for one in found.explanations} == {
        "per-class": "fits",
        "keep1": "ruled out",
    }


def test_classes_have_to_be_exact_where_only_validation_is_left_out() -> None:
    full = coco_like(300)
    split = make_split(full, load_recipe("random"), Validation(0.2), 1)
    assert split.val is not None
    names = [image.file_name for image in split.val.images]
    recipes = [load_recipe("per-class")]
    found = compare(boxes_of(full), boxes_of(split.train), recipes, validation=names)
    assert found.explanations[0].p == 0
