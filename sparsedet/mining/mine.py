"""Mining: detections that no annotation explains, sure enough to show or to train on."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from sparsedet import __version__
from sparsedet.annotations import Box, Dataset
from sparsedet.annotations.mined_boxes import MinedBox, region_id
from sparsedet.mining.calibrate import ThresholdRule, Thresholds, scored_boxes, thresholds
from sparsedet.mining.detect import Detections, detect_all
from sparsedet.mining.explain import unexplained
from sparsedet.modeling.checkpoint import build_for_inference
from sparsedet.modeling.inputs import PixelCache
from sparsedet.runtime.unreadable import OnUnreadable, warn_unreadable
from sparsedet.training.run_folder import RunFolder, RunInfo, class_ids

OnMining = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class MiningResult:
    """What mining found."""

    mined: tuple[MinedBox, ...]
    """Boxes above their class's threshold, to be shown to people; best first within an image."""
    labels: tuple[Box, ...]
    """Of those shown, boxes whose class is sure: labels for the training that goes on."""
    doubtful: tuple[Box, ...]
    """There may be an object: to be ignored by the training."""
    known: tuple[Box, ...]
    """Annotated objects, not of exhaustive images, that would have been mined as labels or doubtful
    without their annotation: the model is as sure of an object there."""
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
    """Mine by a run's finished model.

    Args:
        run: the run.
        cfg: its configuration.
        dataset: the images, and what is known of them.
        images: the folder of their files.
        device: cpu or cuda.
        on_image: told after every image.
    """
    info = run.info()
    model = build_for_inference(cfg, run.finished_model(), device)
    return mine_by(model, cfg, dataset, images, info, on_image=on_image)


def mine_by(
    model: nn.Module,
    cfg: Any,
    dataset: Dataset,
    images: Path,
    info: RunInfo,
    *,
    on_image: OnMining = lambda done, total: None,
    cache: PixelCache | None = None,
    on_unreadable: OnUnreadable = warn_unreadable,
) -> MiningResult:
    """Detect on the dataset's images and keep what no annotation explains.

    Args:
        model: in evaluation mode.
        cfg: its configuration.
        dataset: the images, and what is known of them.
        images: the folder of their files.
        info: of the run that trained the model.
        on_image: told after every image.
        cache: of decoded images; None: every image is decoded.
        on_unreadable: told about every image that can't be decoded; nothing is mined there.
    """
    ids = class_ids(info, dataset)
    detections = detect_all(
        model,
        cfg,
        dataset.images,
        images,
        ids,
        on_image,
        cache=cache,
        on_unreadable=on_unreadable,
    )
    return select(detections, dataset, cfg.SPARSEDET.MINING, run_id=info.run_id)


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
    """Part detections by thresholds, read off those of annotated objects among them.

    Nothing is mined from an exhaustive image.

    Args:
        detections: of the dataset's images.
        dataset: what is known of them.
        rule: the configuration node SPARSEDET.MINING.
        run_id: of the run that mines.
    """
    scored = scored_boxes(detections, dataset)
    limits = thresholds(
        scored,
        dataset.categories,
        ThresholdRule(
            quantile=rule.QUANTILE,
            doubtful_quantile=rule.DOUBTFUL_QUANTILE,
            max_threshold=rule.MAX_THRESHOLD,
            doubtful_range=tuple(rule.DOUBTFUL_RANGE),
            class_precision=rule.CLASS_PRECISION,
        ),
    )
    mined: list[MinedBox] = []
    labels: list[Box] = []
    doubtful: list[Box] = []
    for found in detections:
        if dataset.image_by_id[found.image_id].exhaustive:
            continue
        new = unexplained(found, dataset, iou=rule.EXPLAINED_IOU, nested_share=rule.NESTED_SHARE)
        shown = new.scores >= _of_class(new, limits.sure)
        is_label = (
            shown
            & (new.scores >= max(limits.sure_class, rule.MIN_LABEL_SCORE))
            & (new.scores >= rule.CLASS_SHARE * new.object_scores)
        )
        in_doubt = ~is_label & (new.object_scores >= _of_class(new, limits.doubtful))
        mined.extend(_mined_boxes(new.select(shown), dataset, limits, run_id))
        labels.extend(_boxes(new.select(is_label)))
        doubtful.extend(_boxes(new.select(in_doubt)))
    known = (
        one.box
        for one in scored
        if not dataset.image_by_id[one.box.image_id].exhaustive
        # The threshold of sure labels is never lower.
        and one.object_score >= limits.doubtful[one.box.category_id]
    )
    return MiningResult(tuple(mined), _numbered(labels), _numbered(doubtful), tuple(known), limits)


def _of_class(found: Detections, limits: Mapping[int, float]) -> NDArray[np.float64]:
    """Return the threshold of each detection's class, shape (N,)."""
    return np.array([limits[int(number)] for number in found.category_ids], dtype=np.float64)


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
