"""Pseudo-labels: used if many labels are missing, and stored exactly."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from sparsedet.annotations import Box, Category, Dataset, Image
from sparsedet.config.training_config import load_config
from sparsedet.errors import RunError
from sparsedet.run_folder import RunFolder
from sparsedet.training.data.pseudo_labels import (
    NOTHING,
    PseudoLabels,
    read_ignored,
    read_pseudo_labels,
    usable,
    where_missing,
    write_pseudo_labels,
)

CELL, PLATELET = 1, 2


def boxes(count: int, category: int = CELL, image: int = 1) -> tuple[Box, ...]:
    return tuple(
        Box(number, image, category, (number, 1.0, number + 5.0, 9.0)) for number in range(count)
    )


def dataset(*labels: Box) -> Dataset:
    images = tuple(Image(number, f"{number}.png", 640, 480) for number in (1, 2, 3))
    return Dataset(images, labels, (Category(CELL, "cell"), Category(PLATELET, "platelet")))


def used(found: PseudoLabels, *known: Box, least: float = 0.4) -> PseudoLabels:
    """Return what is used where the model finds all annotated objects."""
    return used_of(found, known, dataset(*known), least)


def used_of(found: PseudoLabels, known: Sequence[Box], data: Dataset, least: float) -> PseudoLabels:
    return found.where(where_missing([*found.labels, *found.ignored], known, data, least))


def pseudo_labels(
    labels: Sequence[Box], ignored: Sequence[Box] = (), *, left_out: int = 0
) -> PseudoLabels:
    return PseudoLabels(tuple(labels), (1.0,) * len(labels), tuple(ignored), left_out)


FOUND = pseudo_labels(boxes(3), boxes(1))


def test_everything_is_used_where_many_labels_are_missing() -> None:
    # 4 of 10 objects have no label.
    assert used(FOUND, *boxes(6)) == FOUND


def test_nothing_is_used_where_few_labels_are_missing() -> None:
    # 4 of 11.
    assert used(FOUND, *boxes(7)) == pseudo_labels((), left_out=4)
    assert used(FOUND, *boxes(7), least=0.0) == FOUND
    assert used(NOTHING, *boxes(7)) == used(NOTHING) == NOTHING


def test_what_a_model_misses_of_annotated_objects_it_misses_of_others() -> None:
    # It finds 6 of 60 annotated ones, and 4 others.
    assert used_of(FOUND, boxes(6), dataset(*boxes(60)), 0.4) == FOUND


def test_a_class_of_which_many_labels_are_missing_is_mined_all_the_same() -> None:
    found = pseudo_labels((*boxes(1), *boxes(2, PLATELET)), (*boxes(2), *boxes(1, PLATELET)))
    # 3 of 23 cells, 3 of 7 platelets.
    result = used(found, *boxes(20), *boxes(4, PLATELET))
    assert result == pseudo_labels(boxes(2, PLATELET), boxes(1, PLATELET), left_out=3)


def test_images_without_any_label_are_mined_all_the_same() -> None:
    found = pseudo_labels((*boxes(2), *boxes(5, image=2)), (*boxes(1), *boxes(2, PLATELET, 2)))
    result = used(found, *boxes(20), *boxes(20, PLATELET))
    assert result == pseudo_labels(boxes(5, image=2), boxes(2, PLATELET, 2), left_out=3)


def test_a_crowd_region_makes_no_image_labelled() -> None:
    crowd = [replace(box, iscrowd=True) for box in boxes(1, image=2)]
    found = pseudo_labels(boxes(3, image=2))
    assert used_of(found, boxes(9), dataset(*boxes(9), *crowd), 0.4) == found


@pytest.mark.parametrize(
    ("off", "expected"),
    [
        ((), ("a", "b")),
        (("LABELS",), ("", "ab")),
        (("IGNORED",), ("a", "")),
        (("LABELS", "IGNORED"), ("", "")),
    ],
)
def test_each_use_of_mined_boxes_can_be_switched_off(
    off: tuple[str, ...], expected: tuple[str, str]
) -> None:
    named = {name: Box(k, 1, 1, (0, 0, 8, 8)) for k, name in enumerate("ab")}
    keys = [word for name in off for word in (f"SPARSEDET.STAGED.{name}", "False")]
    staged = load_config("lite0_fpn", keys).staged
    result = usable(pseudo_labels((named["a"],), (named["b"],)), staged)
    assert len(result.weights) == len(result.labels)
    assert (result.labels, result.ignored) == tuple(
        tuple(named[name] for name in names) for names in expected
    )


def test_mined_boxes_are_kept_to_the_last_digit(tmp_path: Path) -> None:
    label = Box(1, 3, 2, (1 / 3, 2 / 3, 10.1, 20.2), origin="mined")
    found = PseudoLabels((label,), (0.7 / 3,), (replace(label, image_id=4, category_id=1),))
    write_pseudo_labels(found, tmp_path / "boxes.json")
    assert read_pseudo_labels(tmp_path / "boxes.json") == found
    of_0_2 = json.loads((tmp_path / "boxes.json").read_text())
    del of_0_2["labels"][0]["weight"]
    (tmp_path / "boxes.json").write_text(json.dumps(of_0_2))
    assert read_pseudo_labels(tmp_path / "boxes.json").weights == (1.0,)
    for broken, says in (('{"labels": []}', "unexpected content"), ('{"lab', "not valid JSON")):
        (tmp_path / "boxes.json").write_text(broken)
        with pytest.raises(RunError, match=rf"boxes\.json: {says} .*mined again"):
            read_pseudo_labels(tmp_path / "boxes.json")
        (tmp_path / "ignored.json").write_text(broken)
        with pytest.raises(RunError, match=rf"ignored\.json: {says} .*restore it"):
            read_ignored(RunFolder(tmp_path))
