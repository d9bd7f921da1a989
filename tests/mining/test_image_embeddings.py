"""A detector's image embeddings: equal for equal images, close for similar ones."""

import shutil
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from sparsedet.annotations import read_image
from sparsedet.mining.detect import detect
from sparsedet.mining.detections import EMBEDDING_SIZE
from tests.conftest import Scenes
from tests.training.short_runs import untrained_model


def test_alike_images_have_close_embeddings(scenes: Scenes, tmp_path: Path) -> None:
    first, other = scenes.dataset.images[:2]
    folder = tmp_path / "images"
    shutil.copytree(scenes.images, folder)
    noise = np.random.default_rng(1).normal(0, 3, (first.height, first.width, 3))
    noisy = np.clip(read_image(first, scenes.images) + noise, 0, 255).astype(np.uint8)
    copies = {"twin.png": read_image(first, scenes.images), "noisy.png": noisy}
    for name, pixels in copies.items():
        assert cv2.imwrite(str(folder / name), pixels)
    images = [first, *(replace(first, file_name=name) for name in copies), other]
    model, config = untrained_model()
    embeddings: list[NDArray[np.float64]] = []
    for found in detect(model, config, images, folder, range(1, 11)):
        assert found.embedding is not None
        assert found.embedding.shape == (EMBEDDING_SIZE,)
        embeddings.append(found.embedding)
    own, twins, with_noise, of_other = embeddings
    assert np.allclose(own, twins, atol=1e-5)
    near, far = (float(np.linalg.norm(own - one)) for one in (with_noise, of_other))
    assert near < far / 2
    assert not model.backbone._forward_hooks  # type: ignore[union-attr]
