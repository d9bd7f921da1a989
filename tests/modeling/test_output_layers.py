"""Losses of the box head where nothing is sparse: those of detectron2."""

import pytest
import torch
from detectron2.modeling.roi_heads import FastRCNNOutputLayers
from detectron2.utils.events import EventStorage

from sparsedet.modeling.targets import Role
from tests.modeling.steps import CAT, DOG, ELSEWHERE, LABEL, build_model, rows, sample


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
