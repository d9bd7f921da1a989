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
        _counted(crowds, "crowd region", "(left out)"),
        _counted(len(dataset.background), "verified background box", "(left out)"),
        _counted(sum(image.exhaustive for image in dataset.images), "mark of exhaustive images"),
        _counted(sum(box.origin is not None for box in boxes), "origin of boxes"),
        _counted(_tool_ids(dataset, boxes), "tool id"),
        _keys("boxes", (box.extra for box in boxes), box_keys),
        _keys("images", (image.extra for image in dataset.images), image_keys),
        _keys("classes", (category.extra for category in dataset.categories), _none),
        _keys("the file", [dataset.extra], _none),
        _counted(_new_ids(dataset, boxes, class_ids), "id", "(numbered anew)"),
    ]
    return [text for text in lost if text]


def _counted(number: int, what: str, note: str = "") -> str:
    """Return a phrase like `3 crowd regions (left out)`; empty for none."""
    if not number:
        return ""
    first, *rest = what.split(" of ")
    plural = first if number == 1 else first + ("es" if first.endswith("x") else "s")
    return " ".join(word for word in (str(number), " of ".join([plural, *rest]), note) if word)


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
