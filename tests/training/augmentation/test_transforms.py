"""The augmentations of `staged`: scale jitter and copy-paste, with boxes on their objects."""

from itertools import chain
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from sparsedet.annotations import Box, Category, Dataset, Image
from sparsedet.modeling.targets import split_targets
from sparsedet.training.data.loader import batches
from sparsedet.training.data.samples import training_images
from tests.conftest import Scenes
from tests.training.data.test_loader import load, same
from tests.training.short_runs import short_config


def shape(boxes: torch.Tensor) -> torch.Tensor:
    """Return width / height of boxes, shape (N,)."""
    sides = boxes[:, 2:] - boxes[:, :2]
    return sides[:, 0] / sides[:, 1]


STAGED_AS_PLAIN = (
    *("SPARSEDET.STAGED.PASTES", "0"),
    *("SPARSEDET.STAGED.ZOOM_SHARE", "0.0"),
)


def test_staged_jitters_the_scale_of_some_images(scenes: Scenes) -> None:
    plain, none = load(scenes, 0, 8), load(scenes, 0, 8, *STAGED_AS_PLAIN, method="staged")
    assert all(same(a, b) for a, b in zip(plain, none, strict=True))
    jitter = (*STAGED_AS_PLAIN, "SPARSEDET.STAGED.ZOOM_SHARE", "0.5")
    some = load(scenes, 0, 8, *jitter, method="staged")
    kinds = {
        torch.equal(a["image"], b["image"])
        for first, second in zip(plain, some, strict=True)
        for a, b in zip(first, second, strict=True)
    }
    assert kinds == {True, False}
    uncut = 0
    for first, second in zip(plain, some, strict=True):
        for before, item in zip(first, second, strict=True):
            height, width = item["image"].shape[1:]
            boxes = item["instances"].gt_boxes.tensor
            assert boxes.min() >= 0
            assert (boxes[:, 2] <= width).all()
            assert (boxes[:, 3] <= height).all()
            # Scale jitter and flipping leave the shape of a box, by which its class is found again.
            shapes = shape(before["instances"].gt_boxes.tensor)
            whole = (boxes[:, :2] > 0).all(dim=1) & (boxes[:, 2] < width) & (boxes[:, 3] < height)
            for ratio, number in zip(
                shape(boxes[whole]), item["instances"].gt_classes[whole], strict=True
            ):
                alike = (shapes - ratio).abs() < 1e-4
                assert number in before["instances"].gt_classes[alike]
                uncut += 1
    assert uncut > 50


def test_objects_of_others_are_pasted_into_some_images(scenes: Scenes) -> None:
    """What was there stays: its boxes, and the pixels apart from those around pasted objects."""
    pastes = (*STAGED_AS_PLAIN, "SPARSEDET.STAGED.PASTES", "3", "INPUT.RANDOM_FLIP", "none")
    plain = load(scenes, 0, 8, "INPUT.RANDOM_FLIP", "none")
    some = load(scenes, 0, 8, *pastes, method="staged")
    added = []
    for before, item in zip(chain(*plain), chain(*some), strict=True):
        own, labels = before["instances"], split_targets(item["instances"]).labels
        boxes = labels.gt_boxes.tensor
        assert torch.equal(boxes[: len(own)], own.gt_boxes.tensor)
        assert torch.equal(labels.gt_classes[: len(own)], own.gt_classes)
        added.append(len(boxes) - len(own))
        changed = (item["image"] != before["image"]).any(dim=0)
        for left, top, right, bottom in boxes[len(own) :].round().int().tolist():
            assert changed[top:bottom, left:right].any()
            margin = 1 + max(right - left, bottom - top) // 4
            x, y = max(left - margin, 0), max(top - margin, 0)
            changed[y : bottom + margin, x : right + margin] = False
        assert not changed.any()
    assert set(added) >= {0, 1, 2}
    assert max(added) <= 3


COLOURS = {1: (250, 20, 20), 2: (20, 250, 20), 3: (20, 20, 250), 4: (240, 240, 20)}
"""RGB, by class."""
SIZES = [(240, 320), (300, 220), (150, 400), (200, 200)]
"""Height and width."""


def coloured_objects(folder: Path) -> Dataset:
    """Images of several sizes, each with two objects of one colour, a class for each image."""
    images, boxes = [], []
    for number, (height, width) in enumerate(SIZES, start=1):
        pixels = np.zeros((height, width, 3), dtype=np.uint8)
        for place, (x, y) in enumerate([(0.1, 0.15), (0.5, 0.6)]):
            left, top = round(x * width), round(y * height)
            right, bottom = left + width // 5, top + height // 4
            pixels[top:bottom, left:right] = COLOURS[number][::-1]
            boxes.append(Box(10 * number + place, number, number, (left, top, right, bottom)))
        cv2.imwrite(str(folder / f"{number}.png"), pixels)
        images.append(Image(number, f"{number}.png", width, height))
    categories = tuple(Category(number, f"colour {number}") for number in COLOURS)
    return Dataset(tuple(images), tuple(boxes), categories)


def test_whatever_is_done_to_an_image_boxes_have_the_colour_of_their_class(tmp_path: Path) -> None:
    dataset = coloured_objects(tmp_path)
    keys = ("SPARSEDET.STAGED.PASTES", "3", "SPARSEDET.STAGED.ZOOM_SHARE", "0.5")
    config = short_config(40, *keys, method="staged")
    images = training_images(dataset, tmp_path, keep_unlabelled=True)
    number_of_labels = []
    for item in chain(*batches(images, config, seed=3, start=0, end=40)):
        labels = split_targets(item["instances"]).labels
        number_of_labels.append(len(labels))
        for box, number in zip(labels.gt_boxes.tensor, labels.gt_classes, strict=True):
            left, top, right, bottom = box.round().int().tolist()
            inside = item["image"][:, top:bottom, left:right].flatten(1).float()
            expected = torch.tensor(COLOURS[int(number) + 1], dtype=torch.float32)
            # Most of the pixels: at its edges an object fades into what is under it.
            torch.testing.assert_close(inside.median(dim=1).values, expected, rtol=0, atol=6)
    assert max(number_of_labels) >= 4


@pytest.mark.parametrize(("flip", "mirrored"), [("none", {False}), ("horizontal", {False, True})])
def test_pasted_objects_are_mirrored_where_images_are(
    flip: str, mirrored: set[bool], tmp_path: Path
) -> None:
    """Objects are dark on the left and bright on the right."""
    images, boxes = [], []
    for number in (1, 2, 3):
        pixels = np.zeros((240, 320, 3), dtype=np.uint8)
        pixels[20:80, 30:60], pixels[20:80, 60:90] = 80, 240
        cv2.imwrite(str(tmp_path / f"{number}.png"), pixels)
        images.append(Image(number, f"{number}.png", 320, 240))
        boxes.append(Box(number, number, 1, (30, 20, 90, 80)))
    dataset = Dataset(tuple(images), tuple(boxes), (Category(1, "half"),))
    keys = (*STAGED_AS_PLAIN, "SPARSEDET.STAGED.PASTES", "3", "INPUT.RANDOM_FLIP", flip)
    config = short_config(20, *keys, method="staged")
    training = training_images(dataset, tmp_path, keep_unlabelled=True)
    pasted = []
    for item in chain(*batches(training, config, seed=3, start=0, end=20)):
        for box in split_targets(item["instances"]).labels.gt_boxes.tensor[1:]:
            left, top, right, bottom = box.round().int().tolist()
            middle = (left + right) // 2
            inside = item["image"][:, top:bottom].float()
            pasted.append(bool(inside[..., left:middle].mean() > inside[..., middle:right].mean()))
    assert len(pasted) > 20
    assert set(pasted) == mirrored
