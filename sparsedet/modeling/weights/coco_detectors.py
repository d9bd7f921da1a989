"""Detectors pretrained on COCO: files, licences, and required configuration.

A detector's weights fit a single architecture. With different anchors, pooling, colour order or
stride they load without an error, and detect nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from detectron2.config import CfgNode

from sparsedet.errors import ConfigError
from sparsedet.modeling.anchors import TorchvisionAnchorGenerator
from sparsedet.modeling.mobilenet_backbone import BUILDER as MOBILENET
from sparsedet.modeling.mobilenet_backbone import LEVELS
from sparsedet.modeling.weights.download import HASH, with_hash_in_name

COCO, COCO_V2 = "coco", "coco:v2"
_RESNET = "build_resnet_fpn_backbone"
_ZOO = "detectron2://COCO-Detection"
_TORCH = "https://download.pytorch.org/models"

CAFFE2_INPUT: Mapping[str, Any] = {
    "INPUT.FORMAT": "BGR",
    "MODEL.PIXEL_MEAN": [103.53, 116.28, 123.675],
    # The deviations are part of the first convolution.
    "MODEL.PIXEL_STD": [1.0, 1.0, 1.0],
}
TORCHVISION_INPUT: Mapping[str, Any] = {
    "INPUT.FORMAT": "RGB",
    "MODEL.PIXEL_MEAN": [123.675, 116.28, 103.53],
    "MODEL.PIXEL_STD": [58.395, 57.12, 57.375],
}
STRIDE = "MODEL.RESNETS.STRIDE_IN_1X1"
"""Which convolution of a ResNet block has the stride."""

_FPN: Mapping[str, Any] = {
    "MODEL.FPN.OUT_CHANNELS": 256,
    "MODEL.FPN.NORM": "",
    "MODEL.FPN.FUSE_TYPE": "sum",
    "MODEL.ANCHOR_GENERATOR.NAME": "DefaultAnchorGenerator",
    "MODEL.ANCHOR_GENERATOR.SIZES": [[32], [64], [128], [256], [512]],
    "MODEL.ANCHOR_GENERATOR.ASPECT_RATIOS": [[0.5, 1.0, 2.0]],
    "MODEL.ANCHOR_GENERATOR.OFFSET": 0.0,
    "MODEL.RPN.IN_FEATURES": ["p2", "p3", "p4", "p5", "p6"],
    "MODEL.RPN.CONV_DIMS": [-1],
    "MODEL.RPN.BBOX_REG_WEIGHTS": (1.0, 1.0, 1.0, 1.0),
    "MODEL.ROI_HEADS.IN_FEATURES": ["p2", "p3", "p4", "p5"],
    "MODEL.ROI_BOX_HEAD.NAME": "FastRCNNConvFCHead",
    "MODEL.ROI_BOX_HEAD.POOLER_TYPE": "ROIAlignV2",
    "MODEL.ROI_BOX_HEAD.POOLER_RESOLUTION": 7,
    "MODEL.ROI_BOX_HEAD.POOLER_SAMPLING_RATIO": 0,
    "MODEL.ROI_BOX_HEAD.NUM_CONV": 0,
    "MODEL.ROI_BOX_HEAD.CONV_DIM": 256,
    "MODEL.ROI_BOX_HEAD.NORM": "",
    "MODEL.ROI_BOX_HEAD.NUM_FC": 2,
    "MODEL.ROI_BOX_HEAD.FC_DIM": 1024,
    "MODEL.ROI_BOX_HEAD.BBOX_REG_WEIGHTS": (10.0, 10.0, 5.0, 5.0),
    "MODEL.ROI_BOX_HEAD.CLS_AGNOSTIC_BBOX_REG": False,
    "MODEL.ROI_BOX_HEAD.USE_SIGMOID_CE": False,
}
_PYRAMID = {"MODEL.FPN.IN_FEATURES": ["res2", "res3", "res4", "res5"]}
_TORCHVISION_HEADS = {
    "MODEL.ANCHOR_GENERATOR.NAME": TorchvisionAnchorGenerator.__name__,
    "MODEL.ROI_BOX_HEAD.POOLER_TYPE": "ROIAlign",
    "MODEL.ROI_BOX_HEAD.POOLER_SAMPLING_RATIO": 2,
}

ZOO_NEEDS: Mapping[str, Any] = {**CAFFE2_INPUT, STRIDE: True, **_FPN, **_PYRAMID}
V2_NEEDS: Mapping[str, Any] = {
    **TORCHVISION_INPUT,
    STRIDE: False,
    **_FPN,
    **_PYRAMID,
    **_TORCHVISION_HEADS,
    "MODEL.FPN.NORM": "FrozenBN",
    "MODEL.RPN.CONV_DIMS": [-1, -1],
    "MODEL.ROI_BOX_HEAD.NUM_CONV": 4,
    "MODEL.ROI_BOX_HEAD.NORM": "FrozenBN",
    "MODEL.ROI_BOX_HEAD.NUM_FC": 1,
}
MOBILENET_NEEDS: Mapping[str, Any] = {
    **TORCHVISION_INPUT,
    **_FPN,
    **_TORCHVISION_HEADS,
    "MODEL.ANCHOR_GENERATOR.SIZES": [[32, 64, 128, 256, 512]] * 3,
    "MODEL.RPN.IN_FEATURES": list(LEVELS),
    # torchvision takes boxes of all sizes from the first map: both have the same stride.
    "MODEL.ROI_HEADS.IN_FEATURES": [LEVELS[0]],
}
USUAL: Mapping[str, Any] = {**_FPN, **_PYRAMID}
"""Defaults of Faster R-CNN with FPN: setting these is not a choice against the weights."""

_ZOO_LICENCE = "detectron2's model zoo, trained on COCO: CC BY-SA 3.0"
_TORCHVISION_LICENCE = "torchvision's detector, trained on COCO: BSD 3-Clause"


@dataclass(frozen=True, slots=True)
class CocoDetector:
    """A published detector of COCO's 80 classes."""

    spelling: str
    """Name in MODEL.WEIGHTS."""
    url: str
    backbone: str
    """MODEL.BACKBONE.NAME."""
    depth: int
    """MODEL.RESNETS.DEPTH; 0: not a ResNet."""
    licence: str
    needs: Mapping[str, Any]
    """Configuration values that the weights were trained with."""

    @property
    def file_name(self) -> str:
        """The last part of its URL."""
        return PurePosixPath(self.url).name

    def fits(self, cfg: CfgNode) -> bool:
        """Return whether it has the configured backbone."""
        model = cfg.MODEL
        return self.backbone == model.BACKBONE.NAME and self.depth in (0, model.RESNETS.DEPTH)


DETECTORS = (
    CocoDetector(
        COCO,
        f"{_ZOO}/faster_rcnn_R_50_FPN_3x/137849458/model_final_280758.pkl",
        _RESNET,
        50,
        _ZOO_LICENCE,
        ZOO_NEEDS,
    ),
    CocoDetector(
        COCO,
        f"{_ZOO}/faster_rcnn_R_101_FPN_3x/137851257/model_final_f6e8b1.pkl",
        _RESNET,
        101,
        _ZOO_LICENCE,
        ZOO_NEEDS,
    ),
    CocoDetector(
        COCO_V2,
        f"{_TORCH}/fasterrcnn_resnet50_fpn_v2_coco-dd69338a.pth",
        _RESNET,
        50,
        _TORCHVISION_LICENCE,
        V2_NEEDS,
    ),
    CocoDetector(
        COCO,
        f"{_TORCH}/fasterrcnn_mobilenet_v3_large_320_fpn-907ea3f9.pth",
        MOBILENET,
        0,
        _TORCHVISION_LICENCE,
        MOBILENET_NEEDS,
    ),
)


def coco_detector(cfg: CfgNode) -> CocoDetector | None:
    """Return the detector that cfg.MODEL.WEIGHTS names, directly or by its file name.

    Raises:
        ConfigError: when it doesn't match the configured backbone.
    """
    source: str = cfg.MODEL.WEIGHTS
    place = source.partition(HASH)[0]
    named = [one for one in DETECTORS if place == one.spelling]
    if not named:
        name = PurePosixPath(place).name
        named = [one for one in DETECTORS if name == one.file_name]
    if not named and not place.startswith(f"{COCO}:"):
        return None
    fitting = [one for one in named if one.fits(cfg)]
    if not fitting:
        offered = "; ".join(
            f"{one.spelling} for {one.backbone}" + (f" of depth {one.depth}" if one.depth else "")
            for one in DETECTORS
        )
        own = f"{cfg.MODEL.BACKBONE.NAME} of depth {cfg.MODEL.RESNETS.DEPTH}"
        if cfg.MODEL.BACKBONE.NAME != _RESNET:
            own = cfg.MODEL.BACKBONE.NAME
        raise ConfigError(
            f"MODEL.WEIGHTS {source}: not a detector of the configured backbone, {own}; available: "
            f"{offered} (configurations r50_fpn, r101_fpn, mobilenet_fpn)"
        )
    return fitting[0]


def place_of(detector: CocoDetector, source: str) -> str:
    """Return the file or URL of a detector, with `#sha256=` if its hash is known.

    Args:
        detector: the detector.
        source: MODEL.WEIGHTS.
    """
    place, _, digits = source.partition(HASH)
    if place == detector.spelling:
        place = detector.url
    return f"{place}{HASH}{digits}" if digits else with_hash_in_name(place)
