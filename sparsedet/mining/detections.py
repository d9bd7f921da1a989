"""What a model found in an image; free of torch, which takes seconds to import."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparsedet.annotations.model import Image

LOOK = 16
"""Numbers that describe what an image looks like."""


@dataclass(frozen=True, slots=True)
class Detections:
    """What a model found in one image, in descending order of score."""

    image_id: int
    boxes: NDArray[np.float64]
    """Shape (N, 4): XYXY, absolute pixels of the upright image."""
    scores: NDArray[np.float64]
    """Shape (N,): probability of the class, 0 to 1."""
    category_ids: NDArray[np.int64]
    """Shape (N,): ids of the dataset's categories."""
    object_scores: NDArray[np.float64]
    """Shape (N,): probability that there is an object of any class, at least the score."""
    look: NDArray[np.float64] | None = None
    """Shape (`LOOK`,): what the whole image looks like to the model; None: not known."""

    def select(self, keep: NDArray[Any]) -> "Detections":
        """Return the detections at `keep`, a mask or an index."""
        return Detections(
            self.image_id,
            self.boxes[keep],
            self.scores[keep],
            self.category_ids[keep],
            self.object_scores[keep],
            self.look,
        )

    def of_open_classes(self, image: Image) -> "Detections":
        """Return the detections that may show an object without a box.

        Those of classes that are complete on the image are left out, whatever else is there: an
        object of another class keeps the detection that says so.
        """
        if image.exhaustive:
            return self.select(np.zeros(len(self.scores), dtype=np.bool_))
        if not image.complete_classes:
            return self
        return self.select(~np.isin(self.category_ids, list(image.complete_classes)))
