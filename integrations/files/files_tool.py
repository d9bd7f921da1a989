"""The port `sparsedet.tool`, implemented for folders and COCO files."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from sparsedet.annotations import Dataset
from sparsedet.errors import ToolError
from sparsedet.plugins import LocalTool
from sparsedet.push_modes import ModeName, Progress, PushMode, no_progress
from sparsedet.tool import DEFAULT_OPTIONS, Applied, Plan, ProjectSummary, Replaced, ToolOptions

from .demo_projects import OpenReview, open_reviews, set_up_project
from .file_merge import merge_annotations, restore_annotations
from .project import Project, open_project, pull_project, resolve_below, summarise
from .review_files import read_versions
from .review_mode import FileReviewMode
from .sheet_mode import FileSheetMode


class FilesTool:
    """An `AnnotationTool` on a folder of projects, for any tool that reads and writes COCO.

    A project is a COCO file or a folder with one, or a Pascal VOC or YOLO folder, named by its path
    in `url` (`.` for `url` itself) or by its absolute path. Boxes are pushed to
    `review/MODEL_VERSION/to_review.json` (COCO) in it, and reviews are read from `reviewed.json`
    next to that. VOC and YOLO files can't store `exhaustive`, `origin` and ids: merges leave them
    out, and boxes are identified by class and coordinates.

    Args:
        url: the folder; None for the current one.
        options: `complete_control` is ignored, since the key `exhaustive` marks an image as
            complete; so is `annotations`, since a file has one annotation per image.

    Raises:
        ToolError: if the folder does not exist, or the options select a part of the project.
    """

    def __init__(self, url: str | None = None, options: ToolOptions = DEFAULT_OPTIONS) -> None:
        self._root = Path(url or ".").expanduser().resolve()
        self._options = options
        self._image_folders: dict[str, Path] = {}
        if options.choice or options.control or options.shapes != "skip":
            raise ToolError(
                "files: view, only, annotators, skip_skipped, control and shapes of [source] need "
                "an annotation tool with a server; remove them"
            )
        _check_rename(options.rename)
        if not self._root.is_dir():
            raise ToolError(f"{self._root}: no such folder (--url is the folder of the projects)")

    @property
    def url(self) -> str:
        """The folder's absolute path."""
        return str(self._root)

    @property
    def push_modes(self) -> Mapping[ModeName, PushMode]:
        """Files have no drafts."""
        return {
            "review-project": FileReviewMode(self._root, self._options),
            "sheets": FileSheetMode(self._root, self._options),
        }

    def summary(self, project: str) -> ProjectSummary:
        """Summarise a project; see `project.summarise`."""
        return summarise(self._open(project))

    def image_url(self, project: str, tool_id: str) -> str:
        """Return the path of an image file."""
        if project not in self._image_folders:
            opened = self._open(project)
            self._image_folders[project] = opened.read().images or opened.folder
        return str(self._image_folders[project] / tool_id)

    def pull(self, project: str, images: Path, progress: Progress = no_progress) -> Dataset:
        """Read a project; see `project.pull_project`."""
        return pull_project(self._open(project), images, progress)

    def merge(
        self,
        project: str,
        plans: Mapping[str, Plan],
        *,
        sizes: Mapping[str, tuple[int, int]],
        keep: Callable[[Replaced], None] | None,
        progress: Progress = no_progress,
    ) -> Iterator[Applied]:
        """Change the project's files; see `file_merge.merge_annotations`."""
        opened = self._open(project)
        return merge_annotations(opened, plans, sizes=sizes, keep=keep, progress=progress)

    def restore(
        self, project: str, replaced: Sequence[tuple[Replaced, str | None]]
    ) -> Mapping[str, str]:
        """Undo a merge; see `file_merge.restore_annotations`."""
        return restore_annotations(self._open(project), replaced)

    @classmethod
    @contextmanager
    def local(
        cls, data_dir: Path, *, keep: bool = False, progress: Progress = no_progress
    ) -> Iterator[LocalTool]:
        """Use the folder `data_dir`, created if missing; it is always kept."""
        data_dir.mkdir(parents=True, exist_ok=True)
        tool = cls(str(data_dir))
        yield LocalTool(tool, tool.url, user="", password="")

    def set_up_project(
        self, title: str, dataset: Dataset, images: Path, progress: Progress = no_progress
    ) -> str:
        """Create a project folder from a dataset; see `demo_projects.set_up_project`."""
        return set_up_project(self._root, title, dataset, images, progress)

    def open_reviews(self, review_project: str) -> Sequence[OpenReview]:
        """Return the images that wait for a review; see `demo_projects.open_reviews`."""
        review = resolve_below(self._root, review_project)
        return open_reviews(read_versions(review, self._options.rename))

    def _open(self, project: str) -> Project:
        return open_project(self._root, project, self._options.rename)


def _check_rename(rename: Mapping[str, str]) -> None:
    """Refuse a name that is old and current: in reviews it could mean either class."""
    for old, new in rename.items():
        if new != old and rename.get(new, new) != new:
            raise ToolError(
                f"[labels] rename maps {old!r} to {new!r}, and {new!r} to {rename[new]!r}; no name "
                "can be both an old and a current one: rename the classes in the files instead"
            )
