"""Outputs inside of their source: fine unless it would be read differently with them."""

import json
import shutil
from pathlib import Path

import pytest

from sparsedet.annotations import Box, Category, Dataset, Image
from sparsedet.formats import load_format, read_dataset
from tests.cli.command import sparsedet_here
from tests.integrations.files.formats.datasets import write_images

DATASET = Dataset(
    images=tuple(Image(id, f"{id}.jpg", 120, 80) for id in (1, 2, 3)),
    boxes=tuple(Box(id, id, 1, (10.0, 10.0, 30.0, 30.0)) for id in (1, 2, 3)),
    categories=(Category(1, "dog"),),
)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    write_images(DATASET, tmp_path / "images")
    return tmp_path / "source"


def _write(format: str, folder: Path) -> None:
    folder.mkdir()
    load_format(format).write(DATASET, folder, images=folder.parent / "images")


def _flat(folder: Path) -> None:
    """Write xml files next to their images, where sub-folders are read as well."""
    _write("voc", folder)
    for inner in ("Annotations", "JPEGImages"):
        for file in (folder / inner).iterdir():
            file.rename(folder / file.name)
        (folder / inner).rmdir()
    shutil.rmtree(folder / "ImageSets")


@pytest.mark.parametrize("target", ["coco", "voc", "yolo", "label-studio"])
def test_a_conversion_that_would_be_read_is_taken_back(target: str, source: Path) -> None:
    _flat(source)
    before = read_dataset(source)
    error = sparsedet_here("convert", source, source / "out", "--to", target).error()
    assert "would be read as a part of" in error
    assert read_dataset(source) == before
    assert not (source / "out").exists()


def test_tasks_would_make_the_format_ambiguous(source: Path) -> None:
    _write("yolo", source)
    error = sparsedet_here("convert", source, source / "out", "--to", "label-studio").error()
    assert "would be read as a part of" in error


def test_a_copy_that_would_be_read_is_taken_back(source: Path) -> None:
    _flat(source)
    error = sparsedet_here("inspect", source, "--fix", source / "out").error()
    assert "would be read as a part of" in error
    assert len(read_dataset(source).dataset.images) == 3


def test_a_split_that_would_be_read_is_taken_back(source: Path) -> None:
    _write("coco", source)
    (source / "annotations.json").rename(source / "all.json")
    error = sparsedet_here("split", source, "-o", source / "annotations").error()
    assert "would be read as a part of" in error
    assert len(read_dataset(source).dataset.images) == 3


@pytest.mark.parametrize(("format", "target"), [("coco", "voc"), ("voc", "coco"), ("yolo", "voc")])
def test_an_output_that_is_not_read_stays(format: str, target: str, source: Path) -> None:
    _write(format, source)
    before = read_dataset(source)
    result = sparsedet_here("convert", source, source / "out", "--to", target)
    assert result.status == 0, result.err
    assert read_dataset(source) == before
    # Repeated, it is the same.
    result = sparsedet_here("convert", source, source / "out", "--to", target, "--json")
    assert json.loads(result.out)["images"] == 3
