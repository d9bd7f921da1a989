"""The port `sparsedet.tool`, implemented for Label Studio."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

from sparsedet.annotations import Dataset
from sparsedet.errors import SetupError
from sparsedet.live_backend import LiveOptions, TakenOff
from sparsedet.plugins import LocalTool
from sparsedet.prelabels import PrelabelModel, PrelabelReport, PrelabelUndo
from sparsedet.push_modes import ModeName, Progress, PushMode, no_progress
from sparsedet.tool import DEFAULT_OPTIONS, Applied, Plan, ProjectSummary, Replaced, ToolOptions

from .client.connection import Connection, check_connection, project_number
from .client.transport import AnswerLimits
from .demo.local_server import running_server
from .demo.project_setup import set_up_project
from .demo.scripted_reviews import ScriptedReview, open_reviews
from .drafts.draft_mode import DraftMode
from .prelabels import put_prelabels, undo_prelabels
from .project_pull import pull_project
from .projects import project_summary
from .review_project.review_mode import ReviewProjectMode
from .sheets.sheet_mode import SheetMode
from .source_annotations import merge_into_source, restore_source
from .task_images import task_of


class LabelStudioTool:
    """An `AnnotationTool` on a Label Studio server.

    Args:
        url: the server's address; None reads LABEL_STUDIO_URL.
        options: how projects are read, and on whose behalf.
        api_key: a legacy token or a personal access token; None reads LABEL_STUDIO_API_KEY, or
            prompts on a terminal.

    Raises:
        ToolError: if the server is not reachable or refuses the key.
    """

    def __init__(
        self,
        url: str | None = None,
        options: ToolOptions = DEFAULT_OPTIONS,
        *,
        api_key: str | None = None,
    ) -> None:
        limits = AnswerLimits(options.max_answer_megabytes, options.max_answer_seconds)
        self._connection = Connection(url, api_key, named=options.named_url, limits=limits)
        self._options = options
        modes: tuple[PushMode, ...] = (
            ReviewProjectMode(self._connection, options),
            DraftMode(self._connection, options),
            SheetMode(self._connection, options),
        )
        self._push_modes = {mode.name: mode for mode in modes}

    @staticmethod
    def check_connection() -> str:
        """Test the connection given by the environment; see `connection.check_connection`."""
        return check_connection()

    @staticmethod
    def check_project(project: str) -> None:
        """Refuse what is not the number of a project."""
        project_number(project)

    @property
    def url(self) -> str:
        """The server's address, without credentials."""
        return self._connection.url

    @property
    def connection(self) -> Connection:
        """The connection, for requests that the port does not cover."""
        return self._connection

    @property
    def push_modes(self) -> Mapping[ModeName, PushMode]:
        """A review project, drafts, and contact sheets."""
        return self._push_modes

    def summary(self, project: str) -> ProjectSummary:
        """Summarise a project; see `projects.project_summary`."""
        return project_summary(self._connection, project, self._options)

    def image_url(self, project: str, tool_id: str) -> str:
        """Return the address of a task in the project's list of tasks."""
        return self.image_address(self.url, project, tool_id)

    @staticmethod
    def image_address(url: str, project: str, tool_id: str) -> str:
        """Return the address of a task of any server; see `plugins.image_address`."""
        task = quote(task_of(tool_id), safe="")
        return f"{url.rstrip('/')}/projects/{quote(project, safe='')}/data?task={task}"

    def pull(self, project: str, images: Path, progress: Progress = no_progress) -> Dataset:
        """Read a project; see `project_pull.pull_project`."""
        return pull_project(self._connection, project, images, self._options, progress)

    def merge(
        self,
        project: str,
        plans: Mapping[str, Plan],
        *,
        sizes: Mapping[str, tuple[int, int]],
        keep: Callable[[Replaced], None] | None,
        progress: Progress = no_progress,
    ) -> Iterable[Applied]:
        """Change source annotations; see `source_annotations.merge_into_source`."""
        return merge_into_source(
            self._connection,
            project,
            plans,
            sizes=sizes,
            keep=keep,
            options=self._options,
            progress=progress,
        )

    def restore(
        self, project: str, replaced: Sequence[tuple[Replaced, str | None]]
    ) -> Mapping[str, str]:
        """Undo a merge; see `source_annotations.restore_source`."""
        return restore_source(self._connection, project, replaced, self._options)

    def prelabel(
        self,
        project: str,
        model: PrelabelModel,
        *,
        cache: Path | None = None,
        dry_run: bool = False,
        progress: Progress = no_progress,
    ) -> PrelabelReport:
        """Pre-label unannotated tasks; see `prelabels.put_prelabels`."""
        return put_prelabels(
            self._connection,
            project,
            model,
            self._options,
            cache=cache,
            dry_run=dry_run,
            progress=progress,
        )

    def undo_prelabels(
        self, project: str, *, dry_run: bool = False, progress: Progress = no_progress
    ) -> PrelabelUndo:
        """Delete pre-labels; see `prelabels.undo_prelabels`."""
        return undo_prelabels(self._connection, project, dry_run=dry_run, progress=progress)

    @classmethod
    @contextmanager
    def local(
        cls, data_dir: Path, *, keep: bool = False, progress: Progress = no_progress
    ) -> Iterator[LocalTool]:
        """Run a local server; see `local_server.running_server`."""
        with running_server(data_dir, keep=keep, progress=progress) as server:
            yield LocalTool(
                cls(server.url, api_key=server.api_key), server.url, server.email, server.password
            )

    @classmethod
    def serve(cls, url: str | None, options: LiveOptions, say: Callable[[str], None]) -> None:
        """Run a live backend; see `serve.server.serve`.

        Raises:
            SetupError: if a required package is not installed.
        """
        try:
            from .serve import server
        except ModuleNotFoundError as error:
            if error.name not in ("fastapi", "uvicorn"):
                raise
            raise SetupError(
                f"{error.name} is not installed, which a live backend needs: pip install "
                "'sparsedet[serve]'"
            ) from None
        how = replace(server.tool_options(options), named_url=options.named_url)
        server.serve(cls(url, how), options, say)

    @classmethod
    def disconnect(cls, url: str | None, project: str) -> TakenOff:
        """Remove live backends and their predictions from a project; see `serve.connect`."""
        from .serve.connect import delete_live_predictions, take_off

        connection = Connection(url, named=url is not None)
        # Backends first: otherwise they answer the next person who opens a task.
        backends = take_off(connection, project)
        return TakenOff(backends, delete_live_predictions(connection, project))

    def set_up_project(
        self, title: str, dataset: Dataset, images: Path, progress: Progress = no_progress
    ) -> str:
        """Create a project from a dataset; see `project_setup.set_up_project`."""
        return set_up_project(self._connection, title, dataset, images, progress=progress)

    def open_reviews(self, review_project: str) -> Sequence[ScriptedReview]:
        """Return the images that wait for a review; see `scripted_reviews.open_reviews`."""
        return open_reviews(self._connection, review_project, self._options)
