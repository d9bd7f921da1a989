"""A project: a folder with annotations and images, as COCO, Pascal VOC or YOLO."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from sparsedet.annotations import Dataset, check_images
from sparsedet.errors import AnnotationError, ToolError
from sparsedet.push_modes import Progress, no_progress
from sparsedet.tool import ProjectSummary

from .annotation_files import AnnotationFiles
from .coco_files import CocoFiles
from .formats.image_folders import link_images
from .formats.voc_layout import find_voc
from .formats.yolo_layout import is_yolo
from .label_files import VocFiles, YoloFiles
from .review_files import MARK, TO_REVIEW

ANNOTATIONS = "annotations.json"

_FILES: Mapping[str, Callable[[Path, Mapping[str, str]], AnnotationFiles]] = {
    "coco": CocoFiles,
    "voc": VocFiles,
    "yolo": YoloFiles,
}
_USUAL_NAMES = frozenset({ANNOTATIONS, "data.yaml"})


@dataclass(frozen=True, slots=True)
class Project:
    """The files of a project."""

    annotations: Path
    """What people have drawn: a COCO file, a VOC or YOLO folder, or the yaml file of the latter."""
    format: str = "coco"
    """A name of the entry point group `sparsedet.formats`."""
    rename: Mapping[str, str] = field(default_factory=dict)
    """Class name as it is stored -> its present name, see `with_present_names`."""

    @property
    def folder(self) -> Path:
        """The project's folder."""
        return self.annotations if self.annotations.is_dir() else self.annotations.parent

    @property
    def review(self) -> Path:
        """What is up for review, a folder for each model version."""
        return self._own_folder("review")

    @property
    def sheets(self) -> Path:
        """What is up for review on contact sheets, a folder for each model version."""
        return self._own_folder("sheets")

    def read(self) -> AnnotationFiles:
        """Read the annotations.

        Raises:
            AnnotationError: naming the file and the place of what is broken.
        """
        return _FILES[self.format](self.annotations, self.rename)

    def _own_folder(self, name: str) -> Path:
        # Several files may share a folder and its images, but not their reviews.
        own = self.annotations == self.folder or self.annotations.name in _USUAL_NAMES
        return self.folder / (name if own else f"{self.annotations.stem}-{name}")


def open_project(root: Path, name: str, rename: Mapping[str, str]) -> Project:
    """Return the project `name`: a folder or file below `root`, or an absolute path of one.

    Raises:
        ToolError: when there is none, or it is what is up for review in another one.
    """
    path = resolve_below(root, name)
    _refuse_reviews(path)
    if path.is_file():
        return Project(path, "yolo" if is_yolo(path) else "coco", rename)
    if (path / ANNOTATIONS).is_file():
        return Project(path / ANNOTATIONS, rename=rename)
    found = [
        format
        for format, here in (("voc", find_voc(path) is not None), ("yolo", is_yolo(path)))
        if path.is_dir() and here
    ]
    if not found:
        raise ToolError(
            f"{path}: no project here; a project is a folder that holds {ANNOTATIONS} (COCO) and "
            "images/, or a Pascal VOC or YOLO folder"
        )
    if len(found) > 1:
        raise ToolError(f"{path}: holds both Pascal VOC and YOLO annotations; name the yaml file")
    return Project(path, found[0], rename)


def _refuse_reviews(path: Path) -> None:
    folder = path.parent if path.is_file() else path
    is_review = (folder / MARK).is_file() or any(folder.glob(f"*/{TO_REVIEW}"))
    is_version = (folder / TO_REVIEW).is_file()
    if is_review or is_version:
        review = folder.parent if is_version else folder
        raise ToolError(
            f"{path}: holds boxes that are up for review; the project they belong to is "
            f"{review.parent}"
        )


def resolve_below(root: Path, name: str) -> Path:
    """Return the absolute path that `name` stands for; a relative one stays below `root`.

    Raises:
        ToolError: when it is no path, or leaves `root` through `..`.
    """
    path = Path(name)
    if not name.strip() or "\0" in name:
        raise ToolError(f"{name!r} is not the name of a project folder")
    if not path.is_absolute() and ".." in path.parts:
        raise ToolError(f"project {name!r} leaves {root}; give its absolute path, or another --url")
    return (root / path).resolve()


def name_below(root: Path, path: Path) -> str:
    """Return the name that `resolve_below` turns into `path`: relative where it is below `root`."""
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)


def summarise(project: Project) -> ProjectSummary:
    """Return what a project is, at a glance; its title is the folder's name.

    Raises:
        AnnotationError: naming the file and the id of what is broken.
    """
    dataset = project.read().dataset
    return ProjectSummary(
        title=project.folder.name,
        images=len(dataset.images),
        labels=tuple(category.name for category in dataset.categories),
        has_complete_control=True,  # any review can carry `exhaustive`
    )


def pull_project(project: Project, images: Path, progress: Progress = no_progress) -> Dataset:
    """Read a project and put its images into the folder `images`; see `identify` for its ids.

    Images become hard links where the file system can, else copies; sub-folders stay. Verified
    negatives and the keys that sparsedet does not know stay too.

    Raises:
        AnnotationError: naming the file and the place of what is broken, or the image that is
            missing or of another size.
        ToolError: when `images` is the project's own folder, whose annotations a pull into it would
            overwrite.
    """
    progress("reading annotations", 0, 1)
    files = project.read()
    if files.images is None:
        raise AnnotationError(f"{project.folder}: has no image folder")
    if images.resolve() == files.images.resolve():
        raise ToolError(f"{project.folder} is the project itself; pull into a folder of its own")
    check_images(files.dataset, files.images)
    progress("reading annotations", 1, 1)
    names = (image.file_name for image in files.dataset.images)
    link_images(names, files.images, images, progress)
    return files.dataset
