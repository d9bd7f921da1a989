"""Inputs for detection: image files, folders, patterns, a COCO file, a video, a camera."""

import glob
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from sparsedet.annotations import Image, read_image, read_upright
from sparsedet.annotations.coco import from_coco, read_content
from sparsedet.annotations.image_names import IMAGE_SUFFIXES
from sparsedet.errors import AnnotationError, PredictionError
from sparsedet.loop.workspace import locate
from sparsedet.runtime.unreadable import UnreadableImages, warn_unreadable

VIDEO_SUFFIXES = frozenset({".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".webm"})

_USUAL_RATE = 25.0
"""Default frames per second of a camera."""


@dataclass(frozen=True, slots=True)
class SourceImage:
    """An image to detect on."""

    id: int
    """Id in the COCO file, else counted from 1."""
    name: str
    """With forward slashes; unique within the source."""
    pixels: NDArray[np.uint8]
    """Shape (H, W, 3), BGR, upright."""


class ImageSource(Protocol):
    """A sequence of images."""

    @property
    def total(self) -> int | None:
        """Number of images; None if unknown."""
        ...

    @property
    def frame_rate(self) -> float | None:
        """Frames per second of a video; None for images."""
        ...

    @property
    def is_live(self) -> bool:
        """Whether it only ends when it is stopped."""
        ...

    @property
    def names(self) -> Sequence[str]:
        """Names of its images; empty if they are numbered."""
        ...

    def __iter__(self) -> Iterator[SourceImage]:
        """Yield the images, skipping unreadable ones with a warning.

        Raises:
            AnnotationError: when none can be read.
        """
        ...


def open_source(texts: Sequence[str], images: Path | None = None) -> ImageSource:
    """Return the images given by `texts`.

    Args:
        texts: image files, folders, patterns such as `photos/*.jpg`; or else a single COCO file,
            video, or camera number.
        images: image folder of a COCO file, if not in the usual location.

    Raises:
        PredictionError: when one of them is none of these, or there are no images.
    """
    if len(texts) == 1:
        (text,) = texts
        path = Path(text)
        if text.isdecimal() and not path.exists():
            return Frames(int(text), "camera")
        if path.suffix.lower() in VIDEO_SUFFIXES and path.is_file():
            return Frames(str(path), path.stem)
        if path.suffix.lower() == ".json" and path.is_file():
            return _coco_file(path, images)
    files: list[tuple[str, Path]] = []
    for text in texts:
        files += _files_of(text)
    known: dict[str, Path] = {}
    for name, path in files:
        other = known.setdefault(name, path)
        if other.resolve() != path.resolve():
            raise PredictionError(
                f"{path} and {other} would both be {name!r} in the output; pass the folder that "
                "contains both"
            )
    if not known:
        raise PredictionError(f"no images in {', '.join(texts)}")
    return Files([(id, *item) for id, item in enumerate(known.items(), start=1)])


def looks_into(text: str, folder: Path) -> bool:
    """Return whether the images of a folder, which need not exist, are among those of a source."""
    path = Path(text)
    if not path.is_dir():
        if "**" not in path.parts:
            return False
        path = _fixed_part(path)
    inner, outer = folder.resolve(), path.resolve()
    # As in `_is_image`.
    return inner.is_relative_to(outer) and not any(
        part.startswith(".") for part in inner.relative_to(outer).parts
    )


class Files:
    """Image files.

    Args:
        files: id, name, and path of each.
        images: entries of a COCO file, by id.
    """

    frame_rate: float | None = None
    is_live = False

    def __init__(
        self, files: Sequence[tuple[int, str, Path]], images: dict[int, Image] | None = None
    ) -> None:
        self._files = files
        self._images = images or {}

    @property
    def total(self) -> int | None:
        """Number of images."""
        return len(self._files)

    @property
    def names(self) -> Sequence[str]:
        """Names of the images."""
        return [name for _, name, _ in self._files]

    def __iter__(self) -> Iterator[SourceImage]:
        """Yield the readable ones."""
        unreadable = UnreadableImages(None, len(self._files), warn_unreadable)
        for id, name, path in self._files:
            try:
                pixels = self._read(id, name, path)
            except AnnotationError as error:
                unreadable.skip(path, str(error))
                continue
            yield SourceImage(id, name, pixels)

    def _read(self, id: int, name: str, path: Path) -> NDArray[np.uint8]:
        known = self._images.get(id)
        if known is None:
            return read_upright(path)
        return read_image(known, path.parents[len(Path(name).parts) - 1])


class Frames:
    """The frames of a video, or of a camera until it is stopped.

    Args:
        video: file, or camera number.
        name: prefix of frame names.

    Raises:
        PredictionError: when it can't be opened.
    """

    names: Sequence[str] = ()

    def __init__(self, video: str | int, name: str) -> None:
        self._video = cv2.VideoCapture(video)
        self._name = name
        self.is_live = isinstance(video, int)
        if not self._video.isOpened():
            what = f"camera {video}" if self.is_live else str(video)
            raise PredictionError(f"{what}: OpenCV can't open it; does it exist, and is it free?")

    @property
    def total(self) -> int | None:
        """Number of frames, as declared in the file."""
        count = int(self._video.get(cv2.CAP_PROP_FRAME_COUNT))
        return count if count > 0 and not self.is_live else None

    @property
    def frame_rate(self) -> float | None:
        """Frames per second."""
        rate = float(self._video.get(cv2.CAP_PROP_FPS))
        return rate if 0 < rate < 1000 else _USUAL_RATE

    def __iter__(self) -> Iterator[SourceImage]:
        """Yield every frame."""
        number = 0
        try:
            while True:
                there, pixels = self._video.read()
                if not there:
                    break
                number += 1
                name = f"{self._name}/{number:06d}.jpg"
                yield SourceImage(number, name, np.asarray(pixels, dtype=np.uint8))
        finally:
            self._video.release()
        if not number:
            raise AnnotationError(f"{self._name}: no frame can be decoded")


def _coco_file(path: Path, images: Path | None) -> Files:
    file, folder = locate(path, images)
    content = read_content(file)
    if isinstance(content, dict) and "images" in content:
        # Files of test sets have none, and broken ones don't matter.
        content = {**content, "annotations": [], "categories": []}
    known = from_coco(content, source=str(file)).images
    if not known:
        raise PredictionError(f"{path}: lists no images")
    files = [(image.id, image.file_name, folder / image.file_name) for image in known]
    return Files(files, {image.id: image for image in known})


def _files_of(text: str) -> list[tuple[str, Path]]:
    """Return name and path of image files matching a path or pattern, sorted by name."""
    path = Path(text)
    if path.is_dir():
        return [
            (file.relative_to(path).as_posix(), file)
            for file in sorted(_below(path))
            if _is_image(file.relative_to(path)) and file.is_file()
        ]
    if path.exists():
        what = "a COCO file" if path.suffix.lower() == ".json" else "a video"
        if path.suffix.lower() in {".json", *VIDEO_SUFFIXES}:
            raise PredictionError(f"{text}: {what} must be the only input")
        return [(path.name, path)]
    base = _fixed_part(path) if glob.has_magic(text) else None
    pattern = str(path.relative_to(base)) if base is not None else ""
    found = sorted(base.glob(pattern)) if base is not None else []
    if base is None or not found:
        raise PredictionError(f"{text}: no such file or folder, and no image matches the pattern")
    return [
        (file.relative_to(base).as_posix(), file)
        for file in found
        if _is_image(file.relative_to(base)) and file.is_file()
    ]


def _below(folder: Path) -> Iterator[Path]:
    """Yield the files below a folder; links to folders elsewhere are followed, each place once."""
    seen = [folder.resolve()]
    for root, folders, files in os.walk(folder, followlinks=True):
        yield from (Path(root, name) for name in files)
        followed = []
        for inner in (Path(root, name) for name in sorted(folders)):
            if inner.is_symlink():
                target = inner.resolve()
                if any(target.is_relative_to(s) or s.is_relative_to(target) for s in seen):
                    continue
                seen.append(target)
            followed.append(inner.name)
        folders[:] = followed


def _is_image(path: Path) -> bool:
    hidden = any(part.startswith(".") for part in path.parts)
    return path.suffix.lower() in IMAGE_SUFFIXES and not hidden


def _fixed_part(pattern: Path) -> Path:
    """Return the folder before the first wildcard of a pattern."""
    return next(
        parent
        for parent in pattern.parents
        if not any(glob.has_magic(part) for part in parent.parts)
    )
