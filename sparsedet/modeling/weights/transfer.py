"""Transfer a detector's weights to other classes, or to two views, keeping what matches."""

import re
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

_CLASS, _BOX = "roi_heads.box_predictor.cls_score.", "roi_heads.box_predictor.bbox_pred."
_RPN = "proposal_generator.rpn_head."
_SPACE = re.compile(r"[\s_-]+")
_SIDES = 4


def matching(ours: Sequence[str], theirs: Sequence[str]) -> dict[int, int]:
    """Return the source class for each of ours: `Traffic_Light` is `traffic light`.

    Classes named "" are ignored.
    """
    places = {_plain(name): place for place, name in reversed(list(enumerate(theirs)))}
    return {
        number: places[plain]
        for number, name in enumerate(ours)
        if (plain := _plain(name)) and plain in places
    }


def with_own_classes(
    weights: Mapping[str, Tensor], own: Mapping[str, Tensor], rows: Mapping[int, int]
) -> dict[str, Tensor]:
    """Return a detector's weights for the classes of another one.

    Args:
        weights: of a detector; its boxes are kept unless both detectors have one per class.
        own: weights of the other one, kept for classes without counterpart.
        rows: the source class for each class of the other one.
    """
    changed = dict(weights)
    per_class = _has_box_per_class(weights) and _has_box_per_class(own)
    for kind in ("weight", "bias"):
        scores, boxes = own[_CLASS + kind].clone(), own[_BOX + kind].clone()
        their_scores, their_boxes = weights[_CLASS + kind], weights[_BOX + kind]
        for ours, theirs in rows.items():
            scores[ours] = their_scores[theirs]
            if per_class:
                boxes[_of_box(ours)] = their_boxes[_of_box(theirs)]
        # Background.
        scores[-1] = their_scores[-1]
        changed[_CLASS + kind] = scores
        if per_class:
            changed[_BOX + kind] = boxes
    return changed


def has_same_features(weights: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> bool:
    """Return whether the last layers of two detectors have the same number of inputs."""
    return weights[_CLASS + "weight"].shape[1:] == own[_CLASS + "weight"].shape[1:]


def for_two_views(weights: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return a detector's weights with an RPN of two views, if the other one has one.

    Both views get the one-view RPN, and the outputs are averaged: on two equal views the result is
    that of the one-view RPN.
    """
    changed = dict(weights)
    for name, value in weights.items():
        if not name.startswith(_RPN) or name not in own:
            continue
        shape = own[name].shape
        if name.startswith(f"{_RPN}conv.") and shape[0] == 2 * value.shape[0]:
            changed[name] = torch.cat([value, value]) if value.ndim == 1 else _diagonal(value)
        elif value.ndim > 1 and shape[1] == 2 * value.shape[1]:
            changed[name] = torch.cat([value, value], dim=1) / 2
    return changed


def _plain(name: str) -> str:
    return _SPACE.sub(" ", name).strip().casefold()


def _has_box_per_class(weights: Mapping[str, Tensor]) -> bool:
    return len(weights[_BOX + "bias"]) == _SIDES * (len(weights[_CLASS + "bias"]) - 1)


def _of_box(number: int) -> slice:
    return slice(_SIDES * number, _SIDES * (number + 1))


def _diagonal(value: Tensor) -> Tensor:
    """Return a convolution of two halves of the channels, both with `value`, shape (O, C, 3, 3)."""
    none = torch.zeros_like(value)
    return torch.cat([torch.cat([value, none], dim=1), torch.cat([none, value], dim=1)])
