"""Tiles in training and detection: what is known of an image is known of them, and no more."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from detectron2.structures import Boxes, Instances
from torch import nn

from sparsedet.annotations import Box, Category, Dataset, Image, read_image
from sparsedet.errors import AnnotationError
from sparsedet.mining.detect import detect
from sparsedet.modeling.inputs import PixelCache
from sparsedet.modeling.targets import Role
from sparsedet.modeling.tiles import Tile, views_of
from sparsedet.training.data.loader import batches
from sparsedet.training.data.samples import training_images
from tests.conftest import Scenes
from tests.training.short_runs import short_config, untrained_model

SIDE = 100
WIDE = Image(1, "wide.jpg", 180, 100)
"""Two tiles show it: its first and its last 100 columns."""
CATEGORIES = (Category(1, "cell"), Category(2, "rod"))


def rows(
    *boxes: Box, image: Image = WIDE, rejected: tuple[Box, ...] = (), keep: bool = False
) -> dict[Tile | None, list[tuple[int, int, list[float]]]]:
    """Role, class and box of every row, by what is seen."""
    dataset = Dataset((image,), boxes, CATEGORIES, verified_negatives=rejected)
    images = training_images(dataset, Path(), keep_unlabelled=keep, tile=SIDE)
    return {
        one.tile: list(
            zip(one.roles.tolist(), one.classes.tolist(), one.boxes.tolist(), strict=True)
        )
        for one in images
    }


def box(left: float, right: float, category: int = 1) -> Box:
    return Box(0, 1, category, (left, 20.0, right, 40.0))


LEFT, RIGHT = Tile(0, 0, 100, 100), Tile(80, 0, 180, 100)


def test_tiles_follow_the_whole_image() -> None:
    assert views_of(180, 100, SIDE) == [None, LEFT, RIGHT]
    assert views_of(100, 60, SIDE) == views_of(180, 100, 0) == [None]


def test_boxes_are_clipped_and_cut_ones_ignored() -> None:
    found = rows(box(10, 30), box(70, 100, 2), box(85, 120))
    assert [len(seen) for seen in found.values()] == [3, 3, 2]
    assert found[LEFT] == [
        (Role.LABEL, 0, [10, 20, 30, 40]),
        (Role.LABEL, 1, [70, 20, 100, 40]),
        # 15 of its 35 columns.
        (Role.IGNORE_REGION, 0, [85, 20, 100, 40]),
    ]
    # Two thirds of the second one are enough for a label.
    assert found[RIGHT] == [
        (Role.LABEL, 1, [0, 20, 20, 40]),
        (Role.LABEL, 0, [5, 20, 40, 40]),
    ]


def test_rejected_boxes_and_marks_come_along() -> None:
    marked = replace(WIDE, complete_classes=frozenset({2}))
    found = rows(box(10, 30), image=marked, rejected=(box(60, 90), box(95, 110)))
    assert found[LEFT] == [
        (Role.LABEL, 0, [10, 20, 30, 40]),
        (Role.VERIFIED_NEGATIVE, 0, [60, 20, 90, 40]),
        # Of the other rejected box too little is seen to say anything.
        (Role.COMPLETE_CLASS, 1, [0, 0, 100, 100]),
    ]
    assert (Role.COMPLETE_CLASS, 1, [0, 0, 100, 100]) in found[RIGHT]
    exhaustive = rows(box(10, 30), image=replace(WIDE, exhaustive=True))
    assert exhaustive[RIGHT] == [(Role.EXHAUSTIVE, 0, [0, 0, 100, 100])]


@pytest.mark.parametrize(("keep", "tiles"), [(False, [None, LEFT]), (True, [None, LEFT, RIGHT])])
def test_tiles_without_label_are_left_out_like_images(keep: bool, tiles: list[Tile | None]) -> None:
    assert list(rows(box(10, 30), keep=keep)) == tiles


def test_inputs_show_the_pixels_of_their_tiles(scenes: Scenes) -> None:
    keys = ("INPUT.TILE", "160", "INPUT.MIN_SIZE_TRAIN", "160", "INPUT.RANDOM_FLIP", "none")
    config = short_config(8, *keys, method="plain")
    image = scenes.dataset.images[0]
    images = training_images(
        scenes.dataset.with_images([image]), scenes.images, keep_unlabelled=True, tile=160
    )
    assert images.sizes.tolist() == [[240, 320]] + [[160, 160]] * 6
    pixels = read_image(image, scenes.images)[..., ::-1].transpose(2, 0, 1)
    seen = 0
    cache = PixelCache(2**30)
    for batch in batches(images, config, seed=1, start=0, end=4, cache=cache):
        for item in batch:
            given = item["image"].numpy()
            if given.shape[1:] == (160, 160):
                seen += any(
                    np.array_equal(given, pixels[:, t.top : t.bottom, t.left : t.right])
                    for t in views_of(320, 240, 160)
                    if t is not None
                )
    assert seen >= 6
    assert cache.bytes == 3 * (6 * 160 * 160 + 120 * 160)


class Bright(nn.Module):
    """Finds what is bright: the surer, the less of the image is seen."""

    def forward(self, inputs: list[dict[str, Any]]) -> list[dict[str, Instances]]:
        (item,) = inputs
        height, width = item["height"], item["width"]
        rows, columns = torch.nonzero(item["image"][0] > 100, as_tuple=True)
        found = Instances((height, width))
        edges = torch.zeros(0, 4)
        if len(rows):
            corners = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
            edges = torch.stack(corners).float()[None]
        shrink = [width / item["image"].shape[2], height / item["image"].shape[1]]
        found.pred_boxes = Boxes(edges * torch.tensor(shrink * 2))
        found.scores = found.object_scores = torch.full((len(edges),), 100 / width)
        found.pred_classes = torch.zeros(len(edges), dtype=torch.int64)
        return [{"instances": found}]


def test_detections_of_tiles_are_merged_in_pixels_of_the_image(tmp_path: Path) -> None:
    pixels = np.zeros((400, 1280, 3), np.uint8)
    pixels[24:40, 900:916] = 255
    cv2.imwrite(str(tmp_path / "wide.png"), pixels)
    image = Image(1, "wide.png", 1280, 400)
    tiled = short_config(8, "INPUT.TILE", "240", method="plain")
    (found,) = detect(Bright(), tiled, [image], tmp_path, [7])
    assert found.boxes.tolist() == [[900, 24, 916, 40]]
    assert found.category_ids.tolist() == [7]
    # That of the tile, not that of the whole image.
    assert found.scores.tolist() == pytest.approx([100 / 240])


def test_without_tiles_detection_is_as_ever_and_looks_stay(scenes: Scenes) -> None:
    model, config = untrained_model()
    images = scenes.dataset.images[:1]
    (whole,) = detect(model, config, images, scenes.images, range(1, 11))
    off = config.with_values({"INPUT.TILE": 4000})
    (same,) = detect(model, off, images, scenes.images, range(1, 11))
    assert np.array_equal(whole.boxes, same.boxes)
    on = config.with_values({"INPUT.TILE": 160})
    (tiled,) = detect(model, on, images, scenes.images, range(1, 11))
    assert len(tiled.boxes) != len(whole.boxes)
    assert whole.embedding is not None
    assert tiled.embedding is not None
    assert np.array_equal(whole.embedding, tiled.embedding)
    assert (np.diff(tiled.scores) <= 0).all()


def test_when_no_image_can_be_decoded_the_training_stops(tmp_path: Path) -> None:
    """Each file is counted once, not once for each of its tiles."""
    images = tuple(replace(WIDE, id=number, file_name=f"{number}.png") for number in (1, 2))
    for image in images:
        (tmp_path / image.file_name).write_bytes(b"cut off")
    boxes = tuple(Box(image.id, image.id, 1, (10.0, 20.0, 30.0, 40.0)) for image in images)
    dataset = Dataset(images, boxes, CATEGORIES)
    views = training_images(dataset, tmp_path, keep_unlabelled=False, tile=SIDE)
    assert len(views) > len(images)
    with pytest.raises(AnnotationError, match="2 of 2 images can't be read"):
        list(batches(views, short_config(4, method="plain"), seed=1, start=0, end=4))
