"""Undecodable images: skipped and listed up to a limit, then an error."""

import logging
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from sparsedet.errors import AnnotationError
from sparsedet.mining.detect import detect
from sparsedet.runtime.unreadable import UnreadableImages, warn_unreadable
from sparsedet.training.data.loader import Batch, batches
from sparsedet.training.data.samples import training_images
from tests.conftest import Scenes
from tests.training.short_runs import short_config, untrained_model

Break = Callable[..., Scenes]
"""Returns the scenes with images of these ids cut in half."""


@pytest.fixture
def broken(scenes: Scenes, tmp_path: Path) -> Break:
    def cut(*ids: int) -> Scenes:
        folder = tmp_path / "images"
        shutil.copytree(scenes.images, folder, dirs_exist_ok=True)
        for image in scenes.dataset.images:
            if image.id in ids:
                path = folder / image.file_name
                path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        return Scenes(scenes.dataset, folder, scenes.annotations)

    return cut


class Reports:
    """Records which images are reported."""

    def __init__(self) -> None:
        self.files: dict[str, str] = {}
        self.times = 0

    def __call__(self, path: Path, reason: str) -> None:
        self.files[path.name] = reason
        self.times += 1


def load(
    scenes: Scenes,
    reports: Reports,
    *overrides: str,
    method: str = "plain",
    start: int = 0,
    rank: int = 0,
    ranks: int = 1,
) -> list[Batch]:
    keys = ["SOLVER.IMS_PER_BATCH", "4", "INPUT.MIN_SIZE_TRAIN", "(100, 120)", *overrides]
    cfg = short_config(9, *keys, method=method)
    images = training_images(scenes.dataset, scenes.images, keep_unlabelled=True)
    loader = batches(
        images,
        cfg,
        seed=3,
        start=start,
        end=9,
        rank=rank,
        ranks=ranks,
        on_unreadable=reports,
    )
    return list(loader)


def contents(batch: Batch) -> list[tuple[int, float, list[list[float]]]]:
    return [
        (
            item["image_id"],
            item["image"].double().sum().item(),
            item["instances"].gt_boxes.tensor.tolist(),
        )
        for item in batch
    ]


def test_the_rest_of_the_batch_stays(scenes: Scenes, broken: Break) -> None:
    reports = Reports()
    replaced = 0
    for whole, found in zip(load(scenes, Reports()), load(broken(3, 8), reports), strict=True):
        for before, item in zip(contents(whole), contents(found), strict=True):
            if before[0] in (3, 8):
                assert item[0] not in (3, 8)
                replaced += 1
            else:
                assert item == before
    assert replaced == 6
    assert set(reports.files) == {"scene_0003.png", "scene_0008.png"}
    assert reports.times == 2
    assert "scene_0003.png: can't be decoded as an image" in reports.files["scene_0003.png"]


def test_an_image_stays_without_the_objects_of_a_broken_one(scenes: Scenes, broken: Break) -> None:
    """The loader pastes objects of other images."""
    reports = Reports()
    kept = replaced = 0
    own = Counter(box.image_id for box in scenes.dataset.boxes)
    whole = load(scenes, Reports(), method="staged")
    for before, found in zip(whole, load(broken(3), reports, method="staged"), strict=True):
        for expected, item in zip(contents(before), contents(found), strict=True):
            if expected[0] == 3:
                assert item[0] != 3
                continue
            assert item[0] == expected[0]
            kept += item == expected
            if item != expected:
                replaced += 1
                assert len(item[2]) <= own[item[0]]
    assert replaced > 2
    assert kept > replaced
    assert list(reports.files) == ["scene_0003.png"]
    assert reports.times == 1


@pytest.mark.parametrize("method", ["plain", "staged"])
def test_the_replacement_is_the_same_everywhere(broken: Break, method: str) -> None:
    scenes = broken(3, 8)
    reports = Reports()
    expected = [contents(batch) for batch in load(scenes, Reports(), method=method)]
    workers = load(scenes, reports, "DATALOADER.NUM_WORKERS", "2", method=method)
    assert [contents(batch) for batch in workers] == expected
    assert set(reports.files) == {"scene_0003.png", "scene_0008.png"}
    later = load(scenes, Reports(), start=4, method=method)
    assert [contents(batch) for batch in later] == expected[4:]
    parts = (load(scenes, Reports(), rank=rank, ranks=2, method=method) for rank in range(2))
    ranks = zip(*parts, strict=True)
    assert [contents(one + two) for one, two in ranks] == expected


@pytest.mark.parametrize("workers", ["0", "1"])
def test_more_than_the_bound_are_an_error(broken: Break, workers: str) -> None:
    ids = (2, 3, 5, 8, 9)
    keys = ["DATALOADER.NUM_WORKERS", workers, "DATALOADER.MAX_UNREADABLE"]
    assert len(load(broken(*ids), Reports(), *keys, "5")) == 9
    with pytest.raises(
        AnnotationError,
        match=r"^5 of 12 images can't be read, .*MAX_UNREADABLE allows 4: "
        r"(image id \d: .*scene_000\d\.png: [^;]*; ){3}and 2 more; repair these files",
    ):
        load(broken(*ids), Reports(), *keys, "4")
    with pytest.raises(AnnotationError, match=r"^1 of 12 .* allows 0: image id \d: .* this file"):
        load(broken(*ids), Reports(), *keys, "0")


@pytest.mark.parametrize("method", ["plain", "staged"])
def test_one_image_has_to_be_left(broken: Break, method: str) -> None:
    *first, last = range(1, 13)
    keys = ["DATALOADER.MAX_UNREADABLE", "99"]
    loaded = load(broken(*first), Reports(), *keys, method=method)
    assert {item["image_id"] for batch in loaded for item in batch} == {last}
    with pytest.raises(AnnotationError, match=r"^12 of 12 images can't be read, .* allows 11: "):
        load(broken(*first, last), Reports(), *keys)


def test_each_file_is_warned_about_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            warn_unreadable(tmp_path / "a.png", "a.png: broken")
    assert caplog.messages == ["a.png: broken; the image is skipped"]


def test_detection_finds_nothing_there_and_goes_on(scenes: Scenes, broken: Break) -> None:
    model, cfg = untrained_model()
    reports, done = Reports(), []
    scenes = broken(2)
    found = list(
        detect(
            model,
            cfg,
            scenes.dataset.images[:3],
            scenes.images,
            range(1, 11),
            lambda count, total: done.append((count, total)),
            unreadable=UnreadableImages(1, 3, reports),
        )
    )
    assert [one.image_id for one in found] == [1, 2, 3]
    assert [len(one.scores) > 0 for one in found] == [True, False, True]
    assert found[1].boxes.shape == (0, 4)
    assert set(reports.files) == {"scene_0002.png"}
    assert done == [(1, 3), (2, 3), (3, 3)]
    cfg = cfg.with_values({"DATALOADER.MAX_UNREADABLE": 0})
    with pytest.raises(AnnotationError, match="1 of 3 images can't be read"):
        list(detect(model, cfg, scenes.dataset.images[:3], scenes.images, range(1, 11)))
