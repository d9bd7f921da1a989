"""Where the files of a Pascal VOC folder are, and which image belongs to which xml file."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath

from sparsedet.errors import AnnotationError
from sparsedet.reading import read_text

from .image_folders import IMAGE_SUFFIXES, list_files, stem

ANNOTATIONS = "Annotations"
IMAGES = "JPEGImages"
IMAGE_SETS = "ImageSets/Main"

_ANNOTATION_FOLDERS = (ANNOTATIONS, "annotations")
_IMAGE_FOLDERS = (IMAGES, "images", "Images")
"""The second as Label Studio exports it."""
_HEADER = 4096
"""Bytes in which an xml file has to say that it is an annotation."""


@dataclass(frozen=True)
class VocFolder:
    """A VOC folder; xml files and images may also lie in one folder, as LabelImg leaves them."""

    root: Path
    annotations: Path
    """The folder of the xml files."""
    images: Path | None
    """The image folder; None where there is none."""

    @cached_property
    def xml_files(self) -> Sequence[str]:
        """Relative to `annotations`, sorted."""
        return list_files(self.annotations, {".xml"})

    @cached_property
    def image_files(self) -> Sequence[str]:
        """Relative to `images`, sorted."""
        return list_files(self.images, IMAGE_SUFFIXES) if self.images else []

    @cached_property
    def _by_stem(self) -> Mapping[str, Sequence[str]]:
        found: dict[str, list[str]] = {}
        for name in self.image_files:
            found.setdefault(stem(name), []).append(name)
        return found

    @cached_property
    def _known(self) -> frozenset[str]:
        return frozenset(self.image_files)

    def image_of(self, xml: str, filename: str) -> str:
        """Return the image of an xml file, relative to `images`.

        The xml's own name decides, since images are renamed and their `<filename>` forgotten. Of
        several images of that name, and where there is none, `<filename>` does; its folders are
        dropped, so that it can't lead out of the image folder.

        Args:
            xml: relative to `annotations`.
            filename: the content of `<filename>`.

        Raises:
            AnnotationError: when there is no such image, or several may be meant.
        """
        base = filename.replace("\\", "/").rsplit("/", 1)[-1].strip()
        named = str(PurePosixPath(xml).with_name(base)) if base not in ("", ".", "..") else ""
        if self.images is None:
            # VOC's own images are JPEG files.
            return named if PurePosixPath(named).suffix else f"{stem(xml)}.jpg"
        same = self._by_stem.get(stem(xml), ())
        if len(same) == 1:
            return same[0]
        for name in (named, stem(xml)):
            if name in self._known:
                return name
        where = self.annotations / xml
        if same:
            raise AnnotationError(
                f"{where}: {' and '.join(same)} in {self.images} have its name; which one is meant?"
            )
        raise AnnotationError(
            f"{where}: its image is not in {self.images}, neither {stem(xml)}.* nor "
            f"<filename> {base or '(empty)'}"
        )

    def xml_of(self, image: str) -> Path:
        """Return the xml file that a new annotation of an image belongs into."""
        return self.annotations / f"{stem(image)}.xml"

    def split_names(self) -> list[str]:
        """Return the names of the splits in `ImageSets/Main`."""
        folder = self.root / IMAGE_SETS
        return [stem(name) for name in list_files(folder, {".txt"})] if folder.is_dir() else []

    def split(self, name: str, images: Mapping[str, str]) -> list[str]:
        """Return the images of a split.

        Args:
            name: the stem of a file in `ImageSets/Main`. A number after an image's id, which says
                whether a class is on it, is passed over.
            images: the images by their ids: file names without suffix.

        Raises:
            AnnotationError: naming file and line of an id without image.
        """
        known = self.split_names()
        if name not in known:
            raise AnnotationError(
                f"{self.root}: no split {name!r} in {IMAGE_SETS} (found: {', '.join(known) or '-'})"
            )
        path = self.root / IMAGE_SETS / f"{name}.txt"
        found = []
        for number, line in enumerate(read_text(path).splitlines(), start=1):
            text = line.strip()
            id = text if text in images else text.rsplit(None, 1)[0] if text else ""
            if text and id not in images:
                raise AnnotationError(f"{path}:{number}: no image {text!r} in this folder")
            if text:
                found.append(images[id])
        return found


def find_voc(root: Path, images: Path | None = None) -> VocFolder | None:
    """Return where a VOC folder's files are, or None where `root` is none.

    Args:
        root: the folder.
        images: the image folder, where it is not the usual one.
    """
    if not root.is_dir():
        return None
    for name in _ANNOTATION_FOLDERS:
        if (root / name).is_dir() and _holds_xml(root / name):
            usual = (root / folder for folder in _IMAGE_FOLDERS)
            found = images or next((folder for folder in usual if folder.is_dir()), None)
            return VocFolder(root, root / name, found)
    if any(_holds_xml(folder, deep=False) for folder in _flat_folders(root)):
        return VocFolder(root, root, images or root)
    return None


def _flat_folders(root: Path) -> list[Path]:
    """Return the folder itself and those in it: some exports have one for each split."""
    inner = (path for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))
    return [root, *sorted(inner)]


def _holds_xml(folder: Path, *, deep: bool = True) -> bool:
    """Whether the first xml file of a folder is an annotation."""
    paths = folder.rglob("*.xml") if deep else folder.glob("*.xml")
    first = next((path for path in paths if path.is_file()), None)
    if first is None:
        return False
    with first.open("rb") as file:
        return b"<annotation" in file.read(_HEADER)
