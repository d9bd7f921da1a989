"""Mined boxes are used where labels are missing, and left out where hardly any is."""

from dataclasses import replace

from sparsedet.annotations import Box, Category, Dataset, Image
from sparsedet.training.missing import where_missing
from sparsedet.training.pseudo_labels import NOTHING, PseudoLabels

CELL, PLATELET = 1, 2


def boxes(count: int, category: int = CELL, image: int = 1) -> tuple[Box, ...]:
    return tuple(
        Box(number, image, category, (number, 1.0, number + 5.0, 9.0)) for number in range(count)
    )


def dataset(*labels: Box, exhaustive: frozenset[int] = frozenset()) -> Dataset:
    images = tuple(
        Image(number, f"{number}.png", 640, 480, exhaustive=number in exhaustive)
        for number in (1, 2, 3)
    )
    categories = (Category(CELL, "cell"), Category(PLATELET, "platelet"))
    return Dataset(images, labels, categories)


def left(found: PseudoLabels, data: Dataset, least: float = 0.4) -> tuple[int, int, int]:
    used = where_missing(found, data, least)
    return len(used.labels), len(used.doubtful), used.left_out


def test_everything_is_used_where_many_labels_are_missing() -> None:
    found = PseudoLabels(boxes(3), boxes(1))
    # 4 of 10 objects have no label.
    assert left(found, dataset(*boxes(6))) == (3, 1, 0)
    assert where_missing(found, dataset(*boxes(6)), 0.4) == found


def test_nothing_is_used_where_hardly_a_label_is_missing() -> None:
    found = PseudoLabels(boxes(3), boxes(1))
    # 4 of 11.
    assert left(found, dataset(*boxes(7))) == (0, 0, 4)
    assert left(found, dataset(*boxes(7)), least=0.0) == (3, 1, 0)
    assert left(NOTHING, dataset(*boxes(7))) == (0, 0, 0)
    assert left(NOTHING, dataset()) == (0, 0, 0)


def test_a_class_of_which_many_labels_are_missing_is_mined_all_the_same() -> None:
    found = PseudoLabels((*boxes(1), *boxes(2, PLATELET)), (*boxes(2), *boxes(1, PLATELET)))
    # 3 of 23 cells, 3 of 7 platelets.
    used = where_missing(found, dataset(*boxes(20), *boxes(4, PLATELET)), 0.4)
    assert {box.category_id for box in (*used.labels, *used.doubtful)} == {PLATELET}
    assert (len(used.labels), len(used.doubtful), used.left_out) == (2, 1, 3)


def test_an_image_without_any_label_is_mined_all_the_same() -> None:
    found = PseudoLabels((*boxes(2), *boxes(3, image=2)), boxes(1, image=3))
    used = where_missing(found, dataset(*boxes(20), *boxes(1, image=3)), 0.4)
    assert [box.image_id for box in used.labels] == [2, 2, 2]
    assert (used.doubtful, used.left_out) == ((), 3)


def test_labels_that_say_nothing_about_gaps_do_not_count() -> None:
    found = PseudoLabels(boxes(4), ())
    complete = dataset(*boxes(6), *boxes(50, image=2), exhaustive=frozenset({2}))
    assert left(found, complete) == (4, 0, 0)
    crowd = [replace(box, iscrowd=True) for box in boxes(50)]
    assert left(found, dataset(*boxes(6), *crowd)) == (4, 0, 0)
