"""`push`: idempotent push of images and mined boxes to `to_review.json`.

The boxes that a version shows on an image are never changed: somebody may have already imported the
file into another tool, and a box added later would look rejected in the export. A newer version
shows everything to review, and replaces the older one.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import count

from sparsedet.annotations import Box, Category, Dataset, Image, write_coco
from sparsedet.annotations.lvis import LVIS_KEYS
from sparsedet.annotations.mined_boxes import MinedBox
from sparsedet.annotations.suspicions import box_name
from sparsedet.atomic_io import remove_half_written, write_text
from sparsedet.errors import ToolError
from sparsedet.push_modes import Progress, PushReport, ToReview

from .annotation_files import annotation_origin
from .review_files import (
    CREATED_KEY,
    INSTRUCTIONS,
    JUDGE_ONLY,
    MINED,
    REVIEWED,
    SUSPECTED,
    TO_REVIEW,
    WITHDRAWN,
    ReviewVersion,
    read_versions,
    version_folder,
    without_images,
)
from .review_folder import ReviewFolder
from .reviewed_images import read_reviews
from .withdrawal import Withdrawal, withdraw

_REVIEW_KEYS = {"score", "threshold", "expected_precision", SUSPECTED}
_TICK = timedelta(microseconds=1)


def push_mined(
    review: ReviewFolder,
    wanted: ToReview,
    *,
    dry_run: bool,
    progress: Progress,
) -> PushReport:
    """Push images with their mined boxes to the review folder of a project.

    Boxes judged in a review are left out. An image that this version already shows with other boxes
    is skipped, and so is one that the project no longer has. Unreviewed boxes of other versions on
    these images are withdrawn, and so are images without mined boxes that this push does not
    include.

    Args:
        review: the review folder of the project.
        wanted: what should be up for review; its model version names the folder.
        dry_run: only work out the report.
        progress: called for each version.

    Raises:
        ToolError: before anything is written, if a box can't be pushed.
    """
    dataset, model_version = wanted.dataset, wanted.model_version
    folder = version_folder(review.path, model_version)
    wanted.check()
    by_image = _by_image(dataset, wanted.mined, wanted.queue)
    versions = read_versions(review.path, review.rename)
    own = next((version for version in versions if version.name == model_version), None)
    plan = _plan(dataset, by_image, own, versions, review.known, frozenset(wanted.queue))
    _check_new(dataset, plan.new)
    if plan.new and not dry_run:
        text = review.instructions.format(
            to_review=TO_REVIEW, reviewed=REVIEWED, withdrawn=WITHDRAWN, images=review.images
        )
        remove_half_written(folder)  # from a killed push
        write_text(folder / INSTRUCTIONS, text)
        # Last: this file makes the version exist.
        suspected = {one.key: one.in_words(dataset) for one in wanted.suspicions}
        base = own.shown if own else _empty(dataset, model_version, _time_of_push(versions))
        shown = _to_review(dataset, plan.new, wanted.judge_only, suspected, own, base)
        write_coco(shown, folder / TO_REVIEW)
        if own:
            # As written, so that withdrawals from it keep the new images.
            current = replace(own, shown=shown)
            versions = [current if version is own else version for version in versions]
            own = current
    moved = _moved(plan, own, wanted.withdrawn)
    named = frozenset(_image_id(dataset, id) for id in by_image)
    up = frozenset(_image_id(dataset, id) for id in (*plan.new, *plan.standing))
    taken_down: list[Withdrawal] = []
    for done, version in enumerate(versions, start=1):
        replaced = up if version is not own else moved - up
        taken_down.append(
            withdraw(
                version,
                region_ids=wanted.withdrawn,
                images=replaced | (version.plain - named),
                kept=up if version is own else frozenset(),
                dry_run=dry_run,
            )
        )
        progress("writing boxes to review", done, len(versions))
    written = bool(plan.new) or own is not None
    return PushReport(
        review_project=review.name if not dry_run or review.path.is_dir() else "",
        url=str(folder / TO_REVIEW if written else review.path),
        model_version=model_version,
        images=len(plan.new) + len(plan.standing),
        boxes=sum(len(boxes) for boxes in (*plan.new.values(), *plan.standing.values())),
        created=len(plan.new),
        deleted=sum(len(one.images) + len(one.trimmed) for one in taken_down),
        skipped=plan.skipped,
        gone=plan.gone,
    )


@dataclass(frozen=True, slots=True)
class _Plan:
    """Changes of a push; mined boxes by image id, in the order of the review."""

    new: Mapping[int, Sequence[MinedBox]]
    standing: Mapping[int, Sequence[MinedBox]]
    """Already up for review, and not reviewed yet."""
    skipped: Mapping[str, str]
    gone: frozenset[str]


def _by_image(
    dataset: Dataset, mined: Sequence[MinedBox], queue: Sequence[int]
) -> dict[int, list[MinedBox]]:
    """Return the mined boxes by image, in the order of the queue, then by descending score."""
    by_image: dict[int, list[MinedBox]] = {}
    for box in mined:
        by_image.setdefault(box.image_id, []).append(box)
    for boxes in by_image.values():
        boxes.sort(key=lambda box: (-box.score, box.region_id))
    names = {image.id: image.file_name for image in dataset.images}
    rest = sorted(by_image, key=lambda id: (-by_image[id][0].score, names[id]))
    return {id: by_image.get(id, []) for id in dict.fromkeys((*queue, *rest))}


def _judged(versions: Sequence[ReviewVersion]) -> set[str]:
    """Return the ids of boxes judged in any review."""
    return {id for review in read_reviews(versions, {}) for id in review.shown}


def _plan(
    dataset: Dataset,
    wanted: Mapping[int, Sequence[MinedBox]],
    own: ReviewVersion | None,
    versions: Sequence[ReviewVersion],
    known: Collection[str],
    queue: Collection[int],
) -> _Plan:
    judged = _judged(versions)
    waiting = own.waiting if own else {}
    reviewed = {id for images in own.reviewed_images.values() for id in images} if own else set()
    new: dict[int, Sequence[MinedBox]] = {}
    standing: dict[int, Sequence[MinedBox]] = {}
    skipped: dict[str, str] = {}
    gone: set[str] = set()
    for image_id, mined in wanted.items():
        image, tool_id = dataset.image_by_id[image_id], _image_id(dataset, image_id)
        left = [box for box in mined if box.region_id not in judged]
        if tool_id not in known:
            skipped[tool_id] = "the project no longer has the image"
            gone.add(tool_id)
        elif not left and (image_id not in queue or tool_id in reviewed):
            continue
        elif tool_id in reviewed or (
            tool_id in waiting and {box.region_id for box in left} - waiting[tool_id].mined.keys()
        ):
            skipped[tool_id] = (
                f"version {own.name if own else ''} shows the image with other boxes; push under "
                "another --model-version"
            )
        elif tool_id not in waiting:
            new[image_id] = left
        elif (before := waiting[tool_id].image).width != image.width or (
            before.height != image.height
        ):
            skipped[tool_id] = (
                f"it is now {image.width} x {image.height} pixels, but was {before.width} x "
                f"{before.height} when it was pushed; push under another --model-version"
            )
        else:
            standing[image_id] = left
    return _Plan(new, standing, skipped, frozenset(gone))


def _moved(plan: _Plan, own: ReviewVersion | None, withdrawn: Collection[str]) -> frozenset[str]:
    """Return the images whose boxes other images show now: contact sheets, arranged differently."""
    shown = {b.region_id for boxes in (*plan.new.values(), *plan.standing.values()) for b in boxes}
    return frozenset(
        tool_id
        for tool_id, offer in (own.waiting if own else {}).items()
        if offer.mined and offer.mined.keys() <= shown.union(withdrawn)
    )


def _check_new(dataset: Dataset, new: Mapping[int, Sequence[MinedBox]]) -> None:
    for image_id, mined in new.items():
        human = {box_name(box) for box in dataset.boxes_by_image[image_id]}
        if shared := human & {box.region_id for box in mined}:
            raise ToolError(
                f"mined box {min(shared)} is already an annotation of image id {image_id} "
                f"({dataset.image_by_id[image_id].file_name}); nothing was pushed"
            )


def _to_review(
    dataset: Dataset,
    new: Mapping[int, Sequence[MinedBox]],
    judge_only: Collection[int],
    suspected: Mapping[tuple[int, str], str],
    own: ReviewVersion | None,
    base: Dataset,
) -> Dataset:
    """Return what is up for review: the images of `base`, then the new ones in order."""
    image_numbers = count(max((image.id for image in base.images), default=0) + 1)
    box_numbers = count(max((box.id for box in base.boxes), default=0) + 1)
    categories, ids = _categories(dataset, own)
    images: list[Image] = []
    boxes: list[Box] = []
    for image_id, mined in new.items():
        image = dataset.image_by_id[image_id]
        complete = frozenset(ids[id] for id in image.complete_classes)
        # With LVIS's keys, an accepted box would mark its class, which nobody did.
        extra = {key: value for key, value in image.extra.items() if key not in LVIS_KEYS}
        image = replace(image, id=next(image_numbers), complete_classes=complete, extra=extra)
        if image_id in judge_only:
            image = replace(image, extra={**image.extra, JUDGE_ONLY: True})
        images.append(image)
        shown = [_shown_annotation(box, suspected) for box in dataset.boxes_by_image[image_id]]
        shown += [_shown_mined(box) for box in mined]
        boxes += [
            replace(box, id=next(box_numbers), image_id=image.id, category_id=ids[box.category_id])
            for box in shown
        ]
    return replace(
        base,
        images=(*base.images, *images),
        boxes=(*base.boxes, *boxes),
        categories=categories,
    )


def _categories(
    dataset: Dataset, own: ReviewVersion | None
) -> tuple[tuple[Category, ...], dict[int, int]]:
    """Return the categories of a version, and a map to them from those of `dataset`.

    They may have been renumbered since it was pushed.
    """
    if own is None:
        return dataset.categories, {category.id: category.id for category in dataset.categories}
    known = {own.category(category.name): category.id for category in own.shown.categories}
    numbers = count(max(known.values(), default=0) + 1)
    new = [
        replace(category, id=next(numbers))
        for category in dataset.categories
        if category.name not in known
    ]
    known |= {category.name: category.id for category in new}
    ids = {category.id: known[category.name] for category in dataset.categories}
    return (*own.shown.categories, *new), ids


def _time_of_push(versions: Sequence[ReviewVersion]) -> datetime:
    """Return the current time, but later than all versions, which are ordered by their times.

    This machine's clock, or that of the last push, may be wrong.
    """
    return max([datetime.now(UTC), *(version.created + _TICK for version in versions[-1:])])


def _empty(dataset: Dataset, model_version: str, created: datetime) -> Dataset:
    info = {
        "description": f"Boxes that a model found missing; see {INSTRUCTIONS}",
        "version": model_version,
        CREATED_KEY: created.isoformat(timespec="microseconds"),
    }
    return replace(without_images(dataset), extra={**dataset.extra, "info": info})


def _shown_annotation(box: Box, suspected: Mapping[tuple[int, str], str]) -> Box:
    extra = {key: value for key, value in box.extra.items() if key not in _REVIEW_KEYS}
    name = box_name(box)
    if (box.image_id, name) in suspected:
        extra[SUSPECTED] = suspected[box.image_id, name]
    return replace(box, tool_id=name, origin=annotation_origin(box), extra=extra)


def _shown_mined(box: MinedBox) -> Box:
    return Box(
        id=0,
        image_id=box.image_id,
        category_id=box.category_id,
        xyxy=box.xyxy,
        origin=MINED,
        tool_id=box.region_id,
        extra={"score": round(box.score, 6), "threshold": round(box.threshold, 6)}
        | (
            {}
            if box.expected_precision is None
            else {"expected_precision": round(box.expected_precision, 4)}
        ),
    )


def _image_id(dataset: Dataset, id: int) -> str:
    image = dataset.image_by_id[id]
    return image.tool_id or image.file_name
