"""Finding annotations and images: files, workspace folders, published names."""

from pathlib import Path

import pytest

from sparsedet.datasets import PUBLISHED, RELEASED, is_at_hand, released_file, resolve
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


def test_released_splits_are_the_published_ones() -> None:
    names = [f"split{number}_{share}p" for number in (1, 2, 3) for share in (30, 50, 70)]
    names += [f"split4_{name}" for name in ("easy", "hard", "extreme")]
    names += [f"split5_{share}p" for share in (30, 40, 50)]
    assert list(RELEASED) == names
    assert set(PUBLISHED) == {*names, "coco_val", "voc_test"}
    for split in RELEASED.values():
        assert split.dataset.startswith("COCO" if split.name < "split4" else "VOC")
        assert split.layout.images == ("coco/train2017" if split.name < "split4" else "voc")
        assert split.dropped.replace(" %", "p") == split.name.split("_")[1]


def test_released_file_by_path_or_name(tmp_path: Path) -> None:
    (tmp_path / "splits").mkdir()
    file = tmp_path / "splits/split1_30p.json"
    assert not is_at_hand(RELEASED["split1_30p"], tmp_path)
    file.touch()
    assert is_at_hand(RELEASED["split1_30p"], tmp_path)
    assert not is_at_hand(RELEASED["split1_30p"], None)
    assert released_file("split1_30p", tmp_path) == released_file(str(file), None) == file


@pytest.mark.parametrize(
    ("released", "message"),
    [
        ("split1_30p", r"split1_30p: give the folder of the datasets \(--data-root\)"),
        ("split1_40p", "neither a file nor the name of a released split .split1_30p, split1_50p"),
        ("coco_val", "neither a file nor the name of a released split"),
        (".", "neither a file nor the name"),
    ],
)
def test_a_released_file_that_is_not_there(
    released: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SparseDetError, match=message):
        released_file(released, None)
    with pytest.raises(SparseDetError, match=r"split1_30p\.json is missing"):
        released_file("split1_30p", tmp_path)
