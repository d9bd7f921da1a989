"""What is up for review, and what came back: a folder for each model version.

`to_review.json` holds the images with mined boxes, `reviewed.json` next to it what a person made of
them in any annotation tool that reads and writes COCO.
"""

import logging
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath

from sparsedet.annotations import Box, Dataset, Image, read_coco
from sparsedet.errors import ToolError
from sparsedet.tool import ReviewedRegion

logger = logging.getLogger(__name__)

TO_REVIEW = "to_review.json"
REVIEWED = "reviewed.json"
INSTRUCTIONS = "README.txt"
MINED = "mined"
"""`origin` of a box that is up for review; no origin of an annotation."""

CREATED_KEY = "date_created"
"""COCO's key of `info`; orders the versions."""

_FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


@dataclass(frozen=True, slots=True)
class Offer:
    """What is up for review on one image."""

    image: Image
    """`tool_version` is the state of the annotations that the review starts from."""
    human: Mapping[str, ReviewedRegion]
    """Annotations, by region id."""
    mined: Mapping[str, ReviewedRegion]
    """Mined boxes, by region id."""
    scores: Mapping[str, float]
    """Region id -> score, of the mined boxes."""

    @property
    def tool_id(self) -> str:
        """The image's id in the annotated project."""
        return self.image.tool_id or self.image.file_name


@dataclass(frozen=True)
class ReviewVersion:
    """One model version that is up for review."""

    folder: Path
    shown: Dataset
    """The content of `to_review.json`."""
    reviewed: Dataset | None
    """The content of `reviewed.json`; None while there is none."""

    @property
    def name(self) -> str:
        """The model version."""
        return self.folder.name

    @property
    def created(self) -> str:
        """When it was pushed, in ISO format."""
        info = self.shown.extra.get("info")
        return str(info.get(CREATED_KEY, "")) if isinstance(info, Mapping) else ""

    @cached_property
    def offers(self) -> Mapping[str, Offer]:
        """What is up for review, by the images' tool ids, surest image first."""
        offers = (self._offer(image) for image in self.shown.images)
        return {offer.tool_id: offer for offer in offers}

    @cached_property
    def reviewed_images(self) -> Mapping[str, Image]:
        """Images of `reviewed.json` by the tool ids of those that were pushed.

        They are matched by file name, and by its last part where that is unique on both sides:
        other tools change folders. Images that were never pushed are left out, with one warning.

        Raises:
            ToolError: when an image has another size than it was pushed with.
        """
        if self.reviewed is None:
            return {}
        by_file = {offer.image.file_name: id for id, offer in self.offers.items()}
        by_base = _by_unique_base_name(by_file)
        theirs = _by_unique_base_name({image.file_name: "" for image in self.reviewed.images})
        exact = {by_file[i.file_name]: i for i in self.reviewed.images if i.file_name in by_file}
        matched = dict(exact)
        strangers = 0
        for image in self.reviewed.images:
            base = PurePosixPath(image.file_name).name
            if image.file_name in by_file:
                continue
            if base in by_base and base in theirs and by_base[base] not in exact:
                matched[by_base[base]] = image
            else:
                strangers += 1
        if strangers:
            logger.warning(
                "%s: %d images are not those of %s next to it and were left out",
                self.folder / REVIEWED,
                strangers,
                TO_REVIEW,
            )
        for id, image in matched.items():
            self._check_size(self.offers[id].image, image)
        return matched

    def _offer(self, image: Image) -> Offer:
        boxes = self.shown.boxes_by_image[image.id]
        mined = [box for box in boxes if box.origin == MINED]
        return Offer(
            image=image,
            human={b.tool_id or "": self._region(b) for b in boxes if b.origin != MINED},
            mined={b.tool_id or "": self._region(b) for b in mined},
            scores={b.tool_id or "": float(b.extra.get("score", 0)) for b in mined},
        )

    def _region(self, box: Box) -> ReviewedRegion:
        category = self.shown.category_by_id[box.category_id].name
        return ReviewedRegion(box.tool_id or "", category, box.xyxy)

    def _check_size(self, shown: Image, reviewed: Image) -> None:
        if (shown.width, shown.height) != (reviewed.width, reviewed.height):
            raise ToolError(
                f"{self.folder / REVIEWED}: images id {reviewed.id}: {reviewed.file_name} has "
                f"{reviewed.width} x {reviewed.height} pixels there, {TO_REVIEW} says "
                f"{shown.width} x {shown.height}; does the tool scale or turn images?"
            )


def read_versions(review: Path) -> list[ReviewVersion]:
    """Return the model versions in a review folder, oldest first; none where it does not exist.

    Raises:
        AnnotationError: naming the broken file and what in it is broken.
        ToolError: when a `reviewed.json` has lost its `to_review.json`.
    """
    versions: list[ReviewVersion] = []
    for folder in sorted(review.iterdir()) if review.is_dir() else ():
        has_review = (folder / REVIEWED).is_file()
        if (folder / TO_REVIEW).is_file():
            reviewed = read_coco(folder / REVIEWED) if has_review else None
            versions.append(ReviewVersion(folder, read_coco(folder / TO_REVIEW), reviewed))
        elif has_review:
            raise ToolError(
                f"{folder / REVIEWED}: {TO_REVIEW} is missing next to it; without it nobody knows "
                "what was reviewed"
            )
    return sorted(versions, key=lambda version: (version.created, version.name))


def version_folder(review: Path, model_version: str) -> Path:
    """Return the folder of a model version.

    Raises:
        ToolError: when its name can't be that of a folder everywhere.
    """
    if not _FILE_NAME.fullmatch(model_version):
        raise ToolError(
            f"model version {model_version!r} can't be the name of a folder; use letters, digits, "
            "'.', '_' and '-' (--model-version)"
        )
    return review / model_version


def _by_unique_base_name(files: Mapping[str, str]) -> dict[str, str]:
    """Return the values of `files` by the last part of their names, where no two share it."""
    counts = Counter(PurePosixPath(name).name for name in files)
    return {
        base: value
        for name, value in files.items()
        if counts[base := PurePosixPath(name).name] == 1
    }
