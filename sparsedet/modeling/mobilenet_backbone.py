"""torchvision's MobileNetV3 with a feature pyramid, as in its COCO detectors.

A. Howard et al., "Searching for MobileNetV3" (ICCV 2019). The pyramid is flat: both of its inputs
have stride 32.
"""

from collections.abc import Mapping
from functools import partial
from itertools import pairwise

import torch
import torch.nn.functional as F
from detectron2.config import CfgNode
from detectron2.layers import ShapeSpec
from detectron2.modeling import BACKBONE_REGISTRY, Backbone
from torch import Tensor, nn
from torchvision.models import mobilenet_v3_large

from sparsedet.errors import ConfigError
from sparsedet.modeling.frozen_norms import fold_frozen_norms

BUILDER = "build_mobilenet_fpn_backbone"
"""The MODEL.BACKBONE.NAME of these backbones."""
STAGES = (0, 2, 4, 7, 13, 14, 17)
"""Start indices of the stages among torchvision's modules, and the end of the last one. The
pyramid takes the last two maps: the first block of stride 32, and the last convolution."""
LEVELS = ("p5", "p5_top", "p6")
_STRIDE = 32
_COUNTER = "num_batches_tracked"


@BACKBONE_REGISTRY.register()
def build_mobilenet_fpn_backbone(cfg: CfgNode, input_shape: ShapeSpec) -> "FlatFPN":
    """Build MobileNetV3-Large with its pyramid and random weights.

    The first MODEL.BACKBONE.FREEZE_AT of its six stages are frozen.

    Raises:
        ConfigError: when FREEZE_AT exceeds the number of stages.
    """
    frozen = cfg.MODEL.BACKBONE.FREEZE_AT
    stages = len(STAGES) - 1
    if not 0 <= frozen <= stages:
        raise ConfigError(
            f"configuration key MODEL.BACKBONE.FREEZE_AT is {frozen}, expected 0 to {stages}"
        )
    return FlatFPN(MobileNet(_features(), frozen), cfg.MODEL.FPN.OUT_CHANNELS)


class MobileNet(Backbone):
    """The stages of a MobileNetV3 with frozen batch norms.

    Args:
        features: torchvision's modules, without the classifier.
        frozen: number of frozen stages.
    """

    def __init__(self, features: nn.Sequential, frozen: int = 0) -> None:
        super().__init__()
        fold_frozen_norms(features)
        self._stages = []
        for number, (start, end) in enumerate(pairwise(STAGES), start=1):
            name = f"stage{number}"
            self.add_module(name, nn.Sequential(*features[start:end]))
            self._stages.append(name)
            if number <= frozen:
                self.get_submodule(name).requires_grad_(False)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Return the last two stages' maps of an image batch, shape (N, 3, H, W), by stage."""
        maps = {}
        for name in self._stages:
            maps[name] = x = self.get_submodule(name)(x)
        return {name: maps[name] for name in self._stages[-2:]}

    def output_shape(self) -> dict[str, ShapeSpec]:
        """Return channels and stride of both maps."""
        channels = (160, 960)
        return {
            name: ShapeSpec(channels=count, stride=_STRIDE)
            for name, count in zip(self._stages[-2:], channels, strict=True)
        }


class FlatFPN(Backbone):
    """A feature pyramid (Lin et al., CVPR 2017) of two maps of one stride, and a third at half
    size.

    Args:
        bottom_up: the backbone.
        channels: of its maps.
    """

    def __init__(self, bottom_up: MobileNet, channels: int) -> None:
        super().__init__()
        self.bottom_up = bottom_up
        self._channels = channels
        self._sources = dict(zip(LEVELS, bottom_up.output_shape().items(), strict=False))
        for level, (_, shape) in self._sources.items():
            lateral = nn.Conv2d(shape.channels, channels, kernel_size=1)
            output = nn.Conv2d(channels, channels, kernel_size=3, padding=1)
            for name, layer in (("lateral", lateral), ("output", output)):
                nn.init.kaiming_uniform_(layer.weight, a=1)
                assert layer.bias is not None
                nn.init.zeros_(layer.bias)
                self.add_module(f"fpn_{name}_{level}", layer)

    @property
    def size_divisibility(self) -> int:
        """Image sizes are padded to multiples of this."""
        return _STRIDE

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Return the maps of an image batch, shape (N, 3, H, W), by level."""
        maps = self.bottom_up(x)
        inner: Tensor | None = None
        levels = {}
        for level, (source, _) in reversed(self._sources.items()):
            lateral = self.get_submodule(f"fpn_lateral_{level}")(maps[source])
            inner = lateral if inner is None else lateral + inner
            levels[level] = self.get_submodule(f"fpn_output_{level}")(inner)
        levels[LEVELS[2]] = F.max_pool2d(levels[LEVELS[1]], kernel_size=1, stride=2)
        return {level: levels[level] for level in LEVELS}

    def output_shape(self) -> dict[str, ShapeSpec]:
        """Return channels and stride of each level."""
        return {
            level: ShapeSpec(channels=self._channels, stride=stride)
            for level, stride in zip(LEVELS, (_STRIDE, _STRIDE, 2 * _STRIDE), strict=True)
        }


def folded(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename a MobileNet's weights from torchvision's names to those of `MobileNet`.

    Raises:
        ConfigError: naming the first parameter that is unknown or missing.
    """
    with torch.random.fork_rng(devices=[]):
        features = _features()
    own = features.state_dict()
    # torchvision's frozen norms have no batch counters.
    wanted = {name for name in own if not name.endswith(_COUNTER)}
    given = {name for name in weights if not name.endswith(_COUNTER)}
    common = wanted & given
    reshaped = {name for name in common if own[name].shape != weights[name].shape}
    odd = sorted((wanted ^ given) | reshaped)
    if odd:
        raise ConfigError(f"not the weights of a MobileNetV3-Large: {odd[0]} differs")
    features.load_state_dict({name: weights[name] for name in wanted}, strict=False)
    state: dict[str, Tensor] = MobileNet(features).state_dict()
    return state


def _features() -> nn.Sequential:
    # Its detectors' norms differ from torchvision's classifier, which has a larger epsilon.
    norm = partial(nn.BatchNorm2d, eps=1e-5)
    features: nn.Sequential = mobilenet_v3_large(weights=None, norm_layer=norm).features
    return features
