"""The port `sparsedet.tool`, implemented for Label Studio."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from sparsedet.annotations import Dataset
from sparsedet.annotations.mined_boxes import MinedBox
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

from .connection import Connection, check_connection
from .demo.local_server import running_server
from .demo.project_setup import set_up_project
from .demo.scripted_reviews import OpenReview, open_reviews, submit_review
from .drafts.draft_push import push_drafts
from .drafts.draft_reviews import read_reviewed_drafts
from .project_pull import pull_project
from .projects import project_summary
from .review_project.review_merge import merge_reviews
from .review_project.review_push import push_mined
from .review_project.review_tasks import read_reviewed


class LabelStudioTool:
    """An `AnnotationTool` on a Label Studio server.

    Args:
        url: the server's address; None reads LABEL_STUDIO_URL.
        api_key: a legacy token or a personal access token; None reads LABEL_STUDIO_API_KEY, or
            asks on a terminal.
        complete_control: the Choices control that says that every object of an image has a box;
            None: `sparsedet_complete`, where the labelling config has it.

    Raises:
        ToolError: when the server is not reachable or refuses the key.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        api_key: str | None = None,
        complete_control: str | None = None,
    ) -> None:
        self._connection = Connection(url, api_key)
        self._complete_control = complete_control

    @staticmethod
    def check_connection() -> str | None:
        """Try the server that the environment names; see `connection.check_connection`."""
        return check_connection()

    @property
    def url(self) -> str:
        """The server's address, without credentials."""
        return self._connection.url

    @property
    def connection(self) -> Connection:
        """The connection, for requests beyond the port."""
        return self._connection

    @property
    def push_modes(self) -> tuple[PushMode, ...]:
        """Both."""
        return ("review-project", "draft")

    def summary(self, project: str) -> ProjectSummary:
        """Look at a project; see `projects.project_summary`."""
        return project_summary(self._connection, project, complete_control=self._complete_control)

    def pull(self, project: str, images: Path, progress: Progress = no_progress) -> Dataset:
        """Read a project; see `project_pull.pull_project`."""
        return pull_project(
            self._connection, project, images, progress, complete_control=self._complete_control
        )

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
        """Put mined boxes up for review; see `push_mined` and `push_drafts`."""
        push = push_drafts if mode == "draft" else push_mined
        return push(
            self._connection,
            project,
            dataset,
            mined,
            model_version=model_version,
            progress=progress,
        )

    def reviewed(
        self,
        review_project: str,
        *,
        mode: PushMode = "review-project",
        pushed: Sequence[PushedImage] = (),
    ) -> Sequence[ReviewedImage]:
        """Return the submitted reviews; see `review_tasks` and `draft_reviews`."""
        if mode == "draft":
            return read_reviewed_drafts(
                self._connection, review_project, pushed, complete_control=self._complete_control
            )
        return read_reviewed(
            self._connection, review_project, complete_control=self._complete_control
        )

    def merge(
        self,
        project: str,
        review_project: str,
        pushed: Sequence[PushedImage],
        *,
        write: bool,
        progress: Progress = no_progress,
    ) -> Sequence[MergedImage]:
        """Bring submitted reviews into the source annotations; see `review_merge.merge_reviews`."""
        return merge_reviews(
            self._connection,
            project,
            review_project,
            pushed,
            write=write,
            complete_control=self._complete_control,
            progress=progress,
        )

    @classmethod
    @contextmanager
    def local(
        cls, data_dir: Path, *, keep: bool = False, progress: Progress = no_progress
    ) -> Iterator[LocalTool]:
        """Run a server of our own; see `local_server.running_server`."""
        with running_server(data_dir, keep=keep, progress=progress) as server:
            yield LocalTool(
                cls(server.url, api_key=server.api_key), server.url, server.email, server.password
            )

    def set_up_project(
        self, title: str, dataset: Dataset, images: Path, progress: Progress = no_progress
    ) -> str:
        """Make a project of a dataset; see `project_setup.set_up_project`."""
        return set_up_project(self._connection, title, dataset, images, progress=progress)

    def open_reviews(self, review_project: str) -> Sequence[OpenReview]:
        """Return the images that wait for a review; see `scripted_reviews.open_reviews`."""
        return open_reviews(
            self._connection, review_project, complete_control=self._complete_control
        )

    def submit_review(
        self,
        review: OpenReview,
        regions: Sequence[ReviewedRegion],
        *,
        seconds: float = 0.0,
        complete: bool = False,
    ) -> None:
        """Submit a review in which `regions` remain; see `scripted_reviews.submit_review`."""
        submit_review(self._connection, review, regions, seconds, complete=complete)
