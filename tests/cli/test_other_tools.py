"""Other tools' exports work with the same commands as COCO, VOC and YOLO."""

import json
from pathlib import Path

import pytest

from sparsedet.annotations import read_coco
from tests.cli.command import sparsedet_here
from tests.integrations.files.formats.datasets import write, write_image

BOX = {"label": "dog", "coordinates": {"x": 20, "y": 40, "width": 20, "height": 40}}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Return a folder of CreateML with train and valid, and one broken box of seven."""
    for split, count in (("train", 4), ("valid", 2)):
        entries = [{"image": f"{n}.jpg", "annotations": [BOX]} for n in range(count)]
        for entry in entries:
            write_image(tmp_path / "set" / split / str(entry["image"]))
        if split == "train":
            entries[0]["annotations"] = [BOX, {"label": "dog"}]
        write(tmp_path / "set" / split, "_annotations.createml.json", json.dumps(entries))
    return tmp_path / "set"


def test_inspect_and_its_repaired_copy(data: Path, tmp_path: Path) -> None:
    result = sparsedet_here("inspect", data, "--json", "--fix", tmp_path / "fixed")
    report = result.json()
    assert (report["format"], report["images"], report["boxes"]) == ("createml", 6, 6)
    assert [fault["kind"] for fault in report["faults"]] == ["box-broken"]
    assert sparsedet_here("inspect", tmp_path / "fixed").status == 0


def test_convert_and_split_take_a_split(data: Path, tmp_path: Path) -> None:
    result = sparsedet_here("convert", data, tmp_path / "coco", "--to", "coco", "--split", "val")
    assert result.status == 0, result.err
    converted = read_coco(tmp_path / "coco/annotations.json")
    assert [image.file_name for image in converted.images] == ["valid/0.jpg", "valid/1.jpg"]
    half = sparsedet_here("split", data, "--recipe", "random", "-o", tmp_path / "half")
    assert half.status == 0, half.err
    assert f"{data}: using its split train" in half.err + half.out
    same = sparsedet_here(
        "compare", tmp_path / "coco/annotations.json", data, "--split", "val", "--json"
    )
    assert same.status == 0, same.err


def test_what_is_read_only_is_not_written(data: Path, tmp_path: Path) -> None:
    error = sparsedet_here("convert", data, tmp_path / "out", "--to", "dota").error()
    assert "DOTA can only be read; choose coco, label-studio, voc, yolo" in error
    strict = sparsedet_here("convert", data, tmp_path / "out", "--to", "coco", "--strict").error()
    assert "annotation 2: has no coordinates" in strict
