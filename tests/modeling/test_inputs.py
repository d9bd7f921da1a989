"""The cache of decoded images: changes no result, decodes once, and stays within its size."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from sparsedet.annotations import read_image
from sparsedet.mining.detect import detect
from sparsedet.mining.detections import Detections
from sparsedet.modeling.inputs import PixelCache, resize
from sparsedet.run_folder import RunFolder
from sparsedet.training.data.loader import batches
from sparsedet.training.data.samples import training_images
from sparsedet.training.engine.callbacks import Callbacks
from sparsedet.training.engine.train import run_training, start_run
from tests.conftest import Scenes
from tests.training.short_runs import FULL_SIZE, short_config, untrained_model


@pytest.mark.parametrize("keep_resized", [True, False])
@pytest.mark.parametrize("size", [(120, 160), (240, 320), (300, 400)])
def test_pixels_are_the_same_with_and_without(
    scenes: Scenes, size: tuple[int, int], keep_resized: bool
) -> None:
    image = scenes.dataset.images[0]
    expected = resize(read_image(image, scenes.images), *size)
    cache = PixelCache(2**30)
    for wanted in (size, (60, 80), size, (60, 80)):
        found = cache.read(image, scenes.images, wanted, keep_resized=keep_resized)
        assert found.shape[:2] == wanted
        if wanted == size:
            assert np.array_equal(found, expected)


def equal(first: Detections, second: Detections) -> bool:
    return len(first.scores) > 0 and all(
        np.array_equal(getattr(first, name), getattr(second, name))
        for name in ("image_id", "boxes", "scores", "category_ids", "object_scores")
    )


@pytest.mark.parametrize(
    ("train", "test", "decoded_again"),
    [
        pytest.param("(120,)", "120", False, id="same size"),
        pytest.param("(120,)", "200", True, id="smaller in training"),
        pytest.param("(120,)", "100", True, id="smaller at test"),
        pytest.param("(120, 160)", "100", False, id="several in training"),
    ],
)
def test_detections_are_the_same_after_a_training(
    scenes: Scenes, train: str, test: str, decoded_again: bool
) -> None:
    model, cfg = untrained_model("INPUT.MIN_SIZE_TRAIN", train, "INPUT.MIN_SIZE_TEST", test)
    some = scenes.dataset.with_images(scenes.dataset.images[:4])
    cache = PixelCache(2**30)
    images = training_images(some, scenes.images, keep_unlabelled=True)
    list(batches(images, cfg, seed=3, start=0, end=4, cache=cache))
    kept = cache.bytes
    for _ in range(2):
        given = (model, cfg, some.images, scenes.images, range(1, 11))
        for found, expected in zip(detect(*given, cache=cache), detect(*given), strict=True):
            assert equal(found, expected)
    assert (cache.bytes > kept) == decoded_again


def test_what_a_stage_has_decoded_is_decoded_no_more(scenes: Scenes, tmp_path: Path) -> None:
    """Shown by removing the files."""
    folder = tmp_path / "images"
    shutil.copytree(scenes.images, folder)
    model, cfg = untrained_model(*FULL_SIZE)
    cache = PixelCache(2**30)
    images = training_images(scenes.dataset, folder, keep_unlabelled=True)
    first = list(batches(images, cfg, seed=3, start=0, end=6, cache=cache))
    shutil.rmtree(folder)
    again = list(batches(images, cfg, seed=3, start=0, end=6, cache=cache))
    for one, other in zip(first, again, strict=True):
        assert all(torch.equal(a["image"], b["image"]) for a, b in zip(one, other, strict=True))
    found = detect(model, cfg, scenes.dataset.images[:2], folder, range(1, 11), cache=cache)
    assert all(len(detections.scores) for detections in found)


def test_training_and_detection_share_one_bound(scenes: Scenes) -> None:
    model, cfg = untrained_model("INPUT.MIN_SIZE_TRAIN", "(120,)")
    image = 120 * 160 * 3
    cache = PixelCache(7 * image)
    images = training_images(scenes.dataset, scenes.images, keep_unlabelled=True)[:5]
    for _ in range(2):
        list(batches(images, cfg, seed=3, start=0, end=5, cache=cache))
        assert cache.bytes == 5 * image
        list(
            detect(model, cfg, scenes.dataset.images[:3], scenes.images, range(1, 11), cache=cache)
        )
    # One at the size of the test is as large as four.
    assert cache.bytes == 5 * image


def test_processes_that_load_leave_nothing_in_it(scenes: Scenes) -> None:
    """They have caches of their own, in the room that this one had."""
    cfg = short_config(8, "DATALOADER.NUM_WORKERS", "1")
    cache = PixelCache(2**30)
    cache.read(scenes.dataset.images[0], scenes.images, (120, 160))
    assert cache.bytes == 120 * 160 * 3
    images = training_images(scenes.dataset, scenes.images, keep_unlabelled=True)
    next(batches(images, cfg, seed=3, start=0, end=1, cache=cache))
    assert cache.bytes == 0


def test_the_stages_and_minings_of_a_run_share_one(scenes: Scenes, tmp_path: Path) -> None:
    """Shown by removing the files when the first iteration has seen all of them."""
    folder = tmp_path / "images"
    shutil.copytree(scenes.images, folder)
    some = scenes.dataset.with_images(scenes.dataset.images[:4])
    cfg = short_config(
        2,
        *FULL_SIZE,
        *("SOLVER.IMS_PER_BATCH", "4"),
        *("SPARSEDET.STAGED.MIN_ITER", "0", "SPARSEDET.STAGED.MIN_MISSING", "0.0"),
        *("SPARSEDET.STAGED.MINE_AT", "(0.5,)"),
    )
    source = tmp_path / "train.json"
    run = RunFolder(tmp_path / "run")
    start_run(cfg, run, some, folder, source=source, method="staged", seed=1, device="cpu")

    mined = []
    run_training(
        run,
        callbacks=Callbacks(
            on_progress=lambda progress: shutil.rmtree(folder, ignore_errors=True),
            on_mining=lambda done, total: mined.append(done),
        ),
    )
    assert mined == [1, 2, 3, 4]
    assert run.model.exists()
