"""Run exported files in their runtimes, and compare them with the original."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from sparsedet.annotations.matching import iou_matrix, match
from sparsedet.errors import ExportError
from sparsedet.export.card import ModelCard
from sparsedet.export.exporting import CARD
from sparsedet.modeling.inputs import InferenceInput, resize, to_tensor
from sparsedet.prediction.detector import SCORE, ColorOrder, Detector, Picture, as_bgr
from sparsedet.prediction.found import Found
from sparsedet.prediction.sources import SourceImage

Outputs = tuple[NDArray[Any], NDArray[Any], NDArray[Any]]
"""Boxes (N, D, 4), scores (N, D) and classes (N, D)."""

_ZIP = b"PK"
"""First bytes of an archive, which TorchScript files are."""
_SAME_BOX = 0.9
"""IoU from which two detections of a class count as the same."""


class ExportedDetector:
    """An exported file with the interface of `Detector`.

    Args:
        run: runs the file: uint8 (N, 3, H, W) to `Outputs`.
        card: the model card in the file.
    """

    def __init__(self, run: Callable[[NDArray[np.uint8]], Outputs], card: ModelCard) -> None:
        self._run = run
        self.card = card
        self._input = InferenceInput(
            card.input.short_side, card.input.max_size, card.input.color_order
        )
        self._ids = np.array(list(card.classes), dtype=np.int64)

    @classmethod
    def load(cls, path: Path, threads: int | None = None) -> "ExportedDetector":
        """Load a file that `export_run` wrote.

        Args:
            path: the file, of any name.
            threads: of ONNX Runtime; None: one per core.

        Raises:
            ExportError: when it is a different file, or its runtime is not installed.
        """
        if not path.is_file():
            raise ExportError(f"{path}: no such file")
        with path.open("rb") as file:
            is_archive = file.read(len(_ZIP)) == _ZIP
        return cls(*(_torchscript(path) if is_archive else _onnx(path, threads)))

    def predict(
        self, image: Picture, *, score: float = SCORE, color_order: ColorOrder = "RGB"
    ) -> Found:
        """Detect on one image; see `Detector.predict`."""
        pixels = as_bgr(image, color_order)
        height, width = pixels.shape[:2]
        size = self._input.size(height, width)
        given = to_tensor(resize(pixels, *size), self._input.colour_order).numpy()
        boxes, scores, classes = (output[0] for output in self._run(given[None]))
        there = (classes >= 0) & (scores >= score)
        scale = np.array([width / size[1], height / size[0]] * 2)
        return Found(
            boxes[there].astype(np.float64) * scale,
            scores[there].astype(np.float64),
            self._ids[classes[there]],
            self.card.classes,
            width,
            height,
        )


@dataclass(frozen=True, slots=True)
class Difference:
    """The largest differences between an exported file and the original."""

    images: int
    detections: int
    """Number of detections by the original."""
    pixels: float
    """Pixels, over all box edges."""
    scores: float
    unmatched: int
    """Number of detections by only one of the two."""


def difference(
    original: Detector,
    exported: ExportedDetector,
    images: Iterable[SourceImage],
    on_image: Callable[[int], None] = lambda done: None,
) -> Difference:
    """Compare two detectors' results, image by image, at every score that they report.

    Exported files detect on whole images, so the original does, too.

    Args:
        original: the detector.
        exported: the exported file.
        images: the images to detect on.
        on_image: called with the number of finished images.
    """
    done = detections = unmatched = 0
    pixels = scores = 0.0
    for image in images:
        one = original.predict(image.pixels, score=0.0, tile=0, color_order="BGR")
        other = exported.predict(image.pixels, score=0.0, color_order="BGR")
        done += 1
        detections += len(one)
        matched = _matched(one, other)
        unmatched += len(one) + len(other) - 2 * len(matched)
        for first, second in matched:
            pixels = max(pixels, float(np.abs(one.boxes[first] - other.boxes[second]).max()))
            scores = max(scores, float(abs(one.scores[first] - other.scores[second])))
        on_image(done)
    return Difference(done, detections, pixels, scores, unmatched)


def _matched(one: Found, other: Found) -> Sequence[tuple[int, int]]:
    """Match the detections one to one."""
    overlap = np.where(
        one.class_ids[:, None] == other.class_ids[None, :], iou_matrix(one.boxes, other.boxes), 0.0
    )
    columns = match(overlap, _SAME_BOX)
    return [(row, int(column)) for row, column in enumerate(columns) if column >= 0]


def _onnx(
    path: Path, threads: int | None
) -> tuple[Callable[[NDArray[np.uint8]], Outputs], ModelCard]:
    try:
        import onnxruntime
    except ModuleNotFoundError:
        raise ExportError("onnxruntime is not installed; `pip install 'sparsedet[onnx]'`") from None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or 0
    try:
        session = onnxruntime.InferenceSession(
            str(path), options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # its error classes have no other common base
        raise ExportError(f"{path}: ONNX Runtime can't read it ({_first_line(error)})") from None
    properties = session.get_modelmeta().custom_metadata_map
    card = ModelCard.from_json(properties.get(CARD, ""), str(path))

    def run(images: NDArray[np.uint8]) -> Outputs:
        boxes, scores, classes = session.run(None, {"images": images})
        return boxes, scores, classes

    return run, card


def _torchscript(path: Path) -> tuple[Callable[[NDArray[np.uint8]], Outputs], ModelCard]:
    extra = {CARD: ""}
    try:
        # no-untyped-call: torch.jit has no annotations.
        model = torch.jit.load(  # type: ignore[no-untyped-call]
            str(path), map_location="cpu", _extra_files=extra
        )
    except RuntimeError as error:
        raise ExportError(f"{path}: torch can't read it ({_first_line(error)})") from None
    text: str | bytes = extra[CARD]
    content = text.decode() if isinstance(text, bytes) else text
    card = ModelCard.from_json(content, str(path))

    def run(images: NDArray[np.uint8]) -> Outputs:
        with torch.inference_mode():
            boxes, scores, classes = model(torch.from_numpy(images))
        return boxes.numpy(), scores.numpy(), classes.numpy()

    return run, card


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
