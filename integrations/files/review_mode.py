"""The push mode `review-project` for files."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sparsedet.atomic_io import read_json, write_json
from sparsedet.errors import PlaceAwayError, PlaceGoneError, ToolError
from sparsedet.push_modes import (
    ModeName,
    OnOffer,
    PlaceReviews,
    Progress,
    PushedImage,
    PushReport,
    ToReview,
    UndoReport,
    no_progress,
)
from sparsedet.tool import ToolOptions

from .file_push import push_mined
from .project import Project, name_below, open_project, resolve_below
from .review_files import MARK, TO_REVIEW, ReviewVersion, read_versions, written_state
from .review_folder import ReviewFolder
from .reviewed_images import read_reviews
from .withdrawal import left_plain, remove_if_empty, rename, withdraw

_OWNER = "workspace"


@dataclass(frozen=True, slots=True)
class FileReviewMode:
    """The `PushMode` of files: `to_review.json` out, `reviewed.json` in.

    Args:
        root: the folder of the projects.
        options: how projects are read, and on whose behalf.
    """

    root: Path
    options: ToolOptions

    @property
    def name(self) -> ModeName:
        """The name of the mode."""
        return "review-project"

    def prepare(self, project: str, *, take_over: bool = False) -> None:
        """Check that a project can be pushed to, and claim it for this workspace."""
        opened = self._open(project)
        opened.read()
        review = self._folder(opened)
        writable = review if review.exists() else opened.folder
        if not os.access(writable, os.W_OK):
            raise ToolError(f"{writable}: not writable; a push needs to write there")
        self._claim(review, take_over=take_over)

    def push(
        self,
        project: str,
        wanted: ToReview,
        *,
        dry_run: bool = False,
        progress: Progress = no_progress,
    ) -> PushReport:
        """Push images and mined boxes for review; see `file_push.push_mined`."""
        opened = self._open(project)
        self._refuse_other_owner(opened.review)
        report = push_mined(
            ReviewFolder.of(opened, name_below(self.root, opened.review)),
            wanted,
            dry_run=dry_run,
            progress=progress,
        )
        if opened.review.is_dir() and not dry_run:
            self._claim(opened.review)
        return report

    def find_place(self, project: str) -> str | None:
        """Return the review folder that this workspace has claimed."""
        review = self._folder(self._open(project))
        is_ours = review.is_dir() and self._owner(review) == self.options.owner
        return name_below(self.root, review) if is_ours else None

    def reviews(
        self, review_project: str, pushed: Sequence[PushedImage], progress: Progress = no_progress
    ) -> PlaceReviews:
        """Read the reviews of all model versions; see `reviewed_images.read_reviews`."""
        review = resolve_below(self.root, review_project)
        if pushed and not review.is_dir():
            raise missing_place(review)
        versions = self._versions(review)
        sizes = {image.tool_id: image.size for image in pushed if image.size is not None}
        waiting = frozenset(id for version in versions for id in version.waiting)
        progress("reading reviews", 1, 1)
        offers = frozenset(version.offer_id(id) for version in versions for id in version.offers)
        return PlaceReviews(read_reviews(versions, sizes), waiting, offers)

    def review_state(self, review_project: str) -> str:
        """Return a state that changes with reviewed files; see `review_files.written_state`."""
        review = resolve_below(self.root, review_project)
        if not review.is_dir():
            raise missing_place(review)
        return written_state(review)

    def on_offer(self, review_project: str, pushed: Sequence[PushedImage]) -> OnOffer:
        """Return what is up for review in each model version's `to_review.json`."""
        review = resolve_below(self.root, review_project)
        if pushed and not review.is_dir():
            raise missing_place(review)
        if self.options.owner is not None and self._owner(review) not in (None, self.options.owner):
            return OnOffer({})
        boxes: dict[str, list[str]] = {}
        for version in self._versions(review):
            for id in (id for offer in version.waiting.values() for id in offer.mined):
                boxes.setdefault(id, []).append(f"{version.folder.name}/{TO_REVIEW}")
        return OnOffer(boxes)

    def rename_images(self, review_project: str, images: Mapping[str, str]) -> None:
        """Rename images that are up for review."""
        for version in self._versions(resolve_below(self.root, review_project)):
            rename(version, images)

    def undo(
        self,
        project: str,
        review_project: str,
        region_ids: frozenset[str],
        *,
        dry_run: bool = False,
        progress: Progress = no_progress,
    ) -> UndoReport:
        """Withdraw unreviewed boxes; a version without other boxes is removed.

        An image without mined boxes is removed with the last mined box of its version.
        """
        review = resolve_below(self.root, review_project)
        versions = self._versions(review)
        tasks: set[tuple[str, str]] = set()
        trimmed: set[tuple[str, str]] = set()
        taken: set[str] = set()
        kept: dict[str, str] = {}
        for done, version in enumerate(versions, start=1):
            plain = left_plain(version, region_ids)
            one = withdraw(version, region_ids=region_ids, images=plain, dry_run=dry_run)
            tasks |= {(version.name, id) for id in one.images}
            trimmed |= {(version.name, id) for id in one.trimmed}
            taken |= one.region_ids
            for path, images in version.reviewed_images.items():
                reviewed = (id for id in images if version.offers[id].mined.keys() & region_ids)
                kept |= dict.fromkeys(reviewed, f"{path} holds a review of it")
            if not dry_run:
                remove_if_empty(version, region_ids)
            progress("withdrawing boxes", done, len(versions))
        return UndoReport(
            predictions=len(trimmed), tasks=len(tasks), region_ids=frozenset(taken), kept=kept
        )

    def _open(self, project: str) -> Project:
        return open_project(self.root, project, self.options.rename)

    def _versions(self, review: Path) -> list[ReviewVersion]:
        return read_versions(review, self.options.rename)

    def _folder(self, project: Project) -> Path:
        """Return the folder where a project's boxes are reviewed."""
        return project.review

    def _owner(self, review: Path) -> str | None:
        """Return the workspace that has claimed a review folder; None if nobody has."""
        owner = _read_mark(review).get(_OWNER)
        return None if owner is None else str(owner)

    def _refuse_other_owner(self, review: Path) -> str | None:
        """Return the owner of a review folder.

        Raises:
            ToolError: if it is another workspace.
        """
        owner = self._owner(review)
        if owner is not None and self.options.owner not in (None, owner):
            raise ToolError(
                f"{review.parent}: the workspace {owner} pushes to it (according to "
                f"{review / MARK}); take it over with --take-over, or continue there"
            )
        return owner

    def _claim(self, review: Path, *, take_over: bool = False) -> None:
        mark = _read_mark(review)
        before = mark.get(_OWNER) if take_over else self._refuse_other_owner(review)
        if self.options.owner in (None, before):
            return
        if before is not None:
            for version in self._versions(review):
                withdraw(version, images=version.waiting.keys())
        write_json(review / MARK, {**mark, _OWNER: self.options.owner}, indent=1)


def missing_place(review: Path) -> ToolError:
    """Return the error for a missing review folder: deleted, or out of reach with its project."""
    project = review.parent
    if project.is_dir() and any(project.iterdir()):
        return PlaceGoneError(f"{review}: the folder was deleted")
    return PlaceAwayError(
        f"{project}: the project's folder is missing or empty: is its drive mounted? If it was "
        "moved, change `project` or `url` of [source] in sparsedet.toml"
    )


def _read_mark(review: Path) -> dict[str, Any]:
    content = read_json(review / MARK) if (review / MARK).exists() else {}
    if not isinstance(content, dict):
        raise ToolError(f"{review / MARK}: not a file of sparsedet; remove it")
    return content
