"""Prototypes: mean features of annotated objects, and how much boxes resemble them."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from sparsedet.annotations import Box, Category, Dataset, Image
from sparsedet.mining.prototypes import Prototypes, box_features, log_likelihood_ratios
from sparsedet.modeling import checkpoint
from sparsedet.modeling.inputs import PixelCache
from tests.training.short_runs import short_config, untrained_model


def unit(*values: float) -> NDArray[np.float32]:
    vector = np.array(values, dtype=np.float32)
    return np.asarray(vector / np.linalg.norm(vector))


def test_boxes_are_compared_with_the_mean_of_each_class() -> None:
    kings, queens = [unit(1, 0.2, 0), unit(1, -0.2, 0)], [unit(0, 0, 1)]
    prototypes = Prototypes.of(np.stack([*kings, *queens]), [7, 7, 4])
    shown = np.stack([unit(1, 0, 0), unit(1, 0, 3), unit(0, 1, 0)])
    assert prototypes.nearest(shown)[:2].tolist() == [7, 4]
    assert prototypes.similarity(shown).tolist() == pytest.approx([1, 3 / 10**0.5, 0], abs=1e-6)


def test_similarity_is_evidence_as_far_as_objects_differ_from_other_things() -> None:
    rng = np.random.default_rng(1)
    objects = rng.normal(0.9, 0.03, 50).astype(np.float32)
    others = rng.normal(0.5, 0.1, 50).astype(np.float32)
    similarity = np.array([0.99, 0.9, 0.68, 0.5, 0.1], dtype=np.float32)
    ratios = log_likelihood_ratios(similarity, objects=objects, others=others)
    assert ratios[0] == pytest.approx(ratios[1], abs=0.3)
    assert ratios[1] > ratios[2] > ratios[3]
    assert ratios[1] > 1
    assert ratios[3] < -1
    assert ratios[3] == pytest.approx(ratios[4], abs=0.3)
    # Where both are alike, others resemble more, or too few are known, it is none.
    assert not log_likelihood_ratios(similarity, objects=others, others=others).any()
    assert not log_likelihood_ratios(similarity, objects=others, others=objects).any()
    assert not log_likelihood_ratios(similarity, objects=objects, others=others[:9]).any()


def test_features_follow_what_boxes_show(tmp_path: Path) -> None:
    picture = np.full((240, 320, 3), 90, dtype=np.uint8)
    picture[40:100, 40:100] = picture[140:200, 40:100] = (0, 0, 255)
    cv2.circle(picture, (230, 120), 30, (255, 255, 255), -1)
    cv2.imwrite(str(tmp_path / "a.png"), picture)
    (tmp_path / "broken.png").write_bytes(b"")
    images = (Image(1, "a.png", 320, 240), Image(2, "broken.png", 320, 240))
    first, second, other = (40, 40, 100, 100), (40, 140, 100, 200), (200, 90, 260, 150)
    boxes = [Box(n, 1, 1, xyxy) for n, xyxy in enumerate([first, second, other], start=1)]
    boxes.insert(1, Box(9, 2, 1, first))
    config = short_config(10).prepared(method="staged", seed=1, classes=1)
    config = config.with_values({"MODEL.DEVICE": "cpu"})
    model = checkpoint.build(config.node).eval()
    dataset = Dataset(images, tuple(boxes), (Category(1, "thing"),))
    found = box_features(model, config, dataset, tmp_path, boxes, cache=PixelCache(0))
    lengths = np.linalg.norm(found, axis=1)
    assert lengths == pytest.approx([1, 0, 1, 1], abs=1e-5)
    assert found[0] @ found[2] > found[0] @ found[3]


def test_small_objects_of_large_images_are_seen_on_tiles(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    picture = cv2.resize(rng.integers(0, 256, (40, 80, 3), dtype=np.uint8), (640, 320))
    cv2.imwrite(str(tmp_path / "large.png"), picture)
    cv2.imwrite(str(tmp_path / "right.png"), picture[:, 320:])
    images = (Image(1, "large.png", 640, 320), Image(2, "right.png", 320, 320))
    small, large = (500, 100, 540, 130), (100, 20, 600, 300)
    boxes = [Box(1, 1, 1, small), Box(2, 2, 1, (180, 100, 220, 130)), Box(3, 1, 1, large)]
    model, config = untrained_model("INPUT.TILE", "320")
    data = Dataset(images, tuple(boxes), (Category(1, "thing"),))
    found = box_features(model, config, data, tmp_path, boxes, cache=PixelCache(0))
    assert found[0] == pytest.approx(found[1], abs=1e-6)
    # None shows all of the large one.
    _, whole = untrained_model()
    expected = box_features(model, whole, data, tmp_path, boxes, cache=PixelCache(0))
    assert found[2] == pytest.approx(expected[2], abs=1e-6)
    assert np.abs(found[0] - expected[0]).max() > 1e-3


def test_a_process_sees_the_images_that_it_has_detected_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = tuple(Image(number, f"{number}.png", 64, 64) for number in (1, 2, 3))
    for image in images:
        cv2.imwrite(str(tmp_path / image.file_name), np.full((64, 64, 3), 99, dtype=np.uint8))
    boxes = [Box(number, number, 1, (10, 10, 40, 40)) for number in (2, 3)]
    model, config = untrained_model()
    data = Dataset(images, tuple(boxes), (Category(1, "thing"),))
    monkeypatch.setattr("sparsedet.runtime.processes.ranks", lambda: 2)
    monkeypatch.setattr("sparsedet.runtime.processes.rank", lambda: 1)
    monkeypatch.setattr("sparsedet.runtime.processes.gather", lambda found: [found])
    found = box_features(model, config, data, tmp_path, boxes, cache=PixelCache(0))
    assert found.any(axis=1).tolist() == [True, False]
