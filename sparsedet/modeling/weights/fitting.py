"""Weights into a model that they may fit in parts only, saying what does not fit."""

import logging
import re
from collections.abc import Collection, Mapping

from torch import Tensor, nn

from sparsedet.errors import ConfigError
from sparsedet.modeling.checkpoint import class_count, first_names

logger = logging.getLogger(__name__)

_BODY = "backbone.bottom_up."
_DETECTOR = ("proposal_generator.", "roi_heads.")
_STAGE = re.compile(r"\b(stem|res\d)\.")
_CLASSIFIER = re.compile(r"^(stem\.)?(fc\d*|linear|head|pred)\.")
_OFFSET = "_offset."
"""Deformable convolutions add these to a backbone; they begin at 0."""
_STATISTICS = ("running_mean", "running_var", "num_batches_tracked")
"""Of norms: Caffe2's weights have them in scale and shift."""


def load_fitting(model: nn.Module, weights: Mapping[str, Tensor], source: str) -> None:
    """Load the weights whose name and shape are the model's.

    Of a detector, the layers that differ begin anew, with a warning: the last ones of the box head
    where it was trained on other classes. A backbone has to fit as a whole.

    Args:
        model: a detector.
        weights: of a detector, or of a backbone alone, under the model's names.
        source: MODEL.WEIGHTS, for messages.

    Raises:
        ConfigError: when nothing fits, or a backbone is not the model's.
    """
    own = model.state_dict()
    fitting = {
        name: value
        for name, value in weights.items()
        if name in own and own[name].shape == value.shape
    }
    if not fitting:
        raise ConfigError(
            f"MODEL.WEIGHTS {source}: not one parameter fits the configured model; it has "
            f"{first_names(weights)}, the model {first_names(own)}"
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


def _differences(
    own: Mapping[str, Tensor],
    weights: Mapping[str, Tensor],
    fitting: Collection[str],
    *,
    is_detector: bool,
) -> list[str]:
    """Return what to say of the parameters that don't fit."""
    said = []
    theirs, ours = class_count(weights), class_count(own)
    if theirs is not None and ours is not None and theirs != ours:
        said.append(f"trained on {theirs} classes, while the data has {ours}")
    anew = [
        name
        for name in own
        if name not in fitting
        and (is_detector or (name.startswith(_BODY) and _OFFSET not in name))
        and not name.endswith(_STATISTICS)
    ]
    if anew:
        verb = "begin anew" if is_detector else "don't fit"
        said.append(f"{len(anew)} parameters of the model {verb}: {first_names(anew)}")
    stages = {_stage(name) for name in own}
    unused = [
        name
        for name in weights
        if name not in own and not _CLASSIFIER.match(name) and _stage(name) in stages
    ]
    if unused:
        said.append(f"{len(unused)} of its own are not in the model: {first_names(unused)}")
    return said


def _stage(name: str) -> str:
    """Return the stage of a ResNet that a parameter belongs to; "" for others."""
    found = _STAGE.search(name)
    return found[1] if found else ""
