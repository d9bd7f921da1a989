"""Objects of unknown class: objects to the RPN, any of the classes to the box head."""

import pytest
import torch
from detectron2.structures import Boxes, Instances, pairwise_iou
from detectron2.utils.events import EventStorage

from sparsedet.modeling.checkpoint import build
from sparsedet.modeling.targets import Role, split_targets
from sparsedet.modeling.unnamed_objects import ANY_CLASS, object_loss
from tests.modeling.test_ignored import LABEL, SIZE, config

OBJECT = [180.0, 60.0, 250.0, 130.0]
FREE = [0.0, 150.0, 60.0, 220.0]


@pytest.fixture(scope="module")
def model() -> torch.nn.Module:
    torch.manual_seed(0)
    return build(config()).train()


def targets(role: Role | None) -> Instances:
    """A label, and where a role is given a second row in it; its class has no meaning."""
    boxes = [LABEL] if role is None else [LABEL, OBJECT]
    instances = Instances(SIZE)
    instances.gt_boxes = Boxes(torch.tensor(boxes))
    instances.gt_classes = torch.tensor([3, 0][: len(boxes)])
    instances.gt_roles = torch.tensor([Role.LABEL, role or Role.LABEL][: len(boxes)])
    return instances


def test_the_rpn_learns_an_unnamed_object_like_a_label(model: torch.nn.Module) -> None:
    rpn = model.proposal_generator
    features = model.backbone(torch.zeros(1, 3, 256, 320))
    anchors = rpn.anchor_generator([features[name] for name in rpn.in_features])
    with EventStorage():
        as_object = rpn.label_and_sample_anchors(anchors, [targets(Role.OBJECT)])
        as_label = rpn.label_and_sample_anchors(anchors, [targets(Role.LABEL)])
        alone = rpn.label_and_sample_anchors(anchors, [targets(None)])
    for found, expected in zip(as_object, as_label, strict=True):
        assert torch.equal(found[0], expected[0])
    assert (as_object[0][0] == 1).sum() > (alone[0][0] == 1).sum()


def test_the_box_head_samples_an_unnamed_object_without_a_class(model: torch.nn.Module) -> None:
    proposals = Instances(SIZE)
    shifted = [[edge + 5 for edge in box] for box in (LABEL, OBJECT)]
    proposals.proposal_boxes = Boxes(torch.tensor([*shifted, FREE]))
    proposals.objectness_logits = torch.zeros(3)
    with EventStorage():
        sampled = model.roi_heads.label_and_sample_proposals([proposals], [targets(Role.OBJECT)])[0]
    on_object = pairwise_iou(sampled.proposal_boxes, Boxes(torch.tensor([OBJECT])))[:, 0] > 0.5
    # The shifted proposal, and the box itself.
    assert sampled.gt_classes[on_object].tolist() == [ANY_CLASS] * 2
    background = model.roi_heads.num_classes
    assert sorted(sampled.gt_classes[~on_object].tolist()) == [3, 3, background]


def test_the_loss_asks_for_an_object_and_for_no_class(model: torch.nn.Module) -> None:
    """Its gradient lowers background, raises all classes alike, and moves no box."""
    predictor = model.roi_heads.box_predictor
    classes = model.roi_heads.num_classes
    rows = Instances(SIZE)
    rows.proposal_boxes = rows.gt_boxes = Boxes(torch.tensor([LABEL, OBJECT]))
    rows.gt_classes = torch.tensor([3, ANY_CLASS])
    logits = torch.zeros(2, classes + 1, requires_grad=True)
    deltas = torch.zeros(2, 4 * classes, requires_grad=True)
    with EventStorage():
        losses = predictor.losses((logits, deltas), [rows])
    labelled = -torch.log(torch.tensor(1 / (classes + 1)))
    unnamed = -torch.log(torch.tensor(classes / (classes + 1)))
    assert losses["loss_cls"].item() == pytest.approx((labelled + unnamed).item() / 2, rel=1e-5)
    (losses["loss_cls"] + losses["loss_box_reg"]).backward()
    assert logits.grad is not None
    gradient = logits.grad[1]
    assert gradient[-1] > 0
    assert torch.allclose(gradient[:-1], gradient[0])
    assert gradient[0] < 0
    assert deltas.grad is None or not deltas.grad[1].any()


def test_independent_classes_are_an_object_unless_none_is_there() -> None:
    logits = torch.tensor([[0.0, 0.0, 9.0], [4.0, -4.0, 0.0]])
    present = logits[:, :2].sigmoid()
    expected = -torch.log(1 - (1 - present).prod(dim=1))
    assert torch.allclose(object_loss(logits, sigmoid=True), expected)


def test_an_image_with_an_unnamed_object_is_annotated() -> None:
    """Otherwise what was found on images without a label would be lost."""
    only = targets(Role.OBJECT)[1:]
    assert split_targets(only).annotated
    assert not split_targets(targets(Role.IGNORED)[1:]).annotated
