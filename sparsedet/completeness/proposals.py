"""Proposals: the candidates shown to reviewers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparsedet import __version__
from sparsedet.annotations import Dataset, read_coco
from sparsedet.annotations.mined_boxes import MinedBox, region_id
from sparsedet.annotations.suspicions import Suspicion
from sparsedet.completeness.expected_precision import (
    FIRST_ROUND,
    EarlierRounds,
    ExpectedPrecision,
    fit_expected_precision,
)
from sparsedet.completeness.selection import Selection
from sparsedet.completeness.suspicions import find_suspicions
from sparsedet.config.training_config import TrainingConfig
from sparsedet.mining.calibrate import scored_boxes, thresholds
from sparsedet.mining.candidates import (
    SAME_DETECTION_IOU,
    UNKNOWN,
    Candidates,
    find_candidates,
)
from sparsedet.mining.detect import OnImage, detect_all
from sparsedet.mining.detections import Detections
from sparsedet.mining.mine import show_again
from sparsedet.modeling.checkpoint import build_for_inference
from sparsedet.run_folder import RunFolder, class_ids

LEAST_SCORE = 0.02
"""Minimum score of candidates."""
_MOST_DETECTIONS = 200
"""Maximum detections per image, including overlapping ones of a class."""
_WORTH_COUNTING = 0.05
"""Candidates below this expected precision don't count as held back."""


@dataclass(frozen=True)
class Proposals:
    """A model's candidates: what reviewers see, and what is held back."""

    candidates: Candidates
    """All of them, including those on hidden annotations."""
    fitted: ExpectedPrecision
    mined: tuple[MinedBox, ...]
    """To be shown, image by image, the most certain first."""
    held_back: Mapping[int, int]
    """Category id -> number of candidates not shown."""
    held_back_right: Mapping[int, float]
    """Category id -> expected number of right ones among these."""
    suspicions: tuple[Suspicion, ...] = ()
    """Annotations that look wrong, the most certain first."""
    embeddings: Mapping[int, Sequence[float]] = field(default_factory=dict)
    """Image id -> the model's embedding of the image."""


def detection_config(config: TrainingConfig) -> TrainingConfig:
    """Return a run's configuration for detecting candidates: low scores, overlapping objects."""
    return config.with_values(
        {
            "MODEL.ROI_HEADS.SCORE_THRESH_TEST": LEAST_SCORE,
            "MODEL.ROI_HEADS.NMS_THRESH_TEST": SAME_DETECTION_IOU,
            "TEST.DETECTIONS_PER_IMAGE": _MOST_DETECTIONS,
        }
    )


def hidden_from(dataset: Dataset, trained: Dataset) -> frozenset[int]:
    """Return the ids of annotations that a run was not trained on.

    Images are compared by file name, classes by name, coordinates to a tenth of a pixel.

    Args:
        dataset: the current annotations.
        trained: the run's training annotations.
    """
    given = {_key(trained, index) for index in range(len(trained.boxes))}
    return frozenset(
        box.id
        for index, box in enumerate(dataset.boxes)
        if not box.iscrowd and _key(dataset, index) not in given
    )


def mine_proposals(
    run: RunFolder,
    config: TrainingConfig,
    dataset: Dataset,
    images: Path,
    *,
    device: str,
    selection: Selection,
    earlier: EarlierRounds = FIRST_ROUND,
    settled: Sequence[MinedBox] = (),
    on_image: OnImage = lambda done, total: None,
) -> Proposals:
    """Detect with a run's finished model, and select what reviewers see.

    Annotations that the run was not trained on calibrate it.

    Args:
        run: the run.
        config: its configuration.
        dataset: the images and their annotations.
        images: the folder of their files.
        device: cpu or cuda.
        selection: which candidates are shown.
        earlier: see `propose`.
        settled: see `propose`.
        on_image: called after every image.
    """
    info = run.info()
    config = detection_config(config.with_values({"MODEL.DEVICE": device}))
    model = build_for_inference(config.node, run.finished_model(), device, info.names)
    detections = detect_all(
        model, config, dataset.images, images, class_ids(info, dataset), on_image
    )
    limits = thresholds(scored_boxes(detections, dataset), dataset.categories, config.mining)
    return propose(
        detections,
        dataset,
        hidden=hidden_from(dataset, read_coco(run.training_data)),
        run_id=info.run_id,
        sure_scores=limits.sure,
        selection=selection,
        earlier=earlier,
        settled=settled,
    )


def propose(
    detections: Sequence[Detections],
    dataset: Dataset,
    *,
    hidden: frozenset[int],
    run_id: str,
    sure_scores: Mapping[int, float],
    selection: Selection,
    earlier: EarlierRounds = FIRST_ROUND,
    settled: Sequence[MinedBox] = (),
) -> Proposals:
    """Select which of a model's detections reviewers see.

    Args:
        detections: found with `detection_config`.
        dataset: the images and their annotations.
        hidden: ids of annotations that the model was not trained on.
        run_id: of the mining run.
        sure_scores: category id -> low quantile of the scores of annotated objects; stored with
            the boxes.
        selection: which candidates are shown.
        earlier: what earlier rounds say.
        settled: boxes that reviewers have seen and not rejected. Where they have no annotation,
            they are undecided: candidates on them are left out, since nobody misses them.
    """
    calibrating = _of_open_classes(hidden, dataset)
    candidates = _unsettled(find_candidates(detections, dataset, calibrating), settled)
    fitted = fit_expected_precision(
        candidates,
        [category.id for category in dataset.categories],
        hidden=len(calibrating),
        annotated=sum(not box.iscrowd for box in dataset.boxes),
        earlier=earlier,
    )
    unknown = candidates.unknown
    chances, object_chances = fitted.of(unknown), fitted.of_object(unknown)
    shown = selection.shows(chances, object_chances)
    worth = ~shown & (chances >= _WORTH_COUNTING)
    held = {
        category.id: worth & (unknown.category_ids == category.id)
        for category in dataset.categories
    }
    return Proposals(
        candidates,
        fitted,
        proposed_boxes(
            unknown.select(shown),
            chances[shown],
            object_chances[shown],
            dataset,
            run_id,
            sure_scores,
        ),
        {id: int(chosen.sum()) for id, chosen in held.items()},
        {id: float(chances[chosen].sum()) for id, chosen in held.items()},
        find_suspicions(detections, dataset, hidden),
        {d.image_id: d.embedding.tolist() for d in detections if d.embedding is not None},
    )


def proposals_meta(found: Proposals, run: RunFolder, dataset: Dataset) -> dict[str, Any]:
    """Return the content of `mined.meta.json`: origin and selection of the boxes."""
    info = run.info()
    names = {category.id: category.name for category in dataset.categories}
    return {
        "run": str(run.root),
        "run_id": info.run_id,
        "seed": info.seed,
        "held_back": {names[id]: count for id, count in found.held_back.items()},
        "hidden_annotations": found.fitted.hidden,
        "version": __version__,
    }


def proposed_boxes(
    shown: Candidates,
    chances: NDArray[np.float64],
    object_chances: NDArray[np.float64],
    dataset: Dataset,
    run_id: str,
    sure_scores: Mapping[int, float],
) -> tuple[MinedBox, ...]:
    """Return candidates as mined boxes, in order.

    Args:
        shown: the candidates.
        chances: expected precision, shape (N,).
        object_chances: the chance of an object of any class, shape (N,).
        dataset: the images that they are on.
        run_id: of the mining run.
        sure_scores: see `propose`.
    """
    boxes = []
    for row, (image_id, category_id) in enumerate(
        zip(shown.image_ids.tolist(), shown.category_ids.tolist(), strict=True)
    ):
        left, top, right, bottom = shown.boxes[row].tolist()
        name = dataset.image_by_id[image_id].file_name
        boxes.append(
            MinedBox(
                region_id=region_id(run_id, name, category_id, (left, top, right, bottom)),
                image_id=image_id,
                category_id=category_id,
                xyxy=(left, top, right, bottom),
                score=float(shown.scores[row]),
                threshold=sure_scores[category_id],
                expected_precision=float(chances[row]),
                object_chance=float(object_chances[row]),
            )
        )
    return tuple(boxes)


def _of_open_classes(hidden: frozenset[int], dataset: Dataset) -> frozenset[int]:
    """Return the hidden annotations that a candidate can be on.

    Those of complete classes, as on held-out images that are complete, have no candidates: they
    would count as objects that the model can't detect.
    """
    return frozenset(
        box.id
        for box in dataset.boxes
        if box.id in hidden and not dataset.image_by_id[box.image_id].is_complete(box.category_id)
    )


def _unsettled(candidates: Candidates, settled: Sequence[MinedBox]) -> Candidates:
    """Return the candidates that show no settled box of their class again."""
    keys = zip(candidates.image_ids.tolist(), candidates.category_ids.tolist(), strict=True)
    again = show_again(list(keys), candidates.boxes, settled)
    return candidates.select(~again | (candidates.known != UNKNOWN))


def _key(dataset: Dataset, index: int) -> tuple[str, str, tuple[float, ...]]:
    box = dataset.boxes[index]
    return (
        dataset.image_by_id[box.image_id].file_name,
        dataset.category_by_id[box.category_id].name,
        tuple(round(value, 1) for value in box.xyxy),
    )
