"""Average precision where objects that the published labels lack are neither right nor wrong."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace

from sparsedet.annotations import Box, Dataset
from sparsedet.mining.detect import Detections
from sparsedet.training.evaluation.average_precision import Evaluation, evaluate


def evaluate_ignoring(
    detections: Sequence[Detections], dataset: Dataset, unlabelled: Iterable[Box]
) -> Evaluation:
    """Evaluate with the detections on `unlabelled` objects left out.

    A detection that no label takes, and that has the class of an unlabelled object and the IoU in
    question with it, does not count. As with labels, the best of several detections takes the
    object, and the others are wrong. Objects that are not detected are not missed.
    """
    # pycocotools ignores what is beyond the range of areas that it evaluates. Crowd regions would
    # not do: they take any number of detections, and any small one that lies inside of them.
    # Pascal VOC's own word for it is difficult.
    ignored = [
        replace(box, area=math.inf, extra={**box.extra, "difficult": 1}) for box in unlabelled
    ]
    evaluation = evaluate(detections, dataset.with_boxes([*dataset.boxes, *ignored]))
    return replace(evaluation, annotations=evaluation.annotations - len(ignored))
