"""Projects in the layouts of other tools' COCO exports."""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from sparsedet.errors import AnnotationError, ToolError
from sparsedet.integrations.files import FilesTool
from tests.integrations.files.memory import Memory
from tests.integrations.files.samples import PROJECT, mined_boxes, read, write, write_project


@dataclass(frozen=True)
class Layout:
    """Where an export has its file and its images, and how it names them."""

    file: str
    images: str
    prefix: str = ""
    separator: str = "/"

    def write(self, folder: Path) -> Any:
        """Write the project, and return the content of its file."""
        write_project(folder)
        (folder / "annotations.json").unlink()
        pictures = folder.parent / "pictures"
        (folder / "images").rename(pictures)
        shutil.copytree(pictures, folder / self.images, dirs_exist_ok=True)
        shutil.rmtree(pictures)
        images = [
            {**entry, "file_name": self.prefix + entry["file_name"].replace("/", self.separator)}
            for entry in PROJECT["images"]
        ]
        content = {**PROJECT, "images": images}
        (folder / self.file).parent.mkdir(parents=True, exist_ok=True)
        write(folder / self.file, content)
        return content


ROBOFLOW = Layout("train/_annotations.coco.json", "train")
LAYOUTS = [
    pytest.param(ROBOFLOW, id="roboflow, one split"),
    pytest.param(Layout("annotations/instances_default.json", "images/default"), id="cvat"),
    pytest.param(Layout("annotations/instances_train2017.json", "train2017"), id="coco"),
    pytest.param(Layout("result.json", "images", "images/"), id="label studio"),
    pytest.param(Layout("result.json", "images", "images\\", "\\"), id="label studio, windows"),
    pytest.param(Layout("labels.json", "data"), id="fiftyone"),
    pytest.param(Layout("photos.json", "images", "C:\\photos\\", "\\"), id="another machine"),
    pytest.param(Layout("photos.json", ".", "../photos/"), id="another folder"),
]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_an_export_is_a_project(layout: Layout, tmp_path: Path) -> None:
    before = layout.write(tmp_path / "cars")
    tool = FilesTool(str(tmp_path))
    images = tmp_path / "workspace" / "images"
    dataset = tool.pull("cars", images)
    names = [image.file_name.removeprefix("images/") for image in dataset.images]
    assert names == ["day/a.png", "night/b.png", "empty.png"]
    assert all((images / image.file_name).is_file() for image in dataset.images)
    assert tool.pull(f"cars/{layout.file}", images) == dataset

    file = tmp_path / "cars" / layout.file
    place = file.with_name(f"{file.stem}-review").relative_to(tmp_path).as_posix()
    memory = Memory(tool, "cars", place)
    memory.push(dataset, mined_boxes(dataset))
    for shown in tool.open_reviews(place):
        shown.submit(shown.regions, complete=True)
    memory.merge()
    after = read(file)
    assert [entry["file_name"] for entry in after["images"]] == [
        entry["file_name"] for entry in before["images"]
    ]
    assert len(after["annotations"]) == len(before["annotations"]) + 3
    again = tool.pull("cars", images)
    assert len(again.boxes) == len(dataset.boxes) + 3
    memory.restore()
    assert read(file)["images"] == before["images"]
    assert tool.pull("cars", images) == dataset


def test_one_of_several_splits_is_chosen(tmp_path: Path) -> None:
    ROBOFLOW.write(tmp_path / "cars")
    shutil.copytree(tmp_path / "cars" / "train", tmp_path / "cars" / "valid")
    tool = FilesTool(str(tmp_path))
    both = r"pass the one to work on: train/_annotations.coco.json, valid/_annotations.coco.json"
    with pytest.raises(ToolError, match=both):
        tool.pull("cars", tmp_path / "images")
    assert len(tool.pull("cars/valid", tmp_path / "images").images) == 3


@pytest.mark.parametrize(
    "files",
    [
        pytest.param(["train.json", "train_small.json"], id="a split and a part of it"),
        pytest.param(["annotations/train_1.json", "annotations/train_2.json"], id="parts"),
        pytest.param(["cats.json", "dogs.json"], id="by class"),
    ],
)
def test_no_file_of_several_is_a_project_unasked(files: list[str], tmp_path: Path) -> None:
    for file in files:
        Layout(file, "images").write(tmp_path / "cars")
    tool = FilesTool(str(tmp_path))
    with pytest.raises(ToolError, match=f"has several COCO files.*{files[0]}, {files[1]}"):
        tool.pull("cars", tmp_path / "images")
    assert len(tool.pull(f"cars/{files[1]}", tmp_path / "images").images) == 3


def test_a_missing_image_is_named(tmp_path: Path) -> None:
    ROBOFLOW.write(tmp_path / "cars")
    (tmp_path / "cars" / "train" / "night" / "b.png").unlink()
    with pytest.raises(AnnotationError, match=r"night/b\.png: no such image file"):
        FilesTool(str(tmp_path)).pull("cars", tmp_path / "images")
