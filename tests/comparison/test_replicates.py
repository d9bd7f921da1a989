"""The sample for replicates, and the counts on it."""

from dataclasses import replace

import numpy as np
import pytest

from sparsedet.annotations import Dataset
from sparsedet.comparison.replicates import (
    IMAGE_LABELS,
    Sample,
    candidates,
    class_residuals,
    make_sample,
    replicate,
)
from sparsedet.comparison.tables import make_tables
from sparsedet.sparsify import load_recipe
from tests.comparison.data import boxes_of, coco_like, small, sparse


def _sample(dataset: Dataset, size: int, every: int = 2) -> Sample:
    """Return a sample of a dataset that lost the boxes with ids that `every` divides."""
    boxes = boxes_of(dataset)
    full = candidates(boxes, 1)
    return make_sample(full, boxes.id % every == 0, make_tables(full, boxes.classes), size)


def test_a_sample_has_all_boxes_of_its_images() -> None:
    full = coco_like(400)
    sample = _sample(full, 500)
    names = {image.file_name for image in sample.boxes.images}
    expected = sum(
        not box.iscrowd and full.image_by_id[box.image_id].file_name in names for box in full.boxes
    )
    assert len(sample.boxes) == expected
    assert 500 <= len(sample.boxes) < 600
    assert not sample.is_all
    assert all(len(table.bins) == expected for table in sample.tables)


def test_a_sample_does_not_depend_on_the_order_of_the_file() -> None:
    full = coco_like(400)
    turned = replace(full, images=full.images[::-1], boxes=tuple(full.boxes)[::-1])
    one, other = (_sample(dataset, 500) for dataset in (full, turned))
    names = [{image.file_name for image in sample.boxes.images} for sample in (one, other)]
    assert names[0] == names[1]
    for first, second in zip(one.counts(one.removed), other.counts(other.removed), strict=True):
        assert first.tolist() == second.tolist()


def test_a_sample_is_no_part_of_a_split_of_the_same_seed() -> None:
    """Both orders come from file names and the seed; a sample must lose as much as all images."""
    full = coco_like(3000)  # more boxes than a sample has
    left = {box.id for box in sparse(full, "images-x-boxes", seed=1).boxes}
    boxes = boxes_of(full)
    gone = np.array([number not in left for number in boxes.id.tolist()])
    columns = candidates(boxes, 1)
    sample = make_sample(columns, gone, make_tables(columns, boxes.classes), 5000)
    assert sample.removed.mean() == pytest.approx(gone.mean(), abs=0.06)


def test_small_data_is_taken_as_a_whole() -> None:
    sample = _sample(coco_like(60), 20_000)
    assert sample.is_all


def test_replicates_differ_and_are_reproducible() -> None:
    sample = _sample(coco_like(60), 20_000)
    recipe = load_recipe("extreme")
    assert (replicate(recipe, sample, 1) == replicate(recipe, sample, 1)).all()
    assert (replicate(recipe, sample, 1) != replicate(recipe, sample, 2)).any()


def test_images_are_counted_by_what_they_lost() -> None:
    full = small(boxes=4, images=5)
    lost = {1: 0, 2: 1, 3: 2, 4: 3, 5: 4}
    boxes = boxes_of(full)
    gone = np.array([number % 10 < lost[number // 10] for number in boxes.id.tolist()])
    sample = make_sample(candidates(boxes, 1), gone, make_tables(candidates(boxes, 1), ("a", "b")))
    cells = dict(zip(IMAGE_LABELS, sample.counts(gone)[-1].tolist(), strict=True))
    assert {label: count for label, count in cells.items() if count} == {
        f"images of 3-4 boxes that lost {what}": 1
        for what in ("none", "less than half", "half", "more than half", "all")
    }
    sizes = dict(zip(IMAGE_LABELS, sample.sizes()[-1].tolist(), strict=True))
    assert sizes["images of 3-4 boxes that lost half"] == 5


def test_what_classes_let_expect_is_taken_away() -> None:
    """Bins that lost just what their classes lost have nothing left."""
    sample = _sample(coco_like(200), 20_000)
    by_class = sample.tables[0]
    some = np.isin(sample.boxes.category, [0, 2, 5])
    counts = by_class.counts(some)[None].astype(np.float64)
    for table in sample.tables:
        left = class_residuals(sample, table, table.counts(some)[None].astype(np.float64), counts)
        assert np.abs(left).max() < 1e-9, table.name
    table = sample.tables[1]
    uneven = class_residuals(
        sample,
        table,
        table.counts(sample.removed)[None].astype(np.float64),
        by_class.counts(sample.removed)[None].astype(np.float64),
    )
    assert abs(uneven.sum()) < 1e-6
    assert np.abs(uneven).max() > 1
