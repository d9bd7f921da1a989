"""Prototypes: what the annotated objects of a class look like to a model.

A detector trained on sparse labels finds objects, and things that were never annotated but are as
distinct. The box head's features tell them apart better than its scores: an object resembles the
annotated ones of its class, whose mean is the class's prototype (Snell, Swersky and Zemel,
"Prototypical Networks for Few-shot Learning", NeurIPS 2017).

How much objects resemble their prototype depends on the data and on the model, which has learned
the annotated ones by heart. So a box is compared with the surest detections, and with those that
are most likely wrong.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from detectron2.structures import Boxes
from numpy.typing import NDArray
from scipy.stats import median_abs_deviation, norm
from torch import nn

from sparsedet.annotations import Box, Dataset, Image
from sparsedet.config.training_config import TrainingConfig
from sparsedet.errors import AnnotationError
from sparsedet.mining.detect import view_size
from sparsedet.modeling.inputs import PixelCache
from sparsedet.modeling.tiles import Tile, is_cut, views_of
from sparsedet.runtime import processes

_FEWEST = 10
"""Boxes of each kind below which similarity is no evidence."""
_TAIL = 1.5
"""Factor on the objects' spread: those that a model is unsure of resemble their class less."""
_LEAST_SPREAD = 0.05
_SHARE = 0.5
"""Part of the evidence that counts: scores are made of the same features."""
_MOST = 4.0
"""Limit of the logarithms of likelihood ratios, before that."""

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Prototypes:
    """The mean features of each class's annotated objects."""

    category_ids: NDArray[np.int64]
    """Of the annotated classes, shape (C,)."""
    means: Floats
    """Shape (C, D), of unit length."""

    @classmethod
    def of(cls, features: Floats, category_ids: Sequence[int]) -> "Prototypes":
        """Return the prototypes of annotated objects.

        Args:
            features: shape (N, D), of unit length.
            category_ids: of each object.
        """
        classes, index = np.unique(np.array(category_ids, dtype=np.int64), return_inverse=True)
        sums = np.zeros((len(classes), features.shape[1]), dtype=np.float32)
        np.add.at(sums, index, features)
        return cls(classes, _unit(sums))

    def similarity(self, features: Floats) -> Floats:
        """Return the cosine similarity of N boxes to the most similar class, shape (N,).

        Args:
            features: shape (N, D), of unit length.
        """
        return np.asarray((features @ self.means.T).max(axis=1))

    def nearest(self, features: Floats) -> NDArray[np.int64]:
        """Return the category id of the most similar class of N boxes, shape (N,)."""
        return np.asarray(self.category_ids[(features @ self.means.T).argmax(axis=1)])


def log_likelihood_ratios(
    similarity: Floats, *, objects: Floats, others: Floats
) -> NDArray[np.float64]:
    """Return how much the similarity of N boxes speaks for an object, shape (N,).

    Of both kinds, Fisher's z of the similarity is taken to be normal. It is no evidence if objects
    don't resemble the annotated ones more than others do, which may be parts of these.

    Args:
        similarity: of the boxes, shape (N,).
        objects: of boxes that are most likely objects.
        others: of boxes that most likely are not.
    """
    if min(len(objects), len(others)) < _FEWEST:
        return np.zeros(len(similarity))
    z, of_objects, of_others = map(_fisher, (similarity, objects, others))
    high, spread = _center_and_spread(of_objects)
    low, spread_of_others = _center_and_spread(of_others)
    if high <= low:
        return np.zeros(len(similarity))
    # Beyond its center, each kind is as likely as there.
    log_objects = norm.logpdf(z.clip(max=high), high, _TAIL * spread)
    log_others = norm.logpdf(z.clip(low, high), low, spread_of_others)
    return np.asarray(_SHARE * (log_objects - log_others).clip(-_MOST, _MOST))


def _center_and_spread(z: NDArray[np.float64]) -> tuple[float, float]:
    """Return median and scaled median absolute deviation: some boxes are of the other kind."""
    center = float(np.median(z))
    return center, max(float(median_abs_deviation(z, scale="normal")), _LEAST_SPREAD)


def _fisher(similarity: Floats) -> NDArray[np.float64]:
    return np.asarray(np.arctanh(similarity.astype(np.float64).clip(-0.99, 0.995)))


def box_features(
    model: nn.Module,
    config: TrainingConfig,
    dataset: Dataset,
    images: Path,
    boxes: Sequence[Box],
    *,
    cache: PixelCache,
) -> Floats:
    """Return the box head's features of boxes, shape (N, D), of unit length.

    Every process returns the same. Boxes on an undecodable image have features of 0. Where
    INPUT.TILE says so, a box is seen on a tile that shows all of it, if there is one.

    Args:
        model: in evaluation mode.
        config: its configuration.
        dataset: the images.
        images: the folder of their files.
        boxes: the boxes, on the dataset's images.
        cache: cache of decoded images.
    """
    rows_of: dict[int, list[int]] = {}
    for row, box in enumerate(boxes):
        rows_of.setdefault(box.image_id, []).append(row)
    found: dict[int, Floats] = {}
    # Split as in detection: this process's cache has these images.
    for image in dataset.images[processes.rank() :: processes.ranks()]:
        rows = rows_of.get(image.id, [])
        features = _on_image(model, config, image, images, [boxes[row] for row in rows], cache)
        found |= {rows[own]: one for own, one in features.items()}
    features_of = {row: one for part in processes.gather(found) for row, one in part.items()}
    size = len(next(iter(features_of.values()))) if features_of else 1
    result = np.zeros((len(boxes), size), dtype=np.float32)
    for row, one in features_of.items():
        result[row] = one
    return result


def _on_image(
    model: Any,
    config: TrainingConfig,
    image: Image,
    folder: Path,
    boxes: Sequence[Box],
    cache: PixelCache,
) -> dict[int, Floats]:
    """Return the features of an image's boxes by index; none if it can't be decoded."""
    at_test = config.input.at_test()
    places = np.array([box.xyxy for box in boxes], dtype=np.float64).reshape(-1, 4)
    shown_on = _shown_on(places, image, config.input.tile)
    sizes = [at_test.size(*view_size(image, view)) for view in shown_on]
    try:
        pixels = cache.read_views(image, folder, list(zip(shown_on, sizes, strict=True)))
    except AnnotationError:  # Detection has reported it.
        return {}
    found: dict[int, Floats] = {}
    for (view, own), seen in zip(shown_on.items(), pixels, strict=True):
        height, width = view_size(image, view)
        moved = places[own] - (np.array([view.left, view.top] * 2) if view else 0)
        scale = np.array([seen.shape[1] / width, seen.shape[0] / height] * 2)
        with torch.inference_mode():
            given = model.preprocess_image([at_test.of_resized(seen, height, width)])
            on_input = torch.tensor(moved * scale, dtype=torch.float32, device=given.tensor.device)
            features = model.roi_heads.box_features(model.backbone(given.tensor), [Boxes(on_input)])
        found |= zip(own, _unit(features.float().cpu().numpy()), strict=True)
    return found


def _shown_on(places: NDArray[np.float64], image: Image, tile: int) -> dict[Tile | None, list[int]]:
    """Return the views to see N boxes on, and the indices of their boxes.

    Args:
        places: shape (N, 4), XYXY in pixels of the image.
        image: the image.
        tile: side of its tiles in pixels; 0: none.
    """
    rows_of: dict[Tile | None, list[int]] = {}
    left = np.ones(len(places), dtype=bool)
    whole, *tiles = views_of(image.width, image.height, tile)
    for view in (*tiles, whole):
        own = left.copy()
        if view is not None:
            own &= ~is_cut(places, view, image.width, image.height)
        left &= ~own
        if own.any():
            rows_of[view] = np.flatnonzero(own).tolist()
    return rows_of


def _unit(vectors: Floats) -> Floats:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(lengths, 1e-9), dtype=np.float32)
