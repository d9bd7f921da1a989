"""Candidates of a simulated model with known truth."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from sparsedet.annotations import Box, Category, Dataset, Image
from sparsedet.mining.candidates import RIGHT, UNKNOWN, Candidates

SIZE = 1000


@dataclass(frozen=True)
class Scene:
    """A set with missing objects, and what a model makes of it."""

    dataset: Dataset
    candidates: Candidates
    right: NDArray[np.bool_]
    """Shape (N,): which of the candidates on no hidden annotation show a missing object."""
    hidden: int
    missing: dict[int, int]
    """Image id -> missing objects."""


def scene(
    *,
    images: int = 200,
    objects: float = 6.0,
    labelled: float = 0.5,
    hidden: float = 0.2,
    seen: float = 0.95,
    wrong: float = 3.0,
    spread: float = 1.5,
    seed: int = 0,
) -> Scene:
    """Return a set whose labels are missing at random.

    Args:
        images: their number.
        objects: mean number on an image.
        labelled: share of the objects that have an annotation.
        hidden: share of the annotations that the model was not trained on.
        seen: share of the other objects that the model finds.
        wrong: mean number of wrong candidates on an image.
        spread: of the logits of the scores; the smaller, the surer the model.
        seed: of all draws.
    """
    rng = np.random.default_rng(seed)
    boxes: list[Box] = []
    rows: list[tuple[int, float, int, bool]] = []
    missing: dict[int, int] = {}
    hidden_count = 0
    for image_id in range(1, images + 1):
        count = 1 + rng.poisson(objects - 1)
        missing[image_id] = 0
        for _ in range(count):
            is_labelled = rng.random() < labelled
            is_hidden = is_labelled and rng.random() < hidden
            if is_labelled:
                left = 12.0 * len(boxes) % (SIZE - 20)
                boxes.append(Box(len(boxes) + 1, image_id, 1, (left, 700, left + 10, 710)))
            missing[image_id] += not is_labelled
            hidden_count += is_hidden
            if (not is_labelled or is_hidden) and rng.random() < seen:
                score = float(expit(rng.normal(2.5, spread)))
                rows.append((image_id, score, RIGHT if is_hidden else UNKNOWN, not is_labelled))
        for _ in range(rng.poisson(wrong)):
            rows.append((image_id, float(expit(rng.normal(-1.5, spread))), UNKNOWN, False))
    rows.sort(key=lambda row: (row[0], -row[1]))
    unknown = [row for row in rows if row[2] == UNKNOWN]
    dataset = Dataset(
        tuple(Image(id, f"{id}.png", SIZE, SIZE) for id in range(1, images + 1)),
        tuple(boxes),
        (Category(1, "cell"),),
    )
    return Scene(
        dataset,
        candidates([(image, score, known) for image, score, known, _ in rows]),
        np.array([right for *_, right in unknown]),
        hidden_count,
        missing,
    )


def candidates(rows: list[tuple[int, float, int]]) -> Candidates:
    """Return candidates of one class, apart from one another: (image id, score, what is known)."""
    count = len(rows)
    places = 20.0 * np.arange(count) % (SIZE - 20)
    scores = np.array([score for _, score, _ in rows])
    return Candidates(
        image_ids=np.array([image for image, _, _ in rows], dtype=np.int64),
        category_ids=np.ones(count, dtype=np.int64),
        boxes=np.stack([places, places, places + 10, places + 10], axis=1),
        scores=scores,
        object_scores=np.minimum(scores * 1.02, 0.9999),
        nested=np.zeros(count),
        overlap=np.zeros(count),
        known=np.array([known for *_, known in rows], dtype=np.int8),
    )
