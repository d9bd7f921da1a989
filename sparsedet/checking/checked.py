"""What a check looks at: the workspace, opened without changing anything in it."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from sparsedet.annotations import Dataset, read_coco
from sparsedet.checking.finding import Commands
from sparsedet.errors import SparseDetError
from sparsedet.loop.ledger_rebuild import has_pushed
from sparsedet.loop.settings import Settings
from sparsedet.loop.workspace import RoundFolder, Workspace
from sparsedet.push_modes import Progress, no_progress
from sparsedet.reviews import AnnotationRule


@dataclass(frozen=True)
class Checked:
    """A workspace that is being checked; what can't be read is None, and somebody else's finding.

    Attributes:
        workspace: its files.
        read_data: read images and models whole.
        progress: called for every image.
    """

    workspace: Workspace
    read_data: bool = False
    progress: Progress = no_progress

    @property
    def command(self) -> Commands:
        """The commands that put it right."""
        return Commands(self.workspace.root)

    @cached_property
    def settings(self) -> Settings | None:
        """What `sparsedet.toml` says."""
        try:
            return self.workspace.settings()
        except (SparseDetError, OSError):
            return None

    @property
    def rule(self) -> AnnotationRule:
        """What counts where several people reviewed an image."""
        return self.settings.source.annotations if self.settings else "ground-truth-first"

    @cached_property
    def rounds(self) -> list[RoundFolder]:
        """The rounds that were begun, oldest first."""
        return self.workspace.all_rounds()

    @cached_property
    def rounds_pushed(self) -> list[RoundFolder]:
        """The rounds that put something up for review, as far as their files can be read."""
        return [folder for folder in self.rounds if self._has_pushed(folder)]

    @cached_property
    def annotations(self) -> Dataset | None:
        """What was pulled last."""
        return self._dataset(self.workspace.annotations)

    def round_annotations(self, folder: RoundFolder) -> Dataset | None:
        """Return what a round began with."""
        return self._dataset(folder.annotations)

    def name(self, path: Path) -> str:
        """Return how a file of the workspace is called in findings."""
        root = self.workspace.root
        return str(path.relative_to(root)) if path.is_relative_to(root) else str(path)

    @staticmethod
    def _has_pushed(folder: RoundFolder) -> bool:
        try:
            return has_pushed(folder)
        except (SparseDetError, OSError):
            return False

    @staticmethod
    def _dataset(path: Path) -> Dataset | None:
        try:
            return read_coco(path)
        except (SparseDetError, OSError):
            return None


def check_is_workspace(workspace: Workspace) -> None:
    """Check that there is a workspace to look at.

    Raises:
        SparseDetError: when nothing in the folder is one's.
    """
    root = workspace.root
    if not root.is_dir():
        raise SparseDetError(f"{root}: no such folder")
    ours = workspace.settings_file, workspace.annotations, workspace.ledger, workspace.rounds
    if not any(path.exists() for path in ours):
        raise SparseDetError(
            f"{root}: no workspace here (no {workspace.settings_file.name}); `sparsedet init` "
            "makes one"
        )
