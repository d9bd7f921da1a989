"""Inference of the end-to-end method: repeatable, one backbone pass, nothing in vain."""

from typing import Any

import torch

from sparsedet.modeling.checkpoint import build
from sparsedet.modeling.pseudo_positives import ConfidentDetectionRule, confident_detections
from sparsedet.training.config.loading import load_config
from sparsedet.training.config.methods import apply_method
from tests.modeling.boxes import proposals
from tests.modeling.steps import build_model, image


def test_mining_starts_at_half_of_the_iterations_unless_told() -> None:
    for start, expected in ((-1, 400), (30, 30)):
        keys = ["MODEL.WEIGHTS", "", "SPARSEDET.PSEUDO_POSITIVES.START_ITER", str(start)]
        cfg = load_config("lite0_fpn", keys)
        apply_method(cfg, "end-to-end")
        cfg.MODEL.DEVICE = "cpu"
        assert build(cfg).mining_start == expected


def test_inference_is_deterministic_with_one_backbone_pass() -> None:
    cfg = load_config(
        "lite0_fpn", ["MODEL.WEIGHTS", "", "MODEL.ROI_HEADS.SCORE_THRESH_TEST", "0.0"]
    )
    apply_method(cfg, "end-to-end")
    cfg.MODEL.DEVICE = "cpu"
    torch.manual_seed(0)
    model = build(cfg).eval()
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
