"""Faster kernels for CPUs, enabled by `speed_up`.

`sparsedet.modeling.checkpoint.build` calls it for every model. Without it, a model gives the same
results, up to rounding, and has the same parameter names.
"""

from detectron2.modeling.poolers import ROIPooler
from torch import nn

from sparsedet.modeling.cpu.backbone import run_frozen_in_parts, use_in_place_relu6
from sparsedet.modeling.cpu.roi_align import use_sparse_roi_align
from sparsedet.modeling.cpu.rpn_conv import conv_with_sparse_gradients
from sparsedet.modeling.mobilenet_backbone import MobileNet
from sparsedet.modeling.rpn import CommonConv
from sparsedet.modeling.timm_backbone import TimmBackbone


def speed_up(model: nn.Module) -> None:
    """Switch the parts of a detector to the faster kernels."""
    for module in list(model.modules()):
        if isinstance(module, TimmBackbone):
            use_in_place_relu6(module.model)
            run_frozen_in_parts(module.model)
        elif isinstance(module, MobileNet):
            run_frozen_in_parts(module)
        elif isinstance(module, ROIPooler):
            use_sparse_roi_align(module)
        elif isinstance(module, CommonConv):
            module.convolve = conv_with_sparse_gradients
