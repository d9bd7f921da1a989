"""Reading annotations from a command's argument: files, folders, published names."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from sparsedet.annotations import Box, Category, Dataset, Image, write_coco
from sparsedet.errors import SparseDetError
from sparsedet.formats import format_names, load_format
from sparsedet.loop.data_sources import PUBLISHED, RELEASED, is_at_hand, read_data, released_file
from tests.cli.command import sparsedet_here
from tests.integrations.files.formats.datasets import objects, write_images

DATASET = Dataset(
    images=(Image(1, "a.png", 120, 80), Image(2, "b.png", 120, 80)),
    boxes=(Box(1, 1, 2, (1, 2, 30, 40)), Box(2, 2, 1, (5, 5, 60, 60))),
    categories=(Category(1, "ape"), Category(2, "bee"), Category(3, "cat")),
)


def written(folder: Path, name: str) -> Path:
    """Write `DATASET` in a format, images included."""
    images = write_images(DATASET, folder / "source")
    (folder / name).mkdir()
    load_format(name).write(DATASET, folder / name, images=images)
    return folder / name


def test_a_file_has_its_images_beside_it(tmp_path: Path) -> None:
    file = written(tmp_path, "coco") / "annotations.json"
    data = read_data(str(file))
    assert (data.source, data.images, data.format) == (file, file.parent / "images", "coco")
    assert objects(data.dataset) == objects(DATASET)
    elsewhere = shutil.copytree(file.parent / "images", tmp_path / "elsewhere")
    assert read_data(str(file), elsewhere).images == elsewhere
    with pytest.raises(SparseDetError, match=r"nowhere: no such image folder \(--images\)"):
        read_data(str(file), tmp_path / "nowhere")
    # Written by a shell's pipe, say.
    file = file.rename(file.with_suffix(".out"))
    assert objects(read_data(str(file)).dataset) == objects(DATASET)


def test_a_workspace_folder_stands_for_its_files(tmp_path: Path) -> None:
    folder = written(tmp_path, "coco")
    (folder / "names.yaml").write_text("names: [dog]\n")  # next to images/ that looks like YOLO
    data = read_data(str(folder))
    assert (data.source, data.images) == (folder / "annotations.json", folder / "images")


def test_a_split_inside_a_workspace_uses_its_images(tmp_path: Path) -> None:
    folder = written(tmp_path, "coco")
    (folder / "sparsedet.toml").touch()
    write_coco(DATASET, folder / "half/train.json")
    images = read_data(str(folder / "half/train.json")).images
    assert images.resolve() == (folder / "images").resolve()


@pytest.mark.parametrize(
    ("name", "place", "images"),
    [("voc", ".", "JPEGImages"), ("yolo", ".", "images"), ("yolo", "data.yaml", "images")],
)
def test_other_formats_are_read_as_well(name: str, place: str, images: str, tmp_path: Path) -> None:
    path = written(tmp_path, name) / place
    data = read_data(str(path))
    assert (data.source, data.format) == (path, name)
    assert data.images == tmp_path / name / images
    expected: Any = {
        file: [(category, pytest.approx(xyxy)) for category, xyxy in boxes]
        for file, boxes in objects(DATASET).items()
    }
    assert objects(data.dataset) == expected
    shutil.rmtree(data.images)
    message = {"voc": "missing image folder", "yolo": "no images in"}[name]
    with pytest.raises(SparseDetError, match=rf"{message}.*--images"):
        read_data(str(path))
    assert read_data(str(path), tmp_path / "source").images == tmp_path / "source"


def test_classes_that_a_folder_of_voc_has_no_box_of(tmp_path: Path) -> None:
    names = ["cat", "ape", "bee"]
    voc = read_data(str(written(tmp_path, "voc")))
    assert [category.name for category in voc.dataset.categories] == ["ape", "bee"]
    found = [(category.id, category.name) for category in voc.with_classes(names).categories]
    assert found == [(1, "ape"), (2, "bee"), (3, "cat")]
    assert list(voc.with_classes(names).boxes) == list(voc.dataset.boxes)
    for name in ("coco", "yolo"):  # name all of theirs, so that another one is a mistake
        data = read_data(str(written(tmp_path, name)))
        assert data.with_classes([*names, "dog"]) is data.dataset


@pytest.mark.parametrize(
    ("name", "file", "images"),
    [
        *((name, f"splits/{name}.json", "coco/train2017") for name in RELEASED if name < "split4"),
        *((name, f"splits/{name}.json", "voc") for name in RELEASED if name > "split4"),
        ("coco_val", "coco/annotations/instances_val2017.json", "coco/val2017"),
        ("voc_test", "splits/voc_test.json", "voc"),
    ],
)
def test_published_names_lie_below_the_data_root(
    name: str, file: str, images: str, tmp_path: Path
) -> None:
    write_coco(DATASET, tmp_path / file)
    data = read_data(name, data_root=tmp_path)
    assert (data.source, data.images) == (tmp_path / file, tmp_path / images)
    assert objects(data.dataset) == objects(DATASET)


@pytest.mark.parametrize(
    ("data", "root", "message"),
    [
        ("nothing.json", False, "not a file, a folder or a published name"),
        ("coco_val", False, "--data-root"),
        ("coco_val", True, "instances_val2017.json is missing"),
        ("lonely.json", False, "--images"),
        (".", False, "not a format that sparsedet reads"),
    ],
)
def test_what_is_not_there_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, data: str, root: bool, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    image = {"id": 1, "file_name": "a.jpg", "width": 9, "height": 9}
    content = {"images": [image], "annotations": [], "categories": []}
    if data == "lonely.json":
        Path(data).write_text(json.dumps(content))
    with pytest.raises(SparseDetError, match=message):
        read_data(data, data_root=tmp_path if root else None)


@pytest.mark.parametrize(
    ("name", "content"),
    [("a.csv", b"name;size\n"), ("a.xml", b"<notes/>"), ("a.png", b"\x89PNG"), ("a", b"words")],
)
def test_files_of_unknown_formats_are_not_called_broken_json(
    name: str, content: bytes, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(SparseDetError, match="not a format that sparsedet reads"):
        read_data(str(tmp_path / name))


def test_a_coco_file_may_have_any_suffix(tmp_path: Path) -> None:
    file = tmp_path / "train.coco"
    write_coco(DATASET, file)
    images = write_images(DATASET, tmp_path / "photos")
    assert objects(read_data(str(file), images).dataset) == objects(DATASET)


def test_the_formats_to_choose_from_fit_into_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Errors on the terminal are cut at 500 characters."""
    (tmp_path / "some/long/path/of/a/folder").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    result = sparsedet_here("inspect", "some/long/path/of/a/folder")
    assert result.status == 1
    assert "[...]" not in result.err
    for name in format_names():
        assert name in result.err or load_format(name).title in result.err


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
        ("split1_30p", r"split1_30p: missing data folder: pass --data-root FOLDER"),
        ("split1_40p", "not a file or a released split .split1_30p, split1_50p"),
        ("coco_val", "not a file or a released split"),
        (".", "not a file or a released"),
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
