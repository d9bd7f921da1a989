"""What reviews say of candidates, and what they found on images that are complete now."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sparsedet.annotations import Box, Dataset
from sparsedet.annotations.matching import SAME_OBJECT_IOU, iou_matrix, match
from sparsedet.completeness.judged import Judged
from sparsedet.mining.candidates import Candidates

_UNKNOWN, _NOTHING, _OTHER_CLASS, _RIGHT = range(-1, 3)
"""What a candidate shows, as reviews have it."""


@dataclass(frozen=True)
class Found:
    """What reviewers found on an image that they completed."""

    image_id: int
    objects: int
    """Boxes that it has got since the candidates were found."""
    among_candidates: int
    """Those of them that a candidate shows, of whatever class and score."""
    audit: bool
    """It was drawn at random, and its mined boxes were not shown."""
    not_shown: int = 0
    """Those of the objects that no shown box brought."""


@dataclass(frozen=True)
class Evidence:
    """What reviews say of candidates."""

    judged: Judged
    found: tuple[Found, ...]
    """Of every image that was completed since."""
    open: NDArray[np.bool_]
    """Shape (N,): which candidates may still be missing; none of a class that is complete on its
    image. On an image that was marked as complete
    when its boxes were judged: which might have been, before that."""
    drawn: Mapping[int, int]
    """Image id -> boxes that no candidate shows, on images that are not complete; of classes that
    are complete there none is counted."""


def read_evidence(
    before: Dataset,
    now: Dataset,
    candidates: Candidates,
    outcomes: Mapping[int, bool | None],
    audit: Collection[int],
    judge_only: Collection[int] = (),
) -> Evidence:
    """Compare candidates with what their images hold after reviews.

    On an image that people were asked to complete, and did, every candidate is right or wrong. On
    others those are that reviewers judged: an image that was complete once its boxes were judged
    says nothing of the others, since it would not be complete if one of their candidates were
    right. Where a class became complete on an image, its candidates are right or wrong in the same
    way; of a wrong one it is not known whether it shows an object of another class. Classes that
    were complete before have no candidates: the model was trained on their absence, and what it
    makes of it says little of other images.

    Args:
        before: what was known when the candidates were found.
        now: the same images, with what reviewers said since; ids are those of `before`.
        candidates: those on no hidden annotation.
        outcomes: index of a candidate that reviewers were shown -> whether they kept it and its
            class; None: they left it undecided, which is no acceptance.
        audit: ids of the images of the blind sample.
        judge_only: ids of the images on which people were not asked to draw.
    """
    completed = {
        image.id
        for image in now.images
        if now.is_complete(image)
        and image.id in before.image_by_id
        and not before.is_complete(before.image_by_id[image.id])
    }
    gone = {image.id for image in before.images} - now.image_by_id.keys()
    known = {_place(box) for box in before.boxes}
    new: dict[int, list[Box]] = {}
    for box in now.boxes:
        if not box.iscrowd and _place(box) not in known:
            new.setdefault(box.image_id, []).append(box)
    rows: dict[int, list[int]] = {}
    for row, image_id in enumerate(candidates.image_ids.tolist()):
        rows.setdefault(image_id, []).append(row)
    verdicts = np.full(len(candidates), _UNKNOWN, dtype=np.int8)
    shows = np.full(len(candidates), _NOTHING, dtype=np.int8)
    is_open = np.ones(len(candidates), dtype=bool)
    found: list[Found] = []
    drawn: dict[int, int] = {}
    open_class = [
        id not in now.image_by_id or category_id not in now.image_by_id[id].complete_classes
        for id, category_id in zip(
            candidates.image_ids.tolist(), candidates.category_ids.tolist(), strict=True
        )
    ]
    is_open &= np.array(open_class, dtype=bool)
    # Of candidates that are wrong: whether there is an object of another class.
    unsure = np.zeros(len(candidates), dtype=bool)
    for image_id in rows.keys() | new.keys() | completed:
        own = np.array(rows.get(image_id, []), dtype=np.int64)
        boxes = new.get(image_id, [])
        shows[own], covered = _compare(candidates, own, boxes)
        located = int((shows[own] != _NOTHING).sum())
        if image_id in completed:
            if image_id in judge_only:
                is_open[own] &= ~covered
                continue
            verdicts[own] = shows[own]
            brought = sum(row in outcomes for row in own[shows[own] != _NOTHING].tolist())
            found.append(
                Found(image_id, len(boxes), located, image_id in audit, len(boxes) - brought)
            )
            is_open[own] = False
        else:
            drawn[image_id] = len(boxes) - located
            is_open[own] &= ~covered
            if completed_classes := _completed_classes(before, now, image_id):
                still = [box for box in boxes if box.category_id not in completed_classes]
                again, _ = _compare(candidates, own, still)
                drawn[image_id] = len(still) - int((again != _NOTHING).sum())
                if image_id not in judge_only:
                    rows_of = own[np.isin(candidates.category_ids[own], list(completed_classes))]
                    verdicts[rows_of] = shows[rows_of]
                    unsure[rows_of] = shows[rows_of] == _NOTHING
        if image_id in gone:
            is_open[own] = False
    for row, kept in outcomes.items():
        unsure[row] = False
        if kept:
            verdicts[row] = _RIGHT
            continue
        # Where reviewers gave it another class, there is a box of that class now. What they can't
        # decide they don't accept, and won't the next time: it is no object that is missing.
        verdicts[row] = _OTHER_CLASS if shows[row] == _OTHER_CLASS else _NOTHING
        is_open[row] = False
    decided = verdicts != _UNKNOWN
    judged = Judged(
        candidates.select(decided),
        right=verdicts[decided] == _RIGHT,
        on_object=verdicts[decided] != _NOTHING,
        not_right_alone=unsure[decided],
    )
    return Evidence(judged, tuple(sorted(found, key=lambda f: f.image_id)), is_open, drawn)


def _completed_classes(before: Dataset, now: Dataset, image_id: int) -> frozenset[int]:
    """Return the classes of which an image has all objects now, and had not before."""
    if image_id not in now.image_by_id or image_id not in before.image_by_id:
        return frozenset()
    known = before.image_by_id[image_id].complete_classes
    return now.image_by_id[image_id].complete_classes - known


def _compare(
    candidates: Candidates, rows: NDArray[np.int64], boxes: list[Box]
) -> tuple[NDArray[np.int8], NDArray[np.bool_]]:
    """Compare an image's candidates with its new boxes, one to one, the surest first.

    Returns:
        What each candidate shows, and which overlap any box.
    """
    shows = np.full(len(rows), _NOTHING, dtype=np.int8)
    if not len(rows) or not boxes:
        return shows, np.zeros(len(rows), dtype=bool)
    overlap = iou_matrix(candidates.boxes[rows], [box.xyxy for box in boxes])
    alike = candidates.category_ids[rows][:, None] == [box.category_id for box in boxes]
    right = match(overlap * alike, SAME_OBJECT_IOU)
    free = overlap.copy()
    free[right >= 0] = 0
    free[:, right[right >= 0]] = 0
    shows[match(free, SAME_OBJECT_IOU) >= 0] = _OTHER_CLASS
    shows[right >= 0] = _RIGHT
    return shows, np.asarray((overlap >= SAME_OBJECT_IOU).any(axis=1))


def _place(box: Box) -> tuple[int, int, tuple[float, ...]]:
    return box.image_id, box.category_id, tuple(round(value, 1) for value in box.xyxy)
