"""Roles of an image's rows in training: ignore regions, exhaustive images, rejected boxes."""

from typing import Any

import pytest
import torch
from detectron2.structures import Boxes, ImageList, Instances, pairwise_iou
from detectron2.utils.events import EventStorage

from sparsedet.modeling.checkpoint import build
from sparsedet.modeling.pseudo_positives import (
    ConfidentDetectionRule,
    PseudoPositiveRule,
    merge_confident_detections,
    split_pseudo_positives,
)
from sparsedet.modeling.targets import Role, split_targets
from tests.modeling.steps import (
    CAT,
    DOG,
    ELSEWHERE,
    LABEL,
    RANDOM,
    SIZE,
    WHOLE,
    boxes_of,
    build_model,
    detections,
    proposals,
    rows,
    sample,
    settings,
    shifted,
    step,
)

LABELLED = rows((Role.LABEL, LABEL, CAT))
WITH_REGION = rows((Role.LABEL, LABEL, CAT), (Role.IGNORE_REGION, ELSEWHERE, CAT))
EXHAUSTIVE = (Role.EXHAUSTIVE, WHOLE, 0)
ALL = (
    *("MODEL.RPN.BATCH_SIZE_PER_IMAGE", "100000"),
    *("MODEL.ROI_HEADS.BATCH_SIZE_PER_IMAGE", "100000"),
)
"""Every anchor and every proposal is sampled."""


@pytest.fixture(scope="module")
def model() -> Any:
    return build_model("staged", *ALL)


def test_anchors_on_ignore_regions_stay_out_of_the_loss(model: Any) -> None:
    rpn = model.proposal_generator
    features = model.backbone(torch.zeros(1, 3, 256, 320))
    anchors = rpn.anchor_generator([features[name] for name in rpn.in_features])
    with EventStorage():
        plain = rpn.label_and_sample_anchors(anchors, [LABELLED])[0][0]
        sparse = rpn.label_and_sample_anchors(anchors, [WITH_REGION])[0][0]
    overlap = pairwise_iou(Boxes.cat(anchors), boxes_of([ELSEWHERE]))[:, 0]
    ignored = (overlap >= 0.3) & (plain == 0)
    assert ignored.any()
    assert (sparse[ignored] == -1).all()
    assert torch.equal(sparse[~ignored], plain[~ignored])


def test_proposals_on_ignore_regions_are_no_background(model: Any) -> None:
    boxes = [shifted(LABEL), shifted(ELSEWHERE), (0.0, 150.0, 60.0, 220.0)]
    plain, sparse = (sample(model, target, boxes=boxes)[0] for target in (LABELLED, WITH_REGION))
    background = model.roi_heads.num_classes
    # The label itself joins the proposals.
    assert sorted(plain.gt_classes.tolist()) == [CAT, CAT, background, background]
    assert sorted(sparse.gt_classes.tolist()) == [CAT, CAT, background]
    assert pairwise_iou(sparse.proposal_boxes, boxes_of([ELSEWHERE])).max() < 0.3


def test_an_ignore_region_changes_the_loss_of_a_step(model: Any) -> None:
    without, with_region = (step(model, target) for target in (LABELLED, WITH_REGION))
    assert with_region["loss_rpn_cls"].item() < without["loss_rpn_cls"].item()


def test_images_without_labels_give_no_rpn_loss_where_asked() -> None:
    cfg = settings("staged", *RANDOM, *ALL)
    cfg.MODEL.RPN.LABELLED_IMAGES_ONLY = True
    model: Any = build(cfg).train()
    empty = rows()
    tensor = torch.zeros(2, 3, 256, 320)
    images = ImageList(tensor, [SIZE, SIZE])
    with EventStorage():
        features = model.backbone(tensor)
        both = model.proposal_generator(images, features, [LABELLED, empty])[1]
        alone = model.proposal_generator(
            ImageList(tensor[:1], [SIZE]), model.backbone(tensor[:1]), [LABELLED]
        )[1]
        none = model.proposal_generator(images, features, [empty, empty])[1]
    for name in both:
        assert both[name].item() == pytest.approx(alone[name].item(), rel=1e-5)
        assert none[name].item() == 0


def test_an_exhaustive_image_has_no_pseudo_positives() -> None:
    found = proposals([ELSEWHERE], objectness=5.0)
    rule = PseudoPositiveRule(0.8, 0.2, 0.3)
    for extra, expected in (([], 1), ([EXHAUSTIVE], 0)):
        target = rows((Role.LABEL, LABEL, DOG), *extra)
        remaining, pseudo_positives = split_pseudo_positives([found], [target], rule)
        assert (len(pseudo_positives[0]), len(remaining[0])) == (expected, 1 - expected)


def test_no_detection_becomes_a_label_of_an_exhaustive_image() -> None:
    target = rows((Role.LABEL, LABEL, DOG), EXHAUSTIVE)
    found = detections((ELSEWHERE, DOG, 0.99))
    merged = merge_confident_detections(target, found, ConfidentDetectionRule(0.9, 0.5))
    assert torch.equal(merged.gt_boxes.tensor, target.gt_boxes.tensor)


@pytest.mark.parametrize("method", ["plain", "end-to-end"])
def test_without_a_label_an_exhaustive_image_is_background(method: str) -> None:
    model: Any = build_model(method)
    sampled = sample(model, rows(EXHAUSTIVE))[0]
    assert (sampled.gt_classes == model.roi_heads.num_classes).all()
    losses = step(model, rows(EXHAUSTIVE))
    assert losses["loss_cls"].item() > 0
    assert losses["loss_rpn_cls"].item() > 0
    silent = step(model, rows())
    assert silent["loss_cls"].item() == silent["loss_rpn_cls"].item() == 0


def test_the_rpn_averages_over_labelled_and_exhaustive_images() -> None:
    model: Any = build_model("end-to-end", "MODEL.RPN.BATCH_SIZE_PER_IMAGE", "100000")
    label: Instances = rows((Role.LABEL, LABEL, DOG))
    first, second = (
        step(model, label)["loss_rpn_cls"].item(),
        step(model, rows(), rows(EXHAUSTIVE), rows())["loss_rpn_cls"].item(),
    )
    both = step(model, label, rows(EXHAUSTIVE))["loss_rpn_cls"].item()
    assert both == pytest.approx((first + second) / 2, rel=1e-3)


def test_a_proposal_on_a_rejected_box_is_no_pseudo_positive() -> None:
    found = proposals([ELSEWHERE, (10.0, 150.0, 60.0, 220.0)], objectness=5.0)
    target = rows((Role.LABEL, LABEL, DOG), (Role.VERIFIED_NEGATIVE, ELSEWHERE, CAT))
    rule = PseudoPositiveRule(0.8, 0.2, 0.3)
    remaining, pseudo_positives = split_pseudo_positives([found], [target], rule)
    assert remaining[0].proposal_boxes.tensor.tolist() == [list(ELSEWHERE)]
    assert pseudo_positives[0].tensor.tolist() == [[10.0, 150.0, 60.0, 220.0]]


def test_a_rejected_detection_does_not_come_back_as_a_label() -> None:
    target = rows((Role.LABEL, LABEL, DOG), (Role.VERIFIED_NEGATIVE, ELSEWHERE, CAT))
    shifted = (ELSEWHERE[0] + 5, *ELSEWHERE[1:])
    found = detections((shifted, CAT, 0.99), (shifted, DOG, 0.98))
    merged = split_targets(
        merge_confident_detections(target, found, ConfidentDetectionRule(0.9, 0.5))
    )
    assert merged.labels.gt_boxes.tensor.tolist() == [list(LABEL), list(shifted)]
    assert merged.labels.gt_classes.tolist() == [DOG, DOG]
    assert merged.verified_negatives.gt_classes.tolist() == [CAT]
