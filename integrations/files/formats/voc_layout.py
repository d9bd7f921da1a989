"""The layout of a Pascal VOC folder, and the image of each xml file."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath

from sparsedet.annotations.faults import (
    IMAGE_AMBIGUOUS,
    IMAGE_MISSING,
    LABELS_WITHOUT_IMAGE,
    Faults,
    FaultyEntryError,
)
from sparsedet.annotations.image_names import IMAGE_SUFFIXES, without_upload_hash
from sparsedet.errors import AnnotationError
from sparsedet.formats import SPLIT_NAMES, canonical_split, match_split
from sparsedet.reading import read_text

from .alike_names import alike, only
from .image_folders import list_files, stem

ANNOTATIONS = "Annotations"
IMAGES = "JPEGImages"
IMAGE_SETS = "ImageSets/Main"

_ANNOTATION_FOLDERS = ("annotations", "annotation", "annots", "annot", "xmls", "xml", "labels")
"""In lower case."""
_PICTURES = ("pngimages", "photos", "pictures", "data")
_IMAGE_FOLDERS = ("jpegimages", "images", "image", "imgs", "img", *_PICTURES)
"""In lower case; the second is Label Studio's, the last FiftyOne's."""
_MASKS = ("segmentation", "mask", "label")
"""What folders of masks begin with, in lower case."""
_HEADER = 4096
"""Leading bytes in which an xml file must show that it is an annotation."""
_ROOT = re.compile(rb"<annotation(?!s[\s>])")
"""CVAT's own XML has `<annotations>`."""


@dataclass(frozen=True)
class VocFolder:
    """A VOC folder; xml files and images may also share a folder, as in LabelImg."""

    root: Path
    annotations: Path
    """The folder of the xml files."""
    images: Path | None
    """The image folder, or None."""

    @cached_property
    def xml_files(self) -> Sequence[str]:
        """Relative to `annotations`, sorted."""
        return list_files(self.annotations, {".xml"}, dangling=True)

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
    def _by_base(self) -> Mapping[str, Sequence[str]]:
        found: dict[str, list[str]] = {}
        for name in self.image_files:
            found.setdefault(PurePosixPath(name).stem, []).append(name)
        return found

    @cached_property
    def _known(self) -> frozenset[str]:
        return frozenset(self.image_files)

    @cached_property
    def _without_own(self) -> Sequence[str]:
        """Images without an xml file of their name."""
        taken = {stem(name) for name in self.xml_files}
        return [name for name in self.image_files if stem(name) not in taken]

    @cached_property
    def _originals(self) -> Mapping[str, str]:
        """These images by xml file, if its name is theirs after an upload to Label Studio."""
        images: dict[str, list[str]] = {}
        for name in self._without_own:
            images.setdefault(PurePosixPath(name).stem, []).append(name)
        files: dict[str, list[str]] = {}
        for xml in self.xml_files:
            if (plain := without_upload_hash(PurePosixPath(xml).stem)) in images:
                files.setdefault(plain, []).append(xml)
        return {
            own[0]: images[plain][0]
            for plain, own in files.items()
            if len(own) == len(images[plain]) == 1
        }

    @cached_property
    def _alike(self) -> Mapping[str, str]:
        """These images, by names that they are alike to."""
        return only(self._without_own)

    @cached_property
    def _alike_stems(self) -> Mapping[str, Sequence[str]]:
        found: dict[str, list[str]] = {}
        for name in self._without_own:
            found.setdefault(alike(stem(name)), []).append(name)
        return found

    def image_of(self, xml: str, filename: str) -> str:
        """Return the image of an xml file, relative to `images`.

        The xml file's name decides, since images are often renamed without updating `<filename>`.
        If no image or several have that name, `<filename>` decides; its folders are dropped, so
        that it can't leave the image folder.

        Args:
            xml: relative to `annotations`.
            filename: the content of `<filename>`.

        Raises:
            AnnotationError: if there is no such image, or the name is ambiguous.
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
        same = same or self._alike_stems.get(alike(stem(xml)), ())
        if len(same) == 1:
            return same[0]
        if (other := self._alike.get(alike(named))) is not None:
            return other
        where = self.annotations / xml
        if same:
            raise FaultyEntryError(
                IMAGE_AMBIGUOUS,
                f"{where}: its image is ambiguous: {' and '.join(same)} in {self.images}; "
                "remove or rename one",
            )
        # Xml files and images may be in different sub-folders, if their names are unique.
        elsewhere = self._by_base.get(PurePosixPath(xml).stem, ())
        if len(elsewhere) == 1 and self.annotations != self.images:
            return elsewhere[0]
        if (original := self._originals.get(xml)) is not None:
            return original
        raise FaultyEntryError(
            LABELS_WITHOUT_IMAGE,
            f"{where}: its image is not in {self.images}, neither {stem(xml)}.* nor "
            f"<filename> {base or '(empty)'}",
        )

    def images_named(self, xml: str) -> Sequence[str]:
        """Return the images with the same name as an xml file, regardless of its content."""
        return (
            self._by_stem.get(stem(xml))
            or self._alike_stems.get(alike(stem(xml)))
            or self._by_base.get(PurePosixPath(xml).stem)
            or ([self._originals[xml]] if xml in self._originals else ())
        )

    def xml_of(self, image: str) -> Path:
        """Return the xml file for a new annotation of an image."""
        return self.annotations / f"{stem(image)}.xml"

    def split_names(self) -> list[str]:
        """Return the names of the splits in `ImageSets/Main`."""
        folder = self.root / IMAGE_SETS
        names = list_files(folder, {".txt"}, dangling=True) if folder.is_dir() else []
        return [stem(name) for name in names]

    def folder_splits(self, images: Iterable[str]) -> dict[str, list[str]]:
        """Return the splits given by the images' first folders, if all of them name splits."""
        splits: dict[str, list[str]] = {}
        for name in images:
            first, _, rest = name.partition("/")
            if not rest or first.lower() not in SPLIT_NAMES:
                return {}
            splits.setdefault(canonical_split(first), []).append(name)
        return splits

    def split_members(self) -> dict[str, list[str]]:
        """Return the images of `train`, `val` and `test`, by ids or names.

        `trainval` is used if there is no `train`.
        """
        files = {canonical_split(name): name for name in self.split_names()}
        if "train" not in files and "trainval" in files:
            files["train"] = files["trainval"]
        named = {split: files[split] for split in ("train", "val", "test") if split in files}
        if not named:
            return self.folder_splits(self.image_files or self.xml_files)
        ids = _Ids(stem(name) for name in (*self.image_files, *self.xml_files))
        return {
            split: [ids.find(text) or text for _, text in self._listed(file)]
            for split, file in named.items()
        }

    def split(self, name: str, images: Mapping[str, str], faults: Faults) -> list[str]:
        """Return the images of a split.

        Args:
            name: the stem of a file in `ImageSets/Main`. A number after an image's id, which says
                whether it has a class, is ignored.
            images: images by id (file name without suffix).
            faults: records ids without an image.

        Raises:
            AnnotationError: if there is no such split.
        """
        known = self.split_names()
        own = match_split(name, known)
        if own is None:
            by_folder = self.folder_splits(images.values())
            if (chosen := match_split(name, by_folder)) is not None:
                return by_folder[chosen]
            raise AnnotationError(
                f"{self.root}: no split {name!r} in {IMAGE_SETS} "
                f"(found: {', '.join(known or by_folder) or '-'})"
            )
        path = self.root / IMAGE_SETS / f"{own}.txt"
        found = []
        ids = _Ids(images)
        for number, text in self._listed(own):
            id = ids.find(text)
            if id is None:
                where, what = f"{path.name}:{number}", f"no image {text!r} in this folder"
                faults.note(IMAGE_MISSING, where, f"{path}:{number}: {what}")
            else:
                found.append(images[id])
        return found

    def _listed(self, split: str) -> Iterator[tuple[int, str]]:
        """Yield the lines of a split's file that are not empty, with their numbers."""
        text = read_text(self.root / IMAGE_SETS / f"{split}.txt")
        for number, line in enumerate(text.splitlines(), start=1):
            if line.strip():
                yield number, line.strip()


class _Ids:
    """The ids of images: file names without suffix."""

    def __init__(self, ids: Iterable[str]) -> None:
        self._known = frozenset(ids)
        self._alike = only(self._known)

    def find(self, text: str) -> str | None:
        """Return the id in a line, which may have spaces, a suffix, and a number after it."""
        for name in (text, text.rsplit(None, 1)[0]):
            plain = stem(name) if PurePosixPath(name).suffix.lower() in IMAGE_SUFFIXES else name
            for id in (name, plain):
                one = id if id in self._known else self._alike.get(alike(id))
                if one is not None:
                    return one
        return None


def find_voc(root: Path, images: Path | None = None) -> VocFolder | None:
    """Return the layout of a VOC folder, or None if `root` is not one.

    Args:
        root: the folder.
        images: the image folder, if it is not the usual one.
    """
    if not root.is_dir():
        return None
    inner = _inner_folders(root)
    found = images or next(_named(inner, _IMAGE_FOLDERS), None)
    for folder in _named(inner, _ANNOTATION_FOLDERS):
        if _holds_xml(folder):
            return VocFolder(root, folder, found or _other_images(root, inner, folder))
    if _holds_xml(root, deep=False):
        return VocFolder(root, root, images or (found if not _holds_images(root) else root))
    holding = [folder for folder in inner if _holds_xml(folder, deep=False)]
    if not holding:
        return None
    # A single folder of xml files has the annotations, whatever its name.
    if len(holding) == 1 and found is not None and not _holds_images(holding[0]):
        return VocFolder(root, holding[0], found)
    return VocFolder(root, root, images or root)


def _other_images(root: Path, inner: Sequence[Path], annotations: Path) -> Path | None:
    """Return the image folder if it has no usual name: the only one, `root`, or `annotations`."""
    others = [
        folder
        for folder in inner
        if folder != annotations
        and not folder.name.lower().startswith(_MASKS)
        and _holds_images(folder)
    ]
    if len(others) == 1:
        return others[0]
    return next((folder for folder in (root, annotations) if _holds_images(folder)), None)


def _inner_folders(root: Path) -> list[Path]:
    return sorted(p for p in root.iterdir() if p.is_dir() and not p.name.startswith("."))


def _named(folders: Sequence[Path], names: Sequence[str]) -> Iterator[Path]:
    """Yield the folders with these names, ignoring case, in the order of the names."""
    for name in names:
        yield from (folder for folder in folders if folder.name.lower() == name)


def _holds_images(folder: Path) -> bool:
    return any(path.suffix.lower() in IMAGE_SUFFIXES for path in folder.iterdir())


def _holds_xml(folder: Path, *, deep: bool = True) -> bool:
    """Whether the first xml file of a folder is an annotation."""
    pattern = "*.[xX][mM][lL]"
    paths = folder.rglob(pattern) if deep else folder.glob(pattern)
    # Archives from macOS have hidden files of the same names.
    found = (path for path in paths if path.is_file() and not path.name.startswith("."))
    first = next(found, None)
    if first is None:
        return False
    with first.open("rb") as file:
        head = file.read(_HEADER).replace(b"\0", b"")  # the file may be UTF-16
    return _ROOT.search(head) is not None
