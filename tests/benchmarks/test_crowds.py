"""Crowds: what is pasted overlaps and can be seen, and recall counts the right objects."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.crowds.command import main
from benchmarks.crowds.recall import recall
from benchmarks.crowds.scenes import CROWDED, crowded, make_crowds
from sparsedet.annotations import Box, Category, Dataset, Image, read_image, write_coco
from sparsedet.mining.detections import Detections
from tests.conftest import Scenes
from tests.prediction.random_run import make_random_run

CAT, DOG = 3, 4


def dataset(*boxes: tuple[int, tuple[float, float, float, float]]) -> Dataset:
    return Dataset(
        (Image(1, "1.png", 200, 100),),
        tuple(Box(number, 1, category, xyxy) for number, (category, xyxy) in enumerate(boxes, 1)),
        (Category(CAT, "cat"), Category(DOG, "dog")),
    )


PAIR = dataset(
    (CAT, (0, 0, 10, 10)), (CAT, (4, 0, 24, 10)), (DOG, (4, 0, 24, 10)), (CAT, (60, 0, 70, 10))
)
"""A small cat, 60 % of it on a larger one; a dog on that; a cat for itself."""


def test_crowded_is_what_shares_enough_of_the_smaller_box_with_its_class() -> None:
    assert crowded(PAIR) == {1, 2}
    assert crowded(PAIR, 0.61) == set()


def test_groups_are_pasted_that_overlap_and_can_be_seen(scenes: Scenes, tmp_path: Path) -> None:
    made = make_crowds(scenes.dataset, scenes.images, tmp_path / "one", seed=5)
    known = {box.id for box in scenes.dataset.boxes}
    pasted = [box for box in made.boxes if box.id not in known]
    assert len(pasted) >= 2 * len(made.images)
    assert len(crowded(made) - known) > 0.8 * len(pasted)
    assert CROWDED == 0.6
    for image in made.images:
        before = read_image(scenes.dataset.image_by_id[image.id], scenes.images)
        after = read_image(image, tmp_path / "one")
        changed = (before != after).any(axis=2)
        inside = np.zeros_like(changed)
        for box in pasted:
            if box.image_id == image.id:
                left, top, right, bottom = map(int, box.xyxy)
                inside[top:bottom, left:right] = True
                assert 0 <= left < right <= image.width
                assert 0 <= top < bottom <= image.height
        assert changed.any()
        assert not (changed & ~inside).any()
    again = make_crowds(scenes.dataset, scenes.images, tmp_path / "two", seed=5)
    assert again == made
    assert make_crowds(scenes.dataset, scenes.images, tmp_path / "other", seed=6) != made


def test_recall_is_of_crowded_objects_and_of_others() -> None:
    found = Detections(
        image_id=1,
        boxes=np.array([[0, 0, 10, 10], [60, 0, 70, 10], [150, 0, 160, 10], [4, 0, 24, 10]], float),
        scores=np.array([0.9, 0.8, 0.7, 0.6]),
        category_ids=np.array([CAT, CAT, CAT, CAT]),
        object_scores=np.ones(4),
    )
    every = recall([found], PAIR, {1, 2})
    # Both crowded cats; of the cat for itself and the dog the former.
    assert (every.crowded, every.others) == (100.0, 50.0)
    # The third detection is wrong: 80 % and more are right among the first two alone.
    assert (every.crowded_when_precise, every.others_when_precise) == (50.0, 50.0)


def test_the_script_compares_nms_with_soft_nms(
    scenes: Scenes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = tmp_path / "digits"
    data.mkdir()
    (data / "images").symlink_to(scenes.images)
    small = scenes.dataset.with_images(scenes.dataset.images[:2])
    # As the run calls them.
    digits = [replace(one, name=str(n)) for n, one in enumerate(small.categories)]
    write_coco(replace(small, categories=tuple(digits)), data / "test.json")
    run = make_random_run(tmp_path / "run")
    results = tmp_path / "results"
    arguments = ["--data", data, "--run", run, "--results", results, "--device", "cpu"]
    assert main(None, list(map(str, arguments))) == 0
    assert "| run (`plain`) | soft-NMS | " in capsys.readouterr().out
    found = json.loads((results / "digits.json").read_text())
    hard, soft = found["rows"]
    assert found["crowded"] > 0
    assert (hard["kind"], soft["kind"]) == ("NMS", "soft-NMS")
    assert (results / "digits.md").is_file()
    assert main(None, list(map(str, ["--data", tmp_path / "none", "--run", run]))) == 1
    assert "error: " in capsys.readouterr().err
