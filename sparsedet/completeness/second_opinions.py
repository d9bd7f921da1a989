"""Other models' detections as proposals: calibrated like our own, alone or combined."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sparsedet import __version__
from sparsedet.annotations import Dataset, file_digest
from sparsedet.annotations.matching import SAME_OBJECT_IOU, iou_matrix
from sparsedet.annotations.mined_boxes import MinedBox
from sparsedet.completeness.proposals import LEAST_SCORE, Proposals, propose
from sparsedet.completeness.selection import Selection
from sparsedet.mining.detection_file import read_detections

_ID = 12
"""Length of the file hash in the model's name."""


def second_opinion(
    path: Path, dataset: Dataset, selection: Selection, names: Mapping[str, str] | None = None
) -> Proposals:
    """Select which detections of a file reviewers see.

    Assumes that the model was not trained on the dataset: every annotation calibrates it.

    Args:
        path: see `read_detections`.
        dataset: the images and their annotations.
        selection: which candidates are shown.
        names: see `read_detections`.
    """
    detections = [
        found.select(found.scores >= LEAST_SCORE) for found in read_detections(path, dataset, names)
    ]
    return propose(
        detections,
        dataset,
        hidden=frozenset(box.id for box in dataset.boxes if not box.iscrowd),
        run_id=model_id(path),
        sure_scores=dict.fromkeys((category.id for category in dataset.categories), 0.0),
        selection=selection,
    )


def model_id(path: Path) -> str:
    """Return a model name for a file of detections: the same for the same content."""
    return f"detections-{file_digest(path)[:_ID]}"


def second_opinion_meta(path: Path, found: Proposals, dataset: Dataset) -> dict[str, Any]:
    """Return the content of `mined.meta.json` for a file of detections."""
    names = {category.id: category.name for category in dataset.categories}
    return {
        "detections": str(path),
        "run_id": model_id(path),
        "held_back": {names[id]: count for id, count in found.held_back.items()},
        "hidden_annotations": found.fitted.hidden,
        "version": __version__,
    }


def together(opinions: Sequence[Sequence[MinedBox]]) -> tuple[MinedBox, ...]:
    """Merge the boxes of several models, keeping the most certain one for each object.

    Scores of different models are not comparable; expected precisions are.

    Args:
        opinions: each model's mined boxes, with expected precisions.
    """
    by_image: dict[int, list[tuple[int, MinedBox]]] = {}
    for model, opinion in enumerate(opinions):
        for box in opinion:
            by_image.setdefault(box.image_id, []).append((model, box))
    kept: list[MinedBox] = []
    for own in by_image.values():
        own.sort(key=lambda item: (-(item[1].expected_precision or 0.0), item[1].region_id))
        boxes = np.array([box.xyxy for _, box in own])
        same = iou_matrix(boxes, boxes) >= SAME_OBJECT_IOU
        stays: list[int] = []
        for row, (model, box) in enumerate(own):
            # Overlapping boxes of one model are two objects: it distinguishes them.
            if not any(
                same[row, other]
                and own[other][0] != model
                and own[other][1].category_id == box.category_id
                for other in stays
            ):
                stays.append(row)
        kept += [own[row][1] for row in stays]
    return tuple(kept)
