"""Held-out data of a run: exhaustive images set aside, and hidden annotations."""

from dataclasses import replace

import pytest

from sparsedet.annotations import Box, Category, Dataset, Image
from sparsedet.sparsify import load_recipe, remove_boxes
from sparsedet.training.data.samples import (
    hold_out_validation,
)

IMAGES = tuple(Image(number, f"{number}.png", 100, 100) for number in range(1, 41))


BOXES = tuple(
    Box(10 * image.id + place, image.id, 1, (10 * place, 10, 10 * place + 5, 20))
    for image in IMAGES
    for place in range(5)
)


DATASET = Dataset(IMAGES, BOXES, (Category(1, "cell"),))


def with_exhaustive(count: int) -> Dataset:
    """The dataset with as many exhaustive images, the last ones."""
    first = len(IMAGES) - count
    images = tuple(replace(image, exhaustive=place >= first) for place, image in enumerate(IMAGES))
    return replace(DATASET, images=images)


@pytest.mark.parametrize(("exhaustive", "aside"), [(2, 1), (10, 1), (20, 2), (40, 4)])
def test_a_share_of_the_exhaustive_images_is_set_aside(exhaustive: int, aside: int) -> None:
    parts = hold_out_validation(with_exhaustive(exhaustive), 0.1, seed=1)
    assert parts is not None
    assert len(parts.validation.images) == aside
    assert all(image.exhaustive for image in parts.validation.images)
    assert len(parts.training.images) == len(IMAGES) - aside
    assert len(parts.training.boxes) + len(parts.validation.boxes) == len(BOXES)
    assert parts.hidden == []


def test_however_large_the_share_one_image_stays() -> None:
    dataset = with_exhaustive(2)
    parts = hold_out_validation(dataset.with_images(dataset.images[-2:]), 0.9, seed=1)
    assert parts is not None
    assert (len(parts.training.images), len(parts.validation.images)) == (1, 1)


@pytest.mark.parametrize("exhaustive", [0, 1])
def test_elsewhere_a_share_of_the_annotations_is_hidden(exhaustive: int) -> None:
    parts = hold_out_validation(with_exhaustive(exhaustive), 0.1, seed=1)
    assert parts is not None
    assert 10 <= len(parts.hidden) <= 30
    assert list(parts.validation.boxes) == list(parts.hidden)
    together = sorted((*parts.training.boxes, *parts.hidden), key=lambda box: box.id)
    assert together == list(BOXES)
    # Of the images' other boxes the validation knows nothing: there is no AP on them.
    assert not any(image.exhaustive for image in parts.validation.images)


@pytest.mark.parametrize(("count", "aside"), [(2, 1), (20, 2)])
def test_images_with_objects_of_complete_classes_are_set_aside(count: int, aside: int) -> None:
    """On them AP is federated; an image that lacks the class has no AP."""
    bare = Image(99, "99.png", 100, 100, complete_classes=frozenset({1}))
    images = tuple(
        replace(image, complete_classes=frozenset({1})) if place < count else image
        for place, image in enumerate(IMAGES)
    )
    parts = hold_out_validation(replace(DATASET, images=(*images, bare)), 0.1, seed=1)
    assert parts is not None
    assert len(parts.validation.images) == aside
    assert all(image.complete_classes and image != bare for image in parts.validation.images)


def test_a_class_that_lacks_hidden_boxes_is_not_complete() -> None:
    first = replace(IMAGES[0], complete_classes=frozenset({1, 2}))
    given = replace(DATASET, images=(first, *IMAGES[1:]))
    seeds = (hold_out_validation(given, 0.3, seed) for seed in range(20))
    parts = [found for found in seeds if found is not None]
    hidden = [any(box.image_id == first.id for box in found.hidden) for found in parts]
    assert True in hidden
    assert False in hidden
    for found, lacks in zip(parts, hidden, strict=True):
        assert found.training.images[0].complete_classes == ({2} if lacks else {1, 2})
        assert not any(image.complete_classes for image in found.validation.images)


def test_the_same_seed_hides_the_same() -> None:
    first, again, other = (hold_out_validation(DATASET, 0.1, seed) for seed in (1, 1, 2))
    assert first == again
    assert first != other
    backwards = hold_out_validation(replace(DATASET, boxes=BOXES[::-1]), 0.1, seed=1)
    assert first is not None
    assert backwards is not None
    assert backwards.hidden == first.hidden[::-1]


def test_what_a_split_leaves_is_hidden_like_anything_else() -> None:
    """Both draw by seed, image and box; the same seed must not make the same choice."""
    sparse, _ = remove_boxes(DATASET, load_recipe("random").with_drop(0.5), 1)
    parts = hold_out_validation(sparse, 0.4, seed=1)
    assert parts is not None
    assert 0.25 < len(parts.hidden) / len(sparse.boxes) < 0.55


def test_no_box_is_hidden_where_none_would_be_left() -> None:
    found = [hold_out_validation(DATASET.with_boxes(BOXES[:2]), 0.9, seed) for seed in range(20)]
    assert None in found
    for parts in filter(None, found):
        assert (len(parts.training.boxes), len(parts.hidden)) == (1, 1)


def test_crowd_regions_are_not_hidden() -> None:
    mixed = tuple(replace(box, iscrowd=box.id % 2 == 0) for box in BOXES)
    parts = hold_out_validation(replace(DATASET, boxes=mixed), 0.5, seed=1)
    assert parts is not None
    assert not any(box.iscrowd for box in parts.hidden)


@pytest.mark.parametrize(("boxes", "share"), [(BOXES, 0.0), ((), 0.0), ((), 0.5)])
def test_nothing_is_held_out_where_nothing_can_be(boxes: tuple[Box, ...], share: float) -> None:
    assert hold_out_validation(replace(DATASET, boxes=boxes), share, seed=1) is None
