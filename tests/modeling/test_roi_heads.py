"""Losses of the box head: detectron2's for labels; mined labels only teach their class."""

from typing import Any

import pytest
import torch
from detectron2.modeling.roi_heads import FastRCNNOutputLayers
from detectron2.structures import Boxes, Instances, pairwise_iou
from detectron2.utils.events import EventStorage

from sparsedet.modeling.pseudo_positives import ConfidentDetectionRule, merge_confident_detections
from sparsedet.modeling.targets import Role, split_targets
from tests.modeling.steps import (
    CAT,
    DOG,
    ELSEWHERE,
    LABEL,
    SIZE,
    XYXY,
    boxes_of,
    build_model,
    detections,
    rows,
    sample,
    shifted,
    step,
)

REGRESSES = ("SPARSEDET.STAGED.REGRESS_MINED", "True")
FREE = (0.0, 150.0, 60.0, 220.0)


@pytest.fixture(scope="module")
def model() -> Any:
    return build_model("staged")


def sample_near(model: Any, *targets: Instances) -> list[Instances]:
    """Sample proposals near both boxes and elsewhere."""
    torch.manual_seed(0)
    return sample(model, *targets, boxes=[shifted(LABEL), shifted(ELSEWHERE), FREE])


def gradients(model: Any, sampled: list[Instances]) -> tuple[torch.Tensor, torch.Tensor]:
    """By how much the loss of a sample moves class logits and box deltas, row by row."""
    count, classes = sum(len(image) for image in sampled), model.roi_heads.num_classes
    logits = torch.zeros(count, classes + 1, requires_grad=True)
    deltas = torch.zeros(count, 4 * classes, requires_grad=True)
    with EventStorage():
        losses = model.roi_heads.box_predictor.losses((logits, deltas), sampled)
    torch.autograd.backward(list(losses.values()))
    assert logits.grad is not None
    assert deltas.grad is not None
    return logits.grad, deltas.grad


def on(sampled: Instances, box: XYXY) -> torch.Tensor:
    """Which rows of a sample lie on a box; not the box itself, whose deltas are 0 anyway."""
    overlap: torch.Tensor = pairwise_iou(sampled.proposal_boxes, boxes_of([box]))[:, 0]
    return (overlap > 0.5) & (overlap < 0.99)


def test_people_teach_class_and_box_and_mining_the_class_alone(model: Any) -> None:
    target = rows((Role.LABEL, LABEL, DOG), (Role.MINED, ELSEWHERE, CAT))
    (sampled,) = sample_near(model, target)
    human, mined = on(sampled, LABEL), on(sampled, ELSEWHERE)
    assert [int(one.sum()) for one in (human, mined)] == [1, 1]
    assert sampled.gt_classes[human].tolist() == [DOG]
    assert sampled.gt_classes[mined].tolist() == [CAT]
    logits, deltas = gradients(model, [sampled])
    assert logits[mined][0, CAT] < 0 < logits[mined][0, DOG]
    assert not deltas[mined].any()
    assert deltas[human].any()

    exact = sample_near(model, rows((Role.LABEL, LABEL, DOG), (Role.LABEL, ELSEWHERE, CAT)))
    logits_of_labels, deltas_of_labels = gradients(model, exact)
    assert torch.equal(logits, logits_of_labels)
    assert torch.equal(deltas[human], deltas_of_labels[human])
    assert deltas_of_labels[mined].any()


def test_boxes_are_learned_from_mining_where_the_configuration_says_so(model: Any) -> None:
    learns = build_model("staged", *REGRESSES)
    target = rows((Role.LABEL, LABEL, DOG), (Role.MINED, ELSEWHERE, CAT))
    (sampled,) = sample_near(learns, target)
    assert gradients(learns, [sampled])[1][on(sampled, ELSEWHERE)].any()


def test_mined_labels_go_with_all_else_that_is_known_of_images(model: Any) -> None:
    """Rejected boxes stand behind their sample, and other images of the batch have no mined one."""
    first = rows(
        (Role.MINED, LABEL, DOG),
        (Role.VERIFIED_NEGATIVE, ELSEWHERE, CAT),
        (Role.IGNORE_REGION, FREE, CAT),
    )
    alone = Instances(SIZE)
    alone.gt_boxes, alone.gt_classes = Boxes(torch.tensor([LABEL])), torch.tensor([CAT])
    sampled = sample_near(model, first, alone)
    _, deltas = gradients(model, sampled)
    assert not deltas[: len(sampled[0])].any()
    assert deltas[len(sampled[0]) :].any()
    losses = step(model, first, alone, rows((Role.EXHAUSTIVE, (0.0, 0.0, 320.0, 240.0), 0)))
    assert all(torch.isfinite(loss) for loss in losses.values())


def test_labels_that_detections_join_are_there_once() -> None:
    target = rows(
        (Role.LABEL, LABEL, DOG), (Role.MINED, ELSEWHERE, CAT), (Role.IGNORE_REGION, FREE, CAT)
    )
    rule = ConfidentDetectionRule(score_thresh=0.9, nms_thresh=0.5)
    merged = split_targets(merge_confident_detections(target, detections((FREE, CAT, 0.95)), rule))
    assert merged.labels.gt_boxes.tensor.tolist() == [list(box) for box in (LABEL, ELSEWHERE, FREE)]
    assert merged.ignore_regions.tensor.tolist() == [list(FREE)]


@pytest.mark.parametrize("rest", [(), ((Role.IGNORE_REGION, LABEL, CAT),)])
def test_a_batch_without_any_label_teaches_nothing(model: Any, rest: Any) -> None:
    losses = step(model, rows(*rest), rows())
    total = torch.stack(list(losses.values())).sum()
    assert total.item() == 0
    torch.autograd.backward(total)


@pytest.mark.parametrize("sigmoid", ["False", "True"])
def test_labels_alone_lose_what_detectron2_says(sigmoid: str) -> None:
    model = build_model(
        "plain",
        *("MODEL.ROI_BOX_HEAD.USE_SIGMOID_CE", sigmoid),
        *("MODEL.ROI_BOX_HEAD.BBOX_REG_LOSS_WEIGHT", "2.0"),
    )
    sampled = sample(model, rows((Role.LABEL, LABEL, DOG)), rows((Role.LABEL, ELSEWHERE, CAT)))
    count = sum(len(image) for image in sampled)
    generator = torch.Generator().manual_seed(1)
    predictions = (
        torch.randn(count, 4, generator=generator),
        torch.randn(count, 12, generator=generator),
    )
    predictor = model.roi_heads.box_predictor
    with EventStorage():
        found = predictor.losses(predictions, sampled)
        expected = FastRCNNOutputLayers.losses(predictor, predictions, sampled)
    assert found == expected
    assert all(loss > 0 for loss in found.values())


def test_a_mined_label_weighs_as_much_as_it_is_likely(model: Any) -> None:
    target = rows((Role.LABEL, LABEL, DOG), (Role.MINED, ELSEWHERE, CAT))
    (certain,) = sample_near(model, target)
    target.gt_weights = torch.tensor([1.0, 0.25])
    (likely,) = sample_near(model, target)
    before, _ = gradients(model, [certain])
    after, _ = gradients(model, [likely])
    near = pairwise_iou(likely.proposal_boxes, boxes_of([ELSEWHERE]))[:, 0] >= 0.3
    assert near.any()
    assert not near.all()
    assert torch.allclose(after[near], 0.25 * before[near])
    assert torch.equal(after[~near], before[~near])
    # Verified negatives and complete classes know no weights.
    more = rows(
        (Role.LABEL, LABEL, DOG),
        (Role.MINED, ELSEWHERE, CAT),
        (Role.VERIFIED_NEGATIVE, FREE, CAT),
        (Role.COMPLETE_CLASS, (0.0, 0.0, *SIZE[::-1]), DOG),
    )
    more.gt_weights = torch.tensor([1.0, 0.25, 1.0, 1.0])
    (with_all,) = sample_near(model, more)
    assert with_all.gt_weights.min() == 0.25
    assert with_all.gt_weights[with_all.negative_classes >= 0].tolist() == [1.0]
    gradients(model, [with_all])


@pytest.mark.parametrize(("weight", "is_object"), [(0.5, True), (0.49, False)])
def test_the_rpn_learns_labels_that_are_more_likely_than_not(
    model: Any, weight: float, is_object: bool
) -> None:
    target = rows((Role.LABEL, LABEL, DOG), (Role.MINED, ELSEWHERE, CAT))
    target.gt_weights = torch.tensor([1.0, weight])
    anchors = [boxes_of([LABEL, ELSEWHERE, FREE])]
    labels, _ = model.proposal_generator.label_and_sample_anchors(anchors, [target])
    assert labels[0].tolist() == [1, 1 if is_object else -1, 0]
