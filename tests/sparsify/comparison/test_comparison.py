"""The comparison as a whole: what is counted, left out and said about the two files."""

import json
from dataclasses import replace

from sparsedet.annotations import Box
from sparsedet.sparsify import load_recipe
from sparsedet.sparsify.comparison import Comparison, compare
from tests.sparsify.comparison.data import boxes_of, coco_like, small, sparse

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
    assert one.verdicts != other.verdicts


def _absent(keeps_empty: bool, **options: str) -> Comparison:
    """Compare with a file that lacks the last of three images, and may hold an empty second one."""
    full = small(boxes=2, images=3)
    kept = {1} if keeps_empty else {1, 2}
    left = full.with_images(full.images[:2])
    left = left.with_boxes(box for box in left.boxes if box.image_id in kept)
    return compare(boxes_of(full), boxes_of(left), [], **options)  # type: ignore[arg-type]


def test_absent_images_count_as_removed_where_no_empty_image_is_kept() -> None:
    found = _absent(keeps_empty=False)
    assert (found.total.boxes, found.total.removed) == (6, 2)
    assert "1 images with boxes are not in the sparse file, which holds no image" in found.notes[0]


def test_absent_images_are_left_out_where_empty_ones_are_kept() -> None:
    found = _absent(keeps_empty=True)
    assert (found.total.boxes, found.total.removed) == (4, 2)
    assert found.notes[0].endswith("which holds other images without boxes; they are left out.")


def test_what_absent_images_mean_can_be_said() -> None:
    assert _absent(keeps_empty=True, absent="removed").total.boxes == 6
    assert _absent(keeps_empty=False, absent="left-out").total.boxes == 4


def test_images_that_people_changed_do_not_rule_recipes_out() -> None:
    full = coco_like(150)
    left = sparse(full, "extreme")
    image = left.boxes[0].image_id
    extra = Box(10**6, image, full.categories[0].id, (0, 0, 3, 3))
    changed = left.with_boxes([*left.boxes, extra])
    found = compare(boxes_of(full), boxes_of(changed), [load_recipe("extreme")])
    assert found.verdicts[0].judgement == "fits"
    assert found.notes == (
        "1 boxes of the sparse file are not in the full file.",
        "The tables count 1 images with such boxes; recipes are tested without them.",
    )
    assert found.total.boxes == len(boxes_of(full))


def test_everything_can_be_written_as_json() -> None:
    full = coco_like(150)
    found = compare(boxes_of(full), boxes_of(sparse(full, "random")), RANDOM)
    again = json.loads(json.dumps(found.as_json()))
    assert again["total"]["boxes"] == found.total.boxes
    assert again["verdicts"][0]["recipe"] == "random"
    assert [section["name"] for section in again["sections"]][:2] == ["class", "boxes_per_image"]
