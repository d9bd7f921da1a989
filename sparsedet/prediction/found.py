"""Detections in an image, and their conversions; without torch."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sparsedet.annotations import XYXY
from sparsedet.annotations.entries import xywh
from sparsedet.errors import PredictionError

if TYPE_CHECKING:
    import fiftyone
    import supervision


class FoundBox(NamedTuple):
    """One detection."""

    label: str
    """Class name."""
    score: float
    """Probability of the class, 0 to 1."""
    xyxy: XYXY
    """Left, top, right, bottom in absolute pixels of the upright image."""


@dataclass(frozen=True, slots=True)
class Found:
    """Detections in one image, in descending order of score.

    Iterating yields a `FoundBox` for each of N detections.
    """

    boxes: NDArray[np.float64]
    """Shape (N, 4): XYXY in absolute pixels of the upright image."""
    scores: NDArray[np.float64]
    """Shape (N,): probability of the class, 0 to 1."""
    class_ids: NDArray[np.int64]
    """Shape (N,): keys of `classes`."""
    classes: Mapping[int, str]
    """Names of all of the detector's classes, by category id of its training data."""
    width: int
    """Size of the image in pixels."""
    height: int

    def __len__(self) -> int:
        return len(self.scores)

    def __iter__(self) -> Iterator[FoundBox]:
        for label, score, (left, top, right, bottom) in zip(
            self.labels, self.scores.tolist(), self.boxes.tolist(), strict=True
        ):
            yield FoundBox(label, score, (left, top, right, bottom))

    @property
    def labels(self) -> list[str]:
        """The class name of each detection."""
        return [self.classes[number] for number in self.class_ids.tolist()]

    def select(self, keep: NDArray[Any]) -> "Found":
        """Return the detections selected by `keep`, a mask or an index."""
        return Found(
            self.boxes[keep],
            self.scores[keep],
            self.class_ids[keep],
            self.classes,
            self.width,
            self.height,
        )

    def to_coco(self, image_id: int = 1) -> list[dict[str, Any]]:
        """Return entries for a COCO results list; boxes are XYWH in pixels."""
        return [
            {
                "image_id": image_id,
                "category_id": number,
                "bbox": xywh(found.xyxy),
                "score": round(found.score, 6),
            }
            for number, found in zip(self.class_ids.tolist(), self, strict=True)
        ]

    def to_supervision(self) -> "supervision.Detections":
        """Return supervision's `Detections`, with `class_name` in its data.

        Raises:
            PredictionError: when supervision is not installed.
        """
        try:
            import supervision
        except ModuleNotFoundError:
            raise PredictionError(_missing("supervision")) from None
        return supervision.Detections(
            xyxy=self.boxes.astype(np.float32),
            confidence=self.scores.astype(np.float32),
            class_id=self.class_ids.astype(int),
            data={"class_name": np.array(self.labels, dtype=str)},
        )

    def to_fiftyone(self) -> "fiftyone.Detections":
        """Return FiftyOne's `Detections`; boxes are XYWH relative to the image's size.

        Raises:
            PredictionError: when fiftyone is not installed.
        """
        try:
            import fiftyone
        except ModuleNotFoundError:
            raise PredictionError(_missing("fiftyone")) from None
        return fiftyone.Detections(
            detections=[
                fiftyone.Detection(
                    label=found.label,
                    confidence=found.score,
                    bounding_box=[
                        found.xyxy[0] / self.width,
                        found.xyxy[1] / self.height,
                        (found.xyxy[2] - found.xyxy[0]) / self.width,
                        (found.xyxy[3] - found.xyxy[1]) / self.height,
                    ],
                )
                for found in self
            ]
        )


def _missing(package: str) -> str:
    return f"{package} is not installed; `pip install {package}`"
