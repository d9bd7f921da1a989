"""Detections in other libraries' formats."""

import numpy as np
import pytest

from sparsedet.errors import PredictionError
from sparsedet.prediction.found import Found

FOUND = Found(
    boxes=np.array([[10.0, 20.0, 30.0, 60.0], [0.0, 0.0, 5.0, 5.0]]),
    scores=np.array([0.9, 0.4]),
    class_ids=np.array([7, 3]),
    classes={3: "apple", 7: "orange"},
    width=100,
    height=80,
)


def test_each_detection_has_its_class_by_name() -> None:
    assert [(one.label, one.score, one.xyxy) for one in FOUND] == [
        ("orange", 0.9, (10.0, 20.0, 30.0, 60.0)),
        ("apple", 0.4, (0.0, 0.0, 5.0, 5.0)),
    ]
    assert len(FOUND.select(FOUND.scores > 0.5)) == 1


def test_coco_results_are_xywh() -> None:
    assert FOUND.to_coco(image_id=5)[0] == {
        "image_id": 5,
        "category_id": 7,
        "bbox": [10.0, 20.0, 20.0, 40.0],
        "score": 0.9,
    }


def test_supervision() -> None:
    detections = FOUND.to_supervision()
    assert detections.xyxy.tolist() == FOUND.boxes.tolist()
    assert np.asarray(detections.class_id).tolist() == [7, 3]
    assert np.asarray(detections.data["class_name"]).tolist() == ["orange", "apple"]


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "fiftyone", None)
    with pytest.raises(PredictionError, match="pip install fiftyone"):
        FOUND.to_fiftyone()
