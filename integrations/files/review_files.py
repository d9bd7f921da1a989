"""Files for review and reviewed files: a folder per model version.

`to_review.json` has the images to review, `reviewed.json` next to it their reviews, saved by any
annotation tool that reads and writes COCO; several people save `reviewed-NAME.json`. Withdrawn
images move to `withdrawn.json`: they no longer appear in `to_review.json`, but reviews by people
who opened it earlier can still be read.
"""

import logging
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path, PurePosixPath

from sparsedet.annotations import Dataset, Image, read_coco
from sparsedet.annotations.coco import from_coco, read_content
from sparsedet.annotations.faults import Faults
from sparsedet.annotations.repair import SizeOf
from sparsedet.errors import ToolError
from sparsedet.reviews import ReviewedRegion
from sparsedet.wording import counted

logger = logging.getLogger(__name__)

TO_REVIEW = "to_review.json"
WITHDRAWN = "withdrawn.json"
REVIEWED = "reviewed.json"
INSTRUCTIONS = "README.txt"
PICTURES = "pictures"
"""Folder of a model version with the images of its contact sheets."""
MARK = "sparsedet.json"
"""File in the review folder that names the workspace that pushes to it."""
MINED = "mined"
"""`origin` of a box that is up for review; never of an annotation."""

CREATED_KEY = "date_created"
"""COCO's key in `info`; orders the versions."""
EARLIER_NAMES = "earlier_names"
"""Key of an image in `to_review.json`: its earlier file names."""
JUDGE_ONLY = "judge_only"
"""Key of an image in `to_review.json`: drawing missing boxes can wait."""
SUSPECTED = "suspected"
"""Key of an annotation in `to_review.json` that looks wrong: what to check."""
ALONE = "withdrawn_alone"
"""Key of a box in `withdrawn.json` whose image stayed up: not every reviewer saw it."""

_FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_REVIEWED_FILES = "reviewed*.json"
_PERSON = re.compile(r"reviewed[-_. ]+(.+)\.json")


@dataclass(frozen=True, slots=True)
class Offer:
    """Boxes that are up for review on an image."""

    image: Image
    human: Mapping[str, ReviewedRegion]
    """Annotations, by region id."""
    mined: Mapping[str, ReviewedRegion]
    """Mined boxes, by region id."""
    scores: Mapping[str, float]
    """Region id -> score of mined boxes."""
    perhaps: Mapping[str, ReviewedRegion] = field(default_factory=dict)
    """Mined boxes that were withdrawn while the image stayed up, by region id."""

    @property
    def tool_id(self) -> str:
        """The image's id in the annotated project."""
        return self.image.tool_id or self.image.file_name

    @property
    def file_names(self) -> tuple[str, ...]:
        """File names of the image known to reviewers, the original one first."""
        return *self.image.extra.get(EARLIER_NAMES, ()), self.image.file_name


@dataclass(frozen=True, slots=True)
class ReviewedFile:
    """One person's `reviewed.json`."""

    path: Path
    content: Dataset
    saved: datetime
    """When it was written."""

    @property
    def person(self) -> str | None:
        """NAME of `reviewed-NAME.json`."""
        match = _PERSON.fullmatch(self.path.name)
        return match[1] if match else None


@dataclass(frozen=True)
class ReviewVersion:
    """A pushed model version."""

    folder: Path
    shown: Dataset
    """The content of `to_review.json`."""
    withdrawn: Dataset
    """The content of `withdrawn.json`; empty if there is none."""
    files: tuple[ReviewedFile, ...]
    """The reviewed files."""
    rename: Mapping[str, str]
    """Stored category -> current name; empty if left out."""

    @property
    def name(self) -> str:
        """The model version."""
        return self.folder.name

    @cached_property
    def created(self) -> datetime:
        """When it was pushed; if unknown, when the file was written."""
        info = self.shown.extra.get("info")
        text = info.get(CREATED_KEY) if isinstance(info, Mapping) else None
        try:
            created = datetime.fromisoformat(str(text))
        except ValueError:
            return _written(self.folder / TO_REVIEW)
        return created if created.tzinfo else created.replace(tzinfo=UTC)

    @cached_property
    def offers(self) -> Mapping[str, Offer]:
        """All offers, including withdrawn ones, by tool id, in the order of review."""
        gone = {
            offer.tool_id: offer
            for offer in (self._offer(self.withdrawn, image) for image in self.withdrawn.images)
        }
        offers: dict[str, Offer] = {}
        for offer in (self._offer(self.shown, image) for image in self.shown.images):
            before = gone.get(offer.tool_id)
            boxes = {**before.mined, **before.perhaps} if before else {}
            perhaps = {id: box for id, box in boxes.items() if id not in offer.mined}
            scores = {**(before.scores if before else {}), **offer.scores}
            offers[offer.tool_id] = replace(offer, perhaps=perhaps, scores=scores)
        return {**offers, **{id: offer for id, offer in gone.items() if id not in offers}}

    @cached_property
    def waiting(self) -> Mapping[str, Offer]:
        """Offers that are up and unreviewed."""
        judged = {id for images in self.reviewed_images.values() for id in images}
        ids = [image.tool_id or image.file_name for image in self.shown.images]
        return {id: self.offers[id] for id in ids if id not in judged}

    @property
    def plain(self) -> frozenset[str]:
        """Tool ids of waiting images without mined boxes."""
        return frozenset(id for id, offer in self.waiting.items() if not offer.mined)

    @cached_property
    def region_ids(self) -> frozenset[str]:
        """Ids of all mined boxes, including withdrawn ones."""
        offers = self.offers.values()
        return frozenset(id for offer in offers for id in (*offer.mined, *offer.perhaps))

    @cached_property
    def reviewed_images(self) -> Mapping[Path, Mapping[str, Image]]:
        """Images of every reviewed file by tool id.

        They are matched by file name, or by its last part if that is unique on both sides, since
        other tools change folders. Images that were never pushed are left out with one warning.

        Raises:
            ToolError: if many images have another size than when they were pushed.
        """
        return {file.path: self._matched(file) for file in self.files}

    def offer_id(self, tool_id: str) -> str:
        """Return `Review.offer` of an image.

        It is derived from the image's first name, so that it survives renames.
        """
        return f"{self.name}/{self.offers[tool_id].file_names[0]}"

    def category(self, name: str) -> str:
        """Return the current name of a category; empty without one."""
        return self.rename.get(name, name)

    def _matched(self, file: ReviewedFile) -> dict[str, Image]:
        by_file = {name: id for id, offer in self.offers.items() for name in offer.file_names[:-1]}
        by_file |= {offer.image.file_name: id for id, offer in self.offers.items()}
        by_base = _by_unique_base_name(by_file)
        images = file.content.images
        theirs = _by_unique_base_name({image.file_name: image.file_name for image in images})
        exact = {by_file[image.file_name]: image for image in images if image.file_name in by_file}
        matched = dict(exact)
        strangers = 0
        for image in images:
            base = PurePosixPath(image.file_name).name
            if image.file_name in by_file:
                continue
            if base in by_base and base in theirs and by_base[base] not in exact:
                matched[by_base[base]] = image
            else:
                strangers += 1
        if strangers:
            logger.warning(
                "%s: left out %s missing in %s next to it",
                file.path,
                counted(strangers, "image"),
                TO_REVIEW,
            )
        return self._of_right_size(file, matched)

    def _of_right_size(self, file: ReviewedFile, matched: dict[str, Image]) -> dict[str, Image]:
        """Leave out images that have another size than pushed, as replaced ones have.

        Raises:
            ToolError: if many have: the tool may scale or rotate images.
        """
        shown = {id: self.offers[id].image for id in matched}
        wrong = [id for id, image in matched.items() if _size(image) != _size(shown[id])]
        if not wrong:
            return matched
        of, (width, height) = matched[wrong[0]], _size(shown[wrong[0]])
        first = (
            f"{file.path}: images id {of.id}: {of.file_name} has {of.width} x {of.height} pixels, "
            f"but {width} x {height} in {TO_REVIEW}"
        )
        if 2 * len(wrong) >= len(matched):
            raise ToolError(
                f"{first}; does the tool scale or rotate images? If they were replaced, remove "
                "them from the file"
            )
        logger.warning("%s; left out reviews of %s", first, counted(len(wrong), "such image"))
        return {id: image for id, image in matched.items() if id not in wrong}

    def _offer(self, source: Dataset, image: Image) -> Offer:
        human: dict[str, ReviewedRegion] = {}
        mined: dict[str, ReviewedRegion] = {}
        perhaps: dict[str, ReviewedRegion] = {}
        scores: dict[str, float] = {}
        for box in source.boxes_by_image[image.id]:
            id = box.tool_id or ""
            category = self.category(source.category_by_id[box.category_id].name)
            if not category:
                continue
            group = human if box.origin != MINED else perhaps if box.extra.get(ALONE) else mined
            group[id] = ReviewedRegion(id, category, box.xyxy)
            if box.origin == MINED:
                scores[id] = float(box.extra.get("score", 0))
        return Offer(image, human, mined, scores, perhaps)


def read_versions(review: Path, rename: Mapping[str, str]) -> list[ReviewVersion]:
    """Return the model versions in a review folder, oldest first; none if it does not exist.

    Args:
        review: the folder.
        rename: stored category -> current name.

    Raises:
        AnnotationError: naming the broken file and the broken entry.
        ToolError: if a `reviewed.json` has no `to_review.json`.
    """
    versions: list[ReviewVersion] = []
    for folder in sorted(review.iterdir()) if review.is_dir() else ():
        reviewed = sorted(folder.glob(_REVIEWED_FILES)) if folder.is_dir() else []
        if (folder / TO_REVIEW).is_file():
            shown = read_coco(folder / TO_REVIEW)
            has_withdrawn = (folder / WITHDRAWN).is_file()
            withdrawn = read_coco(folder / WITHDRAWN) if has_withdrawn else without_images(shown)
            size_of = _sizes((*withdrawn.images, *shown.images))
            files = (
                ReviewedFile(path, _read_reviewed(path, size_of), _written(path))
                for path in reviewed
            )
            versions.append(ReviewVersion(folder, shown, withdrawn, tuple(files), rename))
        elif reviewed:
            raise ToolError(
                f"{reviewed[0]}: {TO_REVIEW} is missing next to it; restore it, since it defines "
                "what was reviewed"
            )
    return sorted(versions, key=lambda version: (version.created, version.name))


def written_state(review: Path) -> str:
    """Return a text that changes when a `reviewed.json` is added or written."""
    files = sorted(review.glob(f"*/{_REVIEWED_FILES}"))
    found = ((path.relative_to(review).as_posix(), path.stat()) for path in files)
    return "; ".join(f"{name} {stat.st_size} {stat.st_mtime_ns}" for name, stat in found)


def version_folder(review: Path, model_version: str) -> Path:
    """Return the folder of a model version.

    Raises:
        ToolError: if its name is not a valid folder name on all systems.
    """
    if not _FILE_NAME.fullmatch(model_version):
        raise ToolError(
            f"model version {model_version!r} can't be the name of a folder; use letters, digits, "
            "'.', '_' and '-' (--model-version)"
        )
    return review / model_version


def without_images(dataset: Dataset) -> Dataset:
    """Return the categories and other keys of a dataset."""
    return replace(dataset, images=(), boxes=(), verified_negatives=())


def _sizes(pushed: Iterable[Image]) -> SizeOf:
    """Return a function for the size of a pushed image; some tools export none."""
    sizes: dict[str, set[tuple[int, int]]] = {}
    for image in pushed:
        for name in (*image.extra.get(EARLIER_NAMES, ()), image.file_name):
            for key in (name, PurePosixPath(name).name):
                sizes.setdefault(key, set()).add(_size(image))

    def size_of(name: str) -> tuple[int, int] | None:
        found = sizes.get(name) or sizes.get(PurePosixPath(name).name, set())
        return next(iter(found)) if len(found) == 1 else None

    return size_of


def _read_reviewed(path: Path, size_of: SizeOf) -> Dataset:
    """Read what a person saved, without images that have an unreadable box.

    Unlike a missing box, such a box was not rejected: its image waits until it is repaired.
    """
    faults = Faults(path)
    dataset = from_coco(read_content(path), source=str(path), faults=faults, size_of=size_of)
    faults.warn()
    broken = {fault.image_id for fault in faults.found if fault.kind.loses == "box"}
    kept = [image for image in dataset.images if image.id not in broken]
    if len(kept) < len(dataset.images):
        names = [image.file_name for image in dataset.images if image.id in broken]
        logger.warning("%s: not read until that is repaired: %s", path, ", ".join(names))
    return dataset.with_images(kept)


def _size(image: Image) -> tuple[int, int]:
    return image.width, image.height


def _written(path: Path) -> datetime:
    return datetime.fromtimestamp(path.stat().st_mtime, UTC)


def _by_unique_base_name(files: Mapping[str, str]) -> dict[str, str]:
    """Return the values of `files` by the last part of their names, if that is unique."""
    values: dict[str, set[str]] = {}
    for name, value in files.items():
        values.setdefault(PurePosixPath(name).name, set()).add(value)
    return {base: next(iter(found)) for base, found in values.items() if len(found) == 1}
