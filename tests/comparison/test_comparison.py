"""The comparison as a whole: counts, exclusions and notes."""

import json
from dataclasses import replace

import pytest

from sparsedet.annotations import Box
from sparsedet.comparison import compare
from sparsedet.seeds import stable_rank
from sparsedet.sparsify import load_recipe
from tests.comparison.data import boxes_of, coco_like, small, sparse

RANDOM = [load_recipe("random")]


def test_images_are_counted_by_what_they_lost() -> None:
    full = small(boxes=3, images=4)
    left = full.with_boxes(box for box in full.boxes if box.image_id <= 2 and box.id != 10)
    found = compare(boxes_of(full), boxes_of(left), [])
    assert (found.images, found.untouched, found.bare) == (4, 1, 2)
    assert (found.total.boxes, found.total.removed) == (12, 7)
    assert found.notes == ()


def test_the_order_of_the_files_does_not_matter() -> None:
    full = coco_like(150)
    left = sparse(full, "skip-small")
    recipes = [load_recipe(name) for name in ("random", "skip-small", "extreme")]
    turned = replace(full, images=full.images[::-1], boxes=tuple(full.boxes)[::-1])
    one = compare(boxes_of(full), boxes_of(left), recipes)
    other = compare(boxes_of(turned), boxes_of(left), recipes)
    assert one == other


def test_the_seed_changes_the_plays_and_nothing_else() -> None:
    full = coco_like(150)
    left = boxes_of(sparse(full, "random"))
    one, again, other = (compare(boxes_of(full), left, RANDOM, seed=seed) for seed in (1, 1, 2))
    assert one == again
    assert one.sections == other.sections
    assert one.explanations != other.explanations


def test_images_that_people_changed_do_not_rule_recipes_out() -> None:
    full = coco_like(150)
    left = sparse(full, "extreme")
    image = left.boxes[0].image_id
    extra = Box(10**6, image, full.categories[0].id, (0, 0, 3, 3))
    changed = left.with_boxes([*left.boxes, extra])
    found = compare(boxes_of(full), boxes_of(changed), [load_recipe("extreme")])
    assert found.explanations[0].judgement == "fits"
    assert found.notes == (
        "1 box of the sparse file is not in the full file.",
        "The tables count 1 image with such boxes; recipes are tested without them.",
    )
    assert found.total.boxes == len(boxes_of(full))


@pytest.mark.parametrize("seed", range(3))
def test_moved_boxes_do_not_rule_out_shares_of_classes(seed: int) -> None:
    """Images with moved boxes are left out, and the classes of the others are no longer exact."""
    full = coco_like(300)
    left = sparse(full, "per-class", seed)

    def moved(box: Box) -> Box:
        x, y = 0.3 * box.width, 0.3 * box.height
        left, top, right, bottom = box.xyxy
        return replace(box, xyxy=(left + x, top + y, right + x, bottom + y))

    changed = left.with_boxes(
        moved(box) if stable_rank(seed, box.id) < 0.05 * 2**64 else box for box in left.boxes
    )
    found = compare(boxes_of(full), boxes_of(changed), [load_recipe("per-class")], seed=seed)
    assert "boxes have another position" in found.notes[0]
    assert found.explanations[0].judgement == "fits", found.explanations


def test_where_people_changed_every_image_nothing_is_told() -> None:
    full = small(boxes=3, images=2)
    left = full.with_boxes(box for box in full.boxes if box.id % 10)
    extra = [Box(90 + i, i, 1, (70, 60, 95, 90)) for i in (1, 2)]
    found = compare(boxes_of(full), boxes_of(left.with_boxes([*left.boxes, *extra])), RANDOM)
    assert found.explanations[0].judgement == "can't tell"
    assert found.total.removed == 2


def test_everything_can_be_written_as_json() -> None:
    full = coco_like(150)
    found = compare(boxes_of(full), boxes_of(sparse(full, "random")), RANDOM)
    again = json.loads(json.dumps(found.as_json()))
    assert again["total"]["boxes"] == found.total.boxes
    assert again["verdicts"][0]["recipe"] == "random"
    assert [section["name"] for section in again["sections"]][:2] == ["class", "boxes_per_image"]


def test_marks_of_complete_classes_are_counted() -> None:
    full = small(boxes=3, images=4)
    images = (replace(full.images[0], exhaustive=True), *full.images[1:])
    marked = replace(
        full,
        images=tuple(replace(image, complete_classes=frozenset({1})) for image in images),
    )
    left = marked.with_boxes(box for box in marked.boxes if box.image_id != 2)
    assert compare(boxes_of(marked), boxes_of(left), []).notes == (
        "Marks in the full file: 1 image complete, 3 in part (3 pairs of class and image).",
        "Marks in the sparse file: 1 image complete, 2 in part (2 pairs of class and image).",
    )
