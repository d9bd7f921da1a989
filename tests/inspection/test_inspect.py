"""`sparsedet inspect` on data with every kind of fault, and its repaired copies."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from sparsedet.annotations import read_coco
from sparsedet.formats import load_format
from tests.cli.command import sparsedet, sparsedet_here
from tests.integrations.files.formats.datasets import objects, write, write_image

SIZE = {"width": 120, "height": 80}
FAULTS = {
    "box-without-area": 2,
    "box-outside": 1,
    "box-over-edge": 1,
    "box-broken": 1,
    "box-from-mask": 1,
    "box-repeated": 1,
    "orphan": 1,
    "unknown-class": 1,
    "id-repeated": 1,
    "id-no-integer": 1,
    "crowd-mark": 1,
    "area-broken": 1,
    "number-as-text": 1,
    "image-broken": 1,
    "image-missing": 1,
    "image-unreadable": 2,
    "image-twice": 1,
    "size-off": 1,
    "size-wrong": 1,
    "size-unsaid": 1,
    "class-numeric": 1,
    "class-unused-root": 1,
    "class-alike": 1,
    "name-foreign": 1,
}


def _faulty(folder: Path) -> Path:
    """Write a file with all of `FAULTS`."""
    names = [f"{letter}.jpg" for letter in "abcdefghij"]
    images: list[Any] = [
        {"id": number, "file_name": name, **SIZE} for number, name in enumerate(names, start=1)
    ]
    for name in names[:8]:
        write_image(folder / "images" / name)
    write_image(folder / "images/h.png")
    whole = (folder / "images/h.png").read_bytes()
    # Cut short within its pixels, which its header does not show.
    (folder / "images/h.jpg").write_bytes(whole[:-30])
    (folder / "images/i.jpg").write_bytes(b"no image")
    images[2]["width"] = 119
    images[3] |= {"width": 80, "height": 120}
    del images[4]["width"]
    images[5]["file_name"] = "C:\\data\\images\\f.jpg"
    images.append({"id": 11, "file_name": "a.jpg", **SIZE})
    images.append({"id": 12, **SIZE})

    def box(id: Any, image: Any = 1, **others: Any) -> dict[str, Any]:
        place = [10.0, 10.0, 20.0 + (id if isinstance(id, int) else 0), 20.0]
        return {"id": id, "image_id": image, "category_id": 1, "bbox": place, **others}

    annotations = [
        *(box(id, 1 + id % 3) for id in range(1, 20)),
        box(20, bbox=[5, 5, 0, 3]),
        box(21, bbox=[5, 5, 3, -3]),
        box(22, bbox=[500, 5, 3, 3]),
        box(23, 2, bbox=[110, 5, 30, 9]),
        box(24, bbox=[1, 2]),
        box(25, 2, bbox=None, segmentation=[[4, 4, 30, 4, 30, 25.5]]),
        box(26, 2, bbox=[10.0, 10.0, 21.0, 20.0]),
        box(27, 999),
        box(28, category_id=999),
        box(3, 2, bbox=[60, 5, 9, 9]),
        box("x", 2, bbox=[70, 5, 9, 9]),
        box(31, 2, iscrowd=None),
        box(32, 2, area="large"),
        box(33, 5, bbox=["1", "2", "3", "4"]),
        box(34, 3, bbox=[100, 50, 20, 30]),  # right for a width of 120
        box(35, 11, bbox=[33, 33, 9, 9]),
        box(36, 10),
    ]
    categories = [
        {"id": 0, "name": "pets", "supercategory": "none"},
        *(
            {"id": id, "name": name, "supercategory": "pets"}
            for id, name in enumerate(["dog", "Dog ", 7], start=1)
        ),
    ]
    content = {"images": images, "annotations": annotations, "categories": categories}
    return write(folder, "data.json", json.dumps(content))


def _counts(result: Mapping[str, Any]) -> dict[str, int]:
    return {fault["kind"]: fault["count"] for fault in result["faults"]}


def test_all_faults_are_found_at_once_with_their_ids(tmp_path: Path) -> None:
    file = _faulty(tmp_path)
    result = sparsedet("inspect", file, "--json")
    assert result.status == 3, result.err
    content = result.json()
    assert _counts(content) == FAULTS
    where = {
        fault["kind"]: [one["where"] for one in fault["places"]] for fault in content["faults"]
    }
    assert where["box-without-area"] == ["annotations id 20", "annotations id 21"]
    assert where["size-wrong"] == ["images id 4 (d.jpg)"]
    assert where["orphan"] == ["annotations id 27"]
    assert where["image-unreadable"] == ["images id 9 (i.jpg)", "images id 8 (h.jpg)"]
    assert content["format"] == "coco"
    assert content["images_folder"] == str(tmp_path / "images")


def test_people_see_every_kind_with_its_places(tmp_path: Path) -> None:
    file = _faulty(tmp_path)
    shown = sparsedet_here("inspect", file)
    assert shown.status == 3
    assert f" of {len(FAULTS)} kinds\n" in shown.out
    assert "  boxes without area: 2, left out\n      annotations id 20, 21\n" in shown.out
    assert f"      first: {file}: annotations id 20: bbox" in shown.out
    assert "COCO, images in" in shown.out


def test_a_box_that_equals_a_crowd_region_is_kept(tmp_path: Path) -> None:
    write_image(tmp_path / "images/a.jpg")
    place = {"image_id": 1, "category_id": 1, "bbox": [10, 20, 30, 40]}
    content = {
        "images": [{"id": 1, "file_name": "a.jpg", "width": 120, "height": 80}],
        "annotations": [{"id": 1, "iscrowd": 1, **place}, *({"id": n, **place} for n in (2, 3))],
        "categories": [{"id": 1, "name": "dog"}],
    }
    (tmp_path / "annotations.json").write_text(json.dumps(content))
    made = sparsedet_here("inspect", tmp_path, "--fix", tmp_path.with_name("out"), "--json")
    assert _counts(made.json()) == {"box-repeated": 1}
    boxes = read_coco(tmp_path.with_name("out") / "annotations.json").boxes
    assert [box.iscrowd for box in boxes] == [True, False]
    assert made.json()["fix"]["boxes"] == {"annotations.json": 1}  # without the crowd region


def test_a_repaired_copy_has_no_faults_and_the_right_values(tmp_path: Path) -> None:
    file, out = _faulty(tmp_path / "data"), tmp_path / "out"
    before = file.read_bytes()
    made = sparsedet_here("inspect", file, "--fix", out, "--json")
    assert made.status == 0, made.err
    assert file.read_bytes() == before
    again = sparsedet_here("inspect", out, "--json")
    # Names that are alike are a matter of taste.
    assert _counts(again.json()) == {"class-alike": 1}
    dataset = read_coco(out / "annotations.json")
    sizes = {image.file_name: (image.width, image.height) for image in dataset.images}
    assert sizes == dict.fromkeys([f"{letter}.jpg" for letter in "abcefg"], (120, 80))
    assert all((out / "images" / name).is_file() for name in sizes)
    boxes = objects(dataset)
    assert ("dog", (4, 4, 30, 25.5)) in boxes["b.jpg"]  # of the mask
    assert ("dog", (110, 5, 120, 14)) in boxes["b.jpg"]  # clipped
    assert ("dog", (100, 50, 120, 80)) in boxes["c.jpg"]  # not clipped by the stated width
    assert ("dog", (33, 33, 42, 42)) in boxes["a.jpg"]  # of the second entry
    assert boxes["e.jpg"] == [("dog", (1, 2, 4, 6))]
    assert [c.name for c in dataset.categories] == ["dog", "Dog ", "7"]
    ids = [box.id for box in dataset.boxes]
    assert len(set(ids)) == len(ids)
    report = json.loads((out / "report.json").read_text())
    assert _counts(report) == FAULTS
    assert report["written"] == {"annotations.json": {"images": 6, "boxes": len(ids)}}
    assert (
        sparsedet_here("inspect", file, "--fix", file.parent)
        .error()
        .endswith("contains the data itself; choose another folder")
    )


def test_class_names_in_two_unicode_forms_are_alike(tmp_path: Path) -> None:
    write_image(tmp_path / "images/a.jpg")
    content = {
        "images": [{"id": 1, "file_name": "a.jpg", **SIZE}],
        "annotations": [],
        "categories": [{"id": 1, "name": "caf\u00e9"}, {"id": 2, "name": "cafe\u0301"}],
    }
    write(tmp_path, "annotations.json", json.dumps(content))
    made = sparsedet_here("inspect", tmp_path, "--json")
    assert _counts(made.json()) == {"class-alike": 1}
    said = sparsedet_here("inspect", tmp_path).out
    assert r"'caf\xe9' / 'cafe\u0301'" in said  # which look the same


def test_lvis_files_with_a_fault_keep_their_images(tmp_path: Path) -> None:
    """They name images by their address only."""
    for name in ("train2017/1.jpg", "val2017/2.jpg"):
        write_image(tmp_path / "coco" / name)
    address = "http://images.cocodataset.org/"
    content = {
        "images": [
            {"id": 1, "coco_url": f"{address}train2017/1.jpg", "neg_category_ids": [2], **SIZE},
            {"id": 2, "coco_url": f"{address}val2017/2.jpg", "neg_category_ids": [], **SIZE},
            {"id": 3, "coco_url": f"{address}val2017/3.jpg", "neg_category_ids": [], **SIZE},
        ],
        "annotations": [
            {"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 1, 9, 9]},
            {"id": 2, "image_id": 2, "category_id": 1, "bbox": [1, 1, 0, 9]},
        ],
        "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}],
    }
    file = write(tmp_path, "lvis.json", json.dumps(content))
    result = sparsedet_here("inspect", file, "--images", tmp_path / "coco", "--json").json()
    assert (result["images"], result["boxes"]) == (2, 1)
    assert _counts(result) == {"box-without-area": 1, "image-missing": 1}


def test_leaving_out_a_repeated_box_keeps_its_class_complete(tmp_path: Path) -> None:
    write_image(tmp_path / "images/a.jpg")
    box = {"image_id": 1, "category_id": 1, "bbox": [1, 1, 9, 9]}
    content = {
        "images": [{"id": 1, "file_name": "a.jpg", "complete_classes": [1], **SIZE}],
        "annotations": [{"id": 1, **box}, {"id": 2, **box}],
        "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}],
    }
    file = write(tmp_path, "annotations.json", json.dumps(content))
    assert sparsedet_here("inspect", file, "--fix", tmp_path / "out").status == 0
    made = read_coco(tmp_path / "out/annotations.json")
    assert [box.id for box in made.boxes] == [1]
    assert made.images[0].complete_classes == {1}


def test_nothing_is_wrong(tmp_path: Path) -> None:
    write_image(tmp_path / "images/a.jpg")
    write(tmp_path, "data.yaml", "names: [dog, cat]\n")
    write(tmp_path, "labels/a.txt", "1 0.5 0.5 0.1 0.2\n")
    result = sparsedet_here("inspect", tmp_path)
    assert result.status == 0
    assert "nothing is wrong" in result.out
    assert "YOLO" in result.out


@pytest.mark.parametrize("kind", ["yolo", "voc"])
def test_files_of_labels_with_faults(kind: str, tmp_path: Path) -> None:
    for name in "abcdef":
        write_image(tmp_path / f"images/{name}.jpg")
    (tmp_path / "images/f.jpg").write_bytes(b"no image")
    if kind == "yolo":
        write(tmp_path, "data.yaml", "names: [dog]\n")
        good = "0 0.5 0.5 0.1 0.2\n"
        for name in "abcefg":
            write(tmp_path, f"labels/{name}.txt", good)
        write(tmp_path, "labels/d.txt", good + "0 2 2 2 2\n0 0.5 0.5 0 0.1\n7 0.5 0.5 0.1 0.1\n")
        broken = {"box-broken": 1, "box-without-area": 1, "unknown-class": 1}
    else:
        box = "<bndbox><xmin>{}</xmin><ymin>1</ymin><xmax>9</xmax><ymax>9</ymax></bndbox>"
        item = "<object><name>dog</name>{}</object>"
        good = "<annotation>{}</annotation>"
        for name in "abcefg":
            write(tmp_path, f"Annotations/{name}.xml", good.format(item.format(box.format(1))))
        objects = "".join(item.format(box.format(text)) for text in ("1", "10", "x"))
        write(tmp_path, "Annotations/d.xml", good.format(objects))
        write(tmp_path, "Annotations/c.xml", "<annotation>")
        broken = {"box-broken": 1, "box-without-area": 1, "labels-broken": 1}
    found = sparsedet_here("inspect", tmp_path, "--json")
    assert found.status == 3
    expected = {**broken, "labels-without-image": 1, "image-unreadable": 1}
    assert _counts(found.json()) == expected
    images = 5 if kind == "yolo" else 4
    assert found.json()["images"] == images


def test_splits_are_counted_and_copied(tmp_path: Path) -> None:
    for split, names in {"train": "abc", "valid": "de", "test": "f"}.items():
        entries = []
        for number, name in enumerate(names):
            write_image(tmp_path / f"data/{split}/{name}.jpg")
            entries.append({"id": number, "file_name": f"{name}.jpg", **SIZE})
        boxes = [
            {"id": n, "image_id": n, "category_id": 1, "bbox": [1, 2, 3, 4 + n]}
            for n in range(len(names))
        ]
        content = {
            "images": entries,
            "annotations": boxes,
            "categories": [{"id": 1, "name": "dog"}],
        }
        write(tmp_path, f"data/{split}/_annotations.coco.json", json.dumps(content))
    result = sparsedet_here("inspect", tmp_path / "data", "--json", "--fix", tmp_path / "out")
    assert result.status == 0, result.err
    counts = {name: part["boxes"] for name, part in result.json()["splits"].items()}
    assert counts == {"train": 3, "val": 2, "test": 1}
    assert result.json()["boxes"] == 6
    for name, images in {"train": 3, "val": 2, "test": 1}.items():
        part = read_coco(tmp_path / f"out/{name}.json")
        assert len(part.images) == images == len(part.boxes)
        assert all((tmp_path / "out/images" / i.file_name).is_file() for i in part.images)
    one = sparsedet_here("inspect", tmp_path / "data", "--json", "--split", "validation").json()
    assert (one["images"], one["splits"]) == (2, {})


def test_an_image_in_two_splits_is_a_fault(tmp_path: Path) -> None:
    write_image(tmp_path / "images/a.jpg")
    for split in ("train", "val"):
        content = {
            "images": [{"id": 1, "file_name": "a.jpg", **SIZE}],
            "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4]}],
            "categories": [{"id": 1, "name": "dog"}],
        }
        write(tmp_path, f"annotations/instances_{split}2017.json", json.dumps(content))
    result = sparsedet_here("inspect", tmp_path, "--json")
    assert _counts(result.json()) == {"image-in-two-splits": 1}
    assert (result.json()["images"], result.json()["boxes"]) == (1, 1)


def test_what_is_no_data_is_one_line(tmp_path: Path) -> None:
    assert "no such file or folder" in sparsedet_here("inspect", tmp_path / "gone").error()
    write(tmp_path, "boxes.csv", "file,x1,y1,x2,y2,label\n")
    assert "has no boxes, only a header" in sparsedet_here("inspect", tmp_path).error()


def test_images_in_no_split_are_copied_too(tmp_path: Path) -> None:
    box = "<bndbox><xmin>1</xmin><ymin>1</ymin><xmax>9</xmax><ymax>9</ymax></bndbox>"
    for name in "abcd":
        xml = f"<annotation><object><name>dog</name>{box}</object></annotation>"
        write(tmp_path, f"data/Annotations/{name}.xml", xml)
        write_image(tmp_path / f"data/JPEGImages/{name}.jpg")
    for split, name in (("train", "a"), ("val", "b")):
        write(tmp_path, f"data/ImageSets/Main/{split}.txt", name)
    result = sparsedet_here("inspect", tmp_path / "data", "--fix", tmp_path / "out", "--json")
    assert result.json()["fix"]["boxes"] == {"train.json": 1, "val.json": 1, "others.json": 2}
    assert load_format("coco").splits(tmp_path / "out") == ["train", "val"]
