"""Transforms of a training image: drawn from sizes and boxes alone, then applied to pixels.

Drawing needs no pixels, so that a process can draw for a whole batch and decode only a part of it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from detectron2.structures import Boxes, Instances

from sparsedet.annotations import Image
from sparsedet.config.augmentations import AugmentedViewConfig, CopyPasteConfig, ScaleJitterConfig
from sparsedet.config.sections import InputConfig
from sparsedet.config.training_config import TrainingConfig
from sparsedet.modeling.inputs import UInt8Image, network_size, to_tensor
from sparsedet.modeling.targets import Role
from sparsedet.modeling.tiles import Tile
from sparsedet.training.augmentation.color_jitter import AugmentedView, draw_augmented_view
from sparsedet.training.augmentation.copy_paste import (
    ObjectBank,
    PastedObject,
    Size,
    draw_copy_paste,
    takes_objects,
    with_pasted,
)
from sparsedet.training.augmentation.scale_jitter import (
    ScaleJitter,
    clip_boxes,
    draw_scale_jitter,
)
from sparsedet.training.data.packed_dataset import TrainingImage


@dataclass(frozen=True, slots=True)
class ImageTransform:
    """The drawn transform of an image."""

    image: TrainingImage
    """Its boxes in pixels of the transformed image."""
    size: Size
    """Height and width of the transformed image."""
    flipped: bool
    pasted: Sequence[PastedObject]
    scale_jitter: ScaleJitter | None
    augmented_view: AugmentedView | None

    @property
    def sources(self) -> list[tuple[Image, Path, Tile | None, Size]]:
        """The image, then those of pasted objects: each with folder, tile and resized size."""
        own = (self.image.source, self.image.folder, self.image.tile, self.size)
        return [
            own,
            *((one.source, one.folder, one.source_tile, one.source_size) for one in self.pasted),
        ]

    def apply(self, pixels: Sequence[UInt8Image], colour_order: str) -> dict[str, Any]:
        """Return the model's input.

        Args:
            pixels: of `sources`, BGR; not modified.
            colour_order: RGB or BGR, of the tensors.

        Returns:
            `image`, `instances` (with `gt_roles` if it has more than labels, and `gt_weights` if
            not all weigh 1), `image_id`, and, with an augmented view, `image_augmented`.
        """
        view, *others = pixels
        if self.flipped:
            view = np.asarray(cv2.flip(view, 1), dtype=np.uint8)
        if self.pasted:
            view = view.copy()
            for one, source in zip(self.pasted, others, strict=True):
                one.paste(source, view)
        if self.scale_jitter is not None:
            view = self.scale_jitter.apply_image(view)
        item = {
            "image_id": self.image.source.id,
            "image": to_tensor(view, colour_order),
            "instances": _instances(self.image, self.size),
        }
        if self.augmented_view is not None:
            item["image_augmented"] = to_tensor(self.augmented_view.apply_image(view), colour_order)
        return item


@dataclass(frozen=True, slots=True)
class Augmentation:
    """The augmentations of a training method; None: not used."""

    input: InputConfig
    copy_paste: CopyPasteConfig | None
    scale_jitter: ScaleJitterConfig | None
    augmented_view: AugmentedViewConfig | None

    @classmethod
    def of(cls, config: TrainingConfig) -> "Augmentation":
        """Return the augmentation for a configuration and its method."""
        augments = config.model.method in ("augmented", "staged")
        return cls(
            input=config.input,
            copy_paste=config.copy_paste if augments and config.copy_paste.max_objects else None,
            scale_jitter=config.scale_jitter if augments and config.scale_jitter.share else None,
            augmented_view=config.augmented_view if config.model.method == "end-to-end" else None,
        )

    def draw(
        self, image: TrainingImage, rng: np.random.Generator, bank: ObjectBank | None = None
    ) -> ImageTransform:
        """Draw an image's transform; without a `bank`, nothing is pasted."""
        lengths = self.input.min_size_train
        short_side = lengths[rng.integers(len(lengths))]
        resized = partial(network_size, short_side=short_side, max_size=self.input.max_size_train)
        size = resized(image.height, image.width)
        scale = (size[1] / image.width, size[0] / image.height)
        boxes = image.boxes * np.array(scale * 2, dtype=np.float32)
        flipped = self.input.mirrors and rng.random() < 0.5
        if flipped:
            mirrored = boxes[:, [2, 1, 0, 3]] * (-1, 1, -1, 1) + (size[1], 0, size[1], 0)
            boxes = mirrored.astype(np.float32)
        image = replace(image, boxes=boxes)
        pasted: Sequence[PastedObject] = ()
        if self.copy_paste and bank and takes_objects(image, self.copy_paste, rng):
            pasted = draw_copy_paste(
                image, size, bank, self.copy_paste, rng, resized, mirrors=self.input.mirrors
            )
            image = with_pasted(image, pasted)
        jitter = None
        if self.scale_jitter and rng.random() < self.scale_jitter.share:
            jitter = draw_scale_jitter(size, self.scale_jitter, self.input.fill, rng)
            moved = jitter.apply_boxes(image.boxes)
            image = image.clipped(*clip_boxes(moved, image.roles, size))
        view = None
        if self.augmented_view:
            view = draw_augmented_view(image.boxes[image.labels], self.augmented_view, rng)
        return ImageTransform(image, size, flipped, pasted, jitter, view)


def _instances(image: TrainingImage, size: Size) -> Instances:
    # Copies: the arrays of an unchanged image are shared by the whole training.
    instances = Instances(size)
    instances.gt_boxes = Boxes(torch.tensor(image.boxes))
    instances.gt_classes = torch.tensor(image.classes)
    if (image.roles != Role.LABEL).any():
        instances.gt_roles = torch.tensor(image.roles)
    if (image.weights != 1).any():
        instances.gt_weights = torch.tensor(image.weights)
    return instances
