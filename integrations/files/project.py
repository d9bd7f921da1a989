"""A project: a folder that holds `annotations.json` (COCO) and `images/`."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from sparsedet.annotations import Box, Dataset, Image, check_images, read_coco
from sparsedet.annotations.coco import xywh
from sparsedet.errors import ToolError
from sparsedet.tool import Progress, ProjectSummary, no_progress

from .images import link_images

ANNOTATIONS = "annotations.json"

MINED = "mined"
"""`origin` of a box that is up for review; no origin of an annotation."""


@dataclass(frozen=True, slots=True)
class Project:
    """The files of a project."""

    annotations: Path
    """What people have drawn, a COCO file."""

    @property
    def images(self) -> Path:
        """The image folder."""
        return self.annotations.parent / "images"

    @property
    def review(self) -> Path:
        """What is up for review, a folder for each model version."""
        stem = self.annotations.stem
        # Several COCO files may share a folder and its images, but not their reviews.
        name = "review" if self.annotations.name == ANNOTATIONS else f"{stem}-review"
        return self.annotations.parent / name


def open_project(root: Path, name: str) -> Project:
    """Return the project `name`: a folder or COCO file below `root`, or an absolute path of one.

    Raises:
        ToolError: when there is none.
    """
    path = resolve_below(root, name)
    project = Project(path / ANNOTATIONS if path.is_dir() else path)
    if not project.annotations.is_file():
        raise ToolError(
            f"{path}: no project here; a project is a folder that holds {ANNOTATIONS} (COCO) and "
            "images/"
        )
    return project


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
    """Return the text that `resolve_below` makes `path` of: relative where it lies below `root`."""
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)


def summarise(project: Project) -> ProjectSummary:
    """Return what a project is, at a glance; its title is the folder's name.

    Raises:
        AnnotationError: naming the file and the id of what is broken.
    """
    dataset = read_coco(project.annotations)
    return ProjectSummary(
        title=project.annotations.parent.name,
        images=len(dataset.images),
        labels=tuple(category.name for category in dataset.categories),
        has_complete_control=True,  # any file can carry `exhaustive`
    )


def pull_project(project: Project, images: Path, progress: Progress = no_progress) -> Dataset:
    """Read a project and put its images into the folder `images`; see `identify` for its ids.

    Images become hard links where the file system can, else copies; sub-folders stay. Verified
    background and the keys that sparsedet does not know stay too.

    Raises:
        AnnotationError: naming the file and the id of what is broken, or the image that is missing
            or of another size.
        ToolError: when `images` is the project's own folder, whose annotations a pull into it would
            overwrite.
    """
    if images.resolve() == project.images.resolve():
        raise ToolError(
            f"{project.annotations.parent} is the project itself; pull into a folder of its own"
        )
    progress("reading annotations", 0, 1)
    dataset = identify(read_coco(project.annotations))
    check_images(dataset, project.images)
    progress("reading annotations", 1, 1)
    link_images((image.file_name for image in dataset.images), project.images, images, progress)
    return dataset


def identify(dataset: Dataset) -> Dataset:
    """Return the annotations of a project with their tool ids, versions and origins.

    An image is known by its file name, the one id that every annotation tool keeps; a box by its
    own `tool_id`, or by its COCO id where it has none. The version of an image is a digest of its
    annotations and of its `exhaustive` mark.
    """
    boxes: dict[int, list[Box]] = {image.id: [] for image in dataset.images}
    taken: set[tuple[int, str]] = set()
    for box in dataset.boxes:
        tool_id = box.tool_id or str(box.id)
        if (box.image_id, tool_id) in taken:  # copying a box copies the key in some tools
            tool_id = f"{tool_id}-{box.id}"
        taken.add((box.image_id, tool_id))
        boxes[box.image_id].append(replace(box, tool_id=tool_id, origin=annotation_origin(box)))
    names = {category.id: category.name for category in dataset.categories}
    return replace(
        dataset,
        images=tuple(
            replace(
                image,
                tool_id=image.file_name,
                tool_version=_version(image, boxes[image.id], names),
            )
            for image in dataset.images
        ),
        boxes=tuple(box for group in boxes.values() for box in group),
    )


def annotation_origin(box: Box) -> str:
    """Return the origin of an annotation; a mined box that somebody made one has been accepted."""
    if box.origin == MINED:
        return "accepted"
    return box.origin or "human"


def _version(image: Image, boxes: Iterable[Box], names: Mapping[int, str]) -> str:
    entries = [
        [box.tool_id, names[box.category_id], xywh(box.xyxy), box.iscrowd, dict(box.extra)]
        for box in boxes
    ]
    # Neither the order of the boxes nor that of their keys is a change.
    texts = sorted(json.dumps(entry, sort_keys=True) for entry in entries)
    return hashlib.sha256("\n".join([str(image.exhaustive), *texts]).encode()).hexdigest()[:16]
