"""A model's detections in an image; without torch, which takes seconds to import."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparsedet.annotations.model import Image

EMBEDDING_SIZE = 16
"""Length of an image embedding."""


@dataclass(frozen=True, slots=True)
class Detections:
    """A model's detections in one image, in descending order of score."""

    image_id: int
    boxes: NDArray[np.float64]
    """Shape (N, 4): XYXY, absolute pixels of the upright image."""
    scores: NDArray[np.float64]
    """Shape (N,): probability of the class, 0 to 1."""
    category_ids: NDArray[np.int64]
    """Shape (N,): ids of the dataset's categories."""
    object_scores: NDArray[np.float64]
    """Shape (N,): probability of an object of any class, at least the score."""
    embedding: NDArray[np.float64] | None = None
    """Shape (`EMBEDDING_SIZE`,): the model's embedding of the whole image; None: unknown."""

    def select(self, keep: NDArray[Any]) -> "Detections":
        """Return the detections at `keep`, a mask or an index."""
        return Detections(
            self.image_id,
            self.boxes[keep],
            self.scores[keep],
            self.category_ids[keep],
            self.object_scores[keep],
            self.embedding,
        )

    def of_open_classes(self, image: Image) -> "Detections":
        """Return the detections that may show an object without a box.

        Leaves out classes that are complete on the image, but not other classes at the same
        position, which may be the true class of an object.
        """
        if image.exhaustive:
            return self.select(np.zeros(len(self.scores), dtype=np.bool_))
        if not image.complete_classes:
            return self
        return self.select(~np.isin(self.category_ids, list(image.complete_classes)))
