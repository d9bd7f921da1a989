"""Finding annotations and images: files, workspace folders, published names."""

from pathlib import Path

import pytest

from sparsedet.datasets import PUBLISHED, resolve
from sparsedet.errors import SparseDetError


def test_a_file_has_its_images_beside_it(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "train.json").touch()
    assert resolve(str(tmp_path / "train.json")).images == tmp_path / "images"
    other = tmp_path / "elsewhere"
    assert resolve(str(tmp_path / "train.json"), other).images == other


def test_a_workspace_folder_stands_for_its_files(tmp_path: Path) -> None:
    (tmp_path / "annotations.json").touch()
    source = resolve(str(tmp_path))
    assert source.annotations == tmp_path / "annotations.json"
    assert source.images == tmp_path / "images"


def test_a_split_inside_a_workspace_uses_its_images(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "sparsedet.toml").touch()
    (tmp_path / "half").mkdir()
    (tmp_path / "half/train.json").touch()
    images = resolve(str(tmp_path / "half/train.json")).images
    assert images.resolve() == (tmp_path / "images").resolve()


def test_published_names_lie_below_the_data_root(tmp_path: Path) -> None:
    assert len(PUBLISHED) == 17
    (tmp_path / "splits").mkdir()
    (tmp_path / "splits/split4_hard.json").touch()
    source = resolve("split4_hard", data_root=tmp_path)
    assert source.annotations == tmp_path / "splits/split4_hard.json"
    assert source.images == tmp_path / "voc"


@pytest.mark.parametrize(
    ("data", "root", "message"),
    [
        ("nothing.json", False, "neither a file or folder nor a registered name"),
        ("coco_val", False, "--data-root"),
        ("coco_val", True, "instances_val2017.json is missing"),
        ("lonely.json", False, "--images"),
        (".", False, "sparsedet pull"),
    ],
)
def test_what_is_not_there_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, data: str, root: bool, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("lonely.json").touch()
    with pytest.raises(SparseDetError, match=message):
        resolve(data, data_root=tmp_path if root else None)
