"""The published SparseDet, step by step, against data recorded from the reference."""

import pytest
import torch
from detectron2.structures import Boxes, Instances
from detectron2.utils.events import EventStorage

from sparsedet.modeling.cpu import rpn_conv
from sparsedet.modeling.pseudo_positives import (
    ConfidentDetectionRule,
    PseudoPositiveRule,
    merge_confident_detections,
    split_pseudo_positives,
)
from tests.modeling import reference

CASES = [
    ("before_mining", 1, "gt"),
    ("at_start_iteration", 10, "gt"),
    ("mining", 20, "gt"),
    ("mining_with_empty_image", 20, "gt_empty"),
    ("mining_without_labels", 20, "none"),
]
RULE = PseudoPositiveRule(objectness_thresh=0.8, max_label_iou=0.2, nms_thresh=0.3)


@pytest.mark.parametrize(("case", "iteration", "labels"), CASES)
def test_losses_of_a_step(case: str, iteration: int, labels: str) -> None:
    with EventStorage(iteration):
        losses = reference.model()(reference.batch(labels))
    assert {name: loss.item() for name, loss in losses.items()} == pytest.approx(
        reference.losses()[case], rel=1e-4, abs=0
    )


@pytest.mark.parametrize("few", [None, 0.25, 1.0], ids=["torch's kernels", "dense", "sparse"])
def test_gradients_of_a_step(few: float | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every anchor is sampled: the common RPN's gradients would always be calculated as dense."""
    monkeypatch.setattr(rpn_conv, "_FEW", few)
    model = reference.model(cpu_kernels=few is not None)
    with EventStorage(20):
        sum(model(reference.batch("gt")).values()).backward()
    expected = reference.below("gradient/")
    trained = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
    assert trained.keys() == expected.keys()
    for name, gradient in trained.items():
        difference = (gradient - expected[name]).abs().max().item()
        assert difference <= 1e-3 * expected[name].abs().max().item(), name


def test_a_step_without_any_label_can_be_trained_on() -> None:
    model = reference.model()
    with EventStorage(20):
        sum(model(reference.batch("none")).values()).backward()
    assert all(
        torch.isfinite(parameter.grad).all()
        for parameter in model.parameters()
        if parameter.grad is not None
    )


@pytest.mark.parametrize("image", reference.IMAGES)
def test_mined_pseudo_positives(image: str) -> None:
    recorded = reference.below(f"mining/{image}/")
    proposals = Instances(reference.SIZE)
    proposals.proposal_boxes = Boxes(recorded["proposal_boxes"])
    proposals.objectness_logits = recorded["objectness_logits"]

    remaining, pseudo_positives = split_pseudo_positives(
        [proposals], [reference.labels("gt", image)], RULE
    )

    torch.testing.assert_close(
        pseudo_positives[0].tensor, recorded["pseudo_positive_boxes"], atol=1e-3, rtol=0
    )
    torch.testing.assert_close(
        remaining[0].proposal_boxes.tensor, recorded["remaining_boxes"], atol=1e-3, rtol=0
    )


def test_merged_labels() -> None:
    recorded = reference.below("merge/")
    labels = Instances(reference.SIZE)
    labels.gt_boxes = Boxes(recorded["label_boxes"])
    labels.gt_classes = recorded["label_classes"]
    detections = Instances(reference.SIZE)
    detections.pred_boxes = Boxes(recorded["detection_boxes"])
    detections.pred_classes = recorded["detection_classes"]
    detections.scores = recorded["detection_scores"]

    merged = merge_confident_detections(labels, detections, ConfidentDetectionRule(0.9, 0.5))

    torch.testing.assert_close(merged.gt_boxes.tensor, recorded["merged_boxes"], atol=1e-3, rtol=0)
    assert merged.gt_classes.tolist() == recorded["merged_classes"].tolist()
