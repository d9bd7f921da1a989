"""Inference of the end-to-end method: repeatable, one backbone pass."""

import torch

from sparsedet.modeling.checkpoint import build
from sparsedet.training.methods import apply_method
from sparsedet.training.settings import load_config


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
