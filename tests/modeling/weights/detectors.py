"""Detectors of torchvision and ours whose random weights detect something, for comparison."""

from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import torch
from detectron2.config import CfgNode
from torch import Tensor, nn
from torchvision.models import detection

from sparsedet.modeling import checkpoint
from sparsedet.modeling.weights.detectors import COCO_NAMES
from sparsedet.modeling.weights.pretrained import load_initial_weights
from tests.modeling.steps import settings

FEW = 40
"""Proposals, which cost most of the time."""


FEW_KEYS = ("MODEL.RPN.PRE_NMS_TOPK_TEST", FEW, "MODEL.RPN.POST_NMS_TOPK_TEST", FEW)


SIZES = [(320, 417), (352, 320)]
"""Heights and widths; padded, the first ones' last map is half of an odd one."""
SHORT_SIDE = 320
"""Of these sizes, pixels."""


def config(name: str, *overrides: object, classes: int = len(COCO_NAMES)) -> CfgNode:
    cfg = settings("plain", *overrides, *FEW_KEYS, config=name)
    cfg.MODEL.ROI_HEADS.NUM_CLASSES = classes
    return cfg


def lively(model: nn.Module, seed: int = 0) -> Any:
    """The model with norms that do something, and predictions of many scores, for inference."""
    draw = torch.Generator().manual_seed(seed)
    modules: list[Any] = list(model.modules())
    for module in modules:
        if hasattr(module, "running_var"):
            for values in (module.weight.data, module.running_var):
                values.copy_(torch.rand(values.shape, generator=draw) / 2 + 0.75)
            for values in (module.bias.data, module.running_mean):
                values.copy_(torch.randn(values.shape, generator=draw) / 10)
    return model.eval()


def spread(model: nn.Module, layers: Mapping[str, float], run: Callable[[], object]) -> None:
    """Scale layers, one after the other: outputs get this standard deviation, and a mean of 0.

    Predictions then differ from place to place, as a trained detector's do.
    """
    for name, wanted in layers.items():
        layer: Any = model.get_submodule(name)
        seen: list[Tensor] = []
        hook = layer.register_forward_hook(lambda _module, _given, out, seen=seen: seen.append(out))
        with torch.inference_mode():
            run()
        hook.remove()
        # Of each channel, whether of a map or of a vector.
        outputs = torch.cat([out.transpose(0, 1).flatten(1) for out in seen], dim=1)
        mean = outputs.mean(dim=1)
        scale = wanted / (outputs - mean[:, None]).std()
        layer.weight.data *= scale
        layer.bias.data = scale * (layer.bias.data - mean)


@cache
def torchvisions(kind: str, short_side: int = SHORT_SIDE) -> Any:
    """The detector that takes images of this short side as they are."""
    torch.manual_seed(3)
    # Its threshold of proposals has no counterpart, see mobilenet_fpn.yaml.
    keys = {} if "resnet" in kind else {"rpn_score_thresh": 0.0}
    model = lively(
        getattr(detection, f"fasterrcnn_{kind}")(
            weights=None,
            weights_backbone=None,
            min_size=short_side,
            max_size=3 * short_side,
            rpn_pre_nms_top_n_test=FEW,
            rpn_post_nms_top_n_test=FEW,
            **keys,
        )
    )
    probe = images(1, short_side)[0] / 255
    layers = {
        "rpn.head.cls_logits": 2.0,
        "rpn.head.bbox_pred": 0.3,
        "roi_heads.box_predictor.cls_score": 2.0,
        "roi_heads.box_predictor.bbox_pred": 0.5,
    }
    spread(model, layers, lambda: model([probe]))
    return model


def images(count: int, short_side: int = SHORT_SIDE) -> list[Tensor]:
    """Pictures of blurred noise, of each of the sizes in turn, scaled to the short side."""
    draw = torch.Generator().manual_seed(9)
    sizes = [
        tuple(side * short_side // SHORT_SIDE for side in SIZES[number % len(SIZES)])
        for number in range(count)
    ]
    return [
        torch.nn.functional.interpolate(
            torch.randint(0, 255, (1, 3, 20, 20), generator=draw).float(), size=size, mode="bicubic"
        )[0]
        .clamp(0, 255)
        .to(torch.uint8)
        for size in sizes
    ]


def detect(model: Any, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Boxes, scores and classes that a detector of detectron2's kind finds."""
    _, height, width = image.shape
    with torch.inference_mode():
        (found,) = model([{"image": image, "height": height, "width": width}])
    found = found["instances"]
    return found.pred_boxes.tensor, found.scores, found.pred_classes


def traced_detect(model: Any, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The same by plain operations, in the model's own precision."""
    with torch.inference_mode():
        boxes, scores, classes = (found[0] for found in model(image[None]))
    there = classes >= 0
    return boxes[there], scores[there], classes[there]


def torchvisions_detect(model: Any, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """What a detector of torchvision finds; its classes count the background."""
    dtype = next(model.parameters()).dtype
    with torch.inference_mode():
        (found,) = model([image.to(dtype) / 255])
    return found["boxes"], found["scores"], found["labels"] - 1


def share_found(one: tuple[Tensor, ...], other: tuple[Tensor, ...]) -> float:
    """The share of the other's detections that one has as well."""
    boxes = (one[0][:, None] - other[0]).abs().amax(dim=2) < 0.05
    scores = (one[1][:, None] - other[1]).abs() < 1e-3
    return (boxes & scores & (one[2][:, None] == other[2])).any(dim=0).double().mean().item()


def assert_same(one: tuple[Tensor, ...], other: tuple[Tensor, ...]) -> None:
    assert len(one[0]) > 5
    assert torch.equal(one[2], other[2])
    assert (one[0] - other[0]).abs().max() < 1e-3
    assert (one[1] - other[1]).abs().max() < 1e-3


def loaded_from(path: Path, cfg: CfgNode, classes: list[str]) -> Any:
    """A model of these classes that starts from a file, as configured for other weights."""
    cfg.MODEL.WEIGHTS, cfg.MODEL.ROI_HEADS.NUM_CLASSES = str(path), len(classes)
    model = checkpoint.build(cfg).eval()
    load_initial_weights(model, cfg, classes)
    return model
