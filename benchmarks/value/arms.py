"""The arms without rounds: by hand, and with one detector's boxes."""

from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np

from sparsedet.config.training_config import load_config, read_config
from sparsedet.mining.detect import detect_all
from sparsedet.mining.detections import Detections
from sparsedet.mining.mine import unexplained
from sparsedet.modeling.checkpoint import build_for_inference
from sparsedet.reviews import ReviewedRegion
from sparsedet.run_folder import RunFolder, class_ids
from sparsedet.training.engine.train import run_training, start_run

from .curves import Curve, regions_of, shown_objects
from .setting import Setting

SCORE = 0.5
"""Usual score threshold of live backends."""


Shown = Mapping[int, Sequence[tuple[ReviewedRegion, float]]]
"""Image id -> mined boxes with their scores."""


def by_hand(setting: Setting) -> Curve:
    """Open every image in file order, and draw what is missing."""
    return review(setting, "hand", [image.id for image in setting.sparse.images], {})


def review(setting: Setting, arm: str, order: Iterable[int], shown: Shown) -> Curve:
    """Open images in an order; every object of an image has a box when it is closed."""
    curve = setting.curve(arm)
    objects = setting.objects
    for image_id in order:
        name = setting.sparse.image_by_id[image_id].file_name
        own = regions_of(setting.sparse, image_id)
        mined = shown.get(image_id, ())
        scores = {region.region_id: score for region, score in mined}
        done = setting.reviewer.review(name, [*own, *(region for region, _ in mined)], scores)
        truth = objects[name]
        curve.add(done.seconds, shown_objects(done.regions, truth) - shown_objects(own, truth))
    return curve


def plain_detections(setting: Setting, on_line: Callable[[str], None]) -> list[Detections]:
    """Return the detections of a `plain` detector trained on the sparse annotations."""
    run = RunFolder(setting.work / "plain")
    if not run.info_file.exists():
        start_run(
            load_config("lite0_fpn", ["SOLVER.MAX_ITER", str(setting.iterations)]),
            run,
            setting.sparse,
            setting.images,
            source=setting.work / "sparse.json",
            method="plain",
            seed=setting.seed,
            device="cpu",
        )
    on_line("training plain")
    run_training(run, device="cpu")
    config = read_config(run.config)
    model = build_for_inference(config.node, run.finished_model(), "cpu")
    ids = class_ids(run.info(), setting.sparse)
    return detect_all(model, config, setting.sparse.images, setting.images, ids)


def plain(setting: Setting, detections: Sequence[Detections]) -> Curve:
    """Show its boxes, the image with the best one first, then the others in file order."""
    shown = _shown(setting, detections)
    best = {id: max((score for _, score in boxes), default=0.0) for id, boxes in shown.items()}
    order = sorted(best, key=lambda id: (-best[id], id))
    return review(setting, "plain", order, shown)


def cleanlab(setting: Setting, detections: Sequence[Detections]) -> Curve:
    """Show the same boxes; images where cleanlab finds overlooked boxes come first."""
    try:
        # Only for this arm, installed by hand; it has no type annotations.
        from cleanlab.object_detection.rank import (  # type: ignore[import-not-found, import-untyped, unused-ignore]
            compute_overlooked_box_scores,
        )
    except ModuleNotFoundError:
        raise SystemExit("the arm cleanlab needs cleanlab: pip install cleanlab") from None
    index = {category.id: number for number, category in enumerate(setting.sparse.categories)}
    labels, predictions = [], []
    for found in detections:
        own = setting.sparse.boxes_by_image[found.image_id]
        labels.append(
            {
                "bboxes": np.array([box.xyxy for box in own]).reshape(-1, 4),
                "labels": np.array([index[box.category_id] for box in own], dtype=int),
            }
        )
        classes = np.array([index[int(id)] for id in found.category_ids], dtype=int)
        rows = np.hstack([found.boxes, found.scores[:, None]])
        predictions.append(
            np.array([rows[classes == number] for number in index.values()], dtype=object)
            if len(rows)
            else np.array([np.zeros((0, 5)) for _ in index], dtype=object)
        )
    scores = compute_overlooked_box_scores(labels=labels, predictions=predictions)
    worst = [
        float(np.nanmin(own)) if len(own) and not np.isnan(own).all() else 1.0 for own in scores
    ]
    ranked = sorted(zip(worst, (f.image_id for f in detections), strict=True))
    return review(setting, "cleanlab", [id for _, id in ranked], _shown(setting, detections))


def _shown(setting: Setting, detections: Sequence[Detections]) -> Shown:
    names = {category.id: category.name for category in setting.sparse.categories}
    shown: dict[int, list[tuple[ReviewedRegion, float]]] = {}
    for found in detections:
        sure = found.select(found.scores >= SCORE)
        new = unexplained(sure, setting.sparse, iou=0.5, nested_share=1.01)
        shown[found.image_id] = [
            (ReviewedRegion(f"m-{found.image_id}-{row}", names[int(id)], tuple(xyxy)), float(score))
            for row, (id, xyxy, score) in enumerate(
                zip(new.category_ids, new.boxes.tolist(), new.scores, strict=True)
            )
        ]
    return shown
