"""Any timm backbone under a feature pyramid, its batch norms frozen."""

from typing import Any

from detectron2.config import CfgNode
from detectron2.layers import ShapeSpec
from detectron2.modeling import BACKBONE_REGISTRY, FPN, Backbone
from detectron2.modeling.backbone.fpn import LastLevelMaxPool
from torch import Tensor, nn

from sparsedet.errors import ConfigError
from sparsedet.modeling.cpu.batch_parts import run_frozen_in_parts
from sparsedet.modeling.frozen_norms import fold_frozen_norms
from sparsedet.modeling.timm_models import create_features, is_channels_last, timm_features

BUILDER = "build_timm_fpn_backbone"
"""The MODEL.BACKBONE.NAME of these backbones."""
_WRAPPERS = ("", "model.", "body.")
"""What timm puts before the names of a model's modules when it gives feature maps."""


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
        self._is_channels_last = is_channels_last(model)
        fold_frozen_norms(model)
        self.model = model
        if freeze_through:
            self._freeze(info.module_name()[out_features.index(freeze_through)])

    def _freeze(self, stage: str) -> None:
        """Stop gradients up to `stage`; modules stand in order of execution."""
        # timm writes the modules of some models with underscores: `stages_1` is its `stages.1`.
        names = [f"{wrapper}{stage}.".replace(".", "_") for wrapper in _WRAPPERS]
        modules = list(self.model.named_modules())
        ends = [
            index
            for index, (name, _) in enumerate(modules)
            if f"{name}.".replace(".", "_").startswith(tuple(names))
        ]
        if not ends:
            raise ConfigError(
                f"MODEL.TIMM.FREEZE_THROUGH: where the stage {stage} of this timm model ends can't "
                'be told; train all of it with ""'
            )
        for _, module in modules[: ends[-1] + 1]:
            for parameter in module.parameters(recurse=False):
                parameter.requires_grad = False
        run_frozen_in_parts(self.model)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Return the feature maps of an image batch, shape (N, 3, H, W), by level."""
        maps = self.model(x)
        if self._is_channels_last:
            maps = [found.permute(0, 3, 1, 2).contiguous() for found in maps]
        return dict(zip(self._out_features, maps, strict=True))

    def output_shape(self) -> dict[str, ShapeSpec]:
        """Return channels and stride of each level."""
        return {
            name: ShapeSpec(
                channels=self._out_feature_channels[name], stride=self._out_feature_strides[name]
            )
            for name in self._out_features
        }


def check_timm(cfg: CfgNode) -> None:
    """Check cfg.MODEL.TIMM, and MODEL.FPN.IN_FEATURES, against what the timm model offers.

    Raises:
        ConfigError: naming the key, its value and what is expected.
    """
    name = cfg.MODEL.TIMM.NAME
    offered = list(timm_features(name).levels)
    levels = list(cfg.MODEL.TIMM.OUT_FEATURES)
    if not levels or levels != [level for level in offered if level in levels]:
        raise ConfigError(
            f"MODEL.TIMM.OUT_FEATURES {levels}: {name} has the levels {', '.join(offered)}; "
            "name some of them, in this order"
        )
    frozen = cfg.MODEL.TIMM.FREEZE_THROUGH
    if frozen and frozen not in levels:
        raise ConfigError(
            f"MODEL.TIMM.FREEZE_THROUGH {frozen}: expected one of MODEL.TIMM.OUT_FEATURES "
            f'({", ".join(levels)}), or "" to train all'
        )
    pyramid = list(cfg.MODEL.FPN.IN_FEATURES)
    first = levels.index(pyramid[0]) if pyramid and pyramid[0] in levels else None
    if first is None or pyramid != levels[first : first + len(pyramid)] or not _is_gapless(pyramid):
        raise ConfigError(
            f"MODEL.FPN.IN_FEATURES {pyramid}: expected neighbouring levels of "
            f"MODEL.TIMM.OUT_FEATURES ({', '.join(levels)})"
        )


def _is_gapless(levels: list[str]) -> bool:
    numbers = [int(level.removeprefix("c")) for level in levels]
    return numbers == list(range(numbers[0], numbers[0] + len(numbers)))


@BACKBONE_REGISTRY.register()
def build_timm_fpn_backbone(cfg: CfgNode, input_shape: ShapeSpec) -> FPN:
    """Build a timm backbone with FPN from cfg.MODEL.TIMM and cfg.MODEL.FPN, weights random.

    Raises:
        ConfigError: when the timm model is unknown, or does not offer what is asked of it.
    """
    check_timm(cfg)
    levels = list(cfg.MODEL.TIMM.OUT_FEATURES)
    model = create_features(
        cfg.MODEL.TIMM.NAME, levels, cfg.MODEL.TIMM.BATCH_NORM_EPS, input_shape.channels
    )
    return FPN(
        bottom_up=TimmBackbone(model, levels, cfg.MODEL.TIMM.FREEZE_THROUGH),
        in_features=cfg.MODEL.FPN.IN_FEATURES,
        out_channels=cfg.MODEL.FPN.OUT_CHANNELS,
        norm=cfg.MODEL.FPN.NORM,
        top_block=LastLevelMaxPool() if "p6" in cfg.MODEL.RPN.IN_FEATURES else None,
        fuse_type=cfg.MODEL.FPN.FUSE_TYPE,
    )
