"""`sparsedet split`: validation by groups and without near duplicates on both sides."""

import json
from dataclasses import replace
from pathlib import Path

import cv2
import pytest

from sparsedet.annotations import Dataset, read_coco, write_coco
from sparsedet.simulation.scenes import make_scenes
from tests.cli.command import sparsedet, sparsedet_here


@pytest.fixture
def full(tmp_path: Path) -> Path:
    """A COCO file of 12 scenes of 4 patients; the last scene is a brighter copy of the first."""
    folder = tmp_path / "full"
    scenes = make_scenes(12, folder / "images", seed=3)
    images = tuple(
        replace(image, extra={"patient": f"p{i % 4}"}) for i, image in enumerate(scenes.images)
    )
    first, last = (str(folder / "images" / images[i].file_name) for i in (0, 11))
    pixels = cv2.imread(first)
    assert pixels is not None
    cv2.imwrite(last, cv2.convertScaleAbs(pixels, alpha=1, beta=15))
    write_coco(replace(scenes, images=images), folder / "full.json")
    return folder / "full.json"


def sides(out: Path) -> tuple[Dataset, Dataset]:
    return read_coco(out / "train.json"), read_coco(out / "val.json")


def test_groups_and_near_duplicates_stay_on_one_side(full: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = (
        "split", full, "--images", full.parent / "images", "--val", "0.5",
        "--group-by", "key:patient", "-o", out,
    )  # fmt: skip
    result = sparsedet(*command)
    assert result.status == 0, result.err
    train, val = sides(out)
    patients = [{image.extra["patient"] for image in part.images} for part in (train, val)]
    assert not patients[0] & patients[1]
    # The copy ties its own patient to that of the first scene.
    assert {"p0", "p3"} in patients
    record = json.loads((out / "split.json").read_text())
    assert (record["val"], record["validation"]["reached"]) == (0.5, 0.5)
    assert record["validation"]["groups"] == {"by": "key:patient", "total": 4, "validation": 2}
    assert record["validation"]["near_duplicates"]["listed"] == [
        ["scene_0001.png", "scene_0012.png"]
    ]
    assert "Validation has 2 of 4 groups by key:patient." in result.err
    assert "Near duplicates: 2 images in 1 set on the same side." in result.err
    assert sparsedet_here(*command, "--json").json() == {"output": str(out), **record}


def test_near_duplicates_can_be_left_alone(full: Path, tmp_path: Path) -> None:
    images = ("--images", full.parent / "images")
    for name, options in (("off", (*images, "--no-near-duplicates")), ("blind", ())):
        result = sparsedet_here("split", full, *options, "-o", tmp_path / name, "--json")
        assert result.json()["validation"]["near_duplicates"] is None
    err = sparsedet_here("split", full, "-o", tmp_path / "warned").err
    assert "Near duplicates were not checked: no image folder (--images)." in err
    refused = sparsedet_here(
        "split", full, "--near-duplicate-distance", "18", "-o", tmp_path / "far"
    )
    assert "near-duplicate distance 18: expected 0 to 17 bits" in refused.error()
    exact = ("--near-duplicate-distance", "0")
    result = sparsedet_here("split", full, *images, *exact, "-o", tmp_path / "exact", "--json")
    assert result.json()["validation"]["near_duplicates"]["distance"] == 0


def test_warnings_and_gaps_are_said(full: Path, tmp_path: Path) -> None:
    dataset = read_coco(full)
    category = next(c.id for c in dataset.categories if dataset.counts()[c.name] > 1)
    one = next(box for box in dataset.boxes if box.category_id == category)
    alone = [box for box in dataset.boxes if box.category_id != category or box.id == one.id]
    marked = (replace(image, exhaustive=True) for image in dataset.images)
    write_coco(replace(dataset, images=tuple(marked), boxes=tuple(alone)), full)
    grouped = ("--group-by", "regex:^scene_000|^scene", "--val", "0.01")
    result = sparsedet_here("split", full, *grouped, "-o", tmp_path / "out")
    assert result.status == 0, result.err
    record = json.loads((tmp_path / "out/split.json").read_text())["validation"]
    assert f"Validation has no boxes of {', '.join(record['unmeasured'])}." in result.err
    assert "3 of 3 validation images are marked exhaustive." in result.err
    (warning,) = record["warnings"]
    assert f"warning: {warning}" in result.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--group-by", "patient"], "expected folder, key:NAME"),
        (["--group-by", "regex:(a"], "not a regular expression"),
        (["--group-by", "key:video"], "12 of 12 images have no group by key:video (first: scene_0"),
        (["--group-by", "folder"], "all of them belong together by folder"),
        (["--recipe", "random", "--group-by", "folder"], "--group-by needs a validation share"),
        (["--images", "IMAGES", "--near-duplicate-distance", "18"], "expected 0 to 17 bits"),
    ],
)
def test_wrong_use_is_one_clear_line(
    arguments: list[str], message: str, full: Path, tmp_path: Path
) -> None:
    words = [str(full.parent / "images") if word == "IMAGES" else word for word in arguments]
    refused = sparsedet_here("split", full, *words, "-o", tmp_path / "out")
    assert message in refused.error()
    assert not (tmp_path / "out").exists()
