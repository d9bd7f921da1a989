"""What a training stage learns from: images with labels and boxes to ignore."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sparsedet.annotations import Box, Dataset, Image
from sparsedet.errors import TrainingError


@dataclass(frozen=True, slots=True)
class TrainingImage:
    """An image and what training may assume about it."""

    source: Image
    folder: Path
    """Where its file is."""
    boxes: NDArray[np.float32]
    """Shape (N, 4): XYXY, absolute pixels."""
    classes: NDArray[np.int64]
    """Shape (N,): index into the run's list of classes; meaningless where ignored."""
    ignored: NDArray[np.bool_]
    """Shape (N,): true for boxes that are neither learned nor punished."""

    @property
    def has_labels(self) -> bool:
        """Whether there is a box to learn from."""
        return bool((~self.ignored).any())


def training_images(
    dataset: Dataset,
    folder: Path,
    *,
    extra_labels: Iterable[Box] = (),
    ignored: Iterable[Box] = (),
    keep_unlabelled: bool,
) -> list[TrainingImage]:
    """Return the images to train on, in the dataset's order.

    Args:
        dataset: its annotations are labels, crowd regions left out.
        folder: where the image files are.
        extra_labels: further labels, such as sure mined boxes.
        ignored: boxes that training must neither learn nor punish.
        keep_unlabelled: whether images without any label stay.

    Raises:
        TrainingError: when nothing is left to train on.
    """
    class_index = {category.id: index for index, category in enumerate(dataset.categories)}
    human = [box for box in dataset.boxes if not box.iscrowd]
    labels = _by_image([*human, *extra_labels])
    in_doubt = _by_image(ignored)
    images = []
    for image in dataset.images:
        learned, skipped = labels.get(image.id, []), in_doubt.get(image.id, [])
        if not learned and not keep_unlabelled:
            continue
        boxes = [*learned, *skipped]
        images.append(
            TrainingImage(
                source=image,
                folder=folder,
                boxes=np.array([box.xyxy for box in boxes], dtype=np.float32).reshape(-1, 4),
                classes=np.array([class_index[box.category_id] for box in boxes], dtype=np.int64),
                ignored=np.array([False] * len(learned) + [True] * len(skipped), dtype=np.bool_),
            )
        )
    if not any(image.has_labels for image in images):
        raise TrainingError("nothing to train on: no image of the training data has an annotation")
    return images


def _by_image(boxes: Iterable[Box]) -> Mapping[int, Sequence[Box]]:
    grouped: dict[int, list[Box]] = {}
    for box in boxes:
        grouped.setdefault(box.image_id, []).append(box)
    return grouped
