"""Held-out annotations: a training does not learn from them, and is measured on them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from sparsedet.annotations import Box, Dataset
from sparsedet.seeds import stable_rank

_STREAM = "validation"
"""Splits draw by seed, image and box as well; the choices must not depend on each other."""
_FEWEST_EXHAUSTIVE = 2
"""One is left to train on."""


@dataclass(frozen=True, slots=True)
class HeldOut:
    """Training annotations, split."""

    training: Dataset
    hidden: Sequence[Box]
    """Boxes on training images, to be neither learned nor punished."""
    validation: Dataset
    """What to measure on."""


def hold_out_validation(dataset: Dataset, share: float, seed: int) -> HeldOut | None:
    """Split off what to measure a training on from its own annotations.

    Of exhaustive images with objects a share, at least one, is set aside whole. Where there are
    fewer than two, the share of all annotations is hidden; they only show how many of them are
    found, since other detections may be right, too.

    Returns:
        None where nothing can be held out.
    """
    annotated = {box.image_id for box in dataset.boxes if not box.iscrowd}
    exhaustive = [image for image in dataset.images if image.exhaustive and image.id in annotated]
    if share > 0 and len(exhaustive) >= _FEWEST_EXHAUSTIVE:
        ranked = sorted(
            exhaustive, key=lambda image: stable_rank(seed, _STREAM, image.file_name, 0)
        )
        chosen = {image.id for image in ranked[: max(1, round(share * len(exhaustive)))]}
        aside = [image for image in dataset.images if image.id in chosen]
        others = [image for image in dataset.images if image.id not in chosen]
        return HeldOut(dataset.with_images(others), [], dataset.with_images(aside))
    training, hidden = _hide(dataset, share, seed)
    if not hidden:
        return None
    # Their other objects are unknown now.
    images = tuple(replace(image, exhaustive=False) for image in dataset.images)
    return HeldOut(training, hidden, replace(dataset, images=images, boxes=tuple(hidden)))


def _hide(dataset: Dataset, share: float, seed: int) -> tuple[Dataset, Sequence[Box]]:
    """Split a random share of the boxes off a dataset; none where none would be left.

    Args:
        dataset: the annotations; crowd regions stay.
        share: each box's chance to be hidden, 0 to 1.
        seed: the same seed chooses the same boxes, whatever their order.

    Returns:
        The dataset without the hidden boxes, and these.
    """
    limit = share * 2**64
    chosen = {
        box.id
        for box in dataset.boxes
        if not box.iscrowd
        and stable_rank(seed, _STREAM, dataset.image_by_id[box.image_id].file_name, box.id) < limit
    }
    hidden = [box for box in dataset.boxes if box.id in chosen]
    kept = tuple(box for box in dataset.boxes if box.id not in chosen)
    if not hidden or all(box.iscrowd for box in kept):
        return dataset, []
    return replace(dataset, boxes=kept), hidden
