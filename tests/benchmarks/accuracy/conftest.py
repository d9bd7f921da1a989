"""The digit scenes, as generated and as a folder."""

import json
from pathlib import Path

import pytest

from benchmarks.accuracy.data import FullData, digit_scenes
from sparsedet.annotations import write_coco


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> FullData:
    return digit_scenes(tmp_path_factory.mktemp("scenes"), train=5, test=3)


@pytest.fixture(scope="module")
def folder(digits: FullData, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Those scenes as a folder of complete annotations, one object of the test images amiss."""
    root = tmp_path_factory.mktemp("data") / "scenes"
    root.mkdir()
    (root / "images").symlink_to(digits.train_images)
    write_coco(digits.train, root / "train.json")
    write_coco(digits.train.with_images(digits.train.images[:2]), root / "test.json")
    unlabelled = [{"image_id": 1, "category_id": 1, "bbox": [5, 5, 20, 20], "score": 0.9}]
    (root / "unlabelled_test.json").write_text(json.dumps(unlabelled))
    return root
