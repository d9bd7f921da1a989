"""The port `sparsedet.tool`, implemented for Label Studio."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from sparsedet.annotations import Dataset
from sparsedet.mining.mined import MinedBox
from sparsedet.tool import (
    LocalTool,
    Progress,
    PushReport,
    ReviewedImage,
    ReviewedRegion,
    no_progress,
)

from .connection import Connection
from .outcomes import read_reviewed
from .reading import pull_project
from .seeding import seed_project
from .server import running_server
from .submitting import OpenReview, open_reviews, submit_review
from .writing import push_mined


class LabelStudioTool:
    """An `AnnotationTool` on a Label Studio server.

    Args:
        url: the server's address; None reads LABEL_STUDIO_URL.
        api_key: a legacy token or a personal access token; None reads LABEL_STUDIO_API_KEY, or
            asks on a terminal.

    Raises:
        ToolError: when the server is not reachable or refuses the key.
    """

    def __init__(self, url: str | None = None, *, api_key: str | None = None) -> None:
        self._connection = Connection(url, api_key)

    @property
    def url(self) -> str:
        """The server's address, without credentials."""
        return self._connection.url

    @property
    def connection(self) -> Connection:
        """The connection, for what lies beyond the port (filling a demo server)."""
        return self._connection

    def pull(self, project: str, images: Path, progress: Progress = no_progress) -> Dataset:
        """Read a project; see `reading.pull_project`."""
        return pull_project(self._connection, project, images, progress)

    def push(
        self,
        project: str,
        dataset: Dataset,
        mined: Sequence[MinedBox],
        *,
        model_version: str,
        progress: Progress = no_progress,
    ) -> PushReport:
        """Put mined boxes up for review; see `writing.push_mined`."""
        return push_mined(
            self._connection,
            project,
            dataset,
            mined,
            model_version=model_version,
            progress=progress,
        )

    def reviewed(self, review_project: str) -> Sequence[ReviewedImage]:
        """Return the submitted reviews; see `outcomes.read_reviewed`."""
        return read_reviewed(self._connection, review_project)

    @classmethod
    @contextmanager
    def local(
        cls, data_dir: Path, *, keep: bool = False, progress: Progress = no_progress
    ) -> Iterator[LocalTool]:
        """Run a server of our own; see `server.running_server`."""
        with running_server(data_dir, keep=keep, progress=progress) as server:
            yield LocalTool(
                cls(server.url, api_key=server.api_key), server.url, server.email, server.password
            )

    def fill(
        self, title: str, dataset: Dataset, images: Path, progress: Progress = no_progress
    ) -> str:
        """Make a project of a dataset; see `seeding.seed_project`."""
        return seed_project(self._connection, title, dataset, images, progress=progress)

    def open_reviews(self, review_project: str) -> Sequence[OpenReview]:
        """Return the images that wait for a review; see `submitting.open_reviews`."""
        return open_reviews(self._connection, review_project)

    def submit(
        self, review: OpenReview, regions: Sequence[ReviewedRegion], *, seconds: float = 0.0
    ) -> None:
        """Submit a review in which `regions` remain; see `submitting.submit_review`."""
        submit_review(self._connection, review, regions, seconds)
