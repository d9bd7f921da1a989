"""Pascal VOC's average precision against cases computed by hand, and against detectron2's."""

import math
from pathlib import Path

import numpy as np
import pytest
from detectron2.evaluation import pascal_voc_evaluation as detectron2_voc

from sparsedet.annotations import XYXY, Box, Category, Dataset, Image
from sparsedet.formats import load_format
from sparsedet.mining.detections import Detections
from sparsedet.training.evaluation.average_precision import evaluate
from sparsedet.training.evaluation.voc_ap import area_ap, eleven_point_ap, voc_ap

CAT, DOG = 3, 7
PLACES: list[XYXY] = [(100 * n, 0, 100 * n + 50, 50) for n in range(6)]
"""Six places that don't overlap."""
HALF: XYXY = (0, 0, 25, 50)
"""IoU with the first place: 25 x 50 / 50 x 50 = 0.5."""
CLOSE: XYXY = (10, 0, 60, 50)
"""IoU with the first place: 40 / 60 = 0.67."""

Entry = tuple[int, XYXY, float]
"""Image id, box and score of a detected cat."""


def dataset(*boxes: Box) -> Dataset:
    images = tuple(Image(number, f"{number}.png", 640, 480) for number in (1, 2))
    return Dataset(images, boxes, (Category(CAT, "cat"), Category(DOG, "dog")))


def cat(id: int, place: XYXY, image: int = 1, **extra: object) -> Box:
    return Box(id, image, CAT, place, extra=extra)


def crowd(id: int, place: XYXY) -> Box:
    return Box(id, 1, CAT, place, iscrowd=True)


def found(*entries: Entry, category: int = CAT) -> list[Detections]:
    result = []
    for image in (1, 2):
        rows = [(box, score) for of, box, score in entries if of == image]
        scores = np.array([score for _, score in rows])
        boxes = np.array([box for box, _ in rows], dtype=float).reshape(-1, 4)
        result.append(Detections(image, boxes, scores, np.full(len(rows), category), scores))
    return result


def test_a_case_computed_by_hand() -> None:
    """Four cats; five detections: right, nothing there, right, found before, right.

    Behind each of them      recall  1/4  1/4  2/4  2/4  3/4
                          precision  1/1  1/2  2/3  2/4  3/5
    The best precision from a recall on is 1 up to recall 1/4, 2/3 up to 1/2, 3/5 up to 3/4, then 0.
    11 recalls: 0, 0.1, 0.2 give 1; 0.3, 0.4, 0.5 give 2/3; 0.6, 0.7 give 3/5; 0.8, 0.9, 1 give 0:
        (3 + 2 + 6/5) / 11 = 31/55
    Area: 1/4 (1 + 2/3 + 3/5) = 17/30
    COCO's 101 recalls: 26 give 1 (0 to 0.25), 25 give 2/3, 25 give 3/5:
        (26 + 50/3 + 15) / 101
    """
    truth = dataset(
        cat(1, PLACES[0]), cat(2, PLACES[1]), cat(3, PLACES[0], image=2), cat(4, PLACES[5])
    )
    detections = found(
        (1, PLACES[0], 0.9),
        (2, PLACES[3], 0.8),
        (1, PLACES[1], 0.7),
        (1, CLOSE, 0.6),
        (2, CLOSE, 0.5),
    )
    result = voc_ap(detections, truth)
    assert result.eleven_point["cat"] == pytest.approx(100 * 31 / 55)
    assert result.area["cat"] == pytest.approx(100 * 17 / 30)
    # No dog is annotated: it has no figure, and the mean is of the others.
    assert math.isnan(result.eleven_point["dog"])
    assert math.isnan(result.area["dog"])

    evaluation = evaluate(detections, truth)
    assert evaluation.voc_ap50_11point == pytest.approx(100 * 31 / 55)
    assert evaluation.voc_ap50_area == pytest.approx(100 * 17 / 30)
    assert evaluation.ap50 == pytest.approx(100 * (26 + 50 / 3 + 15) / 101)
    assert evaluation.as_json()["VOC07_AP50"] == 56.36
    assert evaluation.as_json()["VOC12_AP50"] == 56.67


def test_the_mean_is_of_the_classes_with_annotations() -> None:
    truth = dataset(cat(1, PLACES[0]), Box(2, 1, DOG, PLACES[1]))
    result = voc_ap(found((1, PLACES[0], 0.9)), truth)
    assert (result.mean_area, result.mean_eleven_point) == (50.0, 50.0)
    empty = voc_ap(found((1, PLACES[0], 0.9)), dataset())
    assert math.isnan(empty.mean_area)
    assert math.isnan(empty.mean_eleven_point)


@pytest.mark.parametrize(
    ("boxes", "detections", "area"),
    [
        # Nothing is detected.
        ([cat(1, PLACES[0])], [], 0),
        # On an image without any annotation: wrong, so that the precision is 1/2.
        ([cat(1, PLACES[0])], [(2, PLACES[0], 0.9), (1, PLACES[0], 0.8)], 1 / 2),
        # An IoU of exactly 0.5 is enough, as in VOC's own kit.
        ([cat(1, PLACES[0])], [(1, HALF, 0.9)], 1),
        # Found twice: the second one is wrong, and costs nothing behind the last right one.
        ([cat(1, PLACES[0])], [(1, PLACES[0], 0.9), (1, CLOSE, 0.8)], 1),
        ([cat(1, PLACES[0]), cat(2, PLACES[1])],
         [(1, PLACES[0], 0.9), (1, CLOSE, 0.8), (1, PLACES[1], 0.7)], 1 / 2 + 1 / 2 * 2 / 3),
        # The first of the two decides, even where it fits worse.
        ([cat(1, PLACES[0])], [(1, CLOSE, 0.9), (1, PLACES[0], 0.8)], 1),
        # It belongs to the annotation that it overlaps most; a free one next to it does not count.
        ([cat(1, PLACES[0]), cat(2, CLOSE)],
         [(1, PLACES[0], 0.9), (1, PLACES[0], 0.8), (1, CLOSE, 0.7)], 1 / 2 + 1 / 2 * 2 / 3),
        # Ties count in their order: the images' first, then the detections'.
        ([cat(1, PLACES[0])], [(1, PLACES[0], 0.5), (2, PLACES[0], 0.5)], 1),
        ([cat(1, PLACES[0], image=2)], [(1, PLACES[0], 0.5), (2, PLACES[0], 0.5)], 1 / 2),
        # Difficult: neither missed, nor found (twice), nor wrong.
        ([cat(1, PLACES[0]), cat(2, PLACES[1], difficult=1)],
         [(1, PLACES[1], 0.9), (1, PLACES[1], 0.8), (1, PLACES[0], 0.7)], 1),
        ([cat(1, PLACES[0]), cat(2, PLACES[1], difficult=True)], [(1, PLACES[0], 0.7)], 1),
        ([cat(1, PLACES[0]), cat(2, PLACES[1], ignore=1)], [(1, PLACES[0], 0.7)], 1),
        ([cat(1, PLACES[0]), cat(2, PLACES[1], difficult=0, ignore=0)],
         [(1, PLACES[0], 0.7)], 1 / 2),
        # Difficult only: no figure.
        ([cat(1, PLACES[0], difficult=1)], [(1, PLACES[0], 0.7)], math.nan),
        # Crowd: neither missed nor wrong, as often as it is met, small parts of it as well.
        ([cat(1, PLACES[0]), crowd(2, (100, 0, 500, 50))],
         [(1, PLACES[1], 0.9), (1, PLACES[3], 0.8), (1, PLACES[0], 0.7)], 1),
        # An annotation that a crowd region covers is found all the same.
        ([cat(1, PLACES[0]), crowd(2, CLOSE)], [(1, CLOSE, 0.9), (1, PLACES[0], 0.8)], 1),
        # Annotations of another class take nothing, even where they fit better.
        ([cat(1, PLACES[0]), Box(2, 1, DOG, CLOSE)], [(1, CLOSE, 0.9)], 1),
        ([cat(1, PLACES[0]), Box(2, 1, DOG, PLACES[1])],
         [(1, PLACES[1], 0.9), (1, PLACES[0], 0.8)], 1 / 2),
        # A corner in the crowd is not enough: 20 of 50 columns.
        ([cat(1, PLACES[0]), crowd(2, (100, 0, 120, 50))],
         [(1, PLACES[1], 0.9), (1, PLACES[0], 0.8)], 1 / 2),
    ],
)  # fmt: skip
def test_what_counts_as_right_and_wrong(
    boxes: list[Box], detections: list[Entry], area: float
) -> None:
    result = voc_ap(found(*detections), dataset(*boxes))
    assert result.area["cat"] == pytest.approx(100 * area, nan_ok=True)


def test_detections_of_another_class_find_nothing() -> None:
    result = voc_ap(found((1, PLACES[0], 0.9), category=DOG), dataset(cat(1, PLACES[0])))
    assert result.area["cat"] == 0


def test_recalls_that_are_tenths_are_reached() -> None:
    """3 of 10 objects are recall 0.3, whatever 3 x 0.1 is in floating point: 4 of 11 recalls."""
    precision = np.ones(3)
    assert eleven_point_ap(np.arange(1, 4) / 10, precision) == pytest.approx(4 / 11)


@pytest.mark.parametrize("objects", [1, 7, 23, 101])
def test_precision_and_recall_give_the_ap_of_detectron2(objects: int) -> None:
    rng = np.random.default_rng(objects)
    for share in (0.1, 0.5, 0.9):
        hits = np.cumsum(rng.random(60) < share).clip(max=objects).astype(float)
        recall, precision = hits / objects, hits / np.arange(1, 61)
        for mine, old in ((eleven_point_ap, True), (area_ap, False)):
            expected = detectron2_voc.voc_ap(recall, precision, use_07_metric=old)
            assert mine(recall, precision) == pytest.approx(expected, abs=1e-12)
    assert eleven_point_ap(np.zeros(0), np.zeros(0)) == area_ap(np.zeros(0), np.zeros(0)) == 0


def test_files_give_the_ap_of_detectron2(tmp_path: Path) -> None:
    """From xml files to figures: coordinates, difficult objects, duplicates."""
    rng = np.random.default_rng(1)
    boxes = []
    for number in range(1, 24):
        left, top = rng.integers(0, 300, 2).tolist()
        box: XYXY = (left, top, left + int(rng.integers(8, 90)), top + int(rng.integers(8, 90)))
        boxes.append(cat(number, box, image=1 + number % 2))
    # An odd number of objects: tenths as detectron2 has them are not reached by some fractions.
    boxes += [cat(24 + n, place, difficult=1) for n, place in enumerate(PLACES)]
    truth = dataset(*boxes)
    folder = tmp_path / "voc"
    folder.mkdir()
    load_format("voc").write(truth, folder, images=None)
    read = load_format("voc").read(folder).dataset
    names = {image.id: Path(image.file_name).stem for image in read.images}
    number_of = {name: number for number, name in names.items()}

    entries, lines = [], []
    for score in rng.permutation(np.arange(1, 91)) / 100:
        of = boxes[int(rng.integers(len(boxes)))]
        left, top, right, bottom = np.array(of.xyxy) + rng.normal(0, 6, 4)
        entries.append((of.image_id, (left, top, right, bottom), float(score)))
        # VOC counts from 1, and its right edge is the last pixel's.
        lines.append(f"{of.image_id} {score} {left + 1} {top + 1} {right} {bottom}")
    (tmp_path / "cat.txt").write_text("\n".join(lines))
    (tmp_path / "images.txt").write_text("\n".join(names.values()))

    assert number_of == {"1": 1, "2": 2}
    detections = found(*entries, category=read.categories[0].id)
    result = voc_ap(detections, read)
    for mine, old in ((result.eleven_point, True), (result.area, False)):
        expected = detectron2_voc.voc_eval(
            str(tmp_path / "{}.txt"),
            str(folder / "Annotations/{}.xml"),
            str(tmp_path / "images.txt"),
            "cat",
            use_07_metric=old,
        )[2]
        assert 0.1 < expected < 0.9
        assert mine["cat"] == pytest.approx(100 * expected)
