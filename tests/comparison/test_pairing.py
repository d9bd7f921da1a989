"""Boxes of a full file are found in a sparse one, even if renumbered, moved or added to."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from sparsedet.annotations import Box, Category, Dataset, Image
from sparsedet.comparison.pairing import Pairing, pair
from sparsedet.errors import AnnotationError
from tests.comparison.data import boxes_of, coco_like, small, sparse


def _pair(full: Dataset, other: Dataset) -> Pairing:
    return pair(boxes_of(full), boxes_of(other))


def _with_boxes(dataset: Dataset, change: Callable[[Box], Box | None]) -> Dataset:
    return dataset.with_boxes(box for old in dataset.boxes if (box := change(old)) is not None)


def _renumbered(dataset: Dataset) -> Dataset:
    """Return the same annotations as another tool would number them: images, classes, boxes."""
    images = {image.id: 500 - number for number, image in enumerate(dataset.images)}
    classes = {category.id: 90 - category.id for category in dataset.categories}
    return Dataset(
        tuple(replace(image, id=images[image.id]) for image in reversed(dataset.images)),
        tuple(
            replace(
                box,
                id=number + 1,
                image_id=images[box.image_id],
                category_id=classes[box.category_id],
            )
            for number, box in enumerate(reversed(dataset.boxes))
        ),
        tuple(replace(category, id=classes[category.id]) for category in dataset.categories),
    )


@pytest.mark.parametrize("change", [lambda dataset: dataset, _renumbered], ids=["ids", "no ids"])
def test_removed_boxes_are_those_that_the_rule_removed(
    change: Callable[[Dataset], Dataset],
) -> None:
    full = coco_like(60)
    left = sparse(full, "random")
    kept = _pair(full, change(left)).kept
    ids = {box.id for box in left.boxes}
    expected = [box.id in ids for box in full.boxes if not box.iscrowd]
    assert kept.tolist() == expected


def test_ids_that_belong_to_other_boxes_are_not_trusted() -> None:
    full = small(boxes=4, images=1)
    last_two = replace(full, boxes=full.boxes[2:])
    again = last_two.with_boxes(
        replace(box, id=first.id) for box, first in zip(last_two.boxes, full.boxes, strict=False)
    )
    assert _pair(full, again).kept.tolist() == [False, False, True, True]


def test_places_may_be_rounded() -> None:
    full = small()

    def rounded(box: Box) -> Box:
        left, top, right, bottom = box.xyxy
        return replace(box, id=box.id + 1000, xyxy=(left + 0.3, top - 0.2, right, bottom))

    pairing = _pair(full, _with_boxes(full, rounded))
    assert pairing.kept.all()
    assert pairing.moved == 0
    assert not pairing.changed.any()


def test_moved_boxes_are_kept_and_told() -> None:
    full = small()
    moved = _with_boxes(full, lambda box: replace(box, xyxy=(0, 5, 7, 25)) if box.id == 10 else box)
    pairing = _pair(full, moved)
    assert pairing.kept.all()
    assert (pairing.moved, pairing.renamed, pairing.added) == (1, 0, 0)
    assert pairing.changed.tolist() == [True, False]


def test_renamed_boxes_are_kept_and_told() -> None:
    full = small()
    renamed = _with_boxes(
        full, lambda box: replace(box, id=box.id + 50, category_id=2) if box.id == 10 else box
    )
    pairing = _pair(full, renamed)
    assert pairing.kept.all()
    assert (pairing.moved, pairing.renamed, pairing.added) == (0, 1, 0)


def test_added_boxes_are_told() -> None:
    full = small()
    extra = Box(99, 2, 1, (70, 60, 95, 90))
    pairing = _pair(full, full.with_boxes([*full.boxes[1:], extra]))
    assert pairing.kept.tolist() == [False, *[True] * 7]
    assert pairing.added == 1
    assert pairing.changed.tolist() == [False, True]


def test_two_boxes_in_one_place_count_as_two() -> None:
    full = small(boxes=1, images=1)
    doubled = full.with_boxes([*full.boxes, replace(full.boxes[0], id=77)])
    one = full.with_boxes([replace(full.boxes[0], id=5)])
    assert _pair(doubled, one).kept.sum() == 1
    assert _pair(doubled, _renumbered(doubled)).kept.all()


def test_crowd_regions_are_left_out() -> None:
    full = small(boxes=2, images=1)
    crowd = _with_boxes(full, lambda box: replace(box, iscrowd=box.id == 11))
    assert _pair(crowd, crowd).kept.tolist() == [True]


def test_missing_images_are_told_from_empty_ones() -> None:
    full = small()
    first = full.with_images(full.images[:1])
    pairing = _pair(full, first)
    assert pairing.present.tolist() == [True, False]
    assert not pairing.keeps_empty_images
    assert _pair(full, replace(full, boxes=full.boxes[:4])).keeps_empty_images


def test_images_with_crowd_regions_alone_are_not_empty() -> None:
    """A tool that leaves out empty images keeps them."""
    full = small()
    left = full.with_boxes(replace(box, iscrowd=box.image_id == 2) for box in full.boxes)
    assert not _pair(full, left).keeps_empty_images


def test_images_that_the_full_file_lacks_are_counted() -> None:
    full = small()
    other = replace(full, images=(*full.images, Image(9, "9.jpg", 10, 10)))
    assert _pair(full, other).foreign_images == 1


def _elsewhere(box: Box) -> Box:
    left, top, right, bottom = box.xyxy
    return replace(box, id=box.id + 900, xyxy=(left, top + 50, right, bottom + 50))


@pytest.mark.parametrize(
    ("full", "other", "message"),
    [
        (small(2), small(3), "more boxes (6) than the full file (4); are the two swapped"),
        (small(0), small(0), "full file has no boxes"),
        (small(), _with_boxes(small(), _elsewhere), "only 0 of the 8 boxes of the sparse file"),
        (
            small(),
            replace(small(), images=tuple(Image(i, f"x{i}.png", 100, 100) for i in (1, 2))),
            "no image in common, by file name (full: 1.jpg, sparse: x1.png)",
        ),
        (
            small(),
            replace(small(), categories=(Category(1, "tree"), Category(2, "car"))),
            "no class in common (full: cat, dog; sparse: tree, car)",
        ),
    ],
)
def test_files_that_do_not_belong_together_are_refused(
    full: Dataset, other: Dataset, message: str
) -> None:
    with pytest.raises(AnnotationError) as caught:
        _pair(full, other)
    assert message in str(caught.value)
