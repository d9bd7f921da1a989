"""`push`: mined boxes into `to_review.json`, so that a second push changes nothing.

What has been pushed stays as it is: somebody may have taken the file into another tool already,
and a box that is added later would look, in what comes back, like one that was rejected.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import count

from sparsedet.annotations import Box, Dataset, Image, write_coco
from sparsedet.annotations.mined_boxes import MinedBox
from sparsedet.atomic_io import remove_half_written, write_text
from sparsedet.errors import ToolError
from sparsedet.tool import PushReport

from .annotation_files import AnnotationFiles, annotation_origin
from .project import Project
from .review_files import (
    CREATED_KEY,
    INSTRUCTIONS,
    MINED,
    REVIEWED,
    TO_REVIEW,
    ReviewVersion,
    read_versions,
    version_folder,
)

_REVIEW_KEYS = {"score", "threshold"}
_INSTRUCTIONS = """\
Boxes to review
===============

{to_review} is a COCO file. It holds the boxes that people have drawn, and boxes that a model found
missing; those carry "origin": "mined" and a "score".

1. Import {to_review} into your annotation tool, with these images: {images}
2. Delete the boxes that are wrong, correct those that are off, draw what is missing.
3. Export the reviewed images as COCO and save the file as {reviewed} in this folder.
   Every image that {reviewed} lists counts as reviewed: leave out what you have not looked at.
4. Run `sparsedet review`.

File names and image sizes have to stay; ids and the other keys may get lost. If your tool lets you
write keys, these are read: "exhaustive": true of an image (every object in it has a box),
"reviewer" and "seconds" of an image, "note": "unsure" of an annotation (it stays undecided).
"""
"""Next to `to_review.json`, for the reviewer."""


def push_mined(
    project: Project,
    review_project: str,
    dataset: Dataset,
    mined: Sequence[MinedBox],
    *,
    model_version: str,
) -> PushReport:
    """Put mined boxes up for review in the review folder of a project.

    A mined box is pushed once: what a review has judged is left out. An image that this version
    shows already with other boxes is skipped.

    Args:
        project: the annotated project.
        review_project: its review folder's name, for the report.
        dataset: pulled from the project; its annotations are shown with the mined boxes.
        mined: on images of `dataset`.
        model_version: names the folder.

    Raises:
        ToolError: before anything is written, when a box or image can't be pushed.
    """
    folder = version_folder(project.review, model_version)
    wanted = _by_image(dataset, mined)
    files = project.read()
    _check_images(project, files, wanted.keys(), dataset)
    versions = read_versions(project.review)
    own = next((version for version in versions if version.name == model_version), None)
    plan = _plan(dataset, wanted, own, _judged(versions))
    if plan.new:
        _check_new(dataset, plan.new, own)
        images = files.images or project.folder
        text = _INSTRUCTIONS.format(to_review=TO_REVIEW, reviewed=REVIEWED, images=images)
        remove_half_written(folder)  # of a push that was killed
        write_text(folder / INSTRUCTIONS, text)
        # Last: with this file the version exists.
        write_coco(_to_review(dataset, plan.new, own, model_version), folder / TO_REVIEW)
    written = bool(plan.new) or own is not None
    return PushReport(
        review_project=review_project,
        url=str(folder / TO_REVIEW if written else project.review),
        model_version=model_version,
        images=len(plan.new) + len(plan.standing),
        boxes=sum(len(boxes) for boxes in (*plan.new.values(), *plan.standing.values())),
        created=len(plan.new),
        skipped=plan.skipped,
    )


@dataclass(frozen=True, slots=True)
class _Plan:
    """What a push has to do; mined boxes by image id, surest image first."""

    new: Mapping[int, Sequence[MinedBox]]
    standing: Mapping[int, Sequence[MinedBox]]
    """Up for review already, and not reviewed yet."""
    skipped: Mapping[str, str]


def _by_image(dataset: Dataset, mined: Sequence[MinedBox]) -> dict[int, list[MinedBox]]:
    if not mined:
        raise ToolError("there are no mined boxes to push")
    by_image: dict[int, list[MinedBox]] = {}
    seen: set[str] = set()
    for box in mined:
        if not box.region_id or box.region_id in seen:
            raise ToolError(
                f"mined box {box.region_id!r} of image id {box.image_id}: its region id is not its "
                "own; nothing was pushed"
            )
        if not (math.isfinite(box.score) and 0 <= box.score <= 1):
            raise ToolError(
                f"mined box {box.region_id}: score {box.score} is not within 0 and 1; nothing was "
                "pushed"
            )
        seen.add(box.region_id)
        by_image.setdefault(box.image_id, []).append(box)
    for boxes in by_image.values():
        boxes.sort(key=lambda box: (-box.score, box.region_id))
    names = {image.id: image.file_name for image in dataset.images}
    return dict(sorted(by_image.items(), key=lambda item: (-item[1][0].score, names[item[0]])))


def _check_images(
    project: Project, files: AnnotationFiles, image_ids: Iterable[int], dataset: Dataset
) -> None:
    known = {image.file_name for image in files.dataset.images}
    for image in (dataset.image_by_id[id] for id in image_ids):
        if image.tool_id not in known:
            raise ToolError(
                f"{project.annotations} has no image {image.tool_id or image.file_name!r}; was the "
                "data pulled from this project? Pull again; nothing was pushed"
            )


def _judged(versions: Iterable[ReviewVersion]) -> set[str]:
    """Return the region ids of the mined boxes that some review was shown."""
    return {
        region_id
        for version in versions
        for tool_id in version.reviewed_images
        for region_id in version.offers[tool_id].mined
    }


def _plan(
    dataset: Dataset,
    wanted: Mapping[int, Sequence[MinedBox]],
    own: ReviewVersion | None,
    judged: set[str],
) -> _Plan:
    new: dict[int, Sequence[MinedBox]] = {}
    standing: dict[int, Sequence[MinedBox]] = {}
    skipped: dict[str, str] = {}
    for image_id, mined in wanted.items():
        if not (left := [box for box in mined if box.region_id not in judged]):
            continue
        image = dataset.image_by_id[image_id]
        offer = own.offers.get(image.tool_id or "") if own else None
        if own is None or offer is None:
            new[image_id] = left
        elif any(box.region_id not in offer.mined for box in left):
            skipped[offer.tool_id] = (
                f"version {own.name} shows the image with other boxes; push under another "
                "--model-version"
            )
        elif offer.image.tool_version != image.tool_version:
            # The ledger has to keep the state that the review starts from, or merging it would
            # take what people have drawn since for what the reviewer deleted.
            skipped[offer.tool_id] = (
                f"its annotations changed since version {own.name} was pushed; it stays as it is"
            )
        else:
            standing[image_id] = left
    return _Plan(new, standing, skipped)


def _check_new(
    dataset: Dataset, new: Mapping[int, Sequence[MinedBox]], own: ReviewVersion | None
) -> None:
    for image_id, mined in new.items():
        human = {_tool_id(box) for box in dataset.boxes_by_image[image_id]}
        if shared := human & {box.region_id for box in mined}:
            raise ToolError(
                f"mined box {min(shared)} is among the annotations of image id {image_id} "
                f"({dataset.image_by_id[image_id].file_name}) already; nothing was pushed"
            )
    if own is not None and own.shown.categories != dataset.categories:
        raise ToolError(
            f"{own.folder / TO_REVIEW} was pushed with other categories; push under another "
            "--model-version"
        )


def _to_review(
    dataset: Dataset,
    new: Mapping[int, Sequence[MinedBox]],
    own: ReviewVersion | None,
    model_version: str,
) -> Dataset:
    """Return what is up for review: what was before, and the new images, surest first."""
    base = own.shown if own else _empty(dataset, model_version)
    image_numbers = count(max((image.id for image in base.images), default=0) + 1)
    box_numbers = count(max((box.id for box in base.boxes), default=0) + 1)
    images: list[Image] = []
    boxes: list[Box] = []
    for image_id, mined in new.items():
        image = replace(dataset.image_by_id[image_id], id=next(image_numbers))
        images.append(image)
        shown = [_shown_annotation(box) for box in dataset.boxes_by_image[image_id]]
        shown += [_shown_mined(box) for box in mined]
        boxes += [replace(box, id=next(box_numbers), image_id=image.id) for box in shown]
    return replace(base, images=(*base.images, *images), boxes=(*base.boxes, *boxes))


def _empty(dataset: Dataset, model_version: str) -> Dataset:
    info = {
        "description": f"Boxes that a model found missing; see {INSTRUCTIONS}",
        "version": model_version,
        CREATED_KEY: datetime.now(UTC).isoformat(timespec="microseconds"),
    }
    return replace(
        dataset, images=(), boxes=(), verified_negatives=(), extra={**dataset.extra, "info": info}
    )


def _shown_annotation(box: Box) -> Box:
    extra = {key: value for key, value in box.extra.items() if key not in _REVIEW_KEYS}
    return replace(box, tool_id=_tool_id(box), origin=annotation_origin(box), extra=extra)


def _shown_mined(box: MinedBox) -> Box:
    return Box(
        id=0,
        image_id=box.image_id,
        category_id=box.category_id,
        xyxy=box.xyxy,
        origin=MINED,
        tool_id=box.region_id,
        extra={"score": round(box.score, 6), "threshold": round(box.threshold, 6)},
    )


def _tool_id(box: Box) -> str:
    return box.tool_id or str(box.id)
