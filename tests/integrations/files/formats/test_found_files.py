"""Images and labels in unusual locations: found, or reported; never lost silently."""

from pathlib import Path

import PIL.Image
import pytest

from sparsedet.annotations.faults import Faults
from sparsedet.errors import AnnotationError
from sparsedet.formats import load_format, read_dataset
from tests.integrations.files.formats.datasets import objects, write, write_image
from tests.integrations.files.formats.found_files import LINE, NAMES, OBJECT, XML, all_there, yolo


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
    dataset = all_there(read_dataset(path))
    assert {name: len(found) for name, found in objects(dataset).items()} == {
        "train/images/train.jpg": 1,
        "val/images/val.jpg": 1,
    }
    assert load_format("yolo").splits(path) == ["train", "val"]
    part = read_dataset(path, split="val").dataset
    assert [image.file_name for image in part.images] == ["val/images/val.jpg"]


def test_absolute_paths_of_a_yaml_may_name_a_link(tmp_path: Path) -> None:
    here = yolo(tmp_path / "set", {"labels/a.txt": LINE}, ("images/a.jpg",))
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
    yolo(tmp_path, {labels: LINE}, (images,))
    assert list(objects(all_there(read_dataset(tmp_path))).values()) == [[OBJECT]]


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
    assert objects(all_there(loaded)) == {"a.jpg": [OBJECT]}


@pytest.mark.parametrize("others", [{}, {"labels/zzz.txt": LINE}, {"notes/a.txt": "some words\n"}])
def test_images_without_any_labels_are_an_error(others: dict[str, str], tmp_path: Path) -> None:
    yolo(tmp_path, others, ("images/a.jpg", "images/b.jpg"))
    for faults in (None, Faults(tmp_path)):
        with pytest.raises(AnnotationError) as error:
            read_dataset(tmp_path, faults=faults)
        expected = "2 images, but no label file (looked for a.txt in labels"
        assert expected in str(error.value)
        assert ("1 is in labels" in str(error.value)) == ("labels/zzz.txt" in others)


def test_background_does_not_take_the_labels_of_another_split(tmp_path: Path) -> None:
    yolo(tmp_path, {"labels/train/a.txt": LINE}, ("images/train/a.jpg", "images/val/a.jpg"))
    faults = Faults(tmp_path)
    dataset = read_dataset(tmp_path, faults=faults).dataset
    assert objects(dataset) == {"train/a.jpg": [OBJECT], "val/a.jpg": []}
    assert faults.lines() == ["splits without label files: 1 (val), kept, without boxes"]
    assert faults.found[-1].detail.endswith("val has 1 image, but no labels")


@pytest.mark.parametrize("suffix", [".jfif", ".JPE", ".gif", ".ppm", ".jp2"])
@pytest.mark.parametrize("kind", ["yolo", "voc"])
def test_images_of_every_suffix_keep_their_boxes(suffix: str, kind: str, tmp_path: Path) -> None:
    picture = PIL.Image.new("RGB", (120, 80), "red")
    (tmp_path / "images").mkdir()
    format = "JPEG" if suffix in (".jfif", ".JPE") else None
    picture.save(tmp_path / f"images/a{suffix}", format)
    if kind == "yolo":
        yolo(tmp_path, {"labels/a.txt": LINE}, ())
    else:
        write(tmp_path, "Annotations/a.xml", XML)
    assert objects(read_dataset(tmp_path).dataset) == {f"a{suffix}": [OBJECT]}


def test_labels_without_image_are_counted_and_named(tmp_path: Path) -> None:
    yolo(tmp_path, {}, tuple(f"images/{n}.jpg" for n in range(9)))
    for number in range(11):
        write(tmp_path, f"labels/{number}.txt", LINE)
    write(tmp_path, "labels/classes.txt", "dog\ncat\n")
    (tmp_path / "images/10.heic").write_bytes(b"\0\0\0\x18ftypheic" + bytes(64))
    faults = Faults(tmp_path)
    dataset = read_dataset(tmp_path, faults=faults).dataset
    assert len(dataset.boxes) == 9
    assert faults.lines() == [
        "unreadable images: 1 (10.heic), left out",
        "label files without an image: 1 (9.txt), left out",
    ]
    assert "pillow-heif" in faults.found[0].detail


def test_labels_of_images_in_no_list_are_no_fault(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    labels = {f"labels/{number}.txt": LINE for number in range(10)}
    yolo(tmp_path, labels, tuple(f"images/{number}.jpg" for number in range(9)))
    write(tmp_path, "data.yaml", "train: few.txt\nval: few.txt\nnames: [dog]\n")
    write(tmp_path, "few.txt", "".join(f"images/{number}.jpg\n" for number in range(6)))
    (tmp_path / "images/9.jpg").symlink_to("nowhere.jpg")
    faults = Faults(tmp_path)
    assert len(read_dataset(tmp_path, faults=faults).dataset.boxes) == 6
    assert faults.lines() == ["label files without an image: 1 (9.txt), left out"]
    said = "3 images with labels are in none of its splits (first: 6.txt), left out"
    assert f"{tmp_path}: {said}" in caplog.text


def test_two_images_of_one_file_of_labels_are_not_doubled(tmp_path: Path) -> None:
    names = ("images/a.jpg", "images/a.png", "images/b.jpg", "images/b.png", "images/c.jpg")
    yolo(tmp_path, {f"labels/{name}.txt": LINE for name in "abc"}, names)
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


def test_class_names_that_are_numbers(tmp_path: Path) -> None:
    yolo(tmp_path, {"labels/a.txt": LINE}, ("images/a.jpg",))
    write(tmp_path, "data.yaml", "names: {0: 0, 1: 1}\n")
    assert [c.name for c in read_dataset(tmp_path).dataset.categories] == ["0", "1"]


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
