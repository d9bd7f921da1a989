"""The port `sparsedet.tool`, implemented on folders and COCO files."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from sparsedet.annotations import Dataset
from sparsedet.annotations.mined_boxes import MinedBox
from sparsedet.errors import ToolError
from sparsedet.plugins import LocalTool
from sparsedet.tool import (
    MergedImage,
    Progress,
    ProjectSummary,
    PushedImage,
    PushMode,
    PushReport,
    ReviewedImage,
    ReviewedRegion,
    no_progress,
)

from .demo_projects import OpenReview, open_reviews, set_up_project, submit_review
from .file_merge import merge_reviews
from .file_push import push_mined
from .project import name_below, open_project, pull_project, resolve_below, summarise
from .review_files import ReviewVersion, read_versions
from .reviewed_images import read_reviewed


class FilesTool:
    """An `AnnotationTool` on a folder of projects, for any tool that reads and writes COCO.

    A project is a folder with `annotations.json` and `images/`, or a Pascal VOC or YOLO folder,
    named by its path below `url` (`.` for `url` itself) or by its absolute path. Boxes go up for
    review as `review/MODEL_VERSION/to_review.json` (COCO) in it, and come back as `reviewed.json`
    next to it. VOC and YOLO files have no place for `exhaustive`, `origin` and ids: merges leave
    them out, and boxes are known by class and place.

    Args:
        url: the folder; None takes the current one.
        complete_control: not used; the key `exhaustive` marks an image as complete.

    Raises:
        ToolError: when there is no such folder.
    """

    def __init__(self, url: str | None = None, *, complete_control: str | None = None) -> None:
        self._root = Path(url or ".").expanduser().resolve()
        if not self._root.is_dir():
            raise ToolError(f"{self._root}: no such folder (--url is the folder of the projects)")

    @property
    def url(self) -> str:
        """The folder's absolute path."""
        return str(self._root)

    @property
    def push_modes(self) -> tuple[PushMode, ...]:
        """Files have no drafts."""
        return ("review-project",)

    def summary(self, project: str) -> ProjectSummary:
        """Look at a project; see `project.summarise`."""
        return summarise(open_project(self._root, project))

    def pull(self, project: str, images: Path, progress: Progress = no_progress) -> Dataset:
        """Read a project; see `project.pull_project`."""
        return pull_project(open_project(self._root, project), images, progress)

    def push(
        self,
        project: str,
        dataset: Dataset,
        mined: Sequence[MinedBox],
        *,
        model_version: str,
        mode: PushMode = "review-project",
        progress: Progress = no_progress,
    ) -> PushReport:
        """Put mined boxes up for review; see `file_push.push_mined`."""
        _refuse_drafts(mode)
        opened = open_project(self._root, project)
        progress("writing boxes to review", 0, 1)
        report = push_mined(
            opened,
            name_below(self._root, opened.review),
            dataset,
            mined,
            model_version=model_version,
        )
        progress("writing boxes to review", 1, 1)
        return report

    def reviewed(
        self,
        review_project: str,
        *,
        mode: PushMode = "review-project",
        pushed: Sequence[PushedImage] = (),
    ) -> Sequence[ReviewedImage]:
        """Return the reviews of all model versions; see `reviewed_images.read_reviewed`."""
        _refuse_drafts(mode)
        versions = self._versions(review_project)
        return [image for version in versions for image in read_reviewed(version).values()]

    def merge(
        self,
        project: str,
        review_project: str,
        pushed: Sequence[PushedImage],
        *,
        write: bool,
        progress: Progress = no_progress,
    ) -> Sequence[MergedImage]:
        """Bring reviews into the project's files; see `file_merge.merge_reviews`."""
        opened = open_project(self._root, project)
        versions = self._versions(review_project)
        return merge_reviews(opened, versions, pushed, write=write, progress=progress)

    @classmethod
    @contextmanager
    def local(
        cls, data_dir: Path, *, keep: bool = False, progress: Progress = no_progress
    ) -> Iterator[LocalTool]:
        """Take the folder `data_dir`, made when it does not exist; it stays in any case."""
        data_dir.mkdir(parents=True, exist_ok=True)
        tool = cls(str(data_dir))
        yield LocalTool(tool, tool.url, user="", password="")

    def set_up_project(
        self, title: str, dataset: Dataset, images: Path, progress: Progress = no_progress
    ) -> str:
        """Make a project folder of a dataset; see `demo_projects.set_up_project`."""
        return set_up_project(self._root, title, dataset, images, progress)

    def open_reviews(self, review_project: str) -> Sequence[OpenReview]:
        """Return the images that wait for a review; see `demo_projects.open_reviews`."""
        return open_reviews(self._versions(review_project))

    def submit_review(
        self,
        review: OpenReview,
        regions: Sequence[ReviewedRegion],
        *,
        seconds: float = 0.0,
        complete: bool = False,
    ) -> None:
        """Write a review in which `regions` remain; see `demo_projects.submit_review`."""
        submit_review(review, regions, seconds=seconds, complete=complete)

    def _versions(self, review_project: str) -> list[ReviewVersion]:
        return read_versions(resolve_below(self._root, review_project))


def _refuse_drafts(mode: PushMode) -> None:
    if mode != "review-project":
        raise ToolError(
            "files have no drafts: push without --mode draft, which writes a file to review"
        )
