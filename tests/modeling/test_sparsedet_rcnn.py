"""The end-to-end method: its common RPN, and inference in one backbone pass."""

from typing import Any

import torch
from detectron2.modeling.proposal_generator.rpn import StandardRPNHead
from torch import nn

from sparsedet.modeling.checkpoint import build
from sparsedet.modeling.pseudo_positives import ConfidentDetectionRule, confident_detections
from sparsedet.modeling.rpn import CommonRPNHead
from tests.modeling.steps import RANDOM, build_model, image, proposals, settings


def test_of_several_convolutions_only_the_first_takes_one_view_for_both() -> None:
    head = CommonRPNHead(in_channels=8, num_anchors=3, conv_dims=[6, -1])
    view = torch.randn(1, 4, 9, 11)
    both = torch.cat([view, view], dim=1)
    torch.testing.assert_close(head([view]), head([both]))


def test_names_and_first_values_are_those_of_detectron2_s_head() -> None:
    heads: list[nn.Module] = []
    for kind in (CommonRPNHead, StandardRPNHead):
        torch.manual_seed(0)
        heads.append(kind(in_channels=8, num_anchors=3))
    own, usual = (head.state_dict() for head in heads)
    assert list(own) == list(usual)
    assert all(torch.equal(own[name], usual[name]) for name in usual)


def test_a_frozen_configuration_builds_and_is_not_changed() -> None:
    cfg = settings("end-to-end", *RANDOM)
    cfg.freeze()
    model: Any = build(cfg)
    assert isinstance(model.proposal_generator.rpn_head, CommonRPNHead)
    assert cfg.MODEL.RPN.HEAD_NAME == "StandardRPNHead"


def test_mining_starts_at_half_of_the_iterations_by_default() -> None:
    for start, expected in ((-1, 400), (30, 30)):
        key = ("SPARSEDET.PSEUDO_POSITIVES.START_ITER", str(start))
        assert build_model("end-to-end", *key).mining_start == expected


def test_inference_is_deterministic_with_one_backbone_pass() -> None:
    model = build_model("end-to-end", "MODEL.ROI_HEADS.SCORE_THRESH_TEST", "0.0").eval()
    batches: list[int] = []
    model.backbone.register_forward_hook(lambda _, inputs, __: batches.append(len(inputs[0])))
    image = torch.randint(0, 255, (3, 120, 160), dtype=torch.uint8)

    results = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        with torch.inference_mode():
            results.append(model([{"image": image, "height": 240, "width": 320}])[0]["instances"])

    assert batches == [1, 1]
    assert len(results[0]) > 0
    assert torch.equal(results[0].pred_boxes.tensor, results[1].pred_boxes.tensor)
    assert torch.equal(results[0].scores, results[1].scores)
    assert results[0].pred_boxes.tensor[:, 2].max() > 160
    assert (results[0].object_scores >= results[0].scores - 1e-6).all()


def test_one_half_of_the_common_rpn_stands_for_both() -> None:
    model = build_model("end-to-end").eval()
    head = model.proposal_generator.rpn_head
    channels: list[int] = []
    outputs: list[Any] = []
    head.conv.register_forward_pre_hook(lambda _, inputs: channels.append(inputs[0].shape[1]))
    head.register_forward_hook(lambda _, __, output: outputs.append(output))
    with torch.inference_mode():
        model([{"image": image()}])
        features = model.backbone(model.preprocess_image([{"image": image()}]).tensor)
        head([torch.cat([features[name]] * 2, dim=1) for name in ("p3", "p4", "p5")])
    assert channels == [64] * 3 + [128] * 3
    torch.testing.assert_close(*outputs, rtol=1e-4, atol=1e-5)


def test_confident_detections_are_those_of_the_whole_inference() -> None:
    model = build_model("end-to-end")
    generator = torch.Generator().manual_seed(0)
    corners = torch.rand(200, 2, generator=generator) * 150
    boxes = torch.cat([corners, corners + 60], dim=1).tolist()
    sampled = [proposals(boxes[:120]), proposals(boxes[120:])]
    predictions = (
        torch.randn(200, 4, generator=generator) * 4,
        torch.randn(200, 12, generator=generator) * 0.1,
    )
    heads = model.roi_heads
    rule = ConfidentDetectionRule(score_thresh=0.9, nms_thresh=0.5)
    found = confident_detections(heads.box_predictor, predictions, sampled, rule)
    everything = heads.box_predictor.inference(predictions, sampled)[0]
    for image_found, detections in zip(found, everything, strict=True):
        expected = detections[detections.scores > 0.9]
        assert 3 < len(expected) < len(detections)
        assert torch.equal(image_found.pred_boxes.tensor, expected.pred_boxes.tensor)
        assert torch.equal(image_found.pred_classes, expected.pred_classes)
        assert torch.equal(image_found.scores, expected.scores)
