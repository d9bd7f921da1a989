"""A project folder on disk: what a pull leaves and what later commands find there."""

from dataclasses import asdict, dataclass
from pathlib import Path

from sparsedet.errors import SparseDetError
from sparsedet.files import read_json, write_json

_MAX_DEPTH = 3


@dataclass(frozen=True, slots=True)
class Source:
    """Where a workspace's annotations were pulled from. Holds no credentials."""

    tool: str
    """Name of the integration."""
    url: str
    project: str


@dataclass(frozen=True, slots=True)
class Workspace:
    """The files of a project folder."""

    root: Path

    @property
    def annotations(self) -> Path:
        """The pulled annotations, a COCO file."""
        return self.root / "annotations.json"

    @property
    def images(self) -> Path:
        """The image cache."""
        return self.root / "images"

    @property
    def ledger(self) -> Path:
        """Every mined box ever pushed, and what became of it."""
        return self.root / "ledger.sqlite"

    @property
    def source_file(self) -> Path:
        """Where the annotations come from."""
        return self.root / "source.json"

    def write_source(self, source: Source) -> None:
        """Remember where the annotations come from."""
        write_json(self.source_file, asdict(source), indent=2)

    def source(self) -> Source:
        """Return where the annotations were pulled from."""
        try:
            return Source(**read_json(self.source_file))
        except TypeError as error:
            raise SparseDetError(f"{self.source_file}: unexpected content ({error})") from error


def enclosing(path: Path) -> Workspace | None:
    """Return the workspace that `path` is, or lies in at most three folders deep; else None."""
    absolute = path.resolve()
    for folder in (absolute, *absolute.parents[:_MAX_DEPTH]):
        if Workspace(folder).source_file.is_file():
            return Workspace(folder)
    return None


def locate(data: Path, images: Path | None) -> tuple[Path, Path]:
    """Return annotation file and image folder of `data`: a COCO file or a workspace folder.

    A file's images are in `images` beside it, or in the workspace that it lies in.

    Raises:
        SparseDetError: when there is no such file, or a COCO file comes without image folder.
    """
    if data.is_dir():
        workspace = Workspace(data)
        if not workspace.annotations.exists():
            raise SparseDetError(
                f"{data}: no annotations.json in this folder; run `sparsedet pull` first"
            )
        return workspace.annotations, images or workspace.images
    if images is None:
        images = data.parent / "images"
        around = enclosing(data)
        if not images.is_dir() and around is not None:
            images = around.images
        if not images.is_dir():
            raise SparseDetError(f"{data}: where are its images? Give their folder with --images")
    return data, images
