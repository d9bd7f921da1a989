"""The push mode `sheets` for files: each contact sheet is an image to review."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from sparsedet.annotations import Image, write_coco
from sparsedet.atomic_io import atomic_path
from sparsedet.push_modes import (
    ModeName,
    PlaceReviews,
    Progress,
    PushedImage,
    PushReport,
    ToReview,
    no_progress,
)
from sparsedet.sheets import Sheet, SheetFile
from sparsedet.sheets.as_images import LAYOUT, as_images, images_of
from sparsedet.sheets.layout import sheet_from_json
from sparsedet.sheets.reading import image_reviews, offers_of

from .file_push import push_mined
from .project import Project, name_below, resolve_below
from .review_files import PICTURES, TO_REVIEW, WITHDRAWN, ReviewVersion, version_folder
from .review_folder import ReviewFolder
from .review_mode import FileReviewMode, missing_place
from .reviewed_images import read_reviews

_GONE = "the project no longer has the image"
_INSTRUCTIONS = """\
Contact sheets to review
========================

{to_review} is a COCO file. Its images are contact sheets, each with crops of boxes of one class
that a model found missing.

1. Import {to_review} into your annotation tool, with these images: {images}
2. Delete wrong boxes, correct the class or position of others, leave right ones.
   If a box can't be decided without the whole image, write the note "unsure".
3. Export the reviewed sheets as COCO and save the file as {reviewed} in this folder.
   Every sheet listed in {reviewed} counts as reviewed: leave out those you have not looked at.
   Several people save reviewed-NAME.json each.
4. Run `sparsedet review`.

If a newer model's boxes replace these, their sheets move from {to_review} to {withdrawn}: then
review the file in the newest folder. If you have already started, finish: your reviews in
{reviewed} still count.

Keep file names and image sizes; ids and other keys may get lost. If your tool can write keys, these
are read: "reviewer" and "seconds" of an image, "note": "unsure" of an annotation.
"""


@dataclass(frozen=True, slots=True)
class FileSheetMode(FileReviewMode):
    """The `PushMode` of contact sheets in files, based on `FileReviewMode`.

    A sheet's layout is in `to_review.json`, its image in a folder next to that.
    """

    @property
    def name(self) -> ModeName:
        """The name of the mode."""
        return "sheets"

    def push(
        self,
        project: str,
        wanted: ToReview,
        *,
        dry_run: bool = False,
        progress: Progress = no_progress,
    ) -> PushReport:
        """Push contact sheets for review; see `file_push.push_mined`."""
        opened = self._open(project)
        review = self._folder(opened)
        self._refuse_other_owner(review)
        there = {image.file_name for image in opened.read().dataset.images}
        layouts = {file.sheet.name: file.sheet for file in wanted.sheets}
        gone = images_of(layouts, layouts) - there
        pictures, boxes = as_images(list(layouts.values()), wanted.dataset, wanted.left, gone)
        folder = version_folder(review, wanted.model_version)
        shown = {box.image_id for box in boxes}
        if not dry_run:
            names = {pictures.image_by_id[id].tool_id for id in shown}
            _copy_pictures([f for f in wanted.sheets if f.sheet.name in names], folder / PICTURES)
        report = push_mined(
            ReviewFolder(
                path=review,
                name=name_below(self.root, review),
                known=frozenset(layouts),
                images=folder / PICTURES,
                rename=self.options.rename,
                instructions=_INSTRUCTIONS,
            ),
            ToReview(
                pictures,
                boxes,
                wanted.model_version,
                queue=[image.id for image in pictures.images if image.id in shown],
                withdrawn=wanted.withdrawn,
            ),
            dry_run=dry_run,
            progress=progress,
        )
        if review.is_dir() and not dry_run:
            self._claim(review)
        up = images_of(layouts, self._up(review, wanted.model_version, layouts)) - gone
        kept_back = {
            id: reason
            for name, reason in report.skipped.items()
            for id in images_of(layouts, [name])
        }
        return replace(
            report,
            images=len(up),
            skipped={**kept_back, **dict.fromkeys(sorted(gone), _GONE)},
            gone=gone,
        )

    def reviews(
        self, review_project: str, pushed: Sequence[PushedImage], progress: Progress = no_progress
    ) -> PlaceReviews:
        """Read the reviews of all sheets, as reviews of the images that they show."""
        review = resolve_below(self.root, review_project)
        if pushed and not review.is_dir():
            raise missing_place(review)
        boxes = {id: box for image in pushed for id, box in image.boxes.items()}
        sizes = {image.tool_id: image.size for image in pushed}
        versions = self._versions(review)
        layouts = {name: sheet for v in versions for name, sheet in _layouts(v).items()}
        found = [
            one
            for of_sheet in read_reviews(versions, {})
            for one in image_reviews(of_sheet, layouts[of_sheet.tool_id], boxes, sizes)
        ]
        waiting = {
            crop.tool_id
            for version in versions
            for name, offer in version.waiting.items()
            for crop in layouts[name].crops
            if crop.region_id in offer.mined
        }
        offers = {
            offer
            for version in versions
            for name in version.offers
            for offer in offers_of(version.offer_id(name), layouts[name])
        }
        progress("reading reviews of contact sheets", 1, 1)
        return PlaceReviews(found, frozenset(waiting), frozenset(offers))

    def rename_images(self, review_project: str, images: Mapping[str, str]) -> None:
        """Rename the source images of crops."""
        for version in self._versions(resolve_below(self.root, review_project)):
            for dataset, name in ((version.withdrawn, WITHDRAWN), (version.shown, TO_REVIEW)):
                renamed = tuple(
                    replace(
                        image,
                        extra={
                            **image.extra,
                            LAYOUT: sheet.renamed(images).to_json(),
                        },
                    )
                    for image in dataset.images
                    for sheet in (_layout(image, version.folder),)
                )
                if renamed != dataset.images:
                    write_coco(replace(dataset, images=renamed), version.folder / name)

    def _folder(self, project: Project) -> Path:
        return project.sheets

    def _up(self, review: Path, model_version: str, layouts: Mapping[str, Sheet]) -> list[str]:
        """Return the names of this version's unreviewed sheets."""
        return [
            name
            for version in self._versions(review)
            if version.name == model_version
            for name in version.waiting
            if name in layouts
        ]


def _layouts(version: ReviewVersion) -> dict[str, Sheet]:
    """Return the sheets of a version by name, including withdrawn ones."""
    return {name: _layout(offer.image, version.folder) for name, offer in version.offers.items()}


def _layout(image: Image, folder: Path) -> Sheet:
    """Return the layout of a sheet of a version's folder."""
    return sheet_from_json(image.extra.get(LAYOUT), f"{folder}: {image.file_name}")


def _copy_pictures(sheets: Sequence[SheetFile], folder: Path) -> None:
    for file in sheets:
        target = folder / file.path.name
        if not target.exists():
            with atomic_path(target) as temporary:
                shutil.copyfile(file.path, temporary)
