"""Detectors of third parties, recognised by content, or of other classes, as weights of ours."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from detectron2.config import CfgNode
from detectron2.data.datasets.builtin_meta import COCO_CATEGORIES
from torch import Tensor, nn

from sparsedet.errors import ConfigError
from sparsedet.modeling.checkpoint import class_count
from sparsedet.modeling.weights.coco_detectors import ZOO_NEEDS
from sparsedet.modeling.weights.normalisation import RESNEXT, check_needed
from sparsedet.modeling.weights.torchvision_detectors import (
    class_names,
    is_torchvision_detector,
    needs_of,
    to_ours,
)
from sparsedet.modeling.weights.transfer import (
    for_two_views,
    has_same_features,
    matching,
    with_own_classes,
)
from sparsedet.wording import first_of

logger = logging.getLogger(__name__)

COCO_NAMES = tuple(str(entry["name"]) for entry in COCO_CATEGORIES if entry["isthing"])
"""COCO's 80 classes, in the order of detectron2's detectors."""
_FPN_OF_RESNET = "backbone.fpn_lateral2.weight"
_SECOND_CONV = "backbone.bottom_up.res2.0.conv2.weight"
_ANCHORS = "proposal_generator.anchor_generator."


def detector_weights(
    weights: dict[str, Tensor],
    model: nn.Module,
    cfg: CfgNode,
    classes: Sequence[str],
    names: Sequence[str] | None,
    *,
    from_zoo: bool,
) -> dict[str, Tensor]:
    """Convert torchvision's or the zoo's detectors, or one of other classes; keep others.

    Args:
        weights: content of a file.
        model: the detector.
        cfg: its configuration.
        classes: names of its classes.
        names: class names in the file; None: it has none.
        from_zoo: whether the file is of detectron2's zoo.

    Raises:
        ConfigError: when the configuration doesn't fit the weights, or a layer has no counterpart.
    """
    theirs: Sequence[str] | None
    if is_torchvision_detector(weights):
        try:
            check_needed(cfg, needs_of(weights))
            theirs = class_names(weights)
            weights = to_ours(weights)
        except ConfigError as error:
            start = f"MODEL.WEIGHTS {cfg.MODEL.WEIGHTS}: "
            message = str(error)
            raise error if cfg.MODEL.WEIGHTS in message else ConfigError(start + message) from error
    elif from_zoo and class_count(weights) is not None:
        check_needed(cfg, _zoo_needs(weights))
        theirs = COCO_NAMES if class_count(weights) == len(COCO_NAMES) else None
        # Older files list them; the check above ensures that the configuration's are the same.
        weights = {name: value for name, value in weights.items() if not name.startswith(_ANCHORS)}
    else:
        return _by_names(weights, model, cfg, classes, names)
    own = model.state_dict()
    rows = matching(classes, theirs or ())
    _say(cfg.MODEL.WEIGHTS, classes, theirs, rows)
    return for_two_views(with_own_classes(weights, own, rows), own)


def _by_names(
    weights: dict[str, Tensor],
    model: nn.Module,
    cfg: CfgNode,
    classes: Sequence[str],
    names: Sequence[str] | None,
) -> dict[str, Tensor]:
    """Return a detector's weights with its classes in the order of ours.

    Without names, or if our last layers have other inputs, they are left as they are.
    """
    own = model.state_dict()
    if names is None or not classes or list(names) == list(classes):
        return weights
    if class_count(weights) != len(names) or not has_same_features(weights, own):
        return weights
    places = {name: place for place, name in enumerate(names)}
    same = {number: places[name] for number, name in enumerate(classes) if name in places}
    rows = matching(classes, names) | same
    _say(cfg.MODEL.WEIGHTS, classes, names, rows)
    return with_own_classes(weights, own, rows)


def _zoo_needs(weights: Mapping[str, Tensor]) -> Mapping[str, Any]:
    """Return the configuration required by a detector of detectron2's zoo, as far as known."""
    if _FPN_OF_RESNET not in weights or _SECOND_CONV not in weights:
        return {}
    outputs, inputs = weights[_SECOND_CONV].shape[:2]
    # Grouped channels: a ResNeXt.
    return ZOO_NEEDS if outputs == inputs else {**ZOO_NEEDS, **RESNEXT}


def _say(
    source: str, classes: Sequence[str], theirs: Sequence[str] | None, rows: Mapping[int, int]
) -> None:
    """Log which classes the weights know, and which start from random values."""
    fresh = [name for number, name in enumerate(classes) if number not in rows]
    logger.warning(
        "MODEL.WEIGHTS %s: %s of %d classes found by name%s",
        source,
        len(rows) if theirs is not None else "none",
        len(classes),
        f"; random initial values for {first_of(fresh)}" if fresh else "",
    )
