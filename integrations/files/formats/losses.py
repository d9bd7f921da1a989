"""What of a dataset a folder of labels can't hold, counted."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from sparsedet.annotations import Box, Dataset

Holds = Callable[[str, Any], bool]
"""Whether a format can hold a key with this value."""


def common_losses(
    dataset: Dataset, *, box_keys: Holds, image_keys: Holds, class_ids: Mapping[int, int]
) -> list[str]:
    """Return what formats lack that know classes and boxes, one phrase for each kind.

    Args:
        dataset: what would be written.
        box_keys: the extra keys of boxes that the format can hold.
        image_keys: the extra keys of images that it can hold.
        class_ids: category id -> the id that it would have after it was read again.
    """
    boxes = [box for box in dataset.boxes if not box.iscrowd]
    crowds = len(dataset.boxes) - len(boxes)
    lost = [
        counted("crowd regions, left out", crowds),
        counted("verified negatives, left out", len(dataset.verified_negatives)),
        counted("marks of exhaustive images", sum(image.exhaustive for image in dataset.images)),
        counted("origins of boxes", sum(box.origin is not None for box in boxes)),
        counted("tool ids of images and boxes", _tool_ids(dataset, boxes)),
        _keys("boxes", (box.extra for box in boxes), box_keys),
        _keys("images", (image.extra for image in dataset.images), image_keys),
        _keys("classes", (category.extra for category in dataset.categories), _none),
        _keys("the file", [dataset.extra], _none),
        counted(
            "ids of images, boxes and classes, numbered anew", _new_ids(dataset, boxes, class_ids)
        ),
    ]
    return [text for text in lost if text]


def counted(what: str, number: int) -> str:
    """Return a phrase like `crowd regions (3)`; empty for none."""
    return f"{what} ({number})" if number else ""


def has_own_area(box: Box) -> bool:
    """Whether a box has another area than that of its rectangle: the area of a mask."""
    return box.area is not None and abs(box.area - box.width * box.height) > max(box.area, 1) / 1000


def _keys(owner: str, extras: Iterable[Mapping[str, Any]], holds: Holds) -> str:
    """Return a phrase like `keys of boxes: score (3), segmentation (40)`."""
    counts = Counter(
        key for extra in extras for key, value in extra.items() if not holds(key, value)
    )
    listed = ", ".join(f"{key} ({counts[key]})" for key in sorted(counts))
    return f"keys of {owner}: {listed}" if listed else ""


def _tool_ids(dataset: Dataset, boxes: Sequence[Box]) -> int:
    return sum(item.tool_id is not None for items in (dataset.images, boxes) for item in items)


def _new_ids(dataset: Dataset, boxes: Sequence[Box], class_ids: Mapping[int, int]) -> int:
    """Return how many images, boxes and classes would have another id when they are read again."""
    names = {image.id: image.file_name for image in dataset.images}
    images = sorted(names, key=lambda id: names[id])
    ordered = [box.id for box in sorted(boxes, key=lambda box: names[box.image_id])]
    changed = sum(id != number for ids in (images, ordered) for number, id in enumerate(ids, 1))
    return changed + sum(before != after for before, after in class_ids.items())


def _none(key: str, value: Any) -> bool:
    return False
