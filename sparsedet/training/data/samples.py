"""Training samples: annotations, reviews and mined boxes become images whose boxes have roles.

Holds out some annotations if a training is validated without separate validation data.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from sparsedet.annotations import XYXY, Box, Dataset, Image
from sparsedet.annotations.dataset import lost_classes
from sparsedet.config.sections import FeedbackConfig
from sparsedet.errors import TrainingError
from sparsedet.modeling.targets import Role
from sparsedet.modeling.tiles import Tile, views_of
from sparsedet.seeds import stable_rank
from sparsedet.training.augmentation.scale_jitter import clip_boxes
from sparsedet.training.data.packed_dataset import PackedDataset, TrainingImage
from sparsedet.training.data.pseudo_labels import NOTHING, PseudoLabels

REVIEWED_ORIGINS = ("accepted", "edited", "sampled")
"""`Box.origin` of mined boxes that reviewers turned into annotations."""
_VALIDATION_STREAM = "validation"
"""Splits draw by seed, image and box as well; the choices must be independent."""
_FEWEST_MEASURABLE = 2
"""One is left to train on."""


def without_versions(dataset: Dataset) -> Dataset:
    """Return annotations as stored in a run.

    Leaves out the annotation tool's versions: the same boxes, saved again, give the same run.
    """
    images = tuple(replace(image, tool_version=None) for image in dataset.images)
    return replace(dataset, images=images)


def usable_feedback(dataset: Dataset, config: FeedbackConfig) -> Dataset:
    """Return the dataset without the disabled feedback.

    Without its accepted boxes, an image is no longer exhaustive, nor complete in their classes:
    they would be background.
    """
    if not config.accepted:
        dataset = _without_accepted(dataset)
    if not config.rejected:
        dataset = replace(dataset, verified_negatives=())
    if not config.exhaustive:
        images = tuple(image.unmarked() for image in dataset.images)
        dataset = replace(dataset, images=images)
    return dataset


def _without_accepted(dataset: Dataset) -> Dataset:
    lost = lost_classes(box for box in dataset.boxes if box.origin in REVIEWED_ORIGINS)
    images = tuple(
        image.incomplete(lost[image.id]) if image.id in lost else image for image in dataset.images
    )
    boxes = tuple(box for box in dataset.boxes if box.origin not in REVIEWED_ORIGINS)
    return replace(dataset, images=images, boxes=boxes)


@dataclass(frozen=True, slots=True)
class HeldOut:
    """Training annotations, split."""

    training: Dataset
    hidden: Sequence[Box]
    """Ignore regions on training images."""
    validation: Dataset
    """The validation part."""


def hold_out_validation(dataset: Dataset, share: float, seed: int) -> HeldOut | None:
    """Split off validation data from a training's own annotations.

    Of images with objects of complete classes, a share, at least one, is set aside; exhaustive
    images are complete in all classes. If there are fewer than two, the share of all annotations is
    hidden; these only measure recall, since other detections may be right, too.

    Returns:
        None if nothing can be held out.
    """
    measurable = measurable_images(dataset)
    if share > 0 and len(measurable) >= _FEWEST_MEASURABLE:
        ranked = sorted(
            measurable, key=lambda image: stable_rank(seed, _VALIDATION_STREAM, image.file_name, 0)
        )
        # At least one of them stays.
        count = min(max(1, round(share * len(measurable))), len(measurable) - 1)
        chosen = {image.id for image in ranked[:count]}
        aside = [image for image in dataset.images if image.id in chosen]
        others = [image for image in dataset.images if image.id not in chosen]
        return HeldOut(dataset.with_images(others), [], dataset.with_images(aside))
    training, hidden = _hide(dataset, share, seed)
    if not hidden:
        return None
    # Their other objects are unknown now.
    images = tuple(image.unmarked() for image in dataset.images)
    return HeldOut(training, hidden, replace(dataset, images=images, boxes=tuple(hidden)))


def measurable_images(dataset: Dataset) -> list[Image]:
    """Return the images with an object of a class that is complete there, as AP requires."""
    complete = {
        box.image_id
        for box in dataset.boxes
        if not box.iscrowd and dataset.image_by_id[box.image_id].is_complete(box.category_id)
    }
    return [image for image in dataset.images if image.id in complete]


def _hide(dataset: Dataset, share: float, seed: int) -> tuple[Dataset, Sequence[Box]]:
    """Split a random share of the boxes off a dataset; none if none would be left.

    Args:
        dataset: the annotations; crowd regions stay.
        share: each box's chance to be hidden, 0 to 1.
        seed: the same seed chooses the same boxes, in any order.

    Returns:
        The dataset without the hidden boxes, and these.
    """
    limit = share * 2**64
    chosen = {
        box.id
        for box in dataset.boxes
        if not box.iscrowd
        and stable_rank(
            seed, _VALIDATION_STREAM, dataset.image_by_id[box.image_id].file_name, box.id
        )
        < limit
    }
    hidden = [box for box in dataset.boxes if box.id in chosen]
    kept = tuple(box for box in dataset.boxes if box.id not in chosen)
    if not hidden or all(box.iscrowd for box in kept):
        return dataset, []
    # If a class lacks a box now, unlabelled regions are no longer certain negatives of it.
    lost = lost_classes(hidden)
    images = tuple(
        replace(image, complete_classes=image.complete_classes - lost.get(image.id, set()))
        for image in dataset.images
    )
    return replace(dataset, images=images, boxes=kept), hidden


def training_images(
    dataset: Dataset,
    folder: Path,
    *,
    mined: PseudoLabels = NOTHING,
    ignored: Iterable[Box] = (),
    keep_unlabelled: bool,
    tile: int = 0,
) -> PackedDataset:
    """Return the training images, in the dataset's order, each followed by its tiles.

    What is known of an image is known of its tiles. A box that a tile shows too little of is an
    ignore region there: with sparse labels nothing that may be an object is background.

    Args:
        dataset: its annotations are labels, except crowd regions; its verified negatives are
            rejected boxes.
        folder: the folder of the image files.
        mined: boxes that a model found, as labels and as ignore regions.
        ignored: further ignore regions.
        keep_unlabelled: whether to keep images without labels; images with rejected boxes or
            complete classes are always kept. The same is true of tiles.
        tile: side of the tiles of larger images, in pixels; 0: there are none.

    Raises:
        TrainingError: when nothing is left to train on.
    """
    class_index = {category.id: index for index, category in enumerate(dataset.categories)}
    human = [box for box in dataset.boxes if not box.iscrowd]
    boxes = {
        Role.LABEL: _by_image(human),
        Role.MINED: _by_image(mined.labels),
        Role.IGNORE_REGION: _by_image((*mined.ignored, *ignored)),
        Role.VERIFIED_NEGATIVE: _by_image(dataset.verified_negatives),
    }

    weights = {box.id: weight for box, weight in zip(mined.labels, mined.weights, strict=True)}

    def kept() -> Iterator[TrainingImage]:
        for image in dataset.images:
            rows = [
                _Row(
                    role,
                    box.xyxy,
                    class_index[box.category_id],
                    weights[box.id] if role == Role.MINED else 1.0,
                )
                for role, by_image in boxes.items()
                for box in by_image[image.id]
            ]
            whole = (0.0, 0.0, image.width, image.height)
            if dataset.is_complete(image):
                rows.append(_Row(Role.EXHAUSTIVE, whole, 0))
            else:
                complete = sorted(class_index[id] for id in image.complete_classes)
                rows += [_Row(Role.COMPLETE_CLASS, whole, index) for index in complete]
            own = _training_image(image, folder, rows)
            for view in views_of(image.width, image.height, tile):
                seen = own if view is None else _on_tile(own, view)
                if keep_unlabelled or (seen.roles != Role.IGNORE_REGION).any():
                    yield seen

    images = PackedDataset(kept())
    owners, _ = images.labels()
    if not len(owners):
        raise TrainingError("nothing to train on: no image of the training data has an annotation")
    return images


class _Row(NamedTuple):
    role: Role
    xyxy: XYXY
    class_index: int
    weight: float = 1.0


def _training_image(image: Image, folder: Path, rows: Sequence[_Row]) -> TrainingImage:
    return TrainingImage(
        source=image,
        folder=folder,
        boxes=np.array([row.xyxy for row in rows], dtype=np.float32).reshape(-1, 4),
        classes=np.array([row.class_index for row in rows], dtype=np.int64),
        roles=np.array([row.role for row in rows], dtype=np.int64),
        weights=np.array([row.weight for row in rows], dtype=np.float32),
    )


def _on_tile(image: TrainingImage, tile: Tile) -> TrainingImage:
    """Return what is known of a tile of an image."""
    seen = replace(image, tile=tile)
    moved = image.boxes - np.array([tile.left, tile.top] * 2, dtype=np.float32)
    return seen.clipped(*clip_boxes(moved, image.roles, (seen.height, seen.width)))


def _by_image(boxes: Iterable[Box]) -> Mapping[int, Sequence[Box]]:
    grouped: dict[int, list[Box]] = defaultdict(list)
    for box in boxes:
        grouped[box.image_id].append(box)
    return grouped
