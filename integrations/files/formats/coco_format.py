"""COCO: a JSON file with an image folder, or a workspace or project folder that holds both."""

from collections.abc import Sequence
from pathlib import Path

from sparsedet.annotations import Dataset, read_coco, write_coco
from sparsedet.errors import AnnotationError, SparseDetError
from sparsedet.formats import Loaded
from sparsedet.loop.workspace import Workspace, locate
from sparsedet.push_modes import Progress, no_progress

from .image_folders import link_images


class CocoFormat:
    """COCO, the format in which sparsedet keeps everything; see `sparsedet.annotations.coco`.

    Folders are written as `annotations.json` and `images/`: a project for `--tool files`.
    """

    title = "COCO"
    layout = "a .json file, or a folder with annotations.json and images/"
    needs_images = False
    lists_classes = True

    def detect(self, path: Path) -> bool:
        """Whether this is a JSON file, a workspace, or a folder with `annotations.json`."""
        if path.is_file():
            return path.suffix.lower() == ".json"
        folder = Workspace(path)
        return folder.annotations.is_file() or folder.settings_file.is_file()

    def read(
        self,
        path: Path,
        *,
        images: Path | None = None,
        split: str | None = None,
        progress: Progress = no_progress,
    ) -> Loaded:
        """Read a file; its images are in `images` next to it, or in the workspace around it."""
        if split is not None:
            raise AnnotationError(f"{path}: COCO files have no splits (--split)")
        progress("reading annotations", 0, 1)
        file, folder = _locate(path, images)
        dataset = read_coco(file)
        progress("reading annotations", 1, 1)
        return Loaded(dataset, folder)

    def losses(self, dataset: Dataset) -> Sequence[str]:
        """COCO holds everything."""
        return ()

    def write(
        self,
        dataset: Dataset,
        folder: Path,
        *,
        images: Path | None,
        progress: Progress = no_progress,
    ) -> None:
        """Write `annotations.json`, and the images into `images/`."""
        target = Workspace(folder)
        if images is not None:
            names = (image.file_name for image in dataset.images)
            link_images(names, images, target.images, progress)
        write_coco(dataset, target.annotations)


def _locate(path: Path, images: Path | None) -> tuple[Path, Path | None]:
    """Return the file and its image folder, which a file may lack."""
    try:
        file, folder = locate(path, images)
    except SparseDetError:
        if path.is_dir():
            raise
        return path, None
    return file, folder if images is not None or folder.is_dir() else None
