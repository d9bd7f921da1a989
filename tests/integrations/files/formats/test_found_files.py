"""Images and labels where people and exports leave them: found, or named; never lost in silence."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import PIL.Image
import pytest

from sparsedet.annotations import Dataset
from sparsedet.annotations.faults import Faults
from sparsedet.errors import AnnotationError
from sparsedet.formats import Loaded, detect_format, load_format, read_dataset
from tests.integrations.files.formats.datasets import objects, write, write_image

LINE = "0 0.5 0.5 0.1 0.2\n"
OBJECT = ("dog", pytest.approx((54, 32, 66, 48)))
NAMES = "names: [dog, cat]\n"
XML = (
    "<annotation><object><name>dog</name><bndbox><xmin>55</xmin><ymin>33</ymin><xmax>66</xmax>"
    "<ymax>48</ymax></bndbox></object></annotation>"
)


def _yolo(folder: Path, labels: Mapping[str, str], images: tuple[str, ...]) -> Path:
    write(folder, "data.yaml", NAMES)
    for name in images:
        write_image(folder / name)
    for name, text in labels.items():
        write(folder, name, text)
    return folder


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


def _all_there(loaded: Loaded) -> Dataset:
    assert loaded.images is not None
    for image in loaded.dataset.images:
        assert (loaded.images / image.file_name).is_file()
    return loaded.dataset


@pytest.mark.parametrize("way", ["..", "link", "relative", "yaml"])
def test_a_yolo_folder_is_the_same_by_every_path(
    way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = tmp_path / "set"
    for split in ("train", "val"):
        write_image(here / f"{split}/images/{split}.jpg")
        write(here, f"{split}/labels/{split}.txt", LINE)
    write_image(here / "extra/images/no.jpg")
    write(here, "data.yaml", f"train: ../train/images\nval: ../val/images\n{NAMES}")
    (tmp_path / "else/deep").mkdir(parents=True)
    (tmp_path / "link").symlink_to(here, target_is_directory=True)
    monkeypatch.chdir(tmp_path / "else/deep")
    path = {
        "..": tmp_path / "else/../set",
        "link": tmp_path / "link",
        "relative": Path("../../set"),
        "yaml": Path("../../set/data.yaml"),
    }[way]
    dataset = _all_there(read_dataset(path))
    assert {name: len(found) for name, found in objects(dataset).items()} == {
        "train/images/train.jpg": 1,
        "val/images/val.jpg": 1,
    }
    assert load_format("yolo").splits(path) == ["train", "val"]
    part = read_dataset(path, split="val").dataset
    assert [image.file_name for image in part.images] == ["val/images/val.jpg"]


def test_absolute_paths_of_a_yaml_may_name_a_link(tmp_path: Path) -> None:
    here = _yolo(tmp_path / "set", {"labels/a.txt": LINE}, ("images/a.jpg",))
    (tmp_path / "link").symlink_to(here, target_is_directory=True)
    for named, read in ((here, "link"), (tmp_path / "link", "link"), (tmp_path / "link", "set")):
        write(here, "data.yaml", f"path: {named}\ntrain: {named}/images\n{NAMES}")
        assert len(read_dataset(tmp_path / read).dataset.boxes) == 1


@pytest.mark.parametrize(
    ("images", "labels"),
    [
        ("images/a.jpg", "Labels/a.txt"),
        ("Images/a.jpg", "labels/a.txt"),
        ("IMAGES/a.jpg", "LABELS/a.txt"),
        ("images/IMG_1.JPG", "labels/img_1.txt"),
        ("images/a.jpg", "images/a.txt"),
        ("images/a.jpg", "annotations/a.txt"),
        ("images/train/a.jpg", "txt/train/a.txt"),
        ("images/train/a.jpg", "labels/a.txt"),
        ("a.jpg", "a.txt"),
        ("data/images/a.jpg", "data/labels/a.txt"),
    ],
)
def test_labels_elsewhere_are_found(images: str, labels: str, tmp_path: Path) -> None:
    _yolo(tmp_path, {labels: LINE}, (images,))
    assert list(objects(_all_there(read_dataset(tmp_path))).values()) == [[OBJECT]]


@pytest.mark.parametrize(
    ("images", "labels"),
    [
        ("set/photos/a.jpg", "set/labels/a.txt"),
        ("photos/a.jpg", "set/labels/a.txt"),
        ("photos/images/a.jpg", "photos/labels/a.txt"),
        ("photos/a.jpg", "photos/a.txt"),
        ("photos/a.jpg", "set/boxes/a.txt"),
        ("set/images/train/a.jpg", "set/labels/train/a.txt"),
    ],
)
def test_labels_are_found_with_the_folder_that_is_given(
    images: str, labels: str, tmp_path: Path
) -> None:
    write(tmp_path, "set/data.yaml", NAMES)
    write_image(tmp_path / images)
    write(tmp_path, labels, LINE)
    folder = (tmp_path / images).parent
    loaded = read_dataset(tmp_path / "set", format="yolo", images=folder)
    assert objects(_all_there(loaded)) == {"a.jpg": [OBJECT]}


@pytest.mark.parametrize("others", [{}, {"labels/zzz.txt": LINE}, {"notes/a.txt": "some words\n"}])
def test_images_without_any_labels_are_an_error(others: dict[str, str], tmp_path: Path) -> None:
    _yolo(tmp_path, others, ("images/a.jpg", "images/b.jpg"))
    for faults in (None, Faults(tmp_path)):
        with pytest.raises(AnnotationError) as error:
            read_dataset(tmp_path, faults=faults)
        assert "none of its 2 images has a file of labels (looked for a.txt in labels" in str(
            error.value
        )
        assert ("there are 1 in labels" in str(error.value)) == ("labels/zzz.txt" in others)


def test_background_does_not_take_the_labels_of_another_split(tmp_path: Path) -> None:
    _yolo(tmp_path, {"labels/train/a.txt": LINE}, ("images/train/a.jpg", "images/val/a.jpg"))
    faults = Faults(tmp_path)
    dataset = read_dataset(tmp_path, faults=faults).dataset
    assert objects(dataset) == {"train/a.jpg": [OBJECT], "val/a.jpg": []}
    assert faults.lines() == ["1 splits without any label file (val): kept, without boxes"]


@pytest.mark.parametrize("suffix", [".jfif", ".JPE", ".gif", ".ppm", ".jp2"])
@pytest.mark.parametrize("kind", ["yolo", "voc"])
def test_images_of_every_suffix_keep_their_boxes(suffix: str, kind: str, tmp_path: Path) -> None:
    picture = PIL.Image.new("RGB", (120, 80), "red")
    (tmp_path / "images").mkdir()
    format = "JPEG" if suffix in (".jfif", ".JPE") else None
    picture.save(tmp_path / f"images/a{suffix}", format)
    if kind == "yolo":
        _yolo(tmp_path, {"labels/a.txt": LINE}, ())
    else:
        write(tmp_path, "Annotations/a.xml", XML)
    assert objects(read_dataset(tmp_path).dataset) == {f"a{suffix}": [OBJECT]}


def test_labels_without_image_are_counted_and_named(tmp_path: Path) -> None:
    _yolo(tmp_path, {}, tuple(f"images/{n}.jpg" for n in range(9)))
    for number in range(11):
        write(tmp_path, f"labels/{number}.txt", LINE)
    write(tmp_path, "labels/classes.txt", "dog\ncat\n")
    (tmp_path / "images/10.heic").write_bytes(b"\0\0\0\x18ftypheic" + bytes(64))
    faults = Faults(tmp_path)
    dataset = read_dataset(tmp_path, faults=faults).dataset
    assert len(dataset.boxes) == 9
    assert faults.lines() == [
        "1 images that can't be read (10.heic): left out",
        "1 label files without image (9.txt): left out",
    ]
    assert "pillow-heif" in faults.found[0].detail


def test_two_images_of_one_file_of_labels_are_not_doubled(tmp_path: Path) -> None:
    names = ("images/a.jpg", "images/a.png", "images/b.jpg", "images/b.png", "images/c.jpg")
    _yolo(tmp_path, {f"labels/{name}.txt": LINE for name in "abc"}, names)
    write_image(tmp_path / "images/b.png", 60, 40)
    with pytest.raises(AnnotationError, match=r"a\.png: shares its labels .*a\.txt with a\.jpg"):
        read_dataset(tmp_path)
    faults = Faults(tmp_path)
    dataset = read_dataset(tmp_path, faults=faults).dataset
    # Of one size they are one picture; else nobody knows whose the labels are.
    assert objects(dataset) == {"a.jpg": [OBJECT], "c.jpg": [OBJECT]}
    assert [fault.where for fault in faults.found] == [
        "a.png (as a.jpg)",
        "b.jpg (as b.png)",
        "b.png (as b.jpg)",
    ]


def test_a_split_may_be_called_valid(tmp_path: Path) -> None:
    for split in ("train", "valid"):
        write_image(tmp_path / f"{split}/images/{split}.jpg")
        write(tmp_path, f"{split}/labels/{split}.txt", LINE)
    for key in ("val", "valid", "validation"):
        write(tmp_path, "data.yaml", f"train: train/images\n{key}: valid/images\n{NAMES}")
        for wanted in ("val", "valid", "validation"):
            dataset = read_dataset(tmp_path, split=wanted).dataset
            assert [i.file_name for i in dataset.images] == ["valid/images/valid.jpg"]


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
    ],
)
def test_images_of_coco_files_are_found(
    file: str, name: str, image: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_image(tmp_path / image)
    write(tmp_path, file, _coco(name))
    monkeypatch.chdir((tmp_path / file).parent)
    for path in (tmp_path / file, Path(Path(file).name)):
        dataset = _all_there(_lenient(path))
        assert list(objects(dataset).values()) == [[OBJECT]]
    if "data" not in file or file == "data.json":
        dataset = _all_there(_lenient(tmp_path))
        assert len(dataset.boxes) == 1
    given = _lenient(tmp_path / file, (tmp_path / image).parent)
    assert len(_all_there(given).boxes) == 1


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
    }
    for split, file in layout.items():
        write(tmp_path, file, _coco(f"{split}1.jpg", f"{split}2.jpg"))
        for number in (1, 2):
            write_image(tmp_path / folders[file] / f"{split}{number}.jpg")
    assert detect_format(tmp_path) == "coco"
    assert load_format("coco").splits(tmp_path) == ["train", "val"]
    whole = _all_there(_lenient(tmp_path))
    assert len(whole.boxes) == 4
    assert len({box.id for box in whole.boxes}) == 4
    assert [len(found) for found in objects(whole).values()] == [1, 1, 1, 1]
    assert [category.name for category in whole.categories] == ["dog"]
    part = _all_there(_lenient(tmp_path, split="valid"))
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
    ],
)
def test_voc_folders_under_every_name(xml: str, image: str, tmp_path: Path) -> None:
    write(tmp_path, xml, XML)
    write_image(tmp_path / image)
    assert detect_format(tmp_path) == "voc"
    dataset = _all_there(read_dataset(tmp_path))
    assert list(objects(dataset).values()) == [[OBJECT]]


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
    ("file", "text", "name"),
    [
        ("Annotations/x.xml", "<annotations><version>1.1</version>", None),
        ("a.csv", "ImageID,Source,LabelName,Confidence\n", "Open Images' labels of whole images"),
        ("a.csv", "file,x1,y1,x2,y2,label\n", "a csv of boxes"),
    ],
)
def test_other_formats_are_named(file: str, text: str, name: str | None, tmp_path: Path) -> None:
    write(tmp_path, file, text)
    with pytest.raises(AnnotationError) as error:
        detect_format(tmp_path)
    assert (f"looks like {name}" if name else "not a format that sparsedet reads") in str(
        error.value
    )


def test_class_names_that_are_numbers(tmp_path: Path) -> None:
    _yolo(tmp_path, {"labels/a.txt": LINE}, ("images/a.jpg",))
    write(tmp_path, "data.yaml", "names: {0: 0, 1: 1}\n")
    assert [c.name for c in read_dataset(tmp_path).dataset.categories] == ["0", "1"]


def test_a_folder_that_several_formats_could_hold(tmp_path: Path) -> None:
    """A JSON file of notes makes no COCO dataset of a YOLO folder."""
    _yolo(tmp_path, {"labels/a.txt": LINE}, ("images/a.jpg",))
    write(tmp_path, "export.json", _coco("a.jpg"))
    assert detect_format(tmp_path) == "yolo"
    shutil.rmtree(tmp_path / "labels")
    (tmp_path / "data.yaml").unlink()
    assert detect_format(tmp_path) == "coco"


def test_a_share_is_one_of_all_splits(tmp_path: Path) -> None:
    """Three files without image are much of a split, and little of the whole."""
    for split, count in (("train", 20), ("val", 2)):
        for number in range(count):
            write_image(tmp_path / f"images/{split}/{number}.jpg")
            write(tmp_path, f"labels/{split}/{number}.txt", LINE)
    for number in range(3):
        write(tmp_path, f"labels/train/lost{number}.txt", LINE)
    write(tmp_path, "data.yaml", f"train: images/train\nval: images/val\n{NAMES}")
    faults = Faults(tmp_path)
    assert len(read_dataset(tmp_path, split="val", faults=faults).dataset.images) == 2
    assert faults.lost("image") == 3
    faults.check()
