"""Complete classes of an image, from LVIS's keys.

A. Gupta, P. Dollár, R. Girshick: "LVIS: A Dataset for Large Vocabulary Instance Segmentation", CVPR
2019, section 3. An image lists classes verified as absent (`neg_category_ids`), and those of its
classes with boxes that may have more objects (`not_exhaustive_category_ids`). So the former are
complete, and so are all other classes with boxes; nothing is known of the rest.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from sparsedet.annotations.model import Box, Image
from sparsedet.errors import AnnotationError

if TYPE_CHECKING:
    from sparsedet.annotations.dataset import Dataset

NEGATIVE = "neg_category_ids"
NOT_EXHAUSTIVE = "not_exhaustive_category_ids"
LVIS_KEYS = (NEGATIVE, NOT_EXHAUSTIVE)


def with_lvis_marks(
    images: tuple[Image, ...],
    boxes: Sequence[Box],
    category_ids: Collection[int],
    *,
    source: str,
) -> tuple[Image, ...]:
    """Return images with the marks from LVIS's keys, unless they have marks of our own.

    Without the key of non-exhaustive classes, boxes imply nothing. Ids of unknown classes are
    ignored: files reduced to some classes still have them.

    Args:
        images: with or without LVIS's keys in `extra`.
        boxes: their boxes.
        category_ids: of all classes.
        source: the file's name in errors.

    Raises:
        AnnotationError: when one of the keys is not a list of ids.
    """
    if not any(_has_keys(image) for image in images):
        return images
    present = _present(boxes)
    known = frozenset(category_ids)
    return tuple(
        replace(
            image,
            complete_classes=_complete(image, present.get(image.id, set()), source) & known,
        )
        if _has_keys(image) and not image.complete_classes
        else image
        for image in images
    )


def lvis_keys(dataset: "Dataset") -> Iterator[Mapping[str, Any]]:
    """Yield the LVIS keys to write for every image: none for images that had none.

    Boxes and marks may have changed since they were read, which changes the meaning of the keys:
    if they no longer match, updated ones are written.
    """
    if not any(_has_keys(image) for image in dataset.images):
        yield from ({} for _ in dataset.images)
        return
    present = _present(dataset.boxes)
    ids = dataset.category_by_id.keys()
    for image in dataset.images:
        own = present.get(image.id, set())
        complete = set(ids) if image.exhaustive else image.complete_classes
        if not _has_keys(image) or _complete(image, own, "") & ids == complete:
            yield {}
        else:
            yield {NEGATIVE: sorted(complete - own), NOT_EXHAUSTIVE: sorted(own - complete)}


def with_unsure(
    entry: Mapping[str, Any], before: Collection[int], after: Collection[int]
) -> dict[str, Any]:
    """Return an image's JSON after it got boxes: no box alone marks its class as complete.

    Args:
        entry: as it is in the file.
        before: ids of the classes that it had boxes of.
        after: of those that it has boxes of now.
    """
    new = set(after).difference(before, entry.get(NEGATIVE) or ())
    if NOT_EXHAUSTIVE not in entry or not new:
        return dict(entry)
    return {**entry, NOT_EXHAUSTIVE: sorted(new.union(entry[NOT_EXHAUSTIVE] or ()))}


def _has_keys(image: Image) -> bool:
    return any(key in image.extra for key in LVIS_KEYS)


def _complete(image: Image, present: Collection[int], source: str) -> frozenset[int]:
    """Return the complete classes of an image by its keys, given the classes of its boxes."""
    absent = _ids(image, NEGATIVE, source)
    unsure = _ids(image, NOT_EXHAUSTIVE, source)
    boxed = present if NOT_EXHAUSTIVE in image.extra else ()
    return absent.union(boxed) - unsure


def _ids(image: Image, key: str, source: str) -> frozenset[int]:
    ids = image.extra.get(key) or []
    if not isinstance(ids, list) or not all(type(id) is int for id in ids):
        raise AnnotationError(f"{source}: images id {image.id}: {key} is not a list of ids")
    return frozenset(ids)


def _present(boxes: Sequence[Box]) -> dict[int, set[int]]:
    """Return the classes of each image's boxes."""
    import numpy as np

    from sparsedet.annotations.table import BoxTable

    table = BoxTable.of(boxes)
    present: dict[int, set[int]] = {}
    pairs = np.unique(np.stack([table.image_ids, table.category_ids], axis=1), axis=0)
    for image_id, category_id in pairs.tolist():
        present.setdefault(image_id, set()).add(category_id)
    return present
