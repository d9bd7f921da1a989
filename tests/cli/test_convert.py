"""`sparsedet convert`: between COCO, Pascal VOC and YOLO."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from sparsedet.annotations import Box, Category, Dataset, Image, read_coco, write_coco
from sparsedet.formats import read_dataset
from tests.cli.command import sparsedet, sparsedet_here
from tests.integrations.files.formats.datasets import objects, write, write_image, write_images

DATASET = Dataset(
    images=(Image(4, "day/a.png", 120, 80, exhaustive=True), Image(9, "b.jpg", 120, 80)),
    boxes=(
        Box(1, 4, 1, (10.5, 10, 20, 20), extra={"difficult": 1}),
        Box(2, 4, 3, (0, 0, 120, 80), iscrowd=True),
        Box(3, 9, 3, (5, 5, 30, 30.25)),
    ),
    categories=(Category(1, "dog"), Category(3, "cat")),
)


@pytest.fixture
def coco(tmp_path: Path) -> Path:
    """A COCO file with its images next to it."""
    write_images(DATASET, tmp_path / "source/images")
    write_coco(DATASET, tmp_path / "source/train.json")
    return tmp_path / "source/train.json"


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_from_format_to_format(coco: Path, tmp_path: Path) -> None:
    voc, yolo, back = tmp_path / "voc", tmp_path / "yolo", tmp_path / "back"
    result = sparsedet("convert", coco, voc, "--to", "voc")
    assert result.status == 0, result.err
    assert result.out == (
        f"{voc}: 2 images, from coco to voc\n"
        "  class        boxes\n"
        "  dog              1\n"
        "  cat              1\n"
        "  all classes      2\n"
    )
    assert result.err == (
        "Pascal VOC can't store: crowd regions, left out (1); marks of exhaustive images (1); "
        "ids of images, boxes and classes, renumbered (6)\n"
    )
    assert files(voc) == {
        "Annotations/b.xml",
        "Annotations/day/a.xml",
        "ImageSets/Main/trainval.txt",
        "JPEGImages/b.jpg",
        "JPEGImages/day/a.png",
    }
    result = sparsedet_here("convert", voc, yolo, "--to", "yolo", "--json")
    assert result.json() == {
        "output": str(yolo),
        "from": "voc",
        "to": "yolo",
        "images": 2,
        "boxes": 2,
        "per_class": {"cat": 1, "dog": 1},
        "lost": ["keys of boxes: difficult (1)", "keys of images: depth (2), folder (2)"],
    }
    result = sparsedet_here("convert", yolo / "data.yaml", back, "--to", "coco")
    assert result.status == 0, result.err
    assert result.err == ""
    found = objects(read_coco(back / "annotations.json"))
    assert set(found) == {"b.jpg", "day/a.png"}
    ((cat, spot),), ((dog, place),) = found["b.jpg"], found["day/a.png"]
    assert (cat, dog) == ("cat", "dog")
    assert list(spot) == pytest.approx([5, 5, 30, 30.25], abs=1e-4)
    assert list(place) == pytest.approx([10.5, 10, 20, 20], abs=1e-4)
    assert (back / "images/day/a.png").samefile(coco.parent / "images/day/a.png")


def test_what_is_left_out_is_not_counted_as_written(tmp_path: Path) -> None:
    thin = Box(4, 9, 3, (5, 5, 5.5, 30))
    hidden = Image(10, ".c.png", 120, 80)
    dataset = replace(
        DATASET,
        images=(*DATASET.images, hidden),
        boxes=(*DATASET.boxes, thin, Box(5, 10, 1, (1, 1, 9, 9))),
    )
    write_images(dataset, tmp_path / "images")
    write_coco(dataset, tmp_path / "all.json")
    expected = {"coco": (3, 4), "voc": (2, 2), "yolo": (2, 3), "label-studio": (3, 4)}
    for format, (images, boxes) in expected.items():
        out = tmp_path / format
        written = sparsedet_here("convert", tmp_path / "all.json", out, "--to", format, "--json")
        assert (written.json()["images"], written.json()["boxes"]) == (images, boxes), format
        read = read_dataset(out).dataset
        assert (len(read.images), sum(read.counts().values())) == (images, boxes), format
    table = sparsedet_here("convert", tmp_path / "all.json", tmp_path / "again", "--to", "voc")
    assert "all classes      2" in table.out
    assert "boxes thinner than a pixel, left out (1)" in table.err


def test_nothing_is_overwritten(coco: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    for _ in range(2):  # the same once more is no change
        assert sparsedet_here("convert", coco, out, "--to", "yolo").status == 0
    before = {name: (out / name).read_bytes() for name in files(out)}
    assert "exists already with other content" in (
        sparsedet_here("convert", coco, out, "--to", "voc").error()
    )
    assert {name: (out / name).read_bytes() for name in files(out)} == before
    assert "is the source itself" in sparsedet_here("convert", out, out, "--to", "voc").error()


def test_images_elsewhere_or_left_out(coco: Path, tmp_path: Path) -> None:
    (coco.parent / "images").rename(tmp_path / "pictures")
    error = sparsedet_here("convert", coco, tmp_path / "out", "--to", "voc").error()
    assert "image folder not found" in error
    assert "--no-images" in error
    result = sparsedet_here("convert", coco, tmp_path / "bare", "--to", "voc", "--no-images")
    assert result.status == 0, result.err
    assert not (tmp_path / "bare/JPEGImages").exists()
    assert "can't be read" not in result.err
    result = sparsedet_here(
        "convert", coco, tmp_path / "out", "--to", "voc", "--images", tmp_path / "pictures"
    )
    assert result.status == 0, result.err
    assert (tmp_path / "out/JPEGImages/b.jpg").is_file()


@pytest.mark.parametrize("more", [[], ["--json"]])
def test_yolo_without_images_is_told_of(coco: Path, tmp_path: Path, more: list[str]) -> None:
    """It has no sizes of images, so that nothing could read it alone."""
    bare, back = tmp_path / "bare", tmp_path / "back"
    result = sparsedet_here("convert", coco, bare, "--to", "yolo", "--no-images", *more)
    assert result.status == 0, result.err
    said = (
        "YOLO can't be read without images: pass their folder with --images when reading "
        f"{bare}, or drop --no-images"
    )
    assert said in result.err.splitlines()
    result = sparsedet_here("convert", bare, back, "--to", "coco")
    assert result.status == 1
    assert f"no images in {bare / 'images'}; put them there" in result.err
    result = sparsedet_here(
        "convert", bare, back, "--to", "coco", "--images", coco.parent / "images"
    )
    assert result.status == 0, result.err
    assert sorted(objects(read_coco(back / "annotations.json"))) == ["b.jpg", "day/a.png"]


def test_a_split_alone(coco: Path, tmp_path: Path) -> None:
    names = ("train/a.jpg", "val/b.jpg")
    images = tuple(replace(i, file_name=n) for i, n in zip(DATASET.images, names, strict=True))
    write_images(replace(DATASET, images=images), tmp_path / "source/images")
    write_coco(replace(DATASET, images=images), coco)
    assert sparsedet_here("convert", coco, tmp_path / "yolo", "--to", "yolo").status == 0
    result = sparsedet_here(
        "convert", tmp_path / "yolo", tmp_path / "val", "--to", "coco", "--split", "val", "--json"
    )
    assert result.json()["images"] == 1
    content = json.loads((tmp_path / "val/annotations.json").read_text(encoding="utf-8"))
    assert [(image["id"], image["file_name"]) for image in content["images"]] == [(2, "val/b.jpg")]
    assert files(tmp_path / "val") == {"annotations.json", "images/val/b.jpg"}


def test_errors_are_one_line_and_leave_nothing(coco: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert "no format 'tfrecord'" in (
        sparsedet_here("convert", coco, out, "--to", "tfrecord").error()
    )
    assert "not a Pascal VOC folder" in (
        sparsedet_here("convert", coco, out, "--to", "coco", "--from", "voc").error()
    )
    write_image(coco.parent / "images/b.jpg", 50, 50)
    assert (
        "is 50 x 50 pixels upright" in sparsedet_here("convert", coco, out, "--to", "voc").error()
    )
    (coco.parent / "images/b.jpg").unlink()
    for target in ("coco", "voc", "yolo"):
        assert sparsedet_here("convert", coco, out / "deep", "--to", target).error() == (
            f"{coco}: images id 9 (b.jpg): {coco.parent / 'images/b.jpg'}: no such image file; is "
            "this their folder (--images)?"
        )
        assert sparsedet_here("convert", coco, out, "--to", target, "--strict").error() == (
            f"{coco.parent / 'images'}: lacks 1 of 2 images (first: b.jpg); pass their "
            "folder with --images, or skip images with --no-images"
        )
    assert "nowhere: no such image folder" in (
        sparsedet_here("convert", coco, out, "--to", "voc", "--images", "nowhere").error()
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == ["source"]


def test_what_fails_while_it_is_written_leaves_nothing(coco: Path, tmp_path: Path) -> None:
    """The file of the first image is there by the time that the second can't be written."""
    write_coco(replace(DATASET, categories=(Category(1, "dog"), Category(3, "c\x01at"))), coco)
    error = sparsedet_here("convert", coco, tmp_path / "out", "--to", "voc").error()
    assert "can't be written in XML; rename the class" in error
    assert sorted(path.name for path in tmp_path.iterdir()) == ["source"]


def test_marks_of_complete_classes_are_added_and_kept(coco: Path, tmp_path: Path) -> None:
    labels = tmp_path / "labels.csv"
    labels.write_text("ImageID,LabelName,Confidence\nb,dog,0\nb,cat,1\nc,dog,0\n")
    marked = tmp_path / "marked"
    result = sparsedet_here(
        *("convert", coco, marked, "--to", "coco", "--image-labels", labels),
        *("--complete-classes", "cat, dog"),
    )
    assert result.status == 0, result.err
    assert result.err.splitlines() == [
        f"{labels}: 1 pair of class and image absent, 1 complete; 1 label of other images or "
        "classes left out",
        "2 images complete",
    ]
    dataset = read_coco(marked / "annotations.json")
    assert [image.complete_classes for image in dataset.images] == [{1, 3}, {1, 3}]
    result = sparsedet_here("convert", marked, tmp_path / "yolo", "--to", "yolo")
    assert "marks of complete classes, by image (2)" in result.err
    file = marked / "annotations.json"
    unknown = sparsedet_here("split", file, "--complete-classes", "Cat", "-o", tmp_path / "split")
    assert unknown.error() == "unknown class 'Cat'; the data has dog, cat"
    alone = sparsedet_here("split", coco, "--label-names", labels, "-o", tmp_path / "split")
    assert alone.error() == "--label-names needs --image-labels"


def _with_splits(folder: Path, kind: str) -> Path:
    for split, name in (("train", "a"), ("valid", "b")):
        images = f"{split}/images" if kind == "folders" else "images"
        write_image(folder / images / f"{name}.jpg")
        write(folder, f"{images.replace('images', 'labels')}/{name}.txt", "0 0.5 0.5 0.1 0.1\n")
        write(folder, f"{split}.txt", f"{images}/{name}.jpg\n")
    places = ("train/images", "valid/images") if kind == "folders" else ("train.txt", "valid.txt")
    write(folder, "data.yaml", f"train: {places[0]}\nval: {places[1]}\nnames: [dog]\n")
    return folder


@pytest.mark.parametrize("kind", ["folders", "lists"])
@pytest.mark.parametrize("target", ["coco", "voc", "yolo", "label-studio"])
@pytest.mark.parametrize("options", [(), ("--split", "all"), ("--no-images",)])
def test_lost_splits_are_listed(
    kind: str, target: str, options: tuple[str, ...], tmp_path: Path
) -> None:
    source = _with_splits(tmp_path / "source", kind)
    out = tmp_path / "out"
    result = sparsedet_here("convert", source, out, "--to", target, "--json", *options).json()
    lost = [text for text in result["lost"] if text.startswith("splits")]
    keeps = target == "yolo" and kind == "folders"
    assert lost == ([] if keeps else ["splits: train, val (convert each with --split)"])


def test_a_single_split_loses_none(tmp_path: Path) -> None:
    source = _with_splits(tmp_path / "source", "lists")
    options = ("--to", "coco", "--split", "train", "--json")
    assert sparsedet_here("convert", source, tmp_path / "out", *options).json()["lost"] == []
