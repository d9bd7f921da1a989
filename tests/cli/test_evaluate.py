"""`sparsedet eval`: the table of figures; and training, evaluation and mining on VOC and YOLO."""

import json
from pathlib import Path

import pytest

from sparsedet.annotations import Dataset, read_coco
from sparsedet.cli.commands.evaluate import show_evaluation
from sparsedet.formats import load_format
from sparsedet.simulation.scenes import make_scenes
from tests.cli.command import sparsedet, sparsedet_here
from tests.integrations.files.formats import datasets
from tests.prediction.random_run import make_random_run

SHORT = ["SOLVER.MAX_ITER", "2", "SOLVER.WARMUP_ITERS", "1", "SOLVER.IMS_PER_BATCH", "2"]


@pytest.fixture
def scenes(tmp_path: Path) -> Dataset:
    return make_scenes(4, tmp_path / "scenes", seed=1)


def write(dataset: Dataset, name: str, folder: Path) -> Path:
    folder.mkdir()
    load_format(name).write(dataset, folder, images=folder.parent / "scenes")
    return folder


def test_train_eval_and_mine(scenes: Dataset, tmp_path: Path) -> None:
    yolo, run = write(scenes, "yolo", tmp_path / "yolo"), tmp_path / "run"
    # One image lacks classes that the model knows.
    part = write(scenes.with_images(scenes.images[:1]), "voc", tmp_path / "part")
    assert len(load_format("voc").read(part).dataset.categories) < len(scenes.categories)
    given = ["--train", str(yolo), "--val", str(part), "--method", "plain"]
    result = sparsedet_here("train", *given, "-o", run, "--json", *SHORT)
    assert result.status == 0, result.err
    evaluation = result.json()["evaluation"]
    assert (evaluation["images"], len(evaluation["per_class"])) == (1, len(scenes.categories))
    assert json.loads((run / "run.json").read_text())["train"] == str(yolo)
    assert sparsedet_here("train", "--resume", "--train", yolo, "-o", run).status == 0
    result = sparsedet("eval", run, "--data", yolo / "data.yaml", "--json")
    assert result.status == 0, result.err
    assert result.json()["annotations"] == len(scenes.boxes)
    assert result.json().keys() >= {"AP", "AP50", "VOC07_AP50", "VOC12_AP50"}
    assert "federated" not in result.json()
    # A workspace stands for its last round.
    work = tmp_path / "work"
    (work / "rounds/001").mkdir(parents=True)
    (work / "sparsedet.toml").touch()
    (work / "rounds/001/run").symlink_to(run)
    again = sparsedet_here("eval", work, "--data", yolo / "data.yaml", "--json")
    assert again.json() == result.json()
    result = sparsedet_here(
        *("eval", run, "--data", yolo, "--json", "--complete-classes", scenes.categories[0].name)
    )
    first = [box for box in scenes.boxes if box.category_id == scenes.categories[0].id]
    pairs = {(box.image_id, box.category_id) for box in scenes.boxes}
    complete = len({box.image_id for box in first})
    assert result.json()["federated"] == {
        "complete": complete,
        "absent": len(scenes.images) - complete,
        "incomplete": len(pairs) - complete,
        "complete_nowhere": [category.name for category in scenes.categories[1:]],
    }
    mined = tmp_path / "mined.json"
    result = sparsedet("mine", run, "--data", part, "-o", mined, "--target-precision", "0")
    assert result.status == 0, result.err
    assert json.loads((tmp_path / "mined.meta.json").read_text())["data"] == str(part)
    proposed = len(json.loads(mined.read_text()))

    # What it detects is what another model would find; where both do, a box is shown once.
    results = tmp_path / "found.json"
    assert sparsedet_here("predict", run, part, "-o", results, "--score", "0.02").status == 0
    mining = ("--data", part, "-o", mined, "--target-precision", "0", "--json", "--detections")
    alone = sparsedet_here("mine", *mining, results).json()
    assert alone["mined"] > 0
    both = sparsedet_here("mine", run, *mining, results).json()
    assert proposed <= both["mined"] < proposed + alone["mined"]
    assert "pass a run folder" in sparsedet_here("mine", *mining[:4]).error()
    refused = sparsedet_here("mine", *mining, results, "--map", "3")
    assert "--map 3: expected THEIRS=OURS" in refused.error()
    # VOC files can't identify boxes to the annotation tool.
    assert "a push needs the ids that a pull records" in (
        sparsedet_here("push", mined, "--data", part, "--project", "1").error()
    )


def test_the_table_has_coco_s_and_pascal_voc_s_figures(capsys: pytest.CaptureFixture[str]) -> None:
    figures = {"AP": 1.0, "AP50": 2.0, "AP75": None, "VOC07_AP50": 3.0, "VOC12_AP50": 4.25}
    result = {**figures, "per_class": {"cat": 5.0}, "images": 6, "annotations": 7}
    show_evaluation("plain in run", result)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "plain in run, 6 images, 7 annotations"
    assert [line.strip().rsplit(maxsplit=1) for line in lines[2:]] == [
        ["AP", "1.0"],
        ["AP50", "2.0"],
        ["AP75", "-"],
        ["VOC AP50 (11 recalls)", "3.0"],
        ["VOC AP50 (area)", "4.2"],
        ["AP cat", "5.0"],
    ]


def test_the_table_says_what_federated_figures_are_measured_over(
    capsys: pytest.CaptureFixture[str],
) -> None:
    figures = dict.fromkeys(("AP", "AP50", "AP75", "VOC07_AP50", "VOC12_AP50"), 1.0)
    result = {**figures, "per_class": {"cat": 5.0}, "images": 6, "annotations": 7}
    over = {"complete": 3, "absent": 2, "incomplete": 1, "complete_nowhere": ["dog", "bird"]}
    show_evaluation("plain in run", {**result, "federated": over})
    assert capsys.readouterr().err.splitlines() == [
        "AP federated over 3 complete, 2 absent and 1 incomplete pairs of class and image: an "
        "unmatched detection is wrong only where its class is complete or absent",
        "complete or absent on no image, so no detection counts as wrong: dog, bird",
    ]


def test_a_training_keeps_the_marks_that_it_was_given(scenes: Dataset, tmp_path: Path) -> None:
    source, run = write(scenes, "yolo", tmp_path / "yolo"), tmp_path / "run"
    name = scenes.categories[1].name
    given = ["--train", str(source), "--complete-classes", name]
    short = ["SOLVER.MAX_ITER", "1", "SOLVER.WARMUP_ITERS", "1", "SOLVER.IMS_PER_BATCH", "1"]
    result = sparsedet_here("train", *given, "-o", run, "--method", "plain", *short)
    assert result.status == 0, result.err
    assert f"0 images complete, {len(scenes.images)} in part" in result.err
    kept = read_coco(run / "train.json")
    assert all(
        {kept.category_by_id[id].name for id in image.complete_classes} == {name}
        for image in kept.images
    )
    assert sparsedet_here("train", "--resume", *given, "-o", run).status == 0
    other = sparsedet_here("train", "--resume", "--train", source, "-o", run)
    assert other.status == 1


def test_classes_without_boxes_can_be_marked_as_complete(tmp_path: Path) -> None:
    """VOC's files list no classes."""
    run, voc = make_random_run(tmp_path / "run"), tmp_path / "voc"
    datasets.write_image(voc / "JPEGImages/a.jpg")
    box = "<bndbox><xmin>10</xmin><ymin>10</ymin><xmax>30</xmax><ymax>30</ymax></bndbox>"
    size = "<size><width>120</width><height>80</height><depth>3</depth></size>"
    content = f"<filename>a.jpg</filename>{size}<object><name>1</name>{box}</object>"
    datasets.write(voc, "Annotations/a.xml", f"<annotation>{content}</annotation>")
    options = ("--data", voc, "--device", "cpu", "--complete-classes", "1,2", "--json")
    result = sparsedet_here("eval", run, *options)
    assert result.status == 0, result.err
    assert result.json()["federated"] == {
        "complete": 1,
        "absent": 1,
        "incomplete": 0,
        "complete_nowhere": [],
    }
