"""Average precision: COCO's, by pycocotools, and Pascal VOC's.

If classes are complete on some images only, AP is federated: see `federated`.
"""

import contextlib
import io
import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from sparsedet.annotations import Dataset
from sparsedet.annotations.coco import to_coco
from sparsedet.annotations.entries import xywh
from sparsedet.config.training_config import TrainingConfig
from sparsedet.errors import AnnotationError
from sparsedet.mining.detect import OnImage
from sparsedet.mining.detections import Detections
from sparsedet.modeling.checkpoint import build_for_inference
from sparsedet.run_folder import RunFolder, class_ids
from sparsedet.training.evaluation.federated import (
    FEDERATED_DETECTIONS,
    Federation,
    best_detections,
    ignore_unknown,
    is_federated,
)
from sparsedet.training.evaluation.readable import detect_readable
from sparsedet.training.evaluation.voc_ap import voc_ap

logger = logging.getLogger(__name__)

_COCO_DETECTIONS = 100
"""The best detections of each class on an image, which COCO's AP counts."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """COCO and Pascal VOC metrics, 0 to 100; nan without annotations."""

    ap: float
    """Mean over IoU 0.50 to 0.95 and the classes."""
    ap50: float
    ap75: float
    per_class: dict[str, float]
    """COCO's AP by category name."""
    voc_ap50_11point: float
    """Pascal VOC's AP at IoU 0.5 as in VOC2007, mean over the classes; see `voc_ap`."""
    voc_ap50_area: float
    """The same as from VOC2010 on."""
    images: int
    annotations: int
    federated: Federation | None = None
    """What is evaluated, if classes are complete on some images only."""

    def as_json(self) -> dict[str, Any]:
        """Return the figures under their usual names, with two decimals; nan becomes None."""
        figures = {
            "AP": _rounded(self.ap),
            "AP50": _rounded(self.ap50),
            "AP75": _rounded(self.ap75),
            "VOC07_AP50": _rounded(self.voc_ap50_11point),
            "VOC12_AP50": _rounded(self.voc_ap50_area),
            "per_class": {name: _rounded(value) for name, value in self.per_class.items()},
            "images": self.images,
            "annotations": self.annotations,
        }
        return figures if self.federated is None else {**figures, **self.federated.as_json()}


def evaluate_run(
    run: RunFolder,
    config: TrainingConfig,
    dataset: Dataset,
    images: Path,
    *,
    device: str,
    on_image: OnImage = lambda done, total: None,
) -> Evaluation:
    """Evaluate the run's finished model on the readable images of a dataset."""
    info = run.info()
    class_ids(info, dataset)  # before the model is built
    model = build_for_inference(config.node, run.finished_model(), device, info.names)
    if not is_federated(dataset):
        warn_of_crowds(dataset)
    found = detect_readable(model, config, info, dataset, images, on_image=on_image)
    return evaluate(found.detections, found.dataset)


def evaluate(detections: Sequence[Detections], dataset: Dataset) -> Evaluation:
    """Return the metrics of detections against a dataset's annotations.

    If the dataset is federated, so is AP: then an unmatched detection is wrong only if its class is
    complete on the image, and the best `FEDERATED_DETECTIONS` of an image count, over all classes,
    instead of 100 of each class.

    Raises:
        AnnotationError: when there are no annotations.
    """
    if all(box.iscrowd for box in dataset.boxes):
        raise AnnotationError("the evaluation data has no annotations")
    federated = is_federated(dataset)
    if federated:
        detections = [best_detections(found) for found in detections]
    # pycocotools prints its progress.
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = to_coco(dataset)
        for number, entry in enumerate(truth.dataset["annotations"], start=1):
            # pycocotools treats an annotation of id 0 as missed.
            entry["id"] = number
        truth.createIndex()
        entries = results(detections)
        predictions = truth.loadRes(entries) if entries else COCO()
        evaluator = COCOeval(truth, predictions, "bbox")
        evaluator.params.imgIds = sorted(image.id for image in dataset.images)
        if federated:
            evaluator.params.maxDets = [1, 10, FEDERATED_DETECTIONS]
            # Only the total area range: LVIS has a thousand classes, and others are not used.
            evaluator.params.areaRng = evaluator.params.areaRng[:1]
            evaluator.params.areaRngLbl = evaluator.params.areaRngLbl[:1]
        evaluator.evaluate()
        if federated:
            ignore_unknown(evaluator, dataset)
        evaluator.accumulate()
    # Axes: IoU threshold, recall, class, area range (all first), detections per image (most last).
    precision = evaluator.eval["precision"][:, :, :, 0, -1]
    class_order = evaluator.params.catIds
    voc = voc_ap(detections, dataset)
    return Evaluation(
        ap=_mean(precision),
        ap50=_mean(precision[0]),
        ap75=_mean(precision[5]),
        per_class={
            category.name: _mean(precision[:, :, class_order.index(category.id)])
            for category in dataset.categories
        },
        voc_ap50_11point=voc.mean_eleven_point,
        voc_ap50_area=voc.mean_area,
        images=len(dataset.images),
        annotations=sum(not box.iscrowd for box in dataset.boxes),
        federated=Federation.of(dataset) if federated else None,
    )


def results(detections: Sequence[Detections]) -> list[dict[str, Any]]:
    """Return detections as a COCO results list: XYWH boxes."""
    return [
        {
            "image_id": found.image_id,
            "category_id": int(category_id),
            "bbox": xywh((left, top, right, bottom)),
            "score": float(score),
        }
        for found in detections
        for (left, top, right, bottom), score, category_id in zip(
            found.boxes.tolist(), found.scores, found.category_ids, strict=True
        )
    ]


def warn_of_crowds(dataset: Dataset) -> None:
    """Warn if AP can't reach 100: images have more objects than detections that count."""
    objects = Counter((box.image_id, box.category_id) for box in dataset.boxes if not box.iscrowd)
    crowded = {image for (image, _), count in objects.items() if count > _COCO_DETECTIONS}
    if crowded:
        logger.warning(
            "images with more than %d objects of a class: %d; COCO's AP counts only that "
            "many detections of a class on an image, and misses the other objects",
            _COCO_DETECTIONS,
            len(crowded),
        )


def _mean(precision: Any) -> float:
    """Return the average in percent; -1 marks classes without annotations."""
    valid = precision[precision > -1]
    return float(np.mean(valid) * 100) if valid.size else float("nan")


def _rounded(value: float) -> float | None:
    return None if np.isnan(value) else round(value, 2)
