"""Any timm backbone under a feature pyramid, batch norm frozen into the convolutions."""

from itertools import pairwise
from typing import Any

import timm
import torch
from detectron2.config import CfgNode
from detectron2.layers import ShapeSpec
from detectron2.modeling import BACKBONE_REGISTRY, FPN, Backbone
from torch import Tensor, nn


class FrozenNormConv(nn.Module):
    """A convolution with the frozen batch norm that follows it folded in: conv(x, w * scale, b).

    The weights stay in the convolution's own scale, so that training changes them as it would with
    a frozen norm behind, at no cost of memory traffic.
    """

    scale: Tensor
    bias: Tensor

    def __init__(self, conv: nn.Conv2d, norm: nn.BatchNorm2d) -> None:
        super().__init__()
        assert conv.bias is None, f"a normalised convolution has no bias: {conv}"
        assert isinstance(conv.padding, tuple), conv.padding
        self.stride, self.padding = conv.stride, conv.padding
        self.dilation, self.groups = conv.dilation, conv.groups
        self.weight = conv.weight
        assert norm.running_var is not None
        assert norm.running_mean is not None
        scale = norm.weight.detach() * torch.rsqrt(norm.running_var + norm.eps)
        self.register_buffer("scale", scale.view(-1, 1, 1, 1))
        self.register_buffer("bias", norm.bias.detach() - norm.running_mean * scale)

    def forward(self, x: Tensor) -> Tensor:
        """Convolve, scale and shift; shapes as `torch.nn.Conv2d`."""
        return nn.functional.conv2d(
            x,
            self.weight * self.scale,
            self.bias,
            self.stride,
            self.padding,
            self.dilation,
            self.groups,
        )


def fold_frozen_norms(module: nn.Module) -> None:
    """Replace every convolution directly followed by a batch norm; the norm's activation stays."""
    children = list(module.named_children())
    for (name, child), (next_name, following) in pairwise(children):
        if isinstance(child, nn.Conv2d) and isinstance(following, nn.BatchNorm2d):
            setattr(module, name, FrozenNormConv(child, following))
            # timm's norms carry the activation.
            setattr(module, next_name, getattr(following, "act", nn.Identity()))
    for child in module.children():
        fold_frozen_norms(child)


class TimmBackbone(Backbone):
    """The stages of a timm model as detectron2 features c2, c3, ... (level = log2 of the stride).

    Args:
        model: built by timm with `features_only=True` for exactly `out_features`.
        out_features: names of the levels, in ascending order.
        freeze_through: stages up to this level are not trained; "" trains all.
    """

    def __init__(self, model: nn.Module, out_features: list[str], freeze_through: str) -> None:
        super().__init__()
        info: Any = model.feature_info
        self._out_features = out_features
        self._out_feature_channels = dict(zip(out_features, info.channels(), strict=True))
        self._out_feature_strides = dict(zip(out_features, info.reduction(), strict=True))
        fold_frozen_norms(model)
        self.model = model
        if freeze_through:
            self._freeze(info, out_features.index(freeze_through))

    def _freeze(self, info: Any, last: int) -> None:
        """Stop gradients up to the stage of level `last`; modules stand in order of execution."""
        # timm writes the modules of some models with underscores: `stages_1` is its `stages.1`.
        name = info.module_name()[last]
        last_module = (f"{name}.", f"{name.replace('.', '_')}.")
        reached = False
        for parameter_name, parameter in self.model.named_parameters():
            inside = parameter_name.startswith(last_module)
            if reached and not inside:
                return
            reached = reached or inside
            parameter.requires_grad = False
        assert reached, f"the timm model has no parameters in its stage {name}"

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Return the feature maps of an image batch, shape (N, 3, H, W), by level."""
        return dict(zip(self._out_features, self.model(x), strict=True))

    def output_shape(self) -> dict[str, ShapeSpec]:
        """Return channels and stride of each level."""
        return {
            name: ShapeSpec(
                channels=self._out_feature_channels[name], stride=self._out_feature_strides[name]
            )
            for name in self._out_features
        }


def create_timm(name: str, batch_norm_eps: float, **options: Any) -> nn.Module:
    """Return a timm model with random weights; a `batch_norm_eps` of 0 keeps the model's own."""
    model: nn.Module = timm.create_model(name, **options)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d) and batch_norm_eps > 0:
            module.eps = batch_norm_eps
    return model


@BACKBONE_REGISTRY.register()
def build_timm_fpn_backbone(cfg: CfgNode, input_shape: ShapeSpec) -> FPN:
    """Build a timm backbone with FPN from cfg.MODEL.TIMM and cfg.MODEL.FPN, weights random."""
    levels = [int(name.removeprefix("c")) for name in cfg.MODEL.TIMM.OUT_FEATURES]
    model = create_timm(
        cfg.MODEL.TIMM.NAME,
        cfg.MODEL.TIMM.BATCH_NORM_EPS,
        features_only=True,
        out_indices=[level - 1 for level in levels],
        in_chans=input_shape.channels,
    )
    bottom_up = TimmBackbone(
        model, list(cfg.MODEL.TIMM.OUT_FEATURES), cfg.MODEL.TIMM.FREEZE_THROUGH
    )
    return FPN(
        bottom_up=bottom_up,
        in_features=cfg.MODEL.FPN.IN_FEATURES,
        out_channels=cfg.MODEL.FPN.OUT_CHANNELS,
        norm=cfg.MODEL.FPN.NORM,
        fuse_type=cfg.MODEL.FPN.FUSE_TYPE,
    )
