"""Exhaustive images: what has no label there is background, for every method."""

from typing import Any

import pytest
import torch
from detectron2.structures import Instances

from sparsedet.modeling.pseudo_positives import (
    ConfidentDetectionRule,
    PseudoPositiveRule,
    merge_confident_detections,
    split_pseudo_positives,
)
from sparsedet.modeling.targets import Role
from tests.modeling.steps import (
    DOG,
    ELSEWHERE,
    LABEL,
    WHOLE,
    build_model,
    detections,
    proposals,
    rows,
    sample,
    step,
)

VOUCHED = (Role.EXHAUSTIVE, WHOLE, 0)


def test_an_exhaustive_image_has_no_pseudo_positives() -> None:
    found = proposals([ELSEWHERE], objectness=5.0)
    rule = PseudoPositiveRule(0.8, 0.2, 0.3)
    for vouched, expected in (([], 1), ([VOUCHED], 0)):
        target = rows((Role.LABEL, LABEL, DOG), *vouched)
        remaining, pseudo_positives = split_pseudo_positives([found], [target], rule)
        assert (len(pseudo_positives[0]), len(remaining[0])) == (expected, 1 - expected)


def test_no_detection_becomes_a_label_of_an_exhaustive_image() -> None:
    target = rows((Role.LABEL, LABEL, DOG), VOUCHED)
    found = detections((ELSEWHERE, DOG, 0.99))
    merged = merge_confident_detections(target, found, ConfidentDetectionRule(0.9, 0.5))
    assert torch.equal(merged.gt_boxes.tensor, target.gt_boxes.tensor)


@pytest.mark.parametrize("method", ["plain", "end-to-end"])
def test_without_a_label_an_exhaustive_image_is_background(method: str) -> None:
    model: Any = build_model(method)
    sampled = sample(model, rows(VOUCHED))[0]
    assert (sampled.gt_classes == model.roi_heads.num_classes).all()
    losses = step(model, rows(VOUCHED))
    assert losses["loss_cls"].item() > 0
    assert losses["loss_rpn_cls"].item() > 0
    silent = step(model, rows())
    assert silent["loss_cls"].item() == silent["loss_rpn_cls"].item() == 0


def test_the_rpn_averages_over_labelled_and_exhaustive_images() -> None:
    model: Any = build_model("end-to-end", "MODEL.RPN.BATCH_SIZE_PER_IMAGE", "100000")
    label: Instances = rows((Role.LABEL, LABEL, DOG))
    first, second = (
        step(model, label)["loss_rpn_cls"].item(),
        step(model, rows(), rows(VOUCHED), rows())["loss_rpn_cls"].item(),
    )
    both = step(model, label, rows(VOUCHED))["loss_rpn_cls"].item()
    assert both == pytest.approx((first + second) / 2, rel=1e-3)
