"""For demos and tests only: project folders made from a dataset, and scripted reviews."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any

from sparsedet.annotations import Box, Category, Dataset, Image, check_images, write_coco
from sparsedet.annotations.coco import from_coco, to_coco
from sparsedet.annotations.entries import THINNEST
from sparsedet.atomic_io import atomic_folder, read_json, write_json
from sparsedet.errors import AnnotationError, ToolError
from sparsedet.push_modes import Progress, no_progress
from sparsedet.reviews import ReviewedRegion
from sparsedet.sheets import Sheet
from sparsedet.sheets.as_images import LAYOUT
from sparsedet.sheets.layout import sheet_from_json

from .formats.image_folders import link_images
from .project import ANNOTATIONS
from .review_files import JUDGE_ONLY, MINED, REVIEWED, Offer, ReviewVersion
from .reviewed_images import UNSURE

_MAX_NAME = 50


@dataclass(frozen=True, slots=True)
class OpenReview:
    """An image that waits for its review, with what the reviewer sees."""

    offer: Offer
    folder: Path
    """Folder of the model version."""
    categories: tuple[Category, ...]

    @property
    def tool_id(self) -> str:
        """The image's id in the annotated project: its file name."""
        return self.offer.tool_id

    @property
    def regions(self) -> Sequence[ReviewedRegion]:
        """All boxes shown."""
        return [*self.offer.human.values(), *self.offer.mined.values()]

    @property
    def scores(self) -> Mapping[str, float]:
        """Region id -> score of mined boxes, without human boxes."""
        return self.offer.scores

    @property
    def sheet(self) -> Sheet | None:
        """The layout of a contact sheet."""
        layout = self.offer.image.extra.get(LAYOUT)
        return None if layout is None else sheet_from_json(layout, str(self.folder))

    @property
    def judge_only(self) -> bool:
        """Whether drawing missing boxes can wait."""
        return bool(self.offer.image.extra.get(JUDGE_ONLY))

    def submit(
        self, regions: Sequence[ReviewedRegion], *, seconds: float = 0.0, complete: bool = False
    ) -> None:
        """Add the image to `reviewed.json`, replacing an earlier review of it.

        Args:
            regions: the remaining boxes, in absolute pixels of the upright image; new boxes may
                have any id.
            seconds: the time spent on the image.
            complete: whether to mark the image as complete.

        Raises:
            ToolError: if a box has no area, is outside the image, or has an unknown category.
        """
        path = self.folder / REVIEWED
        # Parsed JSON instead of a Dataset: validating the whole file for every image would make
        # long reviews slow.
        content = read_json(path) if path.exists() else {}
        file_name = self.offer.image.file_name
        earlier = {e["id"] for e in content.get("images", []) if e["file_name"] == file_name}
        images = [e for e in content.get("images", []) if e["id"] not in earlier]
        boxes = [e for e in content.get("annotations", []) if e["image_id"] not in earlier]
        categories = _categories(self, content.get("categories", []))
        # Another tool may have created the file, with its own ids.
        image = replace(
            self.offer.image,
            id=_free_id(images),
            exhaustive=complete,
            extra={**self.offer.image.extra, "seconds": seconds},
        )
        reviewed = _reviewed(self, regions, image, categories, first_box=_free_id(boxes))
        part = to_coco(reviewed)
        try:
            from_coco(part, source=str(path))
        except AnnotationError as error:
            raise ToolError(f"the review of {self.tool_id} can't be written: {error}") from error
        whole = {"images": images + part["images"], "annotations": boxes + part["annotations"]}
        write_json(path, {**content, **whole, "categories": part["categories"]})


def set_up_project(
    root: Path, title: str, dataset: Dataset, images: Path, progress: Progress = no_progress
) -> str:
    """Create a project from the images and annotations of `dataset`; return its name in `root`.

    The name is derived from the title; a second project with the same title gets a number.

    Raises:
        AnnotationError: if an image is missing or has another size.
        ToolError: if no name can be derived from the title.
    """
    check_images(dataset, images)
    name = _free_name(root, title)
    with atomic_folder(root / name) as folder:
        names = (image.file_name for image in dataset.images)
        link_images(names, images, folder / "images", progress)
        write_coco(dataset, folder / ANNOTATIONS)
    return name


def open_reviews(versions: Sequence[ReviewVersion]) -> list[OpenReview]:
    """Return unreviewed images in order, those of the newest version first.

    Args:
        versions: oldest first.
    """
    return [
        OpenReview(offer, version.folder, _present(version))
        for version in reversed(versions)
        for offer in version.waiting.values()
    ]


def _present(version: ReviewVersion) -> tuple[Category, ...]:
    """Return the categories of a version by their current names."""
    by_name: dict[str, Category] = {}
    for category in version.shown.categories:
        if name := version.category(category.name):
            by_name.setdefault(name, replace(category, name=name))
    return tuple(by_name.values())


def _free_name(root: Path, title: str) -> str:
    slug = re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")[:_MAX_NAME]
    if not slug:
        raise ToolError(f"title {title!r} has no letter or digit for a folder name")
    names = (slug if number == 1 else f"{slug}-{number}" for number in count(1))
    return next(name for name in names if not (root / name).exists())


def _categories(review: OpenReview, known: Sequence[Mapping[str, Any]]) -> tuple[Category, ...]:
    """Return the categories of an existing `reviewed.json`, and those that it lacks."""
    categories = [Category(entry["id"], entry["name"]) for entry in known]
    names = {category.name for category in categories}
    numbers = count(_free_id(known))
    for category in review.categories:
        if category.name not in names:
            categories.append(category if not known else replace(category, id=next(numbers)))
    return tuple(categories)


def _reviewed(
    review: OpenReview,
    regions: Sequence[ReviewedRegion],
    image: Image,
    categories: tuple[Category, ...],
    *,
    first_box: int,
) -> Dataset:
    """Return the image's part of `reviewed.json`; its boxes are numbered from `first_box` on."""
    ids = {category.name: category.id for category in categories}
    boxes = []
    for number, region in enumerate(regions, start=first_box):
        if region.category not in ids:
            raise ToolError(f"reviewed box {region.region_id}: no category {region.category!r}")
        left, top, right, bottom = region.xyxy
        if min(right - left, bottom - top) < THINNEST:
            raise ToolError(f"reviewed box {region.region_id}: {list(region.xyxy)} has no area")
        score = review.scores.get(region.region_id)
        boxes.append(
            Box(
                id=number,
                image_id=image.id,
                category_id=ids[region.category],
                xyxy=region.xyxy,
                origin="human" if score is None else MINED,
                tool_id=region.region_id,
                extra=({} if score is None else {"score": score})
                | ({"note": UNSURE} if region.unsure else {}),
            )
        )
    return Dataset((image,), tuple(boxes), categories)


def _free_id(entries: Iterable[Mapping[str, Any]]) -> int:
    return max((int(entry["id"]) for entry in entries), default=0) + 1
