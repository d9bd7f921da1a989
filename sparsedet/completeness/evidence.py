"""Evidence from reviews: decisions on candidates, and objects found on completed images."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sparsedet.annotations import Box, Dataset
from sparsedet.annotations.matching import SAME_OBJECT_IOU, iou_matrix, match
from sparsedet.completeness.judged import Judged
from sparsedet.mining.candidates import Candidates

_UNKNOWN, _NOTHING, _OTHER_CLASS, _RIGHT = range(-1, 3)
"""The reviewed truth of a candidate."""


@dataclass(frozen=True)
class Found:
    """Findings on an image that reviewers completed."""

    image_id: int
    objects: int
    """Objects without a box that have got one since the candidates were found."""
    among_candidates: int
    """Those covered by a candidate of any class and score."""
    audit: bool
    """Whether it was drawn at random and shown without mined boxes."""
    not_shown: int = 0
    """Found objects that no shown box covered."""


@dataclass(frozen=True)
class Evidence:
    """What reviews reveal about candidates."""

    judged: Judged
    found: tuple[Found, ...]
    """For every image completed since."""
    open: NDArray[np.bool_]
    """Shape (N,): candidates that may still be missing objects; excludes classes that are complete
    on their image. For an image marked as complete when its boxes were judged: those possible
    before that."""
    drawn: Mapping[int, int]
    """Image id -> number of boxes not covered by a candidate, on incomplete images; excludes
    classes that are complete there."""
    added: int
    """Objects without a box that have got one, on all images of that time."""


def read_evidence(
    before: Dataset,
    now: Dataset,
    candidates: Candidates,
    outcomes: Mapping[int, bool | None],
    audit: Collection[int],
    judge_only: Collection[int] = (),
) -> Evidence:
    """Compare candidates with the reviewed content of their images.

    If people were asked to complete an image, and did, every candidate on it is right or wrong.
    Otherwise only judged candidates are known: an image that is complete once its boxes were judged
    says nothing about its other candidates, since it would not be complete if one of them were
    right. If a class became complete on an image, its candidates are right or wrong in the same
    way; a wrong one may show an object of another class. Classes that were complete before have no
    candidates: the model was trained on their absence, and its detections there say little about
    other images.

    Args:
        before: the annotations when the candidates were found.
        now: the same images with reviews applied; ids are those of `before`.
        candidates: those on no hidden annotation.
        outcomes: index of a shown candidate -> whether reviewers kept it and its class; None:
            undecided, which counts as not accepted.
        audit: ids of the blind sample's images.
        judge_only: ids of images on which people were not asked to draw.
    """
    completed = _completed(before, now)
    gone = {image.id for image in before.images} - now.image_by_id.keys()
    changed = _boxes_without(before, now)
    replaced = _boxes_without(now, before)
    new = {id: _added(boxes, replaced.get(id, ())) for id, boxes in changed.items()}
    rows: dict[int, list[int]] = {}
    for row, image_id in enumerate(candidates.image_ids.tolist()):
        rows.setdefault(image_id, []).append(row)
    findings = _Findings(candidates, now)
    found: list[Found] = []
    drawn: dict[int, int] = {}
    for image_id in rows.keys() | new.keys() | completed:
        own = np.array(rows.get(image_id, []), dtype=np.int64)
        boxes = new.get(image_id, [])
        asked = image_id not in judge_only
        findings.shows[own] = _compare(candidates, own, boxes)
        findings.open[own] &= ~_covered(candidates, own, changed.get(image_id, ()))
        if image_id not in completed:
            classes = _completed_classes(before, now, image_id)
            drawn[image_id] = findings.read_incomplete(own, boxes, classes, asked=asked)
        elif asked:
            findings.read_completed(own)
            covering = own[findings.shows[own] != _NOTHING].tolist()
            brought = sum(row in outcomes for row in covering)
            audited = image_id in audit
            found.append(Found(image_id, len(boxes), len(covering), audited, len(boxes) - brought))
        if image_id in gone:
            findings.open[own] = False
    findings.read_outcomes(outcomes)
    added = sum(len(boxes) for id, boxes in new.items() if id in before.image_by_id)
    found.sort(key=lambda one: one.image_id)
    return Evidence(findings.judged(), tuple(found), findings.open, drawn, added)


class _Findings:
    """What is known of each candidate, while their images are read; arrays of shape (N,)."""

    def __init__(self, candidates: Candidates, now: Dataset) -> None:
        self._candidates = candidates
        self.shows = np.full(len(candidates), _NOTHING, dtype=np.int8)
        """What the new boxes of its image say that it shows."""
        self._verdicts = np.full(len(candidates), _UNKNOWN, dtype=np.int8)
        self._unsure = np.zeros(len(candidates), dtype=bool)
        """Of those that are wrong: whether they may show an object of another class."""
        self.open = np.array(
            [
                id not in now.image_by_id or category not in now.image_by_id[id].complete_classes
                for id, category in zip(
                    candidates.image_ids.tolist(), candidates.category_ids.tolist(), strict=True
                )
            ],
            dtype=bool,
        )
        """Whether it may still be a missing object."""

    def read_completed(self, own: NDArray[np.int64]) -> None:
        """Note the candidates, at these rows, of an image that people were asked to complete."""
        self._verdicts[own] = self.shows[own]
        self.open[own] = False

    def read_incomplete(
        self, own: NDArray[np.int64], boxes: list[Box], classes: frozenset[int], *, asked: bool
    ) -> int:
        """Note the candidates of an incomplete image; return how many boxes none of them covers.

        Args:
            own: rows of the image's candidates.
            boxes: its new boxes.
            classes: those that became complete there.
            asked: whether people were asked to draw.
        """
        shows = self.shows[own]
        if not classes:
            return len(boxes) - int((shows != _NOTHING).sum())
        if asked:
            decided = np.isin(self._candidates.category_ids[own], list(classes))
            self._verdicts[own[decided]] = shows[decided]
            self._unsure[own[decided]] = shows[decided] == _NOTHING
        still = [box for box in boxes if box.category_id not in classes]
        return len(still) - int((_compare(self._candidates, own, still) != _NOTHING).sum())

    def read_outcomes(self, outcomes: Mapping[int, bool | None]) -> None:
        """Note what reviewers decided on candidates, after all images."""
        for row, kept in outcomes.items():
            self._unsure[row] = False
            if kept:
                self._verdicts[row] = _RIGHT
                continue
            # Relabelled boxes are now boxes of that class. Undecided ones were not accepted, and
            # won't be next time either: they are not missing objects.
            relabelled = self.shows[row] == _OTHER_CLASS
            self._verdicts[row] = _OTHER_CLASS if relabelled else _NOTHING
            self.open[row] = False

    def judged(self) -> Judged:
        """Return the candidates whose truth is known."""
        decided = self._verdicts != _UNKNOWN
        verdicts = self._verdicts[decided]
        return Judged(
            self._candidates.select(decided),
            right=verdicts == _RIGHT,
            on_object=verdicts != _NOTHING,
            not_right_alone=self._unsure[decided],
        )


def _completed(before: Dataset, now: Dataset) -> set[int]:
    """Return the ids of images that are complete now, and were not before."""
    return {
        image.id
        for image in now.images
        if now.is_complete(image)
        and image.id in before.image_by_id
        and not before.is_complete(before.image_by_id[image.id])
    }


def _completed_classes(before: Dataset, now: Dataset, image_id: int) -> frozenset[int]:
    """Return the classes of which an image has all objects now, and had not before."""
    if image_id not in now.image_by_id or image_id not in before.image_by_id:
        return frozenset()
    known = before.image_by_id[image_id].complete_classes
    return now.image_by_id[image_id].complete_classes - known


def _boxes_without(before: Dataset, now: Dataset) -> dict[int, list[Box]]:
    """Return the boxes of `now` that have no equal one in `before`, by image id."""
    known = {_place(box) for box in before.boxes}
    found: dict[int, list[Box]] = {}
    for box in now.boxes:
        if not box.iscrowd and _place(box) not in known:
            found.setdefault(box.image_id, []).append(box)
    return found


def _added(changed: list[Box], replaced: Sequence[Box]) -> list[Box]:
    """Return the boxes of objects that had none: not those that were moved, renamed or redrawn.

    Args:
        changed: boxes of an image that differ from what it held before.
        replaced: boxes that it held before, and not any more.
    """
    if not replaced:
        return changed
    overlap = iou_matrix([box.xyxy for box in changed], [box.xyxy for box in replaced])
    best_first = np.argsort(-overlap.max(axis=1), kind="stable")
    free = match(overlap[best_first], SAME_OBJECT_IOU) < 0
    return [changed[row] for row in sorted(best_first[free].tolist())]


def _compare(candidates: Candidates, rows: NDArray[np.int64], boxes: list[Box]) -> NDArray[np.int8]:
    """Match an image's candidates with its new boxes, one to one, by descending score.

    Returns:
        What each candidate shows.
    """
    shows = np.full(len(rows), _NOTHING, dtype=np.int8)
    if not len(rows) or not boxes:
        return shows
    overlap = iou_matrix(candidates.boxes[rows], [box.xyxy for box in boxes])
    alike = candidates.category_ids[rows][:, None] == [box.category_id for box in boxes]
    right = match(overlap * alike, SAME_OBJECT_IOU)
    free = overlap.copy()
    free[right >= 0] = 0
    free[:, right[right >= 0]] = 0
    shows[match(free, SAME_OBJECT_IOU) >= 0] = _OTHER_CLASS
    shows[right >= 0] = _RIGHT
    return shows


def _covered(
    candidates: Candidates, rows: NDArray[np.int64], boxes: Sequence[Box]
) -> NDArray[np.bool_]:
    """Return which of an image's candidates overlap any of the boxes."""
    if not boxes:
        return np.zeros(len(rows), dtype=bool)
    overlap = iou_matrix(candidates.boxes[rows], [box.xyxy for box in boxes])
    return np.asarray((overlap >= SAME_OBJECT_IOU).any(axis=1))


def _place(box: Box) -> tuple[int, int, tuple[float, ...]]:
    return box.image_id, box.category_id, tuple(round(value, 1) for value in box.xyxy)
