"""Names that differ from those on disk in case or Unicode form, as on Windows and macOS."""

import json
import logging
import unicodedata
from collections.abc import Callable
from pathlib import Path

import pytest

from sparsedet.annotations.faults import Faults
from sparsedet.errors import AnnotationError
from sparsedet.formats import load_format, read_dataset
from tests.integrations.files.formats.datasets import write, write_image

BOX = (12, 8, 24, 16)
COMPOSED, DECOMPOSED = (unicodedata.normalize(form, "café") for form in ("NFC", "NFD"))
PAIRS = [
    ("IMG_1.JPG", "IMG_1.jpg"),
    ("img_1.jpg", "IMG_1.JPG"),
    (f"{COMPOSED}.jpg", f"{DECOMPOSED}.jpg"),
    (f"{DECOMPOSED}.jpg", f"{COMPOSED.upper()}.jpg"),
]


def coco(folder: Path, name: str) -> None:
    entry = {"id": 1, "file_name": name, "width": 120, "height": 80}
    box = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [12, 8, 12, 8]}
    content = {
        "images": [entry],
        "annotations": [box],
        "categories": [{"id": 1, "name": "dog"}],
    }
    write(folder, "annotations.json", json.dumps(content))


def voc(folder: Path, name: str) -> None:
    write(
        folder,
        f"Annotations/{Path(name).stem}.xml",
        f"<annotation><filename>{name}</filename><object><name>dog</name><bndbox><xmin>13</xmin>"
        "<ymin>9</ymin><xmax>24</xmax><ymax>16</ymax></bndbox></object></annotation>",
    )


def yolo(folder: Path, name: str) -> None:
    write(folder, "data.yaml", "train: train.txt\nnames: [dog]\n")
    write(folder, "train.txt", f"images/{name}\n")
    write(folder, f"labels/{Path(name).stem}.txt", "0 0.15 0.15 0.1 0.1\n")


def labelme(folder: Path, name: str) -> None:
    shape = {"label": "dog", "points": [[12, 8], [24, 16]], "shape_type": "rectangle"}
    write(folder, f"{Path(name).stem}.json", json.dumps({"imagePath": name, "shapes": [shape]}))


def createml(folder: Path, name: str) -> None:
    box = {"label": "dog", "coordinates": {"x": 18, "y": 12, "width": 12, "height": 8}}
    write(folder, "labels.json", json.dumps([{"image": name, "annotations": [box]}]))


def cvat(folder: Path, name: str) -> None:
    box = '<box label="dog" xtl="12" ytl="8" xbr="24" ybr="16"/>'
    image = f'<image id="0" name="{name}" width="120" height="80">{box}</image>'
    write(folder, "annotations.xml", f"<annotations>{image}</annotations>")


def label_studio(folder: Path, name: str) -> None:
    value = {"x": 10, "y": 10, "width": 10, "height": 10, "rectanglelabels": ["dog"]}
    result = [{"type": "rectanglelabels", "value": value}]
    task = {"data": {"image": f"/data/local-files/?d=set/{name}"}}
    write(folder, "tasks.json", json.dumps([task | {"annotations": [{"result": result}]}]))


def dota(folder: Path, name: str) -> None:
    write(folder, f"labelTxt/{Path(name).stem}.txt", "12 8 24 8 24 16 12 16 dog 0\n")


FORMATS = [coco, voc, yolo, labelme, createml, cvat, label_studio, dota]


@pytest.mark.parametrize(("name", "on_disk"), PAIRS)
@pytest.mark.parametrize("make", FORMATS)
def test_the_one_file_of_an_alike_name_is_the_image(
    make: Callable[[Path, str], None], name: str, on_disk: str, tmp_path: Path
) -> None:
    make(tmp_path, name)
    inner = "JPEGImages" if make is voc else "images"
    write_image(tmp_path / inner / on_disk)
    faults = Faults(tmp_path)
    dataset, images = read_dataset(tmp_path, faults=faults)
    assert faults.lines() == []
    assert images == tmp_path / inner
    assert [image.file_name for image in dataset.images] == [on_disk]
    assert [box.xyxy for box in dataset.boxes] == [pytest.approx(BOX)]


@pytest.mark.parametrize("make", FORMATS)
def test_of_several_alike_ones_none_is_taken(
    make: Callable[[Path, str], None], tmp_path: Path
) -> None:
    make(tmp_path, "Img_1.Jpg")
    inner = tmp_path / ("JPEGImages" if make is voc else "images")
    for name in ("IMG_1.jpg", "img_1.JPG"):
        write_image(inner / name)
    if make in (voc, labelme, dota):
        # Images without a file have no boxes, but those of a file that is unclear are left out.
        make(tmp_path, "b.jpg")
        write_image(inner / "b.jpg")
        faults = Faults(tmp_path)
        dataset = read_dataset(tmp_path, faults=faults).dataset
        assert [image.file_name for image in dataset.images] == ["b.jpg"]
        assert len(faults.found) == 1
        return
    faults = Faults(tmp_path)
    try:
        dataset = read_dataset(tmp_path, faults=faults).dataset
    except AnnotationError:
        return  # none of the listed images exists
    assert not dataset.boxes
    assert faults.found or not dataset.images


def test_each_image_has_its_own_labels(tmp_path: Path) -> None:
    write(tmp_path, "data.yaml", "names: [dog]\n")
    for name in ("a.jpg", "A.jpg"):
        write_image(tmp_path / "images" / name)
    write(tmp_path, "labels/a.txt", "0 0.15 0.15 0.1 0.1\n")
    dataset = read_dataset(tmp_path).dataset
    names = {image.id: image.file_name for image in dataset.images}
    assert sorted(names.values()) == ["A.jpg", "a.jpg"]
    assert [names[box.image_id] for box in dataset.boxes] == ["a.jpg"]


def test_an_image_with_an_xml_file_is_not_that_of_another(tmp_path: Path) -> None:
    for name in ("a.jpg", "A.jpg"):
        voc(tmp_path, name)
    write_image(tmp_path / "JPEGImages/a.jpg")
    write_image(tmp_path / "JPEGImages/b.jpg")
    faults = Faults(tmp_path)
    dataset = read_dataset(tmp_path, faults=faults).dataset
    assert [image.file_name for image in dataset.images] == ["a.jpg", "b.jpg"]
    assert faults.lines() == ["label files without an image: 1 (A.xml), left out"]


def test_lists_of_voc(tmp_path: Path) -> None:
    for name, split in ((f"{COMPOSED}.jpg", "train"), ("IMG_2.JPG", "val")):
        voc(tmp_path, name)
        write_image(tmp_path / "JPEGImages" / name)
        write(tmp_path, f"ImageSets/Main/{split}.txt", f"{Path(name).stem}\n")
    write(tmp_path, "ImageSets/Main/train.txt", f"{DECOMPOSED}\n")
    write(tmp_path, "ImageSets/Main/val.txt", "img_2\n")
    assert load_format("voc").splits(tmp_path) == ["train", "val"]
    faults = Faults(tmp_path)
    dataset = read_dataset(tmp_path, split="train", faults=faults).dataset
    assert [image.file_name for image in dataset.images] == [f"{COMPOSED}.jpg"]
    assert not faults.found


def test_a_note_says_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for make, inner in ((coco, "images"), (voc, "JPEGImages")):
        folder = tmp_path / inner
        make(folder, "IMG_1.JPG")
        write_image(folder / inner / "img_1.jpg")
        with caplog.at_level(logging.WARNING):
            read_dataset(folder)
        said = "1 file name differs from the annotations in case or Unicode form only"
        assert f"{folder / inner}: {said} (first: 'IMG_1." in caplog.text
        assert "is 'img_1.jpg' here); used these files" in caplog.text
