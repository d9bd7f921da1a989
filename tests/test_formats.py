"""Formats are detected from a path, and can be added by any package."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from sparsedet.annotations import Box, Category, Dataset, Image, write_coco
from sparsedet.errors import AnnotationError, SparseDetError
from sparsedet.formats import (
    detect_format,
    format_names,
    load_format,
    read_dataset,
    writable_formats,
)
from sparsedet.loop.settings import Settings, Source
from sparsedet.loop.workspace import Workspace
from tests.integrations.files.formats.datasets import objects, write_images

DATASET = Dataset(
    (Image(3, "a.png", 120, 80),), (Box(7, 3, 5, (1, 2, 30, 40)),), (Category(5, "dog"),)
)

OWN = ["coco", "createml", "csv", "cvat", "dota", "label-studio", "labelme", "open-images", "via"]
OWN += ["voc", "yolo"]

# Reads any .dat file as one empty image.
PLUGIN = """
from sparsedet.annotations import Dataset, Image
from sparsedet.formats import Loaded

class DatFormat:
    title = "Dat"
    layout = "a .dat file"

    def detect(self, path):
        return path.suffix == ".dat"

    def read(self, path, *, images=None, split=None, faults=None, progress=None):
        return Loaded(Dataset((Image(1, "a.png", 2, 3),), (), ()), None)
"""
USE = """
from pathlib import Path
from sparsedet.formats import format_names, read_dataset
print(format_names(), len(read_dataset(Path("boxes.dat")).dataset.images))
"""


def written(folder: Path, name: str) -> Path:
    """Write `DATASET` in a format."""
    (folder / name).mkdir()
    images = write_images(DATASET, folder / "pictures")
    load_format(name).write(DATASET, folder / name, images=images)
    return folder / name


@pytest.mark.parametrize("name", ["coco", "voc", "yolo"])
def test_a_folder_is_recognised(name: str, tmp_path: Path) -> None:
    folder = written(tmp_path, name)
    assert detect_format(folder) == name
    dataset, images = read_dataset(folder)
    assert images is not None
    assert (images / "a.png").is_file()
    assert [box.xyxy for box in dataset.boxes] == [pytest.approx((1, 2, 30, 40))]


def test_coco_files_and_workspaces(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "work")
    write_images(DATASET, workspace.images)
    write_coco(DATASET, workspace.annotations)
    workspace.write_settings(Settings(source=Source(tool="files", url="/", project="x")))
    write_coco(DATASET, workspace.root / "rounds/001/train.json")
    write_coco(DATASET, tmp_path / "alone.json")
    for path, images in [
        (workspace.root, workspace.images),
        (workspace.annotations, workspace.images),
        (workspace.root / "rounds/001/train.json", workspace.images),
        (tmp_path / "alone.json", None),
    ]:
        assert detect_format(path) == "coco"
        dataset, folder = read_dataset(path)
        assert (dataset.images, objects(dataset)) == (DATASET.images, objects(DATASET))
        assert folder == images
    assert read_dataset(tmp_path / "alone.json", images=tmp_path).images == tmp_path
    shutil.rmtree(workspace.images)
    assert read_dataset(workspace.root).images is None
    workspace.annotations.unlink()
    with pytest.raises(SparseDetError, match="run `sparsedet pull` first"):
        read_dataset(workspace.root)


def test_what_is_not_read(tmp_path: Path) -> None:
    with pytest.raises(AnnotationError, match="nowhere: no such file or folder"):
        read_dataset(tmp_path / "nowhere")
    with pytest.raises(
        AnnotationError, match=r"not a format that sparsedet reads \(coco: a \.json"
    ):
        read_dataset(tmp_path)
    photos = tmp_path / "photos"
    photos.mkdir()
    (photos / "a.JPG").touch()
    with pytest.raises(AnnotationError, match="photos: images without annotations; pass the file"):
        read_dataset(photos)
    with pytest.raises(AnnotationError, match=r"no format 'tfrecord' .*coco, .*voc, yolo\)"):
        read_dataset(tmp_path, format="tfrecord")
    for name, message in [("voc", "not a Pascal VOC folder"), ("yolo", "no data.yaml or classes")]:
        with pytest.raises(AnnotationError, match=message):
            read_dataset(tmp_path, format=name)
    with pytest.raises(AnnotationError, match=r"coco: has no splits; leave --split out"):
        read_dataset(written(tmp_path, "coco"), split="train")


def test_a_folder_of_two_formats_is_not_guessed(tmp_path: Path) -> None:
    folder = written(tmp_path, "voc")
    (folder / "data.yaml").write_text("names: [dog]\n", encoding="utf-8")
    with pytest.raises(AnnotationError, match="could be voc or yolo; pass its json or yaml file"):
        read_dataset(folder)
    assert len(read_dataset(folder, format="voc").dataset.boxes) == 1


def test_other_packages_add_formats(tmp_path: Path) -> None:
    assert format_names() == OWN
    assert writable_formats() == ["coco", "label-studio", "voc", "yolo"]
    (tmp_path / "dat_plugin.py").write_text(PLUGIN, encoding="utf-8")
    info = tmp_path / "dat_plugin-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: dat-plugin\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[sparsedet.formats]\ndat = dat_plugin:DatFormat\n")
    (tmp_path / "boxes.dat").touch()
    result = subprocess.run(
        [sys.executable, "-c", USE], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert result.stdout == f"{sorted([*OWN, 'dat'])} 1\n", result.stderr
