"""Counts of what formats can't store, and the folders that they write."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sparsedet.annotations import Box, Category, Dataset, Image
from sparsedet.errors import AnnotationError
from sparsedet.formats import load_format, read_dataset
from tests.integrations.files.formats.datasets import objects, write_image, write_images

TRIANGLE = [10, 10, 20, 10, 15, 20.0]
PLAIN = Dataset(
    images=(Image(1, "a.jpg", 120, 80), Image(2, "b.jpg", 120, 80)),
    boxes=(Box(1, 1, 1, (10, 10, 20, 20)), Box(2, 2, 2, (5, 5, 6, 60))),
    categories=(Category(1, "ape"), Category(2, "zebra")),
)


def changed(number: int = 0, **changes: Any) -> Dataset:
    """Return `PLAIN` with a box changed."""
    boxes = list(PLAIN.boxes)
    boxes[number] = replace(boxes[number], **changes)
    return PLAIN.with_boxes(boxes)


def first_image(**changes: Any) -> Dataset:
    first = replace(PLAIN.images[0], **changes)
    return replace(PLAIN, images=(first, PLAIN.images[1]))


def both(*losses: str) -> tuple[list[str], list[str]]:
    """What VOC and YOLO lose alike."""
    return list(losses), list(losses)


@pytest.mark.parametrize(
    ("dataset", "voc", "yolo"),
    [
        (PLAIN, [], []),
        (
            changed(1, iscrowd=True),
            ["crowd regions, left out (1)", "classes without boxes: zebra (1)"],
            ["crowd regions, left out (1)"],
        ),
        (
            replace(PLAIN, images=(PLAIN.images[0], Image(2, ".b.jpg", 120, 80))),
            [
                "images that are hidden or have no suffix of images, left out (1)",
                "classes without boxes: zebra (1)",
            ],
            ["images that are hidden or have no suffix of images, left out (1)"],
        ),
        (changed(origin="accepted"), *both("origins of boxes (1)")),
        (changed(tool_id="x"), *both("tool ids of images and boxes (1)")),
        (first_image(exhaustive=True), *both("marks of exhaustive images (1)")),
        (
            replace(
                PLAIN, verified_negatives=(Box(1, 1, 1, (0, 0, 5, 5)), Box(2, 1, 1, (0, 0, 6, 5)))
            ),
            *both("verified negatives, left out (2)"),
        ),
        (changed(extra={"difficult": 1}), [], ["keys of boxes: difficult (1)"]),
        (changed(extra={"difficult": 0, "pose": "Unspecified"}), [], []),
        (first_image(extra={"license": 3}), [], ["keys of images: license (1)"]),
        (changed(extra={"note": None}), *both("keys of boxes: note (1)")),
        (
            changed(extra={"bndbox": {"xmin": 3}, "name": "x", "@a b": "1", "@c": 1}),
            *both("keys of boxes: @a b (1), @c (1), bndbox (1), name (1)"),
        ),
        (
            first_image(extra={"object": {"kind": "x"}, "size": 3, "filename": {"#text": "b"}}),
            *both("keys of images: filename (1), object (1), size (1)"),
        ),
        (replace(PLAIN, extra={"info": {}}), *both("keys of the file: info (1)")),
        (
            replace(PLAIN, categories=(Category(1, "ape", {"kind": 1}), PLAIN.categories[1])),
            *both("keys of classes: kind (1)"),
        ),
        (
            changed(extra={"segmentation": [TRIANGLE]}, area=50.0),
            ["keys of boxes: segmentation (1)", "areas of masks (1)"],
            [],
        ),
        (
            changed(extra={"segmentation": [TRIANGLE, TRIANGLE]}, area=50.0),
            ["keys of boxes: segmentation (1)", "areas of masks (1)"],
            ["masks that are not a single outline, their boxes stay (1)", "areas of masks (1)"],
        ),
        (
            changed(1, xyxy=(5, 5, 5.5, 60)),
            ["boxes thinner than a pixel, left out (1)", "classes without boxes: zebra (1)"],
            [],
        ),
        (PLAIN.with_boxes(PLAIN.boxes[:1]), ["classes without boxes: zebra (1)"], []),
        (
            first_image(file_name="c.jpg"),
            *both("ids of images, boxes and classes, renumbered (4)"),
        ),
    ],
)
def test_losses_are_counted(dataset: Dataset, voc: list[str], yolo: list[str]) -> None:
    for name, expected in (("coco", []), ("voc", voc), ("yolo", yolo)):
        assert sorted(load_format(name).losses(dataset)) == sorted(expected)


@pytest.mark.parametrize("name", ["voc", "yolo"])
def test_crowd_regions_do_not_become_boxes(name: str, tmp_path: Path) -> None:
    load_format(name).write(
        changed(iscrowd=True), tmp_path, images=write_images(PLAIN, tmp_path / "source")
    )
    assert objects(read_dataset(tmp_path).dataset) == {
        "a.jpg": [],
        "b.jpg": [("zebra", pytest.approx((5, 5, 6, 60)))],
    }


def test_outlines_stay_outlines_and_boxes_stay_boxes(tmp_path: Path) -> None:
    """In a file with outlines, Ultralytics would read `cx cy w h` as two corners."""
    dataset = changed(1, image_id=1, extra={"segmentation": [TRIANGLE]}, xyxy=(10, 10, 20, 20))
    load_format("yolo").write(dataset, tmp_path, images=write_images(PLAIN, tmp_path / "images"))
    lines = (tmp_path / "labels/a.txt").read_text(encoding="utf-8").splitlines()
    assert [len(line.split()) for line in lines] == [9, 7]
    box, triangle = read_dataset(tmp_path).dataset.boxes
    assert box.xyxy == pytest.approx((10, 10, 20, 20))
    assert box.extra == {}
    assert triangle.extra == {"segmentation": [pytest.approx(TRIANGLE)]}
    assert triangle.area == pytest.approx(50)


@pytest.mark.parametrize(("name", "suffix"), [("voc", "xml"), ("yolo", "txt")])
def test_images_that_would_share_a_file_are_refused(name: str, suffix: str, tmp_path: Path) -> None:
    twins = first_image(file_name="b.png")
    with pytest.raises(
        AnnotationError, match=rf"b\.png and b\.jpg would share the file b\.{suffix}"
    ):
        load_format(name).write(twins, tmp_path, images=None)


def test_names_that_xml_can_not_hold_are_refused(tmp_path: Path) -> None:
    strange = replace(PLAIN, categories=(Category(1, "a\x01"), PLAIN.categories[1]))
    with pytest.raises(AnnotationError, match="can't be written in XML; rename the class"):
        load_format("voc").write(strange, tmp_path, images=None)
    with pytest.raises(AnnotationError, match="can't be written in XML; rename the file"):
        load_format("voc").write(first_image(file_name="a\x01.jpg"), tmp_path, images=None)


@pytest.mark.parametrize(
    ("names", "data", "labels"),
    [
        (["a.jpg", "day/b.jpg"], "train: images\nval: images\n", ["a.txt", "day/b.txt"]),
        (
            ["train/a.jpg", "val/b.jpg"],
            "train: images/train\nval: images/val\n",
            ["train/a.txt", "val/b.txt"],
        ),
        (
            ["train/a.jpg", "valid/b.jpg"],  # Roboflow's COCO
            "train: images/train\nval: images/valid\n",
            ["train/a.txt", "valid/b.txt"],
        ),
        (
            ["train/images/a.jpg", "b.jpg"],
            "train: images\nval: images\n",
            # Where Ultralytics looks for the labels of `images/train/images/a.jpg`.
            ["../images/train/labels/a.txt", "b.txt"],
        ),
        (["test/a.jpg", "b.jpg"], "train: images\nval: images\n", ["test/a.txt", "b.txt"]),
    ],
)
def test_the_yolo_layout(names: list[str], data: str, labels: list[str], tmp_path: Path) -> None:
    images = tuple(replace(i, file_name=n) for i, n in zip(PLAIN.images, names, strict=True))
    dataset = replace(PLAIN, images=images)
    load_format("yolo").write(dataset, tmp_path, images=write_images(dataset, tmp_path / "images"))
    written = (tmp_path / "data.yaml").read_text(encoding="utf-8")
    note = "# val: no images were held out; these are those of train\n"
    assert written == f"{note * ('images/val' not in data)}{data}names:\n  0: ape\n  1: zebra\n"
    for label in labels:
        assert (tmp_path / "labels" / label).is_file()
    assert sorted(objects(read_dataset(tmp_path).dataset)) == sorted(names)


def test_a_roboflow_layout_stays_one(tmp_path: Path) -> None:
    names = ("train/images/a.jpg", "valid/images/b.jpg")
    images = tuple(replace(i, file_name=n) for i, n in zip(PLAIN.images, names, strict=True))
    dataset = replace(PLAIN, images=images)
    (tmp_path / "made").mkdir()
    load_format("yolo").write(
        dataset, tmp_path / "made", images=write_images(dataset, tmp_path / "source")
    )
    assert (tmp_path / "made/train/labels/a.txt").is_file()
    assert sorted(objects(read_dataset(tmp_path / "made").dataset)) == sorted(names)
    assert load_format("yolo").splits(tmp_path / "made") == ["train", "val"]


def test_the_voc_layout(tmp_path: Path) -> None:
    dataset = replace(
        changed(extra={"occluded": True}), images=first_image(file_name="day/a.jpg").images
    )
    load_format("voc").write(dataset, tmp_path, images=write_images(dataset, tmp_path / "source"))
    listed = (tmp_path / "ImageSets/Main/trainval.txt").read_text(encoding="utf-8")
    assert listed == "b\nday/a\n"
    xml = (tmp_path / "Annotations/day/a.xml").read_text(encoding="utf-8")
    assert "<filename>a.jpg</filename>" in xml
    assert "<occluded>1</occluded>" in xml
    assert "<xmin>11</xmin>" in xml  # pixels count from 1,
    assert "<xmax>20</xmax>" in xml  # and the last one belongs to the box
    # What VOC's evaluators ask for.
    for key in ("pose", "truncated", "difficult", "segmented"):
        assert (f"<{key}>" in xml) == (key != "segmented")


def test_images_are_linked(tmp_path: Path) -> None:
    write_image(tmp_path / "source/a.jpg")
    dataset = PLAIN.with_images(PLAIN.images[:1])
    for name, folder in (("coco", "images"), ("voc", "JPEGImages"), ("yolo", "images")):
        (tmp_path / name).mkdir()
        load_format(name).write(dataset, tmp_path / name, images=tmp_path / "source")
        assert (tmp_path / name / folder / "a.jpg").samefile(tmp_path / "source/a.jpg")


@pytest.mark.parametrize("name", ["a", "a.jpeg2", ".a.jpg", ".day/a.jpg"])
@pytest.mark.parametrize("format", ["voc", "yolo"])
def test_images_that_no_reader_would_find_are_left_out(
    format: str, name: str, tmp_path: Path
) -> None:
    dataset = first_image(file_name=name)
    for image in dataset.images:
        write_image(tmp_path / "source/image.jpg")
        (tmp_path / "source" / image.file_name).parent.mkdir(exist_ok=True)
        (tmp_path / "source/image.jpg").rename(tmp_path / "source" / image.file_name)
    (out := tmp_path / "out").mkdir()
    load_format(format).write(dataset, out, images=tmp_path / "source")
    assert objects(read_dataset(out).dataset) == {
        "b.jpg": [("zebra", pytest.approx((5, 5, 6, 60)))]
    }
