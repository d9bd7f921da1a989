"""The benchmark of small objects: mosaics hold what their images hold, and its cells resume."""

import json
from pathlib import Path
from statistics import fmean

import numpy as np
import pytest

from benchmarks.small_objects.cells import Result, read_results, smallest
from benchmarks.small_objects.command import RESULTS, main
from benchmarks.small_objects.mosaics import annotated, arrange, draw, taken_apart
from sparsedet.annotations import Dataset, check_images, read_image, write_coco
from sparsedet.mining.detections import Detections
from sparsedet.simulation.scenes import make_scenes
from sparsedet.training.evaluation.average_precision import evaluate

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data")
    for part, count, seed in (("train", 5, 1), ("test", 4, 2)):
        dataset = make_scenes(count, root / part, seed=seed)
        (root / "images").mkdir(exist_ok=True)
        names = {}
        for image in dataset.images:
            names[image.file_name] = f"{part}-{image.file_name}"
            (root / part / image.file_name).rename(root / "images" / names[image.file_name])
        write_coco(dataset, root / f"{part}.json")
        text = json.loads((root / f"{part}.json").read_text())
        for entry in text["images"]:
            entry["file_name"] = names[entry["file_name"]]
        (root / f"{part}.json").write_text(json.dumps(text))
    return root


@pytest.fixture(scope="module")
def dataset(folder: Path) -> Dataset:
    from sparsedet.annotations import read_coco

    return read_coco(folder / "train.json")


def as_detections(dataset: Dataset) -> list[Detections]:
    found = []
    for image in dataset.images:
        boxes = dataset.boxes_by_image[image.id]
        scores = np.linspace(0.9, 0.8, len(boxes)).astype(np.float64)
        xyxy = np.array([box.xyxy for box in boxes]).reshape(-1, 4)
        classes = np.array([box.category_id for box in boxes], dtype=np.int64)
        found.append(Detections(image.id, xyxy, scores, classes, scores))
    return found


def test_boxes_are_where_the_objects_are(dataset: Dataset, folder: Path, tmp_path: Path) -> None:
    mosaics = arrange(dataset, 2)
    assert [len(mosaic.pieces) for mosaic in mosaics] == [4, 1]
    assert arrange(dataset, 2) == mosaics
    draw(mosaics, folder / "images", tmp_path)
    together = annotated(mosaics, dataset)
    check_images(together, tmp_path)
    assert len(together.boxes) == len(dataset.boxes)
    pixels = read_image(mosaics[0].image, tmp_path).astype(int)
    piece = mosaics[0].pieces[3]
    original = read_image(piece.image, folder / "images").astype(int)
    seen = pixels[piece.top :, piece.left :][: piece.image.height, : piece.image.width]
    assert np.abs(seen - original).mean() < 5


@pytest.mark.parametrize("side", [1, 2, 4])
def test_perfect_detections_on_mosaics_are_perfect_on_their_images(
    dataset: Dataset, side: int
) -> None:
    mosaics = arrange(dataset, side)
    parts = taken_apart(mosaics, as_detections(annotated(mosaics, dataset)))
    assert evaluate(parts, dataset).ap == pytest.approx(100)
    # Those on large objects don't count, neither for nor against.
    assert evaluate(parts, smallest(dataset)).ap == pytest.approx(100)
    small = smallest(dataset)
    assert sum(box.area != float("inf") for box in small.boxes) < len(small.boxes) / 2


def test_cells_are_trained_once(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = [
        *("--data", str(folder), "--scales", "2", "--seeds", "1", "--configs", "auto"),
        *("--iterations", "2", "--method", "plain", "--drop", "0.3"),
        *("--results", str(tmp_path), "--device", "cpu"),
    ]
    main(None, options)
    first = capsys.readouterr().out
    assert "training" in first.splitlines()[0]
    (file,) = (tmp_path / "cells").iterdir()
    assert json.loads(file.read_text())["choice"].startswith("auto: image size 640")
    main(None, options)
    assert "-s1: training" not in capsys.readouterr().out
    assert "| 1/2 | auto | 640 | none | 1 |" in (tmp_path / "small_objects.md").read_text()


def test_the_page_shows_the_results() -> None:
    """Both AP of both configurations, and how much longer `auto` trains."""
    groups: dict[tuple[str, int], dict[str, list[Result]]] = {}
    for result in read_results(RESULTS / "cells"):
        cell = result.cell
        group = groups.setdefault((cell.data, cell.scale), {})
        group.setdefault(cell.config, []).append(result)
    expected = []
    for group in groups.values():
        default, auto = group["lite0_fpn"], group["auto"]
        assert [one.cell.seed for one in default] == [one.cell.seed for one in auto]
        seconds = [fmean(one.training_cpu_seconds for one in each) for each in (auto, default)]
        expected.append([_figures(default), _figures(auto), f"{seconds[0] / seconds[1]:.1f}"])
    head = "| objects | lite0_fpn | auto | auto chose | training time, ratio |"
    page = (ROOT / "docs/benchmarks.md").read_text()
    lines = page[page.index(head) :].split("\n\n")[0].splitlines()[2:]
    rows = [[part.strip() for part in line.strip("|").split("|")] for line in lines]
    assert [[default, auto, ratio] for _, default, auto, _, ratio in rows] == expected


def _figures(results: list[Result]) -> str:
    return " / ".join(
        f"{fmean(values):.1f}"
        for values in ([one.ap for one in results], [one.ap_small for one in results])
    )
