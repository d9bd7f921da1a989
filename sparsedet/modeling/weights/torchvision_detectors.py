"""Rename torchvision's Faster R-CNN layers to those of our detectors."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torchvision.models.detection import FasterRCNN_ResNet50_FPN_V2_Weights

from sparsedet.errors import ConfigError
from sparsedet.modeling.mobilenet_backbone import LEVELS, folded
from sparsedet.modeling.weights.coco_detectors import MOBILENET_NEEDS, V2_NEEDS
from sparsedet.modeling.weights.resnet_weights import to_detectron2

_BODY = "backbone.body."
_CLASS, _BOX = "roi_heads.box_predictor.cls_score.", "roi_heads.box_predictor.bbox_pred."
_NOTHING = "N/A"
_COUNTER = "num_batches_tracked"
_PYRAMID = re.compile(r"^backbone\.fpn\.(inner|layer)_blocks\.(\d)(?:\.(\d))?\.(\w+)$")
_RPN_CONV = re.compile(r"^rpn\.head\.conv\.(?:(\d)\.0\.)?(weight|bias)$")
_BOX_CONV = re.compile(r"^roi_heads\.box_head\.(\d)\.(\d)\.(\w+)$")
_BOX_FC = re.compile(r"^roi_heads\.box_head\.(\d)\.(weight|bias)$")
_RENAMES = {
    "rpn.head.cls_logits.": "proposal_generator.rpn_head.objectness_logits.",
    "rpn.head.bbox_pred.": "proposal_generator.rpn_head.anchor_deltas.",
    "roi_heads.box_head.fc6.": "roi_heads.box_head.fc1.",
    "roi_heads.box_head.fc7.": "roi_heads.box_head.fc2.",
}


def is_torchvision_detector(weights: Mapping[str, Tensor]) -> bool:
    """Return whether weights have the parameter names of torchvision's Faster R-CNN."""
    return f"{_CLASS}weight" in weights and any(name.startswith(_BODY) for name in weights)


def needs_of(weights: Mapping[str, Tensor]) -> Mapping[str, Any]:
    """Return the configuration values that a torchvision detector requires.

    Raises:
        ConfigError: when its kind is not supported.
    """
    if f"{_BODY}0.0.weight" in weights:
        return MOBILENET_NEEDS
    if f"{_BODY}layer1.0.conv1.weight" in weights and "roi_heads.box_head.0.0.weight" in weights:
        return V2_NEEDS
    raise ConfigError(
        "a torchvision detector that is neither a fasterrcnn_mobilenet_v3_large_fpn nor a "
        "fasterrcnn_resnet50_fpn_v2; others are not supported"
    )


def class_names(weights: Mapping[str, Tensor]) -> Sequence[str] | None:
    """Return the class names of a torchvision detector, without background.

    None: not trained on COCO's classes. Unused indices are named "".
    """
    names: Sequence[str] = FasterRCNN_ResNet50_FPN_V2_Weights.COCO_V1.meta["categories"]
    if len(weights[f"{_CLASS}weight"]) != len(names):
        return None
    return ["" if name == _NOTHING else name for name in names[1:]]


def to_ours(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return a torchvision detector's weights under our names.

    Background, its first class, becomes the last one, without box regression.

    Raises:
        ConfigError: naming a parameter without counterpart.
    """
    body = {
        name.removeprefix(_BODY): value for name, value in weights.items() if name.startswith(_BODY)
    }
    is_resnet = "conv1.weight" in body
    ours = (
        to_detectron2(body)
        if is_resnet
        else {f"backbone.bottom_up.{name}": value for name, value in folded(body).items()}
    )
    depth = sum(bool(_RPN_CONV.match(name)) for name in weights) // 2
    for name, value in weights.items():
        if name.startswith(_BODY) or name.endswith(_COUNTER):
            continue
        if name.startswith(_CLASS):
            ours[name] = torch.cat([value[1:], value[:1]])
        elif name.startswith(_BOX):
            ours[name] = value[4:]
        else:
            ours[_renamed(name, is_resnet=is_resnet, rpn_depth=depth)] = value
    return ours


def _renamed(name: str, *, is_resnet: bool, rpn_depth: int) -> str:
    """Return our name of a layer outside of the backbone's body."""
    if found := _PYRAMID.match(name):
        kind = "lateral" if found[1] == "inner" else "output"
        number = int(found[2])
        level = f"{number + 2}" if is_resnet else f"_{LEVELS[number]}"
        norm = "norm." if found[3] == "1" else ""
        return f"backbone.fpn_{kind}{level}.{norm}{found[4]}"
    if found := _RPN_CONV.match(name):
        part = f"conv{found[1]}." if rpn_depth > 1 else ""
        return f"proposal_generator.rpn_head.conv.{part}{found[2]}"
    if found := _BOX_CONV.match(name):
        norm = "norm." if found[2] == "1" else ""
        return f"roi_heads.box_head.conv{int(found[1]) + 1}.{norm}{found[3]}"
    if found := _BOX_FC.match(name):
        # After the convolutions and the flattening.
        return f"roi_heads.box_head.fc1.{found[2]}"
    for theirs, ours in _RENAMES.items():
        if name.startswith(theirs):
            return ours + name.removeprefix(theirs)
    raise ConfigError(f"its {name} has no counterpart here")
