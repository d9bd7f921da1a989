"""Expected number of objects without a box on each image.

It has three parts: candidates of any score, weighted by the chance that they show an object;
objects the model can't detect, distributed like the detected ones; and, for images without any
annotation, the content of similar images, since in most sets nearly every image shows something.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from sparsedet.annotations import Box, Dataset
from sparsedet.completeness.expected_precision import ExpectedPrecision
from sparsedet.mining.candidates import Candidates

_MOST_LABELLED = 0.98
"""Upper bound of the labelled share: at 1 no image could be without annotation."""
_LITTLE = 1e-3
"""Weight of a box in the class distribution of missing objects; a certain candidate weighs 1."""


@dataclass(frozen=True)
class ExpectedMissing:
    """Expected numbers of objects without a box, on images not marked as complete.

    Counts only classes that are not complete on their image.
    """

    seen: Mapping[int, float]
    """Image id -> expected number among the candidates."""
    unseen: Mapping[int, float]
    """Image id -> expected number of others."""

    @cached_property
    def by_image(self) -> Mapping[int, float]:
        """Image id -> total expected number."""
        return {id: seen + self.unseen[id] for id, seen in self.seen.items()}

    def of(self, images: Collection[int]) -> "ExpectedMissing":
        """Return the numbers of a subset of images."""
        ids = [id for id in self.seen if id in images]
        return ExpectedMissing(
            {id: self.seen[id] for id in ids}, {id: self.unseen[id] for id in ids}
        )

    @property
    def total(self) -> float:
        """Total over all images."""
        return sum(self.by_image.values())


def expected_missing(
    dataset: Dataset, candidates: Candidates, fitted: ExpectedPrecision
) -> ExpectedMissing:
    """Return the expected numbers for every incomplete image.

    Args:
        dataset: the current annotations.
        candidates: those that may still be missing objects.
        fitted: calibrated on them.
    """
    open_images = [image.id for image in dataset.images if not dataset.is_complete(image)]
    # Complete classes say nothing about what others lack.
    boxes = {id: len(_open_boxes(dataset, id)) for id in open_images}
    shares = _open_shares(dataset, dataset.has_class_marks)
    seen = dict.fromkeys(open_images, 0.0)
    nothing = dict.fromkeys(open_images, 1.0)
    chances = fitted.of_object(candidates).tolist()
    for image_id, chance in zip(candidates.image_ids.tolist(), chances, strict=True):
        if image_id in seen:
            seen[image_id] += chance
            nothing[image_id] *= 1 - chance
    missing = sum(seen.values()) / fitted.seen
    objects = {id: boxes[id] + seen[id] for id in open_images}
    unseen = missing * (1 - fitted.seen) / max(sum(objects.values()), 1e-9)
    bare = _Unannotated.of(boxes, seen, missing)
    return ExpectedMissing(
        seen,
        {
            id: unseen * objects[id]
            + (
                0.0
                if boxes[id]
                else shares(dataset.image_by_id[id].complete_classes)
                * bare.expected(nothing[id], fitted.seen)
            )
            for id in open_images
        },
    )


def still_open(before: Dataset, now: Dataset) -> dict[int, float]:
    """Return what share of an image's classes is open still where some became complete: by its id.

    Args:
        before: what was known when the candidates were found.
        now: the same images, with what reviewers said since; ids are those of `before`.
    """
    if not now.has_class_marks:
        return {}
    shares = _open_shares(now, True)
    left: dict[int, float] = {}
    for image in now.images:
        known = before.image_by_id.get(image.id)
        if known is not None and image.complete_classes - known.complete_classes:
            was_open = shares(known.complete_classes)
            left[image.id] = shares(image.complete_classes) / was_open if was_open else 0.0
    return left


def by_class(
    dataset: Dataset, candidates: Candidates, fitted: ExpectedPrecision, total: float
) -> dict[int, float]:
    """Distribute a number of missing objects over the classes: category id -> number.

    In proportion to the candidates, or to the boxes if candidates are few. Ignores boxes of classes
    that are complete on their image; a class that is complete everywhere lacks nothing.
    """
    everywhere = _complete_everywhere(dataset)
    weights = {
        category.id: 0.0 if category.id in everywhere else _LITTLE
        for category in dataset.categories
    }
    marked = dataset.has_class_marks
    for box in dataset.boxes:
        image = dataset.image_by_id[box.image_id]
        if not box.iscrowd and not (marked and image.is_complete(box.category_id)):
            weights[box.category_id] += _LITTLE
    chances = fitted.of_object(candidates).tolist()
    for category_id, chance in zip(candidates.category_ids.tolist(), chances, strict=True):
        weights[category_id] += chance
    whole = sum(weights.values()) or 1.0
    return {id: total * weight / whole for id, weight in weights.items()}


def _open_boxes(dataset: Dataset, image_id: int) -> list[Box]:
    """Return an image's boxes of incomplete classes."""
    complete = dataset.image_by_id[image_id].complete_classes
    return [
        box
        for box in dataset.boxes_by_image[image_id]
        if not box.iscrowd and box.category_id not in complete
    ]


def _open_shares(dataset: Dataset, has_marks: bool) -> Callable[[frozenset[int]], float]:
    """Return the share of objects in classes outside of a set of complete ones.

    By box counts of the classes over all images, starting at one per class.

    Args:
        dataset: the images.
        has_marks: whether any class is marked as complete.
    """
    counts = {category.id: 1 for category in dataset.categories}
    if has_marks:
        for box in dataset.boxes:
            counts[box.category_id] += not box.iscrowd
    whole = sum(counts.values())

    def share(complete: frozenset[int]) -> float:
        return 1 - sum(counts[id] for id in complete) / whole if complete else 1.0

    return share


def _complete_everywhere(dataset: Dataset) -> set[int]:
    """Return the classes that are complete on all images, some of which are not exhaustive."""
    if not dataset.has_class_marks:
        return set()
    marks = (image.complete_classes for image in dataset.images if not image.exhaustive)
    return set.intersection(*map(set, marks))


@dataclass(frozen=True)
class _Unannotated:
    """Objects on images without any annotation, inferred from annotated images."""

    share: float
    """Share of them that show an object."""
    objects: float
    """Mean number of objects on each of these."""

    @classmethod
    def of(
        cls,
        boxes: Mapping[int, int],
        seen: Mapping[int, float],
        missing: float,
    ) -> "_Unannotated":
        """Estimate under labels missing at random.

        An image with k objects has no annotation with probability (1 - c)^k, where c is the share
        of objects that have one.
        """
        annotated = [id for id, count in boxes.items() if count]
        bare = len(boxes) - len(annotated)
        if not annotated or not bare:
            return cls(0.0, 0.0)
        labels = sum(boxes.values())
        labelled = min(labels / max(labels + missing, 1e-9), _MOST_LABELLED)
        objects = np.array([boxes[id] + seen[id] for id in annotated])
        overlooked = (1 - labelled) ** objects
        weights = overlooked / np.maximum(1 - overlooked, 1e-9)
        return cls(
            share=float(min(weights.sum() / bare, 1.0)),
            objects=float((weights * objects).sum() / max(weights.sum(), 1e-9)),
        )

    def expected(self, nothing: float, seen: float) -> float:
        """Return the expected objects on such an image if the model detects none of them.

        Args:
            nothing: the chance that no candidate on it shows an object.
            seen: the share of objects among the candidates.
        """
        unseen = self.share * (1 - seen) ** self.objects
        return float(nothing * self.objects * unseen / max(unseen + 1 - self.share, 1e-9))
