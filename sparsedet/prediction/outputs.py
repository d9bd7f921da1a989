"""Outputs for detections: COCO results, label files, pictures, a video."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from sparsedet.annotations import Box, Category, Dataset, Image
from sparsedet.atomic_io import atomic_folder, write_json, write_text
from sparsedet.errors import PredictionError
from sparsedet.formats import load_format, writable_formats
from sparsedet.mining.detection_file import IMAGES_SUFFIX
from sparsedet.prediction.found import Found
from sparsedet.prediction.sources import VIDEO_SUFFIXES, SourceImage
from sparsedet.reporting.pictures import MINED, BoxStyle, DrawnBox, draw_boxes, write_picture
from sparsedet.wording import one_of

_COLOURS = (
    (0, 130, 240),
    (200, 90, 20),
    (60, 160, 40),
    (150, 50, 200),
    (30, 30, 210),
    (160, 150, 0),
)
"""Colours of the classes, repeated in turn; BGR."""
_UNFINISHED = ".unfinished"
"""Name of a file in a folder of pictures while there are more to come."""


class Output(Protocol):
    """Receives detections."""

    def add(self, image: SourceImage, found: Found) -> None:
        """Add the detections of the next image."""
        ...

    def finish(self) -> None:
        """Write what has not been written yet."""
        ...

    def discard(self) -> None:
        """Discard partial output after an error or Ctrl-C."""
        ...


def output_kinds() -> list[str]:
    """Return the valid kinds for `choose_output`."""
    return [
        "results",
        "pictures",
        "video",
        *(name for name in writable_formats() if name != "coco"),
    ]


def choose_output(
    path: Path,
    kind: str | None,
    classes: dict[int, str],
    frame_rate: float | None,
    names: Sequence[str] = (),
) -> Output:
    """Return the output that writes to `path`.

    Args:
        path: a `.json` file, a video file, or a folder.
        kind: one of `output_kinds`; None: by the path's suffix, pictures for a folder.
        classes: all classes of the detector by category id.
        frame_rate: frames per second, for a video.
        names: of the images, as far as they are known.

    Raises:
        PredictionError: when path and kind don't match, or the output exists already.
        AnnotationError: when the format has one label file for two of the images.
    """
    suffix = path.suffix.lower()
    if kind is None:
        kind = "results" if suffix == ".json" else "pictures"
        kind = "video" if suffix in VIDEO_SUFFIXES else kind
    if kind not in output_kinds():
        raise PredictionError(f"--format {kind}: expected {one_of(output_kinds())}")
    if kind == "results":
        if suffix != ".json":
            raise PredictionError(f"{path}: COCO results are one file; use a name ending in .json")
        return CocoResults(path, classes)
    if kind == "video":
        if suffix not in VIDEO_SUFFIXES:
            raise PredictionError(f"{path}: a video needs a name ending in .mp4, .avi, ...")
        if path.exists():
            raise PredictionError(f"{path}: exists already; choose another name or remove it")
        return DrawnVideo(path, frame_rate or 1.0)
    if suffix == ".json" or suffix in VIDEO_SUFFIXES:
        raise PredictionError(
            f"{path}: --format {kind} writes a folder; use a name without {path.suffix}"
        )
    if path.exists() and not _is_free(path, kind):
        raise PredictionError(f"{path}: exists already; choose another folder or remove it")
    return DrawnPictures(path) if kind == "pictures" else LabelFiles(path, kind, classes, names)


def _is_free(folder: Path, kind: str) -> bool:
    """Whether a folder is empty, or has pictures of an interrupted command, which it repeats."""
    unfinished = kind == "pictures" and (folder / _UNFINISHED).is_file()
    return folder.is_dir() and (unfinished or not any(folder.iterdir()))


class CocoResults:
    """A COCO results list (XYWH boxes), and `*.images.json` with images and categories.

    pycocotools loads the latter as empty annotations, and the list as its results.
    """

    def __init__(self, path: Path, classes: dict[int, str]) -> None:
        self._path = path
        self._categories = [{"id": id, "name": name} for id, name in classes.items()]
        self._entries: list[dict[str, object]] = []
        self._images: list[dict[str, object]] = []

    def add(self, image: SourceImage, found: Found) -> None:
        """Add detections."""
        self._images.append(
            {
                "id": image.id,
                "file_name": image.name,
                "width": found.width,
                "height": found.height,
            }
        )
        self._entries += found.to_coco(image.id)

    def finish(self) -> None:
        """Write both files, the results last."""
        images = {"images": self._images, "annotations": [], "categories": self._categories}
        write_json(self._path.with_suffix(IMAGES_SUFFIX), images)
        write_json(self._path, self._entries, indent=None)

    def discard(self) -> None:
        """Do nothing: nothing has been written yet."""


class LabelFiles:
    """Label files in an installed format; images are not copied.

    Most formats can't store scores.
    """

    def __init__(
        self, folder: Path, format: str, classes: dict[int, str], names: Sequence[str] = ()
    ) -> None:
        self._folder = folder
        self._format = load_format(format)
        categories = tuple(Category(id, name) for id, name in classes.items())
        self._dataset = Dataset((), (), categories)
        self._images: list[Image] = []
        self._boxes: list[Box] = []
        self._check(names)

    def add(self, image: SourceImage, found: Found) -> None:
        """Add detections."""
        self._images.append(Image(image.id, image.name, found.width, found.height))
        for number, one in zip(found.class_ids.tolist(), found, strict=True):
            extra = {"score": round(one.score, 4)} if self._format.holds_scores else {}
            self._boxes.append(Box(len(self._boxes) + 1, image.id, number, one.xyxy, extra=extra))

    def finish(self) -> None:
        """Write all label files."""
        dataset = replace(self._dataset, images=tuple(self._images), boxes=tuple(self._boxes))
        with atomic_folder(self._folder) as folder:
            self._format.write(dataset, folder, images=None)

    def _check(self, names: Sequence[str]) -> None:
        """Try to write all classes, and names that may be refused: later, detections are lost.

        These are names that differ by their suffix only, and unusual ones.
        """
        stems = Counter(PurePosixPath(name).with_suffix("") for name in names)
        doubtful = [
            name
            for name in names
            if stems[PurePosixPath(name).with_suffix("")] > 1
            or name != name.strip()
            or not name.isprintable()
        ]
        images = tuple(
            Image(id, name, 9, 9) for id, name in enumerate(doubtful or ["image.jpg"], start=1)
        )
        boxes = tuple(
            Box(number, 1, category.id, (1.0, 1.0, 8.0, 8.0))
            for number, category in enumerate(self._dataset.categories, start=1)
        )
        trial = replace(self._dataset, images=images, boxes=boxes)
        with TemporaryDirectory(prefix="sparsedet-predict-") as folder:
            self._format.write(trial, Path(folder), images=None)

    def discard(self) -> None:
        """Do nothing: nothing has been written yet."""


class DrawnPictures:
    """A JPEG of every image with its boxes, each written atomically."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._written: set[Path] = set()

    def add(self, image: SourceImage, found: Found) -> None:
        """Write the picture."""
        if not self._written:
            write_text(self._folder / _UNFINISHED, "")
        target = self._folder / Path(image.name).with_suffix(".jpg")
        if target in self._written:
            # For example a.png and a.jpg of one folder.
            target = self._folder / f"{image.name}.jpg"
        self._written.add(target)
        write_picture(drawn(image.pixels, found), target)

    def finish(self) -> None:
        """Mark the folder as finished."""
        (self._folder / _UNFINISHED).unlink(missing_ok=True)

    def discard(self) -> None:
        """Do nothing: existing pictures are complete."""


class DrawnVideo:
    """A video with boxes, sized like its first image."""

    def __init__(self, path: Path, frame_rate: float) -> None:
        self._path = path
        self._rate = frame_rate
        self._temporary: Path | None = None
        self._writer: cv2.VideoWriter | None = None
        self._size = (0, 0)

    def add(self, image: SourceImage, found: Found) -> None:
        """Write the next frame."""
        picture = drawn(image.pixels, found)
        if self._writer is None:
            self._size = (picture.shape[1], picture.shape[0])
            self._writer = self._open()
        if (picture.shape[1], picture.shape[0]) != self._size:
            raise PredictionError(
                f"{image.name}: differs in size from the images before, which a "
                "video doesn't support; write pictures instead (--format pictures)"
            )
        self._writer.write(picture)

    def finish(self) -> None:
        """Close the file and move it to its final name."""
        if self._writer is not None and self._temporary is not None:
            self._writer.release()
            self._temporary.replace(self._path)

    def discard(self) -> None:
        """Remove the partial file."""
        if self._writer is not None and self._temporary is not None:
            self._writer.release()
            self._temporary.unlink(missing_ok=True)

    def _open(self) -> cv2.VideoWriter:
        code = "mp4v" if self._path.suffix.lower() in (".mp4", ".m4v", ".mov") else "MJPG"
        self._path.parent.mkdir(parents=True, exist_ok=True)
        # OpenCV chooses the container by suffix.
        self._temporary = self._path.with_name(f".{self._path.stem}.tmp{self._path.suffix}")
        fourcc = cv2.VideoWriter.fourcc(*code)
        writer = cv2.VideoWriter(str(self._temporary), fourcc, self._rate, self._size)
        if not writer.isOpened():
            raise PredictionError(
                f"{self._path}: OpenCV can't write this kind of video here; try .avi"
            )
        return writer


def drawn(image: NDArray[np.uint8], found: Found) -> NDArray[np.uint8]:
    """Return a copy of a BGR image, shape (H, W, 3), with boxes, classes and scores."""
    order = {number: index for index, number in enumerate(found.classes)}
    boxes = [
        DrawnBox(
            one.xyxy,
            f"{one.label} {one.score:.2f}",
            BoxStyle(one.label, MINED.meaning, _COLOURS[order[number] % len(_COLOURS)]),
        )
        for number, one in zip(found.class_ids.tolist(), found, strict=True)
    ]
    # Draw the most certain ones last, on top.
    return draw_boxes(image, boxes[::-1])
