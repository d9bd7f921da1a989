"""SparseDet as a detectron2 extension; importing this package registers its components."""

import logging

from sparsedet.modeling.anchors import TorchvisionAnchorGenerator
from sparsedet.modeling.config import add_sparsedet_config
from sparsedet.modeling.mobilenet_backbone import build_mobilenet_fpn_backbone
from sparsedet.modeling.roi_heads import SparseROIHeads
from sparsedet.modeling.rpn import SparseRPN
from sparsedet.modeling.sparsedet_rcnn import SparseDetRCNN
from sparsedet.modeling.timm_backbone import build_timm_fpn_backbone

# torch warns about an argument that detectron2 leaves unset at every step.
logging.getLogger("torch.fx._symbolic_trace").setLevel(logging.ERROR)

__all__ = [
    "SparseDetRCNN",
    "SparseROIHeads",
    "SparseRPN",
    "TorchvisionAnchorGenerator",
    "add_sparsedet_config",
    "build_mobilenet_fpn_backbone",
    "build_timm_fpn_backbone",
]
