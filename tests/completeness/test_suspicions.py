"""Wrong annotations stand out among many right ones, and right ones don't."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pytest

from sparsedet.annotations import XYXY, Box, Category, Dataset, Image
from sparsedet.annotations.suspicions import Suspicion
from sparsedet.completeness.suspicions import find_suspicions
from sparsedet.mining.detections import Detections

CAT, DOG = 1, 2
PER_IMAGE, IMAGES = 4, 30


@dataclass
class Data:
    """Annotations, and what a model that learnt them finds: each a little off."""

    boxes: list[Box] = field(default_factory=list)
    found: list[tuple[int, XYXY, float, int]] = field(default_factory=list)
    """Image id, place, score and class of each detection."""

    def suspicions(self, hidden: Sequence[int] = ()) -> tuple[Suspicion, ...]:
        images = tuple(Image(n, f"{n}.png", 640, 480) for n in range(1, IMAGES + 1))
        dataset = Dataset(images, tuple(self.boxes), (Category(CAT, "cat"), Category(DOG, "dog")))
        return find_suspicions([self._of(image.id) for image in images], dataset, hidden)

    def _of(self, image_id: int) -> Detections:
        own = sorted((row for row in self.found if row[0] == image_id), key=lambda row: -row[2])
        scores = np.array([score for _, _, score, _ in own])
        return Detections(
            image_id,
            np.array([xyxy for _, xyxy, _, _ in own], dtype=np.float64).reshape(-1, 4),
            scores,
            np.array([category for _, _, _, category in own], dtype=np.int64),
            scores,
        )

    def score(self, index: int, score: float) -> None:
        """Have the model be less sure of a box."""
        image_id, xyxy, _, category = self.found[index]
        self.found[index] = (image_id, xyxy, score, category)


@pytest.fixture
def data() -> Data:
    """Many right boxes, half of them cats; the model is sure of all."""
    rng = np.random.default_rng(1)
    made = Data()
    for index in range(IMAGES * PER_IMAGE):
        image_id, column = divmod(index, PER_IMAGE)
        left = 20 + 150 * column + rng.uniform(-10, 10)
        place = (left, 100.0, left + rng.uniform(80, 120), 180 + rng.uniform(0, 40))
        left, top, right, bottom = (edge + rng.uniform(-2, 2) for edge in place)
        category = CAT if index % 2 else DOG
        made.boxes.append(Box(index + 1, image_id + 1, category, place, tool_id=f"b{index + 1}"))
        score = rng.uniform(0.96, 0.99)
        made.found.append((image_id + 1, (left, top, right, bottom), score, category))
    return made


def test_right_boxes_are_not_suspected(data: Data) -> None:
    assert data.suspicions() == ()


def test_a_box_of_another_class_is_found_though_the_model_has_half_learnt_it(data: Data) -> None:
    box = data.boxes[6]
    image_id, xyxy, _, category = data.found[6]
    data.score(6, 0.55)
    data.found.append((image_id, xyxy, 0.4, CAT))
    assert category == DOG
    (found,) = data.suspicions()
    assert (found.key, found.kind, found.category_id) == ((box.image_id, "b7"), "class", CAT)
    assert found.certainty > 0.9


def test_another_class_is_no_doubt_where_an_annotation_explains_it(data: Data) -> None:
    """A cat in front of a dog: both are annotated."""
    image_id, xyxy, _, _ = data.found[6]
    data.score(6, 0.55)
    data.found.append((image_id, xyxy, 0.4, CAT))
    data.boxes.append(Box(99, image_id, CAT, xyxy, tool_id="b99"))
    assert [one for one in data.suspicions() if one.box_id == "b7"] == []


def test_a_class_that_the_model_confuses_anyway_is_no_doubt(data: Data) -> None:
    for index in range(len(data.boxes)):
        image_id, xyxy, _, category = data.found[index]
        data.score(index, 0.55)
        data.found.append((image_id, xyxy, 0.4, CAT + DOG - category))
    assert data.suspicions() == ()


def test_a_shifted_box_is_found_with_its_place(data: Data) -> None:
    box = data.boxes[10]
    left, top, right, bottom = box.xyxy
    data.boxes[10] = replace(box, xyxy=(left + 40, top + 20, right + 40, bottom + 20))
    (found,) = data.suspicions()
    assert (found.box_id, found.kind) == ("b11", "place")
    assert found.xyxy == pytest.approx(box.xyxy, abs=3)
    # A detection in its own place as well: then a second object is missing, and this one is right.
    data.found.append((box.image_id, data.boxes[10].xyxy, 0.9, box.category_id))
    assert data.suspicions() == ()


def test_of_two_boxes_of_an_object_the_worse_one_is_found(data: Data) -> None:
    box = data.boxes[20]
    left, top, right, bottom = box.xyxy
    copy = replace(box, id=99, tool_id="b99", xyxy=(left + 6, top - 5, right + 7, bottom - 4))
    data.boxes.append(copy)
    (found,) = data.suspicions()
    assert (found.box_id, found.kind, found.twin) == ("b99", "double", "b21")
    # The model sees two.
    data.found.append((box.image_id, copy.xyxy, 0.95, box.category_id))
    assert data.suspicions() == ()


def test_a_sliver_is_found_where_the_model_sees_nothing(data: Data) -> None:
    sliver = Box(99, 3, CAT, (300.0, 300.0, 302.0, 460.0), tool_id="b99")
    data.boxes.append(sliver)
    (found,) = data.suspicions()
    assert (found.box_id, found.kind) == ("b99", "sliver")
    data.found.append((3, sliver.xyxy, 0.95, CAT))
    assert data.suspicions() == ()


def test_hidden_boxes_are_compared_with_each_other(data: Data) -> None:
    """The model has not learnt them, and so hesitates at each."""
    hidden = [box.id for box in data.boxes[::6]]
    for index in range(0, len(data.boxes), 6):
        image_id, xyxy, _, category = data.found[index]
        data.score(index, 0.7)
        data.found.append((image_id, xyxy, 0.25, CAT + DOG - category))
    assert len(data.suspicions()) == len(hidden)
    assert data.suspicions(hidden) == ()


def test_the_most_certain_come_first_and_each_once(data: Data) -> None:
    for index, score in ((6, 0.3), (14, 0.02), (30, 0.6)):
        image_id, xyxy, _, category = data.found[index]
        data.score(index, score)
        data.found.append((image_id, xyxy, 0.65, CAT + DOG - category))
    # Badly placed and of another class: one suspicion.
    left, top, right, bottom = data.boxes[14].xyxy
    data.boxes[14] = replace(data.boxes[14], xyxy=(left + 15, top + 5, right + 15, bottom + 5))
    found = data.suspicions()
    assert [one.box_id for one in found] == ["b15", "b7", "b31"]
    certainties = [one.certainty for one in found]
    assert certainties == sorted(certainties, reverse=True)


def test_images_without_annotations_or_detections_are_no_trouble(data: Data) -> None:
    assert Data().suspicions() == ()
    assert Data(found=data.found).suspicions() == ()
    assert Data(boxes=data.boxes).suspicions() == ()


def test_crowd_regions_are_left_out(data: Data) -> None:
    data.boxes.append(Box(99, 3, CAT, (300.0, 300.0, 302.0, 460.0), iscrowd=True, tool_id="b99"))
    assert data.suspicions() == ()


def test_thousands_of_boxes_on_an_image_take_no_minutes() -> None:
    places = 20.0 * np.stack(np.divmod(np.arange(1500), 40), axis=1)
    boxes = np.hstack([places, places + 15])
    scores = np.full(len(boxes), 0.9)
    dataset = Dataset(
        (Image(1, "1.png", 800, 800),),
        tuple(
            Box(number, 1, CAT, (left, top, right, bottom))
            for number, (left, top, right, bottom) in enumerate(boxes.tolist(), start=1)
        ),
        (Category(CAT, "cat"),),
    )
    classes = np.full(len(boxes), CAT, dtype=np.int64)
    start = time.process_time()
    assert find_suspicions([Detections(1, boxes, scores, classes, scores)], dataset) == ()
    assert time.process_time() - start < 4
