"""The benchmark on wrong labels: planted faults, and the scoring of rankings."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from benchmarks.suspicions.figures import Scores, areas, average_precision
from benchmarks.suspicions.spoiling import Spoiled, spoil
from sparsedet.annotations import Dataset
from sparsedet.annotations.matching import iou_matrix
from sparsedet.simulation.scenes import make_scenes


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    folder: Path = tmp_path_factory.mktemp("scenes")
    return make_scenes(30, folder, seed=1)


@pytest.fixture(scope="module")
def spoiled(scenes: Dataset) -> Spoiled:
    return spoil(scenes, seed=1)


def test_each_fault_is_what_it_is_called(scenes: Dataset, spoiled: Spoiled) -> None:
    before = {box.id: box for box in scenes.boxes}
    after = {box.id: box for box in spoiled.dataset.boxes}
    counts, all_boxes = Counter(spoiled.faults.values()), len(before)
    assert counts["class"] == counts["place"] == round(0.05 * all_boxes)
    assert counts["double"] == 2 * round(0.03 * all_boxes) == 2 * len(spoiled.twins)
    for id, box in before.items():
        now, kind = after[id], spoiled.faults.get(id)
        assert (now.category_id != box.category_id) == (kind == "class")
        overlap = iou_matrix([now.xyxy], [box.xyxy])[0, 0]
        assert 0.2 < overlap < 0.8 if kind == "place" else overlap == 1
    for copy, original in spoiled.twins.items():
        assert after[copy].category_id == after[original].category_id
        assert 0.6 < iou_matrix([after[copy].xyxy], [after[original].xyxy])[0, 0] < 1
    assert spoil(scenes, seed=1) == spoiled
    assert spoil(scenes, seed=2).faults != spoiled.faults


def test_equal_scores_are_found_together() -> None:
    right = np.array([True, False, True, False])
    falling = np.array([4.0, 3.0, 2.0, 1.0])
    assert average_precision(falling, right) == pytest.approx((1 + 2 / 3) / 2)
    assert average_precision(np.ones(4), right) == pytest.approx(0.5)
    assert average_precision(np.array([4.0, 1.0, 3.0, 0.0]), right) == 1


def test_a_perfect_ranking_needs_one_box_of_each_double(spoiled: Spoiled) -> None:
    scores = Scores()
    for box in spoiled.dataset.boxes:
        is_second = box.id in spoiled.twins.values()
        scores.add(box.id, {}, box.id in spoiled.faults and not is_second)
    assert set(areas(spoiled, scores).values()) == {100.0}
    blind = Scores(total=dict.fromkeys(scores.total, 0.5))
    found = areas(spoiled, blind)
    assert found["double"] < found["class"] < found["all"] < 20
