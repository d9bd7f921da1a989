"""Open Images csv files, as downloaded and as exported by FiftyOne."""

import csv
import logging
from pathlib import Path

import pytest

from sparsedet.annotations.class_marks import with_image_labels
from sparsedet.annotations.faults import Faults
from sparsedet.errors import AnnotationError
from sparsedet.formats import detect_format, load_format, read_dataset
from tests.integrations.files.formats.datasets import objects, write, write_image

HEADER = (
    "ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax,IsOccluded,IsTruncated,IsGroupOf,"
    "IsDepiction,IsInside\n"
)
NAMES = '/m/01yrx,Cat\n/m/0bt9lr,"Dog, hound"\n/m/09j2d,Clothing\n'


def row(image: str, label: str = "/m/01yrx", group: int = 0) -> str:
    return f"{image},xclick,{label},1,0.25,0.5,0.1,0.9,1,0,{group},0,0\n"


def test_boxes_groups_and_images_that_are_not_there(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    text = HEADER + row("0a") + row("0a", "/m/0bt9lr", group=1) + row("0b") + row("0c")
    write(tmp_path, "validation-annotations-bbox.csv", text)
    write(tmp_path, "class-descriptions-boxable.csv", NAMES)
    for name in ("images/0a.jpg", "images/0b.jpg", "images/without.jpg"):
        write_image(tmp_path / name)
    assert detect_format(tmp_path) == "open-images"
    with caplog.at_level(logging.WARNING):
        dataset, images = read_dataset(tmp_path)
    assert images == tmp_path / "images"
    corners = pytest.approx((30, 8, 60, 72))
    assert objects(dataset) == {
        "0a.jpg": [("Cat", corners), ("Dog, hound", corners)],
        "0b.jpg": [("Cat", corners)],
    }
    assert [box.iscrowd for box in dataset.boxes] == [False, True, False]
    assert dataset.boxes[0].extra == {"IsOccluded": 1}
    assert "1 image is not in" in caplog.text
    with (tmp_path / "validation-annotations-bbox.csv").open() as file:
        rows = [r for r in csv.DictReader(file) if (images / f"{r['ImageID']}.jpg").is_file()]
    assert len(dataset.boxes) == len(rows)
    # The marks of classes find theirs by the labels.
    labels = write(
        tmp_path, "labels.csv", "ImageID,Source,LabelName,Confidence\n0b,verification,/m/0bt9lr,0\n"
    )
    assert with_image_labels(dataset, labels).absent == 1


def test_splits_by_the_names_of_files(tmp_path: Path) -> None:
    write(tmp_path, "oidv6-train-annotations-bbox.csv", HEADER + row("a") + row("a"))
    write(tmp_path, "validation-annotations-bbox.csv", HEADER + row("b"))
    write_image(tmp_path / "train/a.jpg")
    write_image(tmp_path / "validation/b.jpg")
    assert load_format("open-images").splits(tmp_path) == ["train", "val"]
    assert list(objects(read_dataset(tmp_path, split="train").dataset)) == ["train/a.jpg"]
    assert len(read_dataset(tmp_path).dataset.boxes) == 3


@pytest.mark.parametrize("inner", [".", "labels/detections.csv", "labels"])
def test_as_fiftyone_leaves_it(inner: str, tmp_path: Path) -> None:
    write(tmp_path, "labels/detections.csv", HEADER + row("a"))
    write(tmp_path, "metadata/classes.csv", NAMES)
    write_image(tmp_path / "data/a.jpg")
    dataset, images = read_dataset(tmp_path / inner)
    assert images is not None
    assert [own[0][0] for own in objects(dataset).values()] == ["Cat"]
    assert (images / dataset.images[0].file_name).is_file()


def test_a_file_without_rows_is_no_matter_of_the_images(tmp_path: Path) -> None:
    write(tmp_path, "boxes.csv", HEADER)
    write_image(tmp_path / "images/0a.jpg")
    with pytest.raises(AnnotationError, match="has no boxes, only a header"):
        read_dataset(tmp_path)


def test_what_is_wrong(tmp_path: Path) -> None:
    lines = [row("a")] * 6 + ["a,xclick,/m/01yrx,1,zero,0.5,0.1,0.9,0,0,0,0,0\n", "a,xclick\n"]
    write(tmp_path, "boxes.csv", HEADER + "".join(lines))
    with pytest.raises(AnnotationError, match="no images here; pass their folder"):
        read_dataset(tmp_path)
    write_image(tmp_path / "other.jpg")
    with pytest.raises(AnnotationError, match="has boxes on 1 image, but none is here"):
        read_dataset(tmp_path)
    write_image(tmp_path / "a.jpg")
    faults = Faults(tmp_path)
    assert len(read_dataset(tmp_path, faults=faults).dataset.boxes) == 6
    assert [fault.kind.name for fault in faults.found] == ["box-broken", "box-broken"]
    with pytest.raises(AnnotationError, match=r"boxes\.csv: line 8: XMin is 'zero'"):
        read_dataset(tmp_path)
