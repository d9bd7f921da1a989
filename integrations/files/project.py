"""A project: a folder with annotations and images, as COCO, Pascal VOC or YOLO."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from sparsedet.annotations import Dataset, check_images
from sparsedet.annotations.faults import Faults
from sparsedet.annotations.foreign import foreign_format
from sparsedet.errors import AnnotationError, SparseDetError, ToolError
from sparsedet.formats import detect_format, load_format, read_dataset
from sparsedet.push_modes import Progress, no_progress
from sparsedet.tool import ProjectSummary

from .annotation_files import AnnotationFiles
from .coco_files import CocoFiles
from .formats.coco_layout import find_parts, unread_files
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
    """The annotations: a COCO file, a VOC or YOLO folder, or the yaml file of the latter."""
    format: str = "coco"
    """A name of the entry point group `sparsedet.formats`."""
    rename: Mapping[str, str] = field(default_factory=dict)
    """Stored class name -> current name, see `with_present_names`."""

    @property
    def folder(self) -> Path:
        """The project's folder."""
        return self.annotations if self.annotations.is_dir() else self.annotations.parent

    @property
    def review(self) -> Path:
        """Boxes that are up for review, a folder per model version."""
        return self._own_folder("review")

    @property
    def sheets(self) -> Path:
        """Boxes that are up for review on contact sheets, a folder per model version."""
        return self._own_folder("sheets")

    def read(self) -> AnnotationFiles:
        """Read the annotations.

        Raises:
            AnnotationError: naming the broken file and the position in it.
        """
        return _FILES[self.format](self.annotations, self.rename)

    def read_from_user(self) -> AnnotationFiles:
        """Read the annotations as `read` does; errors say if they can be repaired."""
        try:
            return self.read()
        except AnnotationError as error:
            if not self._can_be_repaired():
                raise
            raise AnnotationError(
                f"{error}; a project is read without repairs: `sparsedet inspect "
                f"{self.annotations}` lists all faults, and with --fix writes a repaired copy"
            ) from error

    def _can_be_repaired(self) -> bool:
        faults = Faults(self.annotations, files=False)
        try:
            read_dataset(self.annotations, format=self.format, faults=faults)
            faults.check()
        except SparseDetError:
            return False
        return bool(faults.found)

    def _own_folder(self, name: str) -> Path:
        # Several files may share a folder with images, but not their reviews.
        own = self.annotations == self.folder or self.annotations.name in _USUAL_NAMES
        return self.folder / (name if own else f"{self.annotations.stem}-{name}")


def open_project(root: Path, name: str, rename: Mapping[str, str]) -> Project:
    """Return the project `name`: a folder or file in `root`, or an absolute path.

    Raises:
        ToolError: if there is none, or it is the review folder of another one.
    """
    path = resolve_below(root, name)
    link = root / name
    if link.is_symlink() and path.is_file() and (link.parent / "images").is_dir():
        path = link.parent.resolve() / link.name  # the images are next to the link
    _refuse_reviews(path)
    if path.is_file():
        _refuse_other_tools(path)
        return Project(path, "yolo" if is_yolo(path) else "coco", rename)
    if (path / ANNOTATIONS).is_file():
        return Project(path / ANNOTATIONS, rename=rename)
    found = [
        format
        for format, here in (("voc", find_voc(path) is not None), ("yolo", is_yolo(path)))
        if path.is_dir() and here
    ]
    if not found:
        return Project(_only_coco_file(path), rename=rename)
    if len(found) > 1:
        raise ToolError(
            f"{path}: contains both Pascal VOC and YOLO annotations; pass the yaml file"
        )
    return Project(path, found[0], rename)


def _only_coco_file(folder: Path) -> Path:
    """Return the COCO file of a folder, for example of an export."""
    parts = find_parts(folder) if folder.is_dir() else []
    files = [part.file for part in parts if part.file.is_file()]
    if files:
        files += unread_files(folder, parts)
    if len(files) > 1:
        names = ", ".join(name_below(folder, file) for file in files)
        raise ToolError(f"{folder}: has several COCO files; pass the one to work on: {names}")
    if not files:
        _refuse_other_tools(folder)
        if folder.is_dir() and (reason := foreign_format(folder)) is not None:
            raise ToolError(f"{folder}: {reason}")
        raise ToolError(
            f"{folder}: no project here; a project is a folder with a COCO file and images, or a "
            "Pascal VOC or YOLO folder"
        )
    return files[0]


def _refuse_other_tools(path: Path) -> None:
    """Refuse files of a format that merges can't write."""
    try:
        name = detect_format(path)
    except SparseDetError:
        return
    if name not in _FILES:
        raise ToolError(
            f"{path}: {load_format(name).title} can be read, but not changed by merges; make a "
            f"project of it with `sparsedet convert {path} OUT --to coco`"
        )


def _refuse_reviews(path: Path) -> None:
    folder = path.parent if path.is_file() else path
    is_review = (folder / MARK).is_file() or any(folder.glob(f"*/{TO_REVIEW}"))
    is_version = (folder / TO_REVIEW).is_file()
    if is_review or is_version:
        review = folder.parent if is_version else folder
        raise ToolError(
            f"{path}: contains boxes that are up for review; their project is {review.parent}"
        )


def resolve_below(root: Path, name: str) -> Path:
    """Return the absolute path of `name`; a relative one must stay in `root`.

    Raises:
        ToolError: if it is not a path, or leaves `root` through `..`.
    """
    path = Path(name)
    if not name.strip() or "\0" in name:
        raise ToolError(f"{name!r} is not the name of a project folder")
    if not path.is_absolute() and ".." in path.parts:
        raise ToolError(f"project {name!r} leaves {root}; pass its absolute path, or another --url")
    return (root / path).resolve()


def name_below(root: Path, path: Path) -> str:
    """Return the name that `resolve_below` turns into `path`: relative if it is in `root`."""
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)


def summarise(project: Project) -> ProjectSummary:
    """Summarise a project; its title is the folder's name.

    Raises:
        AnnotationError: naming the broken file and the id of the broken entry.
    """
    dataset = project.read_from_user().dataset
    return ProjectSummary(
        title=project.folder.name,
        images=len(dataset.images),
        labels=tuple(category.name for category in dataset.categories),
        has_complete_control=True,  # any review can carry `exhaustive`
    )


def pull_project(project: Project, images: Path, progress: Progress = no_progress) -> Dataset:
    """Read a project and put its images into the folder `images`; see `identify` for its ids.

    Images become hard links if possible, else copies; sub-folders are kept, and so are verified
    negatives and unknown keys.

    Raises:
        AnnotationError: naming the broken file and the position in it, or the image that is missing
            or has another size.
        ToolError: if `images` is in the project's own folder, where a pull would overwrite
            annotations, or read its copies as further images.
    """
    progress("reading annotations", 0, 1)
    files = project.read_from_user()
    if files.images is None:
        raise AnnotationError(f"{project.folder}: has no image folder")
    own = project.folder.resolve(), files.images.resolve()
    if images.resolve() == files.images.resolve() or images.parent.resolve() in own:
        raise ToolError(f"{project.folder} is the project itself; pull into another folder")
    check_images(files.dataset, files.images)
    progress("reading annotations", 1, 1)
    names = (image.file_name for image in files.dataset.images)
    link_images(names, files.images, images, progress)
    return files.dataset
