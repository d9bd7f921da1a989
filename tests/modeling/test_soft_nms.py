"""Soft-NMS: as the paper writes it, off by default, and the same wherever a run detects."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch

from sparsedet.annotations.matching import iou_matrix
from sparsedet.errors import ConfigError
from sparsedet.mining.detect import detect
from sparsedet.modeling.soft_nms import soft_nms
from tests.conftest import Scenes
from tests.modeling.steps import build_model, proposals
from tests.training.short_runs import short_config, untrained_model

SOFT = ("SPARSEDET.SOFT_NMS.ENABLED", "True")
TWO = [(10.0, 10.0, 50.0, 50.0), (18.0, 10.0, 58.0, 50.0)]
"""Two boxes with an IoU of 2/3."""


def reference(
    boxes: Sequence[Any], scores: Sequence[float], classes: Sequence[int], sigma: float
) -> list[tuple[int, float]]:
    """The paper's figure 2, one class at a time: which box is taken, and its score then."""
    overlap = iou_matrix(np.array(boxes), np.array(boxes))
    found = []
    for number in sorted(set(classes)):
        own = [row for row, other in enumerate(classes) if other == number]
        left = {row: scores[row] for row in own}
        while left:
            best = max(left, key=lambda row: left[row])
            found.append((best, left.pop(best)))
            for row in left:
                left[row] *= math.exp(-(overlap[best, row] ** 2) / sigma)
    return sorted(found, key=lambda one: -one[1])


@pytest.mark.parametrize("sigma", [0.3, 0.5])
def test_it_is_the_published_one(sigma: float) -> None:
    rng = np.random.default_rng(4)
    corners = rng.uniform(0, 60, (40, 2))
    boxes = np.hstack([corners, corners + rng.uniform(20, 60, (40, 2))])
    scores, classes = rng.uniform(0.1, 1, 40), rng.integers(0, 3, 40)
    expected = reference(boxes.tolist(), scores.tolist(), classes.tolist(), sigma)
    found = soft_nms(
        torch.from_numpy(boxes),
        torch.from_numpy(scores),
        torch.from_numpy(classes),
        sigma=sigma,
        least=0.05,
        most=12,
    )
    assert found.rows.tolist() == [row for row, score in expected if score > 0.05][:12]
    assert found.scores.tolist() == pytest.approx([score for _, score in expected][:12])
    # Some have lost score.
    assert any(scores[row] > score + 0.1 for row, score in expected[:12])


def test_of_nothing_nothing_is_left() -> None:
    none = soft_nms(
        torch.zeros(0, 4), torch.zeros(0), torch.zeros(0).long(), sigma=0.5, least=0.05, most=100
    )
    assert (len(none.rows), len(none.scores)) == (0, 0)


def detected(*keys: str) -> Any:
    """What the last layers make of two proposals that overlap by 2/3, sure of class 1."""
    predictor = build_model("plain", *keys).eval().roi_heads.box_predictor
    logits = torch.tensor([[0.0, 6.0, 0.0, 0.0], [0.0, 5.0, 0.0, 0.0]])
    deltas = torch.zeros(2, 12)
    (found,), (rows,) = predictor.inference((logits, deltas), [proposals(TWO)])
    return found, rows


def test_the_second_of_two_overlapping_objects_stays_at_a_lower_score() -> None:
    hard, rows = detected()
    assert rows.tolist() == [0]
    soft, rows = detected(*SOFT)
    assert rows.tolist() == [0, 1]
    assert torch.equal(soft.pred_boxes.tensor, torch.tensor(TWO))
    assert soft.pred_classes.tolist() == [1, 1]
    # The surest box is as it was; the other one falls by exp(-IoU² / sigma), in both scores.
    assert torch.equal(soft.scores[:1], hard.scores)
    assert torch.equal(soft.object_scores[:1], hard.object_scores)
    decay = math.exp(-((2 / 3) ** 2) / 0.5)
    probability = torch.tensor([0.0, 5.0, 0.0, 0.0]).softmax(dim=0)
    assert float(soft.scores[1]) == pytest.approx(float(probability[1]) * decay)
    assert float(soft.object_scores[1]) == pytest.approx(float(1 - probability[3]) * decay)
    wider, _ = detected(*SOFT, "SPARSEDET.SOFT_NMS.SIGMA", "2.0")
    assert wider.scores[1] > soft.scores[1]


def test_without_proposals_nothing_is_found() -> None:
    predictor = build_model("plain", *SOFT).roi_heads.box_predictor.eval()
    logits = torch.zeros(0, predictor.cls_score.out_features)
    deltas = torch.zeros(0, predictor.bbox_pred.out_features)
    (found,), (rows,) = predictor.inference((logits, deltas), [proposals([])])
    assert len(found) == len(rows) == len(found.object_scores) == 0


def test_runs_detect_with_it(scenes: Scenes) -> None:
    """`eval`, `mine` and `predict` build their model by the run's configuration, as here."""

    def found(*keys: str) -> list[Any]:
        model, config = untrained_model("MODEL.ROI_HEADS.NMS_THRESH_TEST", "0.3", *keys)
        images = scenes.dataset.images[:2]
        return list(detect(model, config, images, scenes.images, range(10)))

    hard, soft, again = found(), found(*SOFT), found(*SOFT)
    for one, other, same in zip(hard, soft, again, strict=True):
        assert len(other.boxes) == 100
        overlap = np.triu(iou_matrix(other.boxes, other.boxes), 1)
        alike = other.category_ids[:, None] == other.category_ids
        assert (overlap * alike).max() > 0.3
        overlap = np.triu(iou_matrix(one.boxes, one.boxes), 1)
        assert (overlap * (one.category_ids[:, None] == one.category_ids)).max() <= 0.3 + 1e-6
        assert (np.diff(other.scores) <= 0).all()
        for name in ("boxes", "scores", "object_scores", "category_ids"):
            assert np.array_equal(getattr(other, name), getattr(same, name))


@pytest.mark.parametrize("value", ["0.0", "-1.0"])
def test_a_sigma_that_divides_by_nothing_is_refused(value: str) -> None:
    with pytest.raises(ConfigError, match=r"SOFT_NMS\.SIGMA is .*, expected more than 0"):
        short_config(6, "SPARSEDET.SOFT_NMS.SIGMA", value)
