"""The workspace under check, opened without changing it."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from sparsedet.annotations import Dataset, read_coco
from sparsedet.checking.finding import Commands
from sparsedet.errors import SparseDetError
from sparsedet.loop.ledger_rebuild import has_pushed
from sparsedet.loop.round_folder import RoundFolder
from sparsedet.loop.settings import Settings
from sparsedet.loop.workspace import Workspace
from sparsedet.push_modes import Progress, no_progress
from sparsedet.reviews import AnnotationRule


@dataclass(frozen=True)
class Checked:
    """A workspace under check; unreadable parts are None, and reported by another check.

    Attributes:
        workspace: its files.
        read_data: read images and models completely.
        progress: called for every image.
    """

    workspace: Workspace
    read_data: bool = False
    progress: Progress = no_progress

    @property
    def command(self) -> Commands:
        """The commands that repair it."""
        return Commands(self.workspace.root)

    @cached_property
    def settings(self) -> Settings | None:
        """The content of `sparsedet.toml`."""
        try:
            return self.workspace.settings()
        except (SparseDetError, OSError):
            return None

    @property
    def rule(self) -> AnnotationRule:
        """Which review counts if several people reviewed an image."""
        return self.settings.source.annotations if self.settings else "ground-truth-first"

    @cached_property
    def rounds(self) -> list[RoundFolder]:
        """The existing rounds, oldest first."""
        return self.workspace.all_rounds()

    @cached_property
    def rounds_pushed(self) -> list[RoundFolder]:
        """The rounds that were pushed, as far as their files can be read."""
        return [folder for folder in self.rounds if self._has_pushed(folder)]

    @cached_property
    def annotations(self) -> Dataset | None:
        """The newest pull."""
        return self._dataset(self.workspace.annotations)

    def round_annotations(self, folder: RoundFolder) -> Dataset | None:
        """Return a round's initial annotations."""
        return self._dataset(folder.annotations)

    def name(self, path: Path) -> str:
        """Return the name of a workspace file in findings."""
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
    """Check that there is a workspace.

    Raises:
        SparseDetError: when the folder has nothing of a workspace.
    """
    root = workspace.root
    if not root.is_dir():
        raise SparseDetError(f"{root}: no such folder")
    ours = workspace.settings_file, workspace.annotations, workspace.ledger, workspace.rounds
    if not any(path.exists() for path in ours):
        raise SparseDetError(
            f"{root}: no workspace here (no {workspace.settings_file.name}); run `sparsedet init` "
            "to create one"
        )
