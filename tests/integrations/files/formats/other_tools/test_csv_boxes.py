"""Csv files with a box per row: TensorFlow's, RetinaNet's, and those of competitions."""

import logging
from pathlib import Path

import pytest

from sparsedet.annotations.faults import Faults
from sparsedet.errors import AnnotationError
from sparsedet.formats import detect_format, load_format, read_dataset
from tests.integrations.files.formats.datasets import objects, write, write_image

CORNERS = "class,xmin,ymin,xmax,ymax"
TENSORFLOW = f"filename,width,height,{CORNERS}\n"
COCO = '{"images": [{"id": 1, "file_name": "a.jpg", "width": 120, "height": 80}], '
COCO += '"annotations": [], "categories": [{"id": 1, "name": "cat"}]}'


@pytest.mark.parametrize(
    "text",
    [
        TENSORFLOW + "a.jpg,120,80,cat,10,20,40,60\n",
        "image_id,class_name,class_id,x_min,y_min,x_max,y_max\na,cat,0,1e1,20.0,40,60\n",
        "image,label,xmin,ymin,xmax,ymax,label_name\na.jpg,3,10,20,40,60,cat\n",
        "image;label;x;y;w;h\r\nold/folder/a.jpg;cat;10;20;30;40\r\n",
        'image_id,width,height,bbox,label\na,120,80,"[10.0, 20.0, 30.0, 40.0]",cat\n',
        "a.jpg,10,20,40,60,cat\n",
        "cat,10,20,30,40,a.jpg,120,80\n",
        "image,class,xc,yc,w,h\na.jpg,cat,25,40,30,40\n",
        "filename,label,x_center,y_center,width,height\na.jpg,cat,25,40,30,40\n",
        "\ufeffpath,x1,y1,x2,y2,class\nC:\\pets\\a.jpg,10,20,40,60,cat\n\n",
    ],
)
@pytest.mark.parametrize("folder", ["images", "."])
def test_columns_are_found_by_name_or_order(text: str, folder: str, tmp_path: Path) -> None:
    write(tmp_path, "boxes.csv", text)
    write_image(tmp_path / folder / "a.jpg")
    write_image(tmp_path / folder / "without-row.jpg")
    for path in (tmp_path, tmp_path / "boxes.csv"):
        assert detect_format(path) == "csv"
        dataset, images = read_dataset(path)
        assert objects(dataset) == {"a.jpg": [("cat", (10, 20, 40, 60))]}
        assert images == tmp_path / folder


@pytest.mark.parametrize("name", ["old/folder/a.jpg", "s3://bucket/a.jpg", "old/A.JPG"])
def test_images_of_another_folder_are_found(name: str, tmp_path: Path) -> None:
    """The folder of the file may be part of the name or not, and neither is there."""
    write(tmp_path, "data/boxes.csv", TENSORFLOW + f"{name},120,80,cat,10,20,40,60\n")
    write_image(tmp_path / "images/a.jpg")
    assert list(objects(read_dataset(tmp_path).dataset)) == ["a.jpg"]


def test_roboflow_has_a_file_per_split(tmp_path: Path) -> None:
    for split, name in (("train", "a.jpg"), ("valid", "b.jpg")):
        text = TENSORFLOW + f"{name},120,80,cat,10,20,40,60\n"
        write(tmp_path, f"{split}/_annotations.csv", text)
        write_image(tmp_path / split / name)
    assert load_format("csv").splits(tmp_path) == ["train", "val"]
    assert list(objects(read_dataset(tmp_path, split="val").dataset)) == ["valid/b.jpg"]


@pytest.mark.parametrize("column", ["split", "Set"])
def test_splits_may_be_in_a_column(column: str, tmp_path: Path) -> None:
    rows = ["a.jpg,TRAIN,cat,10,20,40,60", "b.jpg,validation,cat,10,20,40,60", "c.jpg,,cat,,,,"]
    write(tmp_path, "boxes.csv", "\n".join([f"filename,{column},{CORNERS}", *rows]))
    for name in "abc":
        write_image(tmp_path / f"images/{name}.jpg")
    assert load_format("csv").splits(tmp_path) == ["train", "val"]
    assert list(objects(read_dataset(tmp_path, split="train").dataset)) == ["a.jpg"]
    assert len(read_dataset(tmp_path).dataset.images) == 3


def test_a_file_with_the_rows_of_all_splits_adds_nothing(tmp_path: Path) -> None:
    rows = [f"{name}.jpg,120,80,cat,10,20,40,60\n" for name in "abc"]
    for name, own in (("pets", rows), ("train", rows[:1]), ("test", rows[1:2])):
        write(tmp_path, f"data/{name}_labels.csv", TENSORFLOW + "".join(own))
    for name in "abc":
        write_image(tmp_path / f"images/{name}.jpg")
    faults = Faults(tmp_path)
    assert len(read_dataset(tmp_path, faults=faults).dataset.boxes) == 3
    assert not faults.found
    assert load_format("csv").splits(tmp_path) == ["train", "test"]

    with_column = [f"{name}.jpg,train,cat,10,20,40,60\n" for name in "abc"]
    text = f"filename,split,{CORNERS}\n" + "".join(with_column)
    write(tmp_path, "data/pets_labels.csv", text)
    assert len(read_dataset(tmp_path).dataset.boxes) == 3


def test_rows_without_numbers_are_images_without_boxes(tmp_path: Path) -> None:
    text = "image_id,class,x_min,y_min,x_max,y_max\na,No finding,,,,\nb,cat,10,20,40,60\n"
    write(tmp_path, "train.csv", text)
    for name in "ab":
        write_image(tmp_path / f"train/{name}.png")
    dataset, images = read_dataset(tmp_path)
    assert images == tmp_path
    assert [len(own) for own in objects(dataset).values()] == [0, 1]
    assert [category.name for category in dataset.categories] == ["cat"]


def test_files_without_classes_have_one(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write(tmp_path, "train.csv", "image,left,top,right,bottom\na.jpg,10,20,40,60\n")
    write_image(tmp_path / "a.jpg")
    with caplog.at_level(logging.WARNING):
        dataset, _ = read_dataset(tmp_path)
    assert objects(dataset) == {"a.jpg": [("object", (10, 20, 40, 60))]}
    assert "has no column of classes" in caplog.text


def test_broken_rows_are_left_out(tmp_path: Path) -> None:
    rows = [f"{name}.jpg,120,80,cat,10,20,40,60\n" for name in "abcdef"]
    rows += ["a.jpg,120,80,cat,ten,20,40,60\n", "b.jpg,120,80\n", "b.jpg,120,80,cat,1,2\n"]
    write(tmp_path, "boxes.csv", TENSORFLOW + "".join([*rows, ",120,80,cat,1,2,3,4\n"]))
    for name in "abcdef":
        write_image(tmp_path / f"{name}.jpg")
    faults = Faults(tmp_path)
    assert len(read_dataset(tmp_path, faults=faults).dataset.boxes) == 6
    assert [fault.detail.split("boxes.csv: ")[-1].split(",")[0] for fault in faults.found] == [
        "line 11: its image is ''",
        "line 8: xmin is 'ten'",
        "line 10: xmax is ''",
    ]


def test_other_annotations_come_first(tmp_path: Path) -> None:
    write(tmp_path, "train.csv", TENSORFLOW + "a.jpg,120,80,cat,10,20,40,60\n")
    write(tmp_path, "annotations.json", COCO)
    write_image(tmp_path / "images/a.jpg")
    assert detect_format(tmp_path) == "coco"


def test_shares_of_the_image_are_refused(tmp_path: Path) -> None:
    write(tmp_path, "boxes.csv", TENSORFLOW + "a.jpg,120,80,cat,0.1,0.2,0.4,0.6\n")
    write_image(tmp_path / "a.jpg")
    with pytest.raises(AnnotationError, match="are these shares of its width and height"):
        read_dataset(tmp_path)


@pytest.mark.parametrize(
    "text",
    [
        TENSORFLOW + "a.jpg,640,427,cat,10,20,40,60\n",
        "image,x,y,width,height,label,image_width,image_height\na.jpg,10,20,30,40,cat,640,427\n",
        'image_id,width,height,bbox,label\na,640,427,"[10.0, 20.0, 30.0, 40.0]",cat\n',
    ],
)
def test_images_of_another_size_are_left_out(text: str, tmp_path: Path) -> None:
    """Their boxes are in pixels of that size."""
    write(tmp_path, "boxes.csv", text)
    write_image(tmp_path / "a.jpg")
    with pytest.raises(AnnotationError, match=r"is 640 x 427, but its image a.jpg is 120 x 80"):
        read_dataset(tmp_path)


@pytest.mark.parametrize("row", ["10,20,40,60,30,40", "0.5,5.2,20.9,30.1,20.4,24.9"])
def test_a_size_next_to_corners_may_be_that_of_the_box(row: str, tmp_path: Path) -> None:
    write(tmp_path, "boxes.csv", f"filename,class,x1,y1,x2,y2,width,height\na.jpg,cat,{row}\n")
    write_image(tmp_path / "a.jpg")
    assert list(objects(read_dataset(tmp_path).dataset)) == ["a.jpg"]


@pytest.mark.parametrize("size", ["0,0", ",", "-1,80", "nan,80", "120.0,80.0"])
def test_sizes_that_are_none_do_not_matter(size: str, tmp_path: Path) -> None:
    write(tmp_path, "boxes.csv", TENSORFLOW + f"a.jpg,{size},cat,10,20,40,60\n")
    write_image(tmp_path / "a.jpg")
    assert objects(read_dataset(tmp_path).dataset) == {"a.jpg": [("cat", (10, 20, 40, 60))]}


def test_a_header_alone(tmp_path: Path) -> None:
    write(tmp_path, "boxes.csv", TENSORFLOW)
    with pytest.raises(AnnotationError, match="has no boxes, only a header"):
        read_dataset(tmp_path)
