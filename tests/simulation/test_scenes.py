"""The generated digit scenes."""

from pathlib import Path

import numpy as np

from sparsedet.annotations import check_images, read_upright
from sparsedet.simulation.scenes import make_scenes


def test_scenes_are_valid_and_repeatable(tmp_path: Path) -> None:
    first = make_scenes(4, tmp_path / "first", seed=5)
    again = make_scenes(4, tmp_path / "again", seed=5)
    other = make_scenes(4, tmp_path / "other", seed=6)
    assert first == again
    assert first != other
    check_images(first, tmp_path / "first")
    for image in first.images:
        pixels = [read_upright(tmp_path / name / image.file_name) for name in ("first", "again")]
        assert np.array_equal(*pixels)
        assert first.boxes_by_image[image.id]
    assert len({box.id for box in first.boxes}) == len(first.boxes)
    for box in first.boxes:
        size = first.image_by_id[box.image_id]
        assert 0 <= box.xyxy[0] < box.xyxy[2] <= size.width
        assert 0 <= box.xyxy[1] < box.xyxy[3] <= size.height


def test_a_digit_stands_out_inside_its_box(tmp_path: Path) -> None:
    scenes = make_scenes(6, tmp_path, seed=2)
    contrasts = []
    for box in scenes.boxes:
        pixels = read_upright(tmp_path / scenes.image_by_id[box.image_id].file_name)
        left, top, right, bottom = (int(edge) for edge in box.xyxy)
        contrasts.append(pixels[top:bottom, left:right].astype(float).std())
    assert np.median(contrasts) > 20
