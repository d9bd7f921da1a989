"""What `staged` does to images: zoomed and with pasted objects, boxes stay on their objects."""

from itertools import chain

import torch

from sparsedet.modeling.targets import split_targets
from tests.training.conftest import Scenes
from tests.training.test_loader import load, same


def shape(boxes: torch.Tensor) -> torch.Tensor:
    """Return width / height of boxes, shape (N,)."""
    sides = boxes[:, 2:] - boxes[:, :2]
    return sides[:, 0] / sides[:, 1]


STAGED_AS_PLAIN = (
    *("SPARSEDET.STAGED.PASTES", "0"),
    *("SPARSEDET.STAGED.ZOOM_SHARE", "0.0"),
)


def test_some_images_are_zoomed_by_the_method_that_does_so(scenes: Scenes) -> None:
    plain, none = load(scenes, 0, 8), load(scenes, 0, 8, *STAGED_AS_PLAIN, method="staged")
    assert all(same(a, b) for a, b in zip(plain, none, strict=True))
    zooms = (*STAGED_AS_PLAIN, "SPARSEDET.STAGED.ZOOM_SHARE", "0.5")
    some = load(scenes, 0, 8, *zooms, method="staged")
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
            # Zooming and flipping leave the shape of a box, by which its class is found again.
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
