"""Boxes in doubt: neither learned nor punished, in the RPN and in the ROI heads."""

import pytest
import torch
from detectron2.config import CfgNode
from detectron2.structures import Boxes, ImageList, Instances, pairwise_iou
from detectron2.utils.events import EventStorage

from sparsedet.modeling.checkpoint import build
from sparsedet.modeling.targets import Role
from sparsedet.training.config.loading import load_config
from sparsedet.training.config.methods import apply_method

SIZE = (240, 320)
LABEL, DOUBTFUL = [40.0, 40.0, 100.0, 100.0], [180.0, 60.0, 250.0, 130.0]


def config() -> CfgNode:
    cfg = load_config("lite0_fpn", ["MODEL.WEIGHTS", ""])
    apply_method(cfg, "staged")
    cfg.MODEL.DEVICE = "cpu"
    cfg.MODEL.RPN.BATCH_SIZE_PER_IMAGE = cfg.MODEL.ROI_HEADS.BATCH_SIZE_PER_IMAGE = 100_000
    return cfg


def targets(*, with_doubtful: bool) -> Instances:
    instances = Instances(SIZE)
    boxes = [LABEL, DOUBTFUL] if with_doubtful else [LABEL]
    instances.gt_boxes = Boxes(torch.tensor(boxes))
    instances.gt_classes = torch.zeros(len(boxes), dtype=torch.int64)
    instances.gt_roles = torch.tensor([Role.LABEL, Role.IGNORED][: len(boxes)])
    return instances


@pytest.fixture(scope="module")
def model() -> torch.nn.Module:
    torch.manual_seed(0)
    return build(config()).train()


def test_anchors_on_doubtful_boxes_stay_out_of_the_loss(model: torch.nn.Module) -> None:
    rpn = model.proposal_generator
    features = model.backbone(torch.zeros(1, 3, 256, 320))
    anchors = rpn.anchor_generator([features[name] for name in rpn.in_features])
    with EventStorage():
        plain = rpn.label_and_sample_anchors(anchors, [targets(with_doubtful=False)])[0][0]
        sparse = rpn.label_and_sample_anchors(anchors, [targets(with_doubtful=True)])[0][0]
    overlap = pairwise_iou(Boxes.cat(anchors), Boxes(torch.tensor([DOUBTFUL])))[:, 0]
    on_doubtful = (overlap >= 0.3) & (plain == 0)
    assert on_doubtful.any()
    assert (sparse[on_doubtful] == -1).all()
    assert torch.equal(sparse[~on_doubtful], plain[~on_doubtful])


def test_proposals_on_doubtful_boxes_are_no_background(model: torch.nn.Module) -> None:
    proposals = Instances(SIZE)
    shifted = [[edge + 5 for edge in box] for box in (LABEL, DOUBTFUL)]
    proposals.proposal_boxes = Boxes(torch.tensor([*shifted, [0.0, 150.0, 60.0, 220.0]]))
    proposals.objectness_logits = torch.zeros(3)
    with EventStorage():
        plain, sparse = (
            model.roi_heads.label_and_sample_proposals(
                [proposals], [targets(with_doubtful=doubtful)]
            )[0]
            for doubtful in (False, True)
        )
    background = model.roi_heads.num_classes
    # The label itself joins the proposals.
    assert sorted(plain.gt_classes.tolist()) == [0, 0, background, background]
    assert sorted(sparse.gt_classes.tolist()) == [0, 0, background]
    assert pairwise_iou(sparse.proposal_boxes, Boxes(torch.tensor([DOUBTFUL]))).max() < 0.3


def test_a_doubtful_box_changes_the_loss_of_a_step(model: torch.nn.Module) -> None:
    image = torch.randint(0, 255, (3, *SIZE), generator=torch.Generator().manual_seed(1))
    totals = []
    for doubtful in (False, True):
        torch.manual_seed(0)
        with EventStorage():
            losses = model([{"image": image, "instances": targets(with_doubtful=doubtful)}])
        totals.append(losses["loss_rpn_cls"].item())
    assert totals[1] < totals[0]


def test_images_without_labels_give_no_rpn_loss_where_asked() -> None:
    cfg = config()
    cfg.MODEL.RPN.LABELLED_IMAGES_ONLY = True
    model = build(cfg).train()
    empty = Instances(SIZE)
    empty.gt_boxes = Boxes(torch.zeros(0, 4))
    empty.gt_classes = torch.zeros(0, dtype=torch.int64)
    tensor = torch.zeros(2, 3, 256, 320)
    images = ImageList(tensor, [SIZE, SIZE])
    label = targets(with_doubtful=False)
    with EventStorage():
        features = model.backbone(tensor)
        both = model.proposal_generator(images, features, [label, empty])[1]
        alone = model.proposal_generator(
            ImageList(tensor[:1], [SIZE]), model.backbone(tensor[:1]), [label]
        )[1]
        none = model.proposal_generator(images, features, [empty, empty])[1]
    for name in both:
        assert both[name].item() == pytest.approx(alone[name].item(), rel=1e-5)
        assert none[name].item() == 0
