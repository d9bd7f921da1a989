"""COCO and VOC files in unusual locations, and folders whose format is not obvious."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from sparsedet.annotations.faults import Faults
from sparsedet.errors import AnnotationError, SparseDetError
from sparsedet.formats import Loaded, detect_format, load_format, read_dataset
from sparsedet.loop.data_sources import format_of
from tests.integrations.files.formats.datasets import objects, write, write_image
from tests.integrations.files.formats.found_files import LINE, OBJECT, XML, all_there, yolo

SIZE = "<size><width>120</width><height>80</height></size>"


def _coco(*names: str, **entry: Any) -> str:
    images = [
        {"id": id, "file_name": name, "width": 120, "height": 80, **entry}
        for id, name in enumerate(names, start=1)
    ]
    boxes = [
        {"id": id, "image_id": id, "category_id": 1, "bbox": [54, 32, 12, 16]}
        for id in range(1, len(names) + 1)
    ]
    return json.dumps(
        {"images": images, "annotations": boxes, "categories": [{"id": 1, "name": "dog"}]}
    )


def _lenient(path: Path, folder: Path | None = None, split: str | None = None) -> Loaded:
    return read_dataset(path, images=folder, split=split, faults=Faults(path))


@pytest.mark.parametrize(
    ("file", "name", "image"),
    [
        ("data.json", "a.jpg", "images/a.jpg"),
        ("data.json", "images/a.jpg", "images/a.jpg"),
        ("data.json", "images\\a.jpg", "images/a.jpg"),
        ("data.json", "./a.jpg", "images/a.jpg"),
        ("_annotations.coco.json", "a.jpg", "a.jpg"),
        ("train/_annotations.coco.json", "a.jpg", "train/a.jpg"),
        ("annotations/instances_train2017.json", "a.jpg", "train2017/a.jpg"),
        ("annotations/instances_val2017.json", "a.jpg", "images/val2017/a.jpg"),
        ("annotations/instances_train.json", "a.jpg", "images/train/a.jpg"),
        ("annotations/instances_train.json", "train/a.jpg", "images/train/a.jpg"),
        ("annotations/instances_default.json", "a.jpg", "images/a.jpg"),
        ("annotations/instances_default.json", "b/a.jpg", "images/b/a.jpg"),
        ("labels.json", "a.jpg", "data/a.jpg"),
        ("result.json", "images/a.jpg", "images/a.jpg"),
        ("data.json", "/home/me/set/images/day/a.jpg", "images/day/a.jpg"),
        ("data.json", "C:\\Users\\me\\images\\a.jpg", "images/a.jpg"),
        ("data.json", "../../media/upload/1/a.jpg", "images/a.jpg"),
        ("train/data.json", "train/a.jpg", "train/a.jpg"),
        ("data.json", "pets/my%20dog%C3%A9.jpg", "images/my dogé.jpg"),
    ],
)
def test_images_of_coco_files_are_found(
    file: str, name: str, image: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_image(tmp_path / image)
    write(tmp_path, file, _coco(name))
    monkeypatch.chdir((tmp_path / file).parent)
    for path in (tmp_path / file, Path(Path(file).name)):
        dataset = all_there(_lenient(path))
        assert list(objects(dataset).values()) == [[OBJECT]]
    if "data" not in file or file == "data.json":
        dataset = all_there(_lenient(tmp_path))
        assert len(dataset.boxes) == 1
    given = _lenient(tmp_path / file, (tmp_path / image).parent)
    assert len(all_there(given).boxes) == 1


def test_only_the_end_of_a_name_may_be_right(tmp_path: Path) -> None:
    """A picture of the same name in another folder is another picture."""
    write(tmp_path, "data.json", _coco("day/a.jpg", "b.jpg", "c.jpg"))
    for name in ("night/a.jpg", "b.jpg", "c.jpg"):
        write_image(tmp_path / "images" / name)
    faults = Faults(tmp_path)
    dataset = read_dataset(tmp_path / "data.json", faults=faults).dataset
    assert [image.file_name for image in dataset.images] == ["b.jpg", "c.jpg"]
    assert [fault.kind.name for fault in faults.found] == ["image-missing"]


@pytest.mark.parametrize(
    "layout",
    [
        {"train": "train/_annotations.coco.json", "val": "valid/_annotations.coco.json"},
        {
            "train": "annotations/instances_train2017.json",
            "val": "annotations/instances_val2017.json",
        },
        {"train": "train.json", "val": "val.json"},
        {"train": "annotations/lvis_v1_train.json", "val": "annotations/lvis_v1_val.json"},
        {"train": "pets-train.json", "val": "pets-valid.json"},
    ],
)
def test_a_folder_of_coco_files_is_one_dataset_with_splits(
    layout: dict[str, str], tmp_path: Path
) -> None:
    folders = {
        "train/_annotations.coco.json": "train",
        "valid/_annotations.coco.json": "valid",
        "annotations/instances_train2017.json": "train2017",
        "annotations/instances_val2017.json": "val2017",
        "train.json": "images",
        "val.json": "images",
        "annotations/lvis_v1_train.json": "train",
        "annotations/lvis_v1_val.json": "val",
        "pets-train.json": "images/train",
        "pets-valid.json": "images/valid",
    }
    for split, file in layout.items():
        write(tmp_path, file, _coco(f"{split}1.jpg", f"{split}2.jpg"))
        for number in (1, 2):
            write_image(tmp_path / folders[file] / f"{split}{number}.jpg")
    assert detect_format(tmp_path) == "coco"
    assert load_format("coco").splits(tmp_path) == ["train", "val"]
    whole = all_there(_lenient(tmp_path))
    assert len(whole.boxes) == 4
    assert len({box.id for box in whole.boxes}) == 4
    assert [len(found) for found in objects(whole).values()] == [1, 1, 1, 1]
    assert [category.name for category in whole.categories] == ["dog"]
    part = all_there(_lenient(tmp_path, split="valid"))
    assert [Path(image.file_name).name for image in part.images] == ["val1.jpg", "val2.jpg"]
    with pytest.raises(AnnotationError, match=r"no split 'test' \(found: train, val\)"):
        read_dataset(tmp_path, split="test")


@pytest.mark.parametrize(
    ("xml", "image"),
    [
        ("Annotations/a.xml", "JPEGImages/a.jpg"),
        ("annots/a.xml", "images/a.jpg"),
        ("xmls/a.xml", "images/a.jpg"),
        ("annotations/xmls/a.xml", "images/a.jpg"),
        ("ANNOTATIONS/a.xml", "Images/a.jpg"),
        ("boxes/a.xml", "imgs/a.jpg"),
        ("annotations/a.xml", "image/day/a.jpg"),
        ("train/a.xml", "train/a.jpg"),
        ("a.xml", "a.jpg"),
        ("a.xml", "images/a.jpg"),
        ("labels/a.xml", "data/a.jpg"),
        ("Annotations/a.xml", "pets 2024/a.jpg"),
        ("Annotations/a.xml", "a.jpg"),
        ("Annotations/a.xml", "Annotations/a.jpg"),
    ],
)
def test_voc_folders_under_every_name(xml: str, image: str, tmp_path: Path) -> None:
    write(tmp_path, xml, XML)
    write_image(tmp_path / image)
    assert detect_format(tmp_path) == "voc"
    dataset = all_there(read_dataset(tmp_path))
    assert list(objects(dataset).values()) == [[OBJECT]]


def test_masks_are_not_images_of_voc(tmp_path: Path) -> None:
    write(tmp_path, "Annotations/a.xml", XML.replace("<object>", f"{SIZE}<object>"))
    write_image(tmp_path / "SegmentationClass/a.png")
    assert read_dataset(tmp_path).images is None


def test_splits_of_voc(tmp_path: Path) -> None:
    for name in "abcd":
        write(tmp_path, f"Annotations/{name}.xml", XML)
        write_image(tmp_path / f"JPEGImages/{name}.jpg")
    voc = load_format("voc")
    write(tmp_path, "ImageSets/Main/trainval.txt", "a\nb\nc\nd\n")
    assert voc.splits(tmp_path) == []
    write(tmp_path, "ImageSets/Main/test.txt", "d\n")
    write(tmp_path, "ImageSets/Main/dog_train.txt", "a 1\n")
    assert voc.splits(tmp_path) == ["train", "test"]
    write(tmp_path, "ImageSets/Main/train.txt", "a\nb\n")
    write(tmp_path, "ImageSets/Main/valid.txt", "c\n")
    assert voc.splits(tmp_path) == ["train", "val", "test"]
    names = [image.file_name for image in read_dataset(tmp_path, split="val").dataset.images]
    assert names == ["c.jpg"]


def test_splits_of_voc_by_folders(tmp_path: Path) -> None:
    for name in ("train/a", "valid/b"):
        write(tmp_path, f"{name}.xml", XML)
        write_image(tmp_path / f"{name}.jpg")
    assert load_format("voc").splits(tmp_path) == ["train", "val"]
    part = read_dataset(tmp_path, split="val").dataset
    assert [image.file_name for image in part.images] == ["valid/b.jpg"]


@pytest.mark.parametrize(
    ("stated", "kind", "images"), [((119, 81), "size-off", 4), ((80, 120), "size-wrong", 3)]
)
def test_a_size_in_an_xml_file(
    stated: tuple[int, int], kind: str, images: int, tmp_path: Path
) -> None:
    for name in "abcd":
        write(tmp_path, f"Annotations/{name}.xml", XML)
        write_image(tmp_path / f"JPEGImages/{name}.jpg")
    size = f"<size><width>{stated[0]}</width><height>{stated[1]}</height></size>"
    write(tmp_path, "Annotations/b.xml", XML.replace("<object>", f"{size}<object>"))
    faults = Faults(tmp_path)
    dataset = read_dataset(tmp_path, faults=faults).dataset
    assert [fault.kind.name for fault in faults.found] == [kind]
    assert len(dataset.images) == len(dataset.boxes) == images
    assert {(image.width, image.height) for image in dataset.images} == {(120, 80)}
    with pytest.raises(AnnotationError, match=r"b\.xml: <size> is"):
        read_dataset(tmp_path)


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({"in/it/Annotations/a.xml": XML, "in/it/JPEGImages/a.txt": ""}, "but in .*in/it; pass"),
        ({"one.json": _coco("a.jpg"), "two.json": _coco("a.jpg")}, r"\(one.json, two.json\); pass"),
        (
            {f"annotations/{n}_{s}.json": _coco("a.jpg") for n in "ab" for s in ("train", "val")},
            r"several COCO files \(annotations/a_train.json, .*b_val.json\); pass",
        ),
        (
            {f"{n}.json": _coco("a.jpg") for n in ("train_part1", "train_part2", "val")},
            r"several COCO files \(train_part1.json, train_part2.json, val.json\); pass",
        ),
        (
            {f"{n}.json": _coco("a.jpg") for n in ("train/cats", "train/dogs", "val/all")},
            r"several COCO files \(train/cats.json, train/dogs.json, val/all.json\); pass",
        ),
        ({"images/a.txt": "", "labels/a.txt": LINE}, "YOLO without class names"),
    ],
)
def test_what_is_missing_is_said(files: dict[str, str], says: str, tmp_path: Path) -> None:
    for file, text in files.items():
        write(tmp_path, file, text)
    with pytest.raises(AnnotationError, match=says):
        detect_format(tmp_path)


@pytest.mark.parametrize(
    ("read", "unread"),
    [
        (("train.json", "val.json"), ["train_small.json"]),
        (("val.json", "train.json"), ["valid.json"]),
        (("train.json",), ["unlabelled.json", "annotations/train.json"]),
        (("train/_annotations.coco.json", "val/a.json"), ["train/old.json"]),
    ],
)
def test_files_that_are_in_no_split_are_named(
    read: tuple[str, ...], unread: list[str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for number, file in enumerate([*read, *unread]):
        write(tmp_path, file, _coco(f"{number}.jpg"))
        write_image(tmp_path / f"images/{number}.jpg")
    # Neither what a split removed nor other tasks on the same images is missing.
    write(tmp_path, "removed.json", _coco("0.jpg"))
    write(tmp_path, "annotations/captions_train2017.json", _coco("0.jpg"))
    assert len(_lenient(tmp_path).dataset.images) == len(read)
    count = "1 COCO file is" if len(unread) == 1 else f"{len(unread)} COCO files are"
    assert f"{tmp_path}: {count} not read: {', '.join(unread)}; pass a file" in caplog.text


def test_of_many_files_in_no_split_the_first_are_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("train", *(f"train_{number}" for number in range(8))):
        write(tmp_path, f"{name}.json", _coco("a.jpg"))
    write_image(tmp_path / "images/a.jpg")
    _lenient(tmp_path)
    first = ", ".join(f"train_{number}.json" for number in range(5))
    assert f"8 COCO files are not read: {first} and 3 more; pass a file" in caplog.text


def test_files_for_keypoints_are_passed_over(tmp_path: Path) -> None:
    write_image(tmp_path / "images/default/a.jpg")
    write(tmp_path, "annotations/instances_default.json", _coco("a.jpg"))
    write(tmp_path, "annotations/person_keypoints_default.json", _coco("a.jpg", "b.jpg"))
    assert len(all_there(_lenient(tmp_path)).images) == 1


def test_results_among_the_data_are_no_annotations(tmp_path: Path) -> None:
    write(tmp_path, "instances.json", _coco("a.jpg"))
    write_image(tmp_path / "a.jpg")
    before = _lenient(tmp_path)
    write(tmp_path, "found.json", "[]")
    write(tmp_path, "found.images.json", _coco("a.jpg"))
    assert detect_format(tmp_path) == "coco"
    assert _lenient(tmp_path) == before


def test_archives_are_not_read(tmp_path: Path) -> None:
    (tmp_path / "data.zip").write_bytes(b"PK")
    with pytest.raises(SparseDetError, match="is an archive; extract it"):
        format_of(tmp_path / "data.zip")


def test_a_folder_that_several_formats_could_hold(tmp_path: Path) -> None:
    """A JSON file of notes makes no COCO dataset of a YOLO folder."""
    yolo(tmp_path, {"labels/a.txt": LINE}, ("images/a.jpg",))
    write(tmp_path, "export.json", _coco("a.jpg"))
    assert detect_format(tmp_path) == "yolo"
    shutil.rmtree(tmp_path / "labels")
    (tmp_path / "data.yaml").unlink()
    assert detect_format(tmp_path) == "coco"


@pytest.mark.parametrize(
    "broken", [None, {"id": 2, "file_name": "\ud800.jpg"}, {"id": 3, "file_name": "a" * 300}]
)
def test_a_broken_entry_next_to_images_is_left_out(broken: object, tmp_path: Path) -> None:
    content = json.loads(_coco("a.jpg", "b.jpg"))
    content["images"].append(broken)
    (tmp_path / "a.json").write_text(json.dumps(content))
    for name in ("a", "b"):
        write_image(tmp_path / f"images/{name}.jpg")
    faults = Faults(tmp_path)
    loaded = read_dataset(tmp_path / "a.json", faults=faults)
    assert [image.file_name for image in loaded.dataset.images] == ["a.jpg", "b.jpg"]
    (fault,) = faults.found
    assert fault.kind.name in ("image-broken", "image-missing")
