"""How a training image is changed: drawn first, from sizes and boxes alone, then done to pixels.

Drawing takes no pixels, so that a process can follow the draws of a batch of which it decodes a
part.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from detectron2.config import CfgNode
from detectron2.structures import Boxes, Instances

from sparsedet.annotations import Image
from sparsedet.modeling.inputs import UInt8Image, network_size, to_tensor
from sparsedet.modeling.targets import Role
from sparsedet.training.augmentation.color_jitter import (
    AugmentedView,
    AugmentedViewRule,
    augmented_view,
    augmented_view_rule,
    draw_view,
)
from sparsedet.training.augmentation.copy_paste import (
    Donors,
    Paste,
    PasteRule,
    Size,
    draw_pastes,
    paste_rule,
    takes_objects,
    with_pasted,
)
from sparsedet.training.augmentation.scale_jitter import Zoom, ZoomRule, clip, draw_zoom, zoom_rule
from sparsedet.training.data.packed_dataset import TrainingImage


@dataclass(frozen=True, slots=True)
class PlanRule:
    """What is drawn for an image."""

    short_sides: tuple[int, ...]
    """Pixels; one of them is drawn."""
    max_size: int
    """The most that the longer side may have, in pixels."""
    flip: bool
    """Whether half of the images is mirrored."""
    paste: PasteRule | None
    zoom: ZoomRule | None
    second_view: AugmentedViewRule | None


@dataclass(frozen=True, slots=True)
class Plan:
    """What was drawn for an image."""

    image: TrainingImage
    """Its boxes in pixels of the changed image."""
    size: Size
    """Height and width of the changed image."""
    flipped: bool
    pastes: Sequence[Paste]
    zoom: Zoom | None
    second_view: AugmentedView | None

    @property
    def sources(self) -> list[tuple[Image, Path, Size]]:
        """The image and then the donors of `pastes`: with their folders, and resized to what."""
        own = (self.image.source, self.image.folder, self.size)
        return [own, *((paste.donor, paste.folder, paste.donor_size) for paste in self.pastes)]


def plan_rule(cfg: CfgNode) -> PlanRule:
    """Return the rule that a configuration, and its method, sets."""
    method, staged = cfg.SPARSEDET.METHOD, cfg.SPARSEDET.STAGED
    # Switched off, nothing is drawn either: other draws stay what they would be.
    pastes = method == "staged" and staged.PASTES > 0
    zooms = method == "staged" and staged.ZOOM_SHARE > 0
    return PlanRule(
        short_sides=tuple(cfg.INPUT.MIN_SIZE_TRAIN),
        max_size=cfg.INPUT.MAX_SIZE_TRAIN,
        flip=cfg.INPUT.RANDOM_FLIP == "horizontal",
        paste=paste_rule(cfg) if pastes else None,
        zoom=zoom_rule(cfg) if zooms else None,
        second_view=augmented_view_rule(cfg) if method == "end-to-end" else None,
    )


def draw_plan(
    image: TrainingImage, rule: PlanRule, rng: np.random.Generator, donors: Donors | None = None
) -> Plan:
    """Draw how an image is changed; without `donors` nothing is pasted into it."""
    source = image.source
    short_side = rule.short_sides[rng.integers(len(rule.short_sides))]
    resized = partial(network_size, short_side=short_side, max_size=rule.max_size)
    size = resized(source.height, source.width)
    scale = (size[1] / source.width, size[0] / source.height)
    boxes = image.boxes * np.array(scale * 2, dtype=np.float32)
    flipped = rule.flip and rng.random() < 0.5
    if flipped:
        mirrored = boxes[:, [2, 1, 0, 3]] * (-1, 1, -1, 1) + (size[1], 0, size[1], 0)
        boxes = mirrored.astype(np.float32)
    image = replace(image, boxes=boxes)
    pastes: Sequence[Paste] = ()
    if rule.paste and donors and takes_objects(image, rule.paste, rng):
        pastes = draw_pastes(image, size, donors, rule.paste, rng, resized)
        image = with_pasted(image, pastes)
    zoom = None
    if rule.zoom and rng.random() < rule.zoom.share:
        zoom = draw_zoom(size, rule.zoom, rng)
        boxes, roles, stays = clip(zoom.of_boxes(image.boxes), image.roles, size)
        image = replace(image, boxes=boxes[stays], classes=image.classes[stays], roles=roles[stays])
    second_view = None
    if rule.second_view:
        second_view = draw_view(image.boxes[image.labels], rule.second_view, rng)
    return Plan(image, size, flipped, pastes, zoom, second_view)


def apply_plan(plan: Plan, pixels: Sequence[UInt8Image], colour_order: str) -> dict[str, Any]:
    """Return the model's input for an image.

    Args:
        plan: what was drawn for it.
        pixels: the plan's `sources`, BGR; they stay as they are.
        colour_order: RGB or BGR, of the tensors.

    Returns:
        `image`, `instances` (with `gt_roles` where more than labels is known), `image_id`, and
        where the plan has a second view `image_augmented`.
    """
    view, *donors = pixels
    if plan.flipped:
        view = np.asarray(cv2.flip(view, 1), dtype=np.uint8)
    if plan.pastes:
        view = view.copy()
        for paste, donor in zip(plan.pastes, donors, strict=True):
            paste.onto(view, donor)
    if plan.zoom is not None:
        view = plan.zoom.of_pixels(view)
    item = {
        "image_id": plan.image.source.id,
        "image": to_tensor(view, colour_order),
        "instances": _instances(plan.image, plan.size),
    }
    if plan.second_view is not None:
        augmented = augmented_view(view, plan.second_view)
        item["image_augmented"] = to_tensor(augmented, colour_order)
    return item


def _instances(image: TrainingImage, size: tuple[int, int]) -> Instances:
    # Copies: those of an image that was not changed belong to all of the training.
    instances = Instances(size)
    instances.gt_boxes = Boxes(torch.tensor(image.boxes))
    instances.gt_classes = torch.tensor(image.classes)
    if (image.roles != Role.LABEL).any():
        instances.gt_roles = torch.tensor(image.roles)
    return instances
