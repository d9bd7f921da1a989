"""Mining: detections that no annotation explains, sure enough to show or to train on."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sparsedet import __version__
from sparsedet.annotations import Box, Dataset
from sparsedet.mining.calibrate import Thresholds, thresholds
from sparsedet.mining.detect import Detections, detect
from sparsedet.mining.explain import unexplained
from sparsedet.mining.mined import MinedBox, region_id
from sparsedet.modeling.checkpoint import build_for_inference
from sparsedet.run_folder import RunFolder, class_ids

OnMining = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class MiningResult:
    """What mining found."""

    mined: tuple[MinedBox, ...]
    """Boxes above their class's threshold, to be shown to people; best first within an image."""
    labels: tuple[Box, ...]
    """The part of them whose class is sure too: labels for a retraining."""
    doubtful: tuple[Box, ...]
    """Boxes whose object or class is in doubt: to be ignored by a retraining."""
    thresholds: Thresholds


def mine(
    run: RunFolder,
    cfg: Any,
    dataset: Dataset,
    images: Path,
    *,
    device: str,
    on_image: OnMining = lambda done, total: None,
) -> MiningResult:
    """Detect on the dataset's images and keep what no annotation explains.

    Every image is judged by the model of its fold; where mining has no models of its own, by the
    finished model.
    """
    info = run.info()
    ids = class_ids(info, dataset)
    folds = run.folds()
    detections: dict[int, Detections] = {}
    for fold, weights in run.models_for_mining().items():
        model = build_for_inference(cfg, weights, device)
        chosen = [image for image in dataset.images if folds.get(image.id, 0) == fold]
        for found in detect(model, cfg, chosen, images, ids):
            detections[found.image_id] = found
            on_image(len(detections), len(dataset.images))
    in_order = [detections[image.id] for image in dataset.images]
    return select(in_order, dataset, cfg.SPARSEDET.MINING, run_id=info.run_id)


def mined_meta(run: RunFolder, cfg: Any, dataset: Dataset, result: MiningResult) -> dict[str, Any]:
    """Return what `mined.meta.json` says: where mined boxes come from, thresholds by class name."""
    info = run.info()
    return {
        "run": str(run.root),
        "run_id": info.run_id,
        "seed": info.seed,
        "quantile": cfg.SPARSEDET.MINING.QUANTILE,
        "thresholds": {
            category.name: round(result.thresholds.sure[category.id], 4)
            for category in dataset.categories
        },
        "version": __version__,
    }


def select(
    detections: Sequence[Detections], dataset: Dataset, rule: Any, *, run_id: str
) -> MiningResult:
    """Part detections by threshold; `rule` is the configuration node SPARSEDET.MINING.

    Nothing is mined from an exhaustive image.
    """
    limits = thresholds(
        detections,
        dataset,
        sure_quantile=rule.QUANTILE,
        doubtful_quantile=rule.DOUBTFUL_QUANTILE,
        max_threshold=rule.MAX_THRESHOLD,
    )
    mined: list[MinedBox] = []
    labels: list[Box] = []
    doubtful: list[Box] = []
    for found in detections:
        if dataset.image_by_id[found.image_id].exhaustive:
            continue
        new = unexplained(found, dataset, iou=rule.EXPLAINED_IOU, nested_share=rule.NESTED_SHARE)
        sure = _at_least(new, limits.sure)
        class_sure = new.scores >= rule.CLASS_SHARE * new.object_scores
        in_doubt = _at_least(new, limits.doubtful) & ~(sure & class_sure)
        mined.extend(_mined_boxes(new.select(sure), dataset, limits, run_id))
        labels.extend(_boxes(new.select(sure & class_sure)))
        doubtful.extend(_boxes(new.select(in_doubt)))
    return MiningResult(tuple(mined), _numbered(labels), _numbered(doubtful), limits)


def _at_least(found: Detections, limits: Any) -> Any:
    return found.scores >= np.array([limits[int(number)] for number in found.category_ids])


def _mined_boxes(
    found: Detections, dataset: Dataset, limits: Thresholds, run_id: str
) -> Iterable[MinedBox]:
    image = dataset.image_by_id[found.image_id]
    for box, score in zip(_boxes(found), found.scores, strict=True):
        yield MinedBox(
            region_id=region_id(run_id, image.file_name, box.category_id, box.xyxy),
            image_id=image.id,
            category_id=box.category_id,
            xyxy=box.xyxy,
            score=float(score),
            threshold=limits.sure[box.category_id],
        )


def _boxes(found: Detections) -> list[Box]:
    return [
        Box(0, found.image_id, int(category_id), (left, top, right, bottom), origin="mined")
        for (left, top, right, bottom), category_id in zip(
            found.boxes.tolist(), found.category_ids, strict=True
        )
    ]


def _numbered(boxes: Iterable[Box]) -> tuple[Box, ...]:
    return tuple(
        Box(number, box.image_id, box.category_id, box.xyxy, origin=box.origin)
        for number, box in enumerate(boxes, start=1)
    )
