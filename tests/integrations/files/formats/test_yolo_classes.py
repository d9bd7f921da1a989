"""Where the class names of a YOLO folder are."""

from pathlib import Path

import pytest

from sparsedet.errors import AnnotationError
from sparsedet.formats import detect_format, read_dataset
from tests.integrations.files.formats.datasets import objects, write, write_image
from tests.integrations.files.formats.found_files import LINE, NAMES, OBJECT


@pytest.mark.parametrize(
    ("image", "label", "files"),
    [
        ("images/a.jpg", "labels/a.txt", {"labels/classes.txt": "dog\ncat\n"}),
        ("images/a.jpg", "labels/a.txt", {"Classes.TXT": "dog\r\ncat\r\n"}),
        (
            "images/train/a.jpg",
            "labels/train/a.txt",
            {"labels/train/classes.txt": "dog\ncat", "labels/val/classes.txt": "dog\ncat\n\n"},
        ),
        ("images/a.jpg", "labels/a.txt", {"pets.yaml": NAMES, "hyp.yaml": "lr0: 0.01\n"}),
        ("train/images/a.jpg", "train/labels/a.txt", {"pets.yaml": NAMES}),
    ],
)
def test_class_names_are_found(
    image: str, label: str, files: dict[str, str], tmp_path: Path
) -> None:
    write_image(tmp_path / image)
    for name, text in {label: LINE, **files}.items():
        write(tmp_path, name, text)
    assert detect_format(tmp_path) == "yolo"
    dataset, _ = read_dataset(tmp_path)
    assert list(objects(dataset).values()) == [[OBJECT]]
    assert [category.name for category in dataset.categories] == ["dog", "cat"]


def test_class_names_that_differ_are_refused(tmp_path: Path) -> None:
    write_image(tmp_path / "images/train/a.jpg")
    write(tmp_path, "labels/train/a.txt", LINE)
    write(tmp_path, "labels/train/classes.txt", "dog\n")
    write(tmp_path, "labels/val/classes.txt", "cat\n")
    with pytest.raises(AnnotationError, match=r"classes\.txt differ; put one"):
        detect_format(tmp_path)


def test_several_yaml_files_are_named(tmp_path: Path) -> None:
    write_image(tmp_path / "images/a.jpg")
    write(tmp_path, "labels/a.txt", LINE)
    for name in ("fold1.yaml", "fold2.yml"):
        write(tmp_path, name, NAMES)
    with pytest.raises(AnnotationError, match=r"several .*names \(fold1.yaml, fold2.yml\); pass"):
        detect_format(tmp_path)
    assert objects(read_dataset(tmp_path / "fold1.yaml").dataset) == {"a.jpg": [OBJECT]}
