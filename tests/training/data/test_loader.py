"""Batches: reproducible from seed and iteration, with boxes on the objects."""

import multiprocessing
import os
import resource
import signal
import time
from pathlib import Path

import pytest
import torch
from torch.utils.data import DataLoader, Dataset

from sparsedet.annotations import Box
from sparsedet.config.training_config import read_config
from sparsedet.errors import ConfigError, TrainingError
from sparsedet.modeling.inputs import PixelCache
from sparsedet.modeling.targets import Role
from sparsedet.run_folder import RunFolder
from sparsedet.runtime import resources
from sparsedet.training.data.loader import (
    Batch,
    batches,
    decoded_bytes,
    lost_workers_reported,
)
from sparsedet.training.data.samples import training_images
from sparsedet.training.engine.train import check_same_run, start_run
from tests.conftest import Scenes
from tests.training.short_runs import short_config


def load(
    scenes: Scenes, start: int, end: int, *overrides: str, method: str = "plain"
) -> list[Batch]:
    config = short_config(8, *overrides, method=method)
    images = training_images(scenes.dataset, scenes.images, keep_unlabelled=True)
    return list(batches(images, config, seed=3, start=start, end=end))


def same(first: Batch, second: Batch) -> bool:
    return all(
        a["image_id"] == b["image_id"]
        and torch.equal(a["image"], b["image"])
        and torch.equal(a["instances"].gt_boxes.tensor, b["instances"].gt_boxes.tensor)
        for a, b in zip(first, second, strict=True)
    )


def test_a_resumed_run_sees_the_same_batches(scenes: Scenes) -> None:
    whole = load(scenes, 0, 8)
    resumed = load(scenes, 5, 8)
    assert all(same(a, b) for a, b in zip(whole[5:], resumed, strict=True))
    assert not same(whole[0], whole[1])


@pytest.mark.parametrize("workers", ["1", "2", "-1"])
def test_worker_processes_change_nothing(scenes: Scenes, workers: str) -> None:
    keys = ["DATALOADER.NUM_WORKERS", workers, "DATALOADER.CACHE_MIB", "0"]
    alone, shared = load(scenes, 0, 4), load(scenes, 0, 4, *keys)
    assert all(same(a, b) for a, b in zip(alone, shared, strict=True))


@pytest.mark.parametrize(("cache", "processes"), [("2048", 0), ("0", 1)])
def test_processes_load_what_is_too_much_for_the_cache(
    scenes: Scenes, monkeypatch: pytest.MonkeyPatch, cache: str, processes: int
) -> None:
    monkeypatch.setattr(resources, "free_cores", lambda: 4)
    keys = ("DATALOADER.NUM_WORKERS", "-1", "DATALOADER.CACHE_MIB", cache)
    config = short_config(8, *keys, method="plain")
    images = training_images(scenes.dataset, scenes.images, keep_unlabelled=True)
    loader = batches(images, config, seed=3, start=0, end=4)
    next(loader)
    assert len(multiprocessing.active_children()) == processes


def test_loader_processes_may_open_as_many_files_as_the_user_may(scenes: Scenes) -> None:
    """Each tensor of a batch in transit is one."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    images = training_images(scenes.dataset, scenes.images, keep_unlabelled=True)
    resource.setrlimit(resource.RLIMIT_NOFILE, (512, before[1]))
    try:
        config = short_config(8, "DATALOADER.NUM_WORKERS", "1", method="plain")
        batches(images, config, seed=3, start=0, end=4)
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        assert hard == before[1]
        assert soft == (65_536 if hard == resource.RLIM_INFINITY else min(hard, 65_536)) > 512
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


@pytest.mark.parametrize("short_sides", ["(120,)", "(120, 240)"])
def test_the_cache_takes_what_was_reckoned(scenes: Scenes, short_sides: str) -> None:
    config = short_config(8, "INPUT.MIN_SIZE_TRAIN", short_sides)
    images = training_images(scenes.dataset, scenes.images, keep_unlabelled=True)
    cache = PixelCache(2**30)
    list(batches(images, config, seed=3, start=0, end=6, cache=cache))
    assert cache.bytes == decoded_bytes(images, config.input) > 0


def test_an_epoch_shows_every_image_once(scenes: Scenes) -> None:
    seen = [item["image_id"] for batch in load(scenes, 0, 6) for item in batch]
    assert sorted(seen) == [image.id for image in scenes.dataset.images]


def test_cached_and_decoded_images_are_the_same(scenes: Scenes) -> None:
    cached, decoded = load(scenes, 0, 8), load(scenes, 0, 8, "DATALOADER.CACHE_MIB", "0")
    assert all(same(a, b) for a, b in zip(cached, decoded, strict=True))


def test_flipping_moves_boxes_with_the_pixels(scenes: Scenes) -> None:
    plain = {
        item["image_id"]: item
        for b in load(scenes, 0, 6, "INPUT.RANDOM_FLIP", "none")
        for item in b
    }
    flipped = 0
    for item in (item for batch in load(scenes, 0, 6) for item in batch):
        original = plain[item["image_id"]]
        if torch.equal(item["image"], original["image"]):
            continue
        flipped += 1
        assert torch.equal(item["image"], original["image"].flip(-1))
        mirrored = original["instances"].gt_boxes.tensor[:, [2, 1, 0, 3]]
        mirrored[:, [0, 2]] = item["image"].shape[-1] - mirrored[:, [0, 2]]
        assert torch.allclose(item["instances"].gt_boxes.tensor, mirrored)
    assert 0 < flipped < len(plain)


def test_both_views_have_one_geometry(scenes: Scenes) -> None:
    item = load(scenes, 0, 1, method="end-to-end")[0][0]
    assert item["image"].shape == item["image_augmented"].shape
    assert not torch.equal(item["image"], item["image_augmented"])


def test_ignored_boxes_are_marked(scenes: Scenes) -> None:
    region = Box(1, 1, 1, (10, 10, 50, 50))
    images = training_images(scenes.dataset, scenes.images, ignored=[region], keep_unlabelled=True)
    labels = len(images[0].boxes) - 1
    assert images[0].roles.tolist() == [Role.LABEL] * labels + [Role.IGNORE_REGION]
    assert images[0].labels.tolist() == [True] * labels + [False]


@pytest.mark.parametrize("ranks", [2, 4])
@pytest.mark.parametrize("method", ["plain", "end-to-end", "staged"])
def test_the_parts_of_all_ranks_are_the_batch_of_one(
    scenes: Scenes, method: str, ranks: int
) -> None:
    keys = ["SOLVER.IMS_PER_BATCH", "4", "INPUT.MIN_SIZE_TRAIN", "(120, 160, 200)"]
    config = short_config(8, *keys, method=method)
    images = training_images(
        scenes.dataset, scenes.images, ignored=scenes.dataset.boxes[::5], keep_unlabelled=True
    )

    def part(rank: int, ranks: int) -> list[Batch]:
        return list(batches(images, config, seed=3, start=2, end=5, rank=rank, ranks=ranks))

    parts = [part(rank, ranks) for rank in range(ranks)]
    assert all(len(batch) == 4 // ranks for batches_of_rank in parts for batch in batches_of_rank)
    for whole, *shares in zip(part(0, 1), *parts, strict=True):
        for expected, found in zip(
            whole, [item for share in shares for item in share], strict=True
        ):
            assert expected["image_id"] == found["image_id"]
            for key in expected.keys() & {"image", "image_augmented"}:
                assert torch.equal(expected[key], found[key]), key
            assert torch.equal(
                expected["instances"].gt_boxes.tensor, found["instances"].gt_boxes.tensor
            )
            for key in ("gt_classes", "gt_roles"):
                assert expected["instances"].has(key) == found["instances"].has(key)
                if expected["instances"].has(key):
                    assert torch.equal(expected["instances"].get(key), found["instances"].get(key))


def test_a_batch_that_ranks_cannot_share_is_refused(scenes: Scenes) -> None:
    images = training_images(scenes.dataset, scenes.images, keep_unlabelled=True)
    with pytest.raises(
        ConfigError, match=r"IMS_PER_BATCH is 2, which 3 processes .* multiple of 3"
    ):
        batches(images, short_config(8), seed=3, start=0, end=1, ranks=3)


@pytest.mark.parametrize(
    ("batch", "parts", "images", "taken"),
    [(13, 1, 12, 12), (4, 1, 1, 1), (8, 4, 6, 6), (2, 1, 2, 2)],
)
def test_a_batch_is_no_larger_than_the_dataset(
    scenes: Scenes,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    batch: int,
    parts: int,
    images: int,
    taken: int,
) -> None:
    keys = ("SOLVER.IMS_PER_BATCH", str(batch), "SOLVER.ACCUMULATION", str(parts))
    config, run = short_config(8, *keys), RunFolder(tmp_path / "run")
    dataset = scenes.dataset.with_images(scenes.dataset.images[:images])
    start_run(
        config,
        run,
        dataset,
        scenes.images,
        source=scenes.annotations,
        method="plain",
        seed=1,
        device="cpu",
    )
    solver = read_config(run.config).solver
    assert solver.batch_size == taken
    assert taken % solver.accumulation == 0
    assert (f"reduced to {taken}" in caplog.text) == (taken < batch)
    # It is the same run when the same is asked for again.
    again = config.prepared(method="plain", seed=1, classes=len(dataset.categories))
    check_same_run(run, method="plain", seed=1, dataset=dataset, config=again)


def test_processes_share_a_batch_that_is_made_smaller() -> None:
    solver = short_config(8, "SOLVER.IMS_PER_BATCH", "8", "SOLVER.ACCUMULATION", "2").solver
    assert solver.bounded(8, 2) == {}
    assert solver.bounded(7, 2) == {"SOLVER.IMS_PER_BATCH": 6, "SOLVER.ACCUMULATION": 1}
    assert solver.bounded(1, 4) == {"SOLVER.IMS_PER_BATCH": 4, "SOLVER.ACCUMULATION": 1}


def test_fewer_images_than_a_batch_are_repeated(
    scenes: Scenes, caplog: pytest.LogCaptureFixture
) -> None:
    images = training_images(scenes.dataset, scenes.images, keep_unlabelled=True)[:3]
    config = short_config(8, "SOLVER.IMS_PER_BATCH", "4")
    (batch,) = batches(images, config, seed=3, start=0, end=1)
    assert {item["image_id"] for item in batch} == {1, 2, 3}
    assert "IMS_PER_BATCH is 4, with only 3 images" in caplog.text
    with pytest.raises(TrainingError, match="no images"):
        batches([], config, seed=3, start=0, end=1)


@pytest.mark.parametrize("workers", ["0", "2"])
def test_training_does_not_change_the_images(scenes: Scenes, workers: str) -> None:
    """Tensors of a batch are its own, whoever writes to them."""
    config = short_config(8, "INPUT.RANDOM_FLIP", "none", "DATALOADER.NUM_WORKERS", workers)
    images = training_images(scenes.dataset, scenes.images, keep_unlabelled=True)
    first: list[object] = []
    again: list[object] = []
    for seen in (first, again):
        for batch in batches(images, config, seed=3, start=0, end=2):
            for item in batch:
                fields = item["instances"]
                seen.append((fields.gt_classes.tolist(), fields.gt_boxes.tensor.tolist()))
                fields.gt_classes += 1
                fields.gt_boxes.scale(2, 2)
    assert first == again


class Deadly(Dataset[int]):
    """Of two items the second kills the process that loads it."""

    def __getitem__(self, number: int) -> int:
        if number:
            os.kill(os.getpid(), signal.SIGKILL)
        return number


def train_busily(loader: DataLoader[int]) -> None:
    with lost_workers_reported():
        for _ in loader:
            end = time.monotonic() + 30
            while time.monotonic() < end:
                """Be somewhere else than in the loader."""


def test_a_loader_process_that_is_killed_is_told_of_wherever_the_training_is() -> None:
    loader = DataLoader(Deadly(), batch_size=None, sampler=range(2), num_workers=1)
    with pytest.raises(TrainingError, match=r"a lower DATALOADER\.NUM_WORKERS takes less"):
        train_busily(loader)
    with pytest.raises(RuntimeError, match="another error"), lost_workers_reported():
        raise RuntimeError("another error")
