"""How a training image is changed: drawn first, from sizes and boxes alone, then done to pixels.

Drawing takes no pixels, so that a process can follow the draws of a batch of which it decodes a
part.
"""

from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
import torch
from detectron2.config import CfgNode
from detectron2.structures import Boxes, Instances

from sparsedet.modeling.inputs import UInt8Image, network_size, to_tensor
from sparsedet.modeling.targets import Role
from sparsedet.training.packed import TrainingImage
from sparsedet.training.views import (
    AugmentedView,
    AugmentedViewRule,
    augmented_view,
    augmented_view_rule,
    draw_view,
)
from sparsedet.training.zoom import Zoom, ZoomRule, clip, draw_zoom, zoom_rule


@dataclass(frozen=True, slots=True)
class PlanRule:
    """What is drawn for an image."""

    short_sides: tuple[int, ...]
    """Pixels; one of them is drawn."""
    max_size: int
    """The most that the longer side may have, in pixels."""
    flip: bool
    """Whether half of the images is mirrored."""
    zoom: ZoomRule | None
    second_view: AugmentedViewRule | None


@dataclass(frozen=True, slots=True)
class Plan:
    """What was drawn for an image."""

    image: TrainingImage
    """Its boxes in pixels of the changed image."""
    size: tuple[int, int]
    """Height and width of the changed image."""
    flipped: bool
    zoom: Zoom | None
    second_view: AugmentedView | None


def plan_rule(cfg: CfgNode, *, zoomed: bool) -> PlanRule:
    """Return the rule that a configuration sets.

    Args:
        cfg: the configuration.
        zoomed: whether images are zoomed, as far as the configuration says.
    """
    # Without a share nothing is drawn either: flips stay what they would be.
    zoomed = zoomed and cfg.SPARSEDET.STAGED.ZOOM_SHARE > 0
    two_views = cfg.SPARSEDET.METHOD == "end-to-end"
    return PlanRule(
        short_sides=tuple(cfg.INPUT.MIN_SIZE_TRAIN),
        max_size=cfg.INPUT.MAX_SIZE_TRAIN,
        flip=cfg.INPUT.RANDOM_FLIP == "horizontal",
        zoom=zoom_rule(cfg) if zoomed else None,
        second_view=augmented_view_rule(cfg) if two_views else None,
    )


def draw_plan(image: TrainingImage, rule: PlanRule, rng: np.random.Generator) -> Plan:
    """Draw how an image is changed."""
    source = image.source
    short_side = rule.short_sides[rng.integers(len(rule.short_sides))]
    size = network_size(source.height, source.width, short_side, rule.max_size)
    scale = (size[1] / source.width, size[0] / source.height)
    boxes = image.boxes * np.array(scale * 2, dtype=np.float32)
    flipped = rule.flip and rng.random() < 0.5
    if flipped:
        mirrored = boxes[:, [2, 1, 0, 3]] * (-1, 1, -1, 1) + (size[1], 0, size[1], 0)
        boxes = mirrored.astype(np.float32)
    image = replace(image, boxes=boxes)
    zoom = None
    if rule.zoom is not None and rng.random() < rule.zoom.share:
        zoom = draw_zoom(size, rule.zoom, rng)
        boxes, roles, stays = clip(zoom.of_boxes(boxes), image.roles, size)
        image = replace(image, boxes=boxes[stays], classes=image.classes[stays], roles=roles[stays])
    second_view = None
    if rule.second_view is not None:
        second_view = draw_view(image.boxes[image.labels], rule.second_view, rng)
    return Plan(image, size, flipped, zoom, second_view)


def apply_plan(plan: Plan, pixels: UInt8Image, colour_order: str) -> dict[str, Any]:
    """Return the model's input for an image.

    Args:
        plan: what was drawn for it.
        pixels: the image of the plan's size, BGR; stays as it is.
        colour_order: RGB or BGR, of the tensors.

    Returns:
        `image`, `instances` (with `gt_roles` where more than labels is known), `image_id`, and
        where the plan has a second view `image_augmented`.
    """
    if plan.flipped:
        pixels = np.asarray(cv2.flip(pixels, 1), dtype=np.uint8)
    if plan.zoom is not None:
        pixels = plan.zoom.of_pixels(pixels)
    item = {
        "image_id": plan.image.source.id,
        "image": to_tensor(pixels, colour_order),
        "instances": _instances(plan.image, plan.size),
    }
    if plan.second_view is not None:
        view = augmented_view(pixels, plan.second_view)
        item["image_augmented"] = to_tensor(view, colour_order)
    return item


def _instances(image: TrainingImage, size: tuple[int, int]) -> Instances:
    # Copies: those of an image that was not changed belong to all of the training.
    instances = Instances(size)
    instances.gt_boxes = Boxes(torch.tensor(image.boxes))
    instances.gt_classes = torch.tensor(image.classes)
    if (image.roles != Role.LABEL).any():
        instances.gt_roles = torch.tensor(image.roles)
    return instances
