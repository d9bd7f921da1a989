"""Roles of the boxes of a training image, beyond object positions.

detectron2's meta-architectures pass a single `Instances` per image to RPN and ROI heads. So all
information on an image is in its rows, distinguished by `gt_roles`; without that field every row
is a label. All boxes are XYXY in absolute pixels of the network's input.
"""

from dataclasses import dataclass
from enum import IntEnum

import torch
from detectron2.structures import Boxes, Instances, pairwise_iou
from torch import Tensor

MORE_LIKELY_THAN_NOT = 0.5
"""Weight from which a mined label counts where labels count fully or not at all."""


class Role(IntEnum):
    """The meaning of a row in an image's `Instances`."""

    LABEL = 0
    """An object of the row's class."""
    IGNORE_REGION = 1
    """An ignore region: there may be an object, neither positive nor negative in training. The
    class is the most likely one; `COMPLETE_CLASS` rows exclude others."""
    VERIFIED_NEGATIVE = 2
    """No object of the row's class, by a reviewer; there may be one of another class."""
    EXHAUSTIVE = 3
    """The whole image: every object in it has a label, by a person. Has no class."""
    MINED = 4
    """An object of the row's class, by a model: its box is less exact than a label. Its weight is
    the chance that it is one."""
    COMPLETE_CLASS = 5
    """The whole image: every object of the row's class has a label, by a person."""


WHOLE_IMAGE = (Role.EXHAUSTIVE, Role.COMPLETE_CLASS)
"""Roles of rows whose box is the image."""


@dataclass(frozen=True, slots=True)
class Targets:
    """The rows of an image by role."""

    labels: Instances
    """With `gt_boxes` and `gt_classes`, as detectron2 expects them; if the image has roles, also
    `gt_mined`, shape (N,): which of them were found by a model; if it has weights, `gt_weights`,
    shape (N,)."""
    ignore_regions: Boxes
    verified_negatives: Instances
    """With `gt_boxes` and `gt_classes`."""
    exhaustive: bool
    complete_classes: Tensor
    """Shape (M,): classes whose objects all have a label, while other classes' may not. Excludes
    classes with an ignore region, which may be an object of them."""

    @property
    def annotated(self) -> bool:
        """Whether objects of the image are known, or it is known to have none."""
        return len(self.labels) > 0 or self.exhaustive

    @property
    def teaches_classes(self) -> bool:
        """Whether the ROI heads learn from the image: knowing what it doesn't show is enough."""
        return self.annotated or len(self.verified_negatives) > 0 or len(self.complete_classes) > 0


def split_targets(instances: Instances) -> Targets:
    """Split an image's rows by role."""
    if not instances.has("gt_roles"):
        none = instances[:0]
        return Targets(
            instances, none.gt_boxes, none, exhaustive=False, complete_classes=none.gt_classes
        )
    roles: Tensor = instances.gt_roles
    labelled = _are_labels(roles)
    labels = _rows(instances, labelled)
    labels.gt_mined = roles[labelled] == Role.MINED
    ignored = roles == Role.IGNORE_REGION
    complete = instances.gt_classes[roles == Role.COMPLETE_CLASS]
    return Targets(
        labels=labels,
        ignore_regions=instances.gt_boxes[ignored],
        verified_negatives=_rows(instances, roles == Role.VERIFIED_NEGATIVE),
        exhaustive=bool((roles == Role.EXHAUSTIVE).any()),
        complete_classes=complete[~torch.isin(complete, instances.gt_classes[ignored])],
    )


def replace_labels(instances: Instances, labels: Instances) -> Instances:
    """Return an image's rows with `labels` replacing its own, including mined ones."""
    if not instances.has("gt_roles"):
        return labels
    others = instances[~_are_labels(instances.gt_roles)]
    replaced = Instances(instances.image_size)
    replaced.gt_boxes = Boxes.cat([labels.gt_boxes, others.gt_boxes])
    replaced.gt_classes = torch.cat([labels.gt_classes, others.gt_classes])
    label_roles = others.gt_roles.new_full((len(labels),), Role.LABEL)
    replaced.gt_roles = torch.cat([label_roles, others.gt_roles])
    return replaced


def with_verified_negatives(instances: Instances, boxes: Boxes, classes: Tensor) -> Instances:
    """Return an image's rows, which have roles, with additional verified negatives.

    Args:
        instances: the rows.
        boxes: N boxes.
        classes: the class that each box does not show, shape (N,).
    """
    further = Instances(instances.image_size)
    further.gt_boxes = boxes
    further.gt_classes = classes
    further.gt_roles = instances.gt_roles.new_full((len(boxes),), Role.VERIFIED_NEGATIVE)
    together: Instances = Instances.cat([instances, further])
    return together


def overlaps(boxes: Boxes, others: Boxes, iou: float) -> Tensor:
    """Return, shape (len(boxes),), which boxes overlap one of `others` by at least `iou`."""
    if len(boxes) == 0 or len(others) == 0:
        return torch.zeros(len(boxes), dtype=torch.bool, device=boxes.tensor.device)
    covered: Tensor = pairwise_iou(boxes, others).max(dim=1).values >= iou
    return covered


def overlaps_same_class(boxes: Boxes, classes: Tensor, others: Instances, iou: float) -> Tensor:
    """Return, shape (len(boxes),), which boxes overlap one of `others` of their class.

    Args:
        boxes: the boxes.
        classes: their classes, shape (len(boxes),).
        others: with `gt_boxes` and `gt_classes`.
        iou: minimum overlap.
    """
    same_class = classes[:, None] == others.gt_classes
    covered: Tensor = ((pairwise_iou(boxes, others.gt_boxes) >= iou) & same_class).any(dim=1)
    return covered


def _are_labels(roles: Tensor) -> Tensor:
    """Return which of N rows are labels, including mined ones, shape (N,)."""
    return (roles == Role.LABEL) | (roles == Role.MINED)


def _rows(instances: Instances, chosen: Tensor) -> Instances:
    rows = Instances(instances.image_size)
    rows.gt_boxes = instances.gt_boxes[chosen]
    rows.gt_classes = instances.gt_classes[chosen]
    if instances.has("gt_weights"):
        rows.gt_weights = instances.gt_weights[chosen]
    return rows
