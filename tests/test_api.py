"""The Python API reads data as the commands do."""

from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import pytest

import sparsedet
from sparsedet.annotations import Category, Dataset, read_coco, write_coco
from sparsedet.loop.settings import Settings, Source
from sparsedet.training.engine import train
from tests.integrations.files.formats.datasets import write, write_image
from tests.prediction.random_run import make_random_run


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A YOLO folder of two splits, with the classes 0 to 9."""
    folder = tmp_path / "data"
    names = [str(number) for number in range(10)]
    write(folder, "data.yaml", f"train: images/train\nval: images/val\nnames: {names}\n")
    for name in ("train/a", "train/b", "val/c"):
        write_image(folder / f"images/{name}.jpg")
        write(folder, f"labels/{name}.txt", "1 0.5 0.5 0.2 0.2\n2 0.2 0.2 0.1 0.1\n")
    return folder


def test_validation_images_are_not_trained_on(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(train, "run_training", lambda run, **_: None)
    run = sparsedet.train(data, tmp_path / "run", method="plain", device="cpu")
    names = [image.file_name for image in read_coco(run.training_data).images]
    assert names == ["train/a.jpg", "train/b.jpg"]
    sparsedet.split(data, tmp_path / "half", drop=0.5)
    images = read_coco(tmp_path / "half/train.json").images
    assert [image.file_name for image in images] == names
    assert len(sparsedet.read(data)[0].images) == 3


def test_a_resumed_run_follows_its_images(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(train, "run_training", lambda run, **_: None)
    labels = tmp_path / "train.json"
    images = data / "images"
    write_coco(sparsedet.read(data)[0], labels)

    def resumed(folder: Path) -> str:
        run = sparsedet.train(labels, tmp_path / "run", images=folder, method="plain", device="cpu")
        return run.info().images

    assert resumed(images) == str(images)
    assert resumed(images.rename(tmp_path / "moved")) == str(tmp_path / "moved")


def test_a_configuration_may_be_a_path(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(train, "run_training", lambda run, **_: None)
    config = tmp_path / "mine.yaml"
    packaged = files("sparsedet.configs") / "lite0_fpn.yaml"
    config.write_text(f"_BASE_: {packaged}\nSOLVER:\n  MAX_ITER: 7\n")
    run = sparsedet.train(data, tmp_path / "run", config=config, device="cpu")
    assert "MAX_ITER: 7\n" in run.config.read_text()


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_an_impossible_seed_leaves_no_run(data: Path, tmp_path: Path, seed: int) -> None:
    with pytest.raises(sparsedet.SparseDetError, match=f"seed {seed}: expected 0 to"):
        sparsedet.train(data, tmp_path / "run", seed=seed, device="cpu")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("precision", [-0.1, 80, float("nan")])
def test_an_impossible_precision_is_refused(data: Path, tmp_path: Path, precision: float) -> None:
    run = make_random_run(tmp_path / "run")
    with pytest.raises(sparsedet.SparseDetError, match=r"target precision .*: expected 0 to 1"):
        sparsedet.mine(run, data, target_precision=precision, device="cpu")


def test_mining_needs_no_box_of_every_class(tmp_path: Path) -> None:
    """VOC's files list no classes."""
    run = make_random_run(tmp_path / "run")
    write_coco(Dataset((), (), ()), run / "train.json")
    voc = tmp_path / "voc"
    write_image(voc / "JPEGImages/a.jpg")
    box = "<xmin>10</xmin><ymin>10</ymin><xmax>30</xmax><ymax>30</ymax>"
    entry = f"<object><name>1</name><bndbox>{box}</bndbox></object>"
    size = "<size><width>120</width><height>80</height><depth>3</depth></size>"
    xml = f"<annotation><filename>a.jpg</filename>{size}{entry}</annotation>"
    write(voc, "Annotations/a.xml", xml)
    assert isinstance(sparsedet.mine(run, voc, device="cpu"), tuple)


def test_mining_names_data_with_classes_that_training_did_not_have(
    data: Path, tmp_path: Path
) -> None:
    run = make_random_run(tmp_path / "run")
    dataset = sparsedet.read(data)[0]
    strangers = tuple(Category(c.id, f"other {c.id}") for c in dataset.categories)
    write_coco(replace(dataset, categories=strangers), tmp_path / "other.json")
    with pytest.raises(
        sparsedet.SparseDetError, match=r"other\.json: classes differ from those of"
    ):
        sparsedet.mine(run, tmp_path / "other.json", images=data / "images", device="cpu")


def test_mining_with_a_workspace_takes_the_model_of_its_last_round(
    data: Path, tmp_path: Path
) -> None:
    workspace = sparsedet.Workspace(tmp_path / "work")
    workspace.root.mkdir()
    workspace.write_settings(Settings(source=Source(tool="files", url=".", project="data")))
    with pytest.raises(sparsedet.SparseDetError, match="no round has a model yet"):
        sparsedet.mine(workspace.root, data, device="cpu")
    make_random_run(workspace.round(1).run.root)
    write_coco(Dataset((), (), ()), workspace.round(1).run.training_data)
    assert isinstance(sparsedet.mine(workspace.root, data, device="cpu"), tuple)
