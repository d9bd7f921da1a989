"""What counts as a box in an annotation's results, and what is dropped and counted."""

from typing import Any

import pytest

from sparsedet.integrations.label_studio.demo.project_setup import COMPLETE_CHOICE, labelling_config
from sparsedet.integrations.label_studio.label_config import parse_config
from sparsedet.integrations.label_studio.regions import (
    Oddities,
    Region,
    is_complete,
    newest,
    read_regions,
)
from tests.integrations.label_studio import samples
from tests.integrations.label_studio.samples import PLACE

CONFIG = parse_config(labelling_config(["cat", "dog"]), "7")


def rectangle(**changes: Any) -> dict[str, Any]:
    return samples.rectangle("dog", (200, 100), **changes)


def labelled(*labels: Any, **place: Any) -> dict[str, Any]:
    return {**PLACE, **place, "rectanglelabels": list(labels)}


def read(*results: Any, **more: Any) -> tuple[list[Region], Oddities]:
    oddities = Oddities()
    return list(read_regions(list(results), CONFIG, 5, oddities, **more)), oddities


def test_a_rectangle_is_a_box() -> None:
    regions, oddities = read(rectangle(score=0.5))
    assert regions == [Region("r1", 2, (20.0, 10.0, 60.0, 30.0), 0.5, predicted=True)]
    assert not oddities


@pytest.mark.parametrize(
    ("meta", "unsure"),
    [
        ({"text": ["unsure"]}, True),
        ({"text": [" Unsure "]}, True),
        ({"text": "UNSURE"}, True),
        ({"text": ["half hidden", "unsure"]}, True),
        ({"text": ["not unsure"]}, False),
        ({"text": []}, False),
        ({"text": [7]}, False),
        ({"text": None}, False),
        ("unsure", False),
        (None, False),
    ],
)
def test_a_note_leaves_a_box_undecided(meta: Any, unsure: bool) -> None:
    (region,), oddities = read(rectangle(meta=meta))
    assert region.unsure is unsure
    assert not oddities


@pytest.mark.parametrize(
    ("more", "predicted"),
    [
        ({}, False),
        ({"origin": "manual"}, False),
        ({"score": 0.0}, True),
        ({"origin": "prediction"}, True),
        ({"origin": "prediction-changed"}, True),
    ],
)
def test_score_and_origin_mark_a_models_boxes(more: dict[str, Any], predicted: bool) -> None:
    assert read(rectangle(**more))[0][0].predicted is predicted


def test_the_given_size_wins_over_the_regions_own() -> None:
    regions, _ = read(rectangle(original_width=None), size=(1000, 1000))
    assert regions[0].xyxy == (100.0, 100.0, 300.0, 300.0)


@pytest.mark.parametrize(
    "other",
    [
        {"type": "choices", "from_name": "quality", "value": {"choices": ["good"]}},
        {"type": "textarea", "id": "r1", "from_name": "note", "value": {"text": ["x"]}},
        {"type": "relation", "from_id": "a", "to_id": "b"},
    ],
)
def test_what_marks_no_place_is_not_counted(other: dict[str, Any]) -> None:
    regions, oddities = read(other, rectangle())
    assert len(regions) == 1
    assert not oddities


@pytest.mark.parametrize(
    ("odd", "reason"),
    [
        (rectangle(value=labelled("bird")), "unknown label"),
        (rectangle(value=labelled(7)), "unknown label"),
        (rectangle(value=labelled()), "no label"),
        (rectangle(value=PLACE), "no label"),
        (rectangle(value=labelled("cat", "dog")), "several labels"),
        (rectangle(value=labelled("cat", x="12")), "x is no number"),
        (rectangle(value=labelled("cat", width=0)), "no area"),
        (rectangle(value=labelled("cat", x=120)), "outside the image"),
        (rectangle(value=None), "no label"),
        (rectangle(from_name="other"), "of another control"),
        (rectangle(to_name="image2"), "on another object"),
        (rectangle(type="polygonlabels", from_name="p"), "polygon"),
        (rectangle(type="ellipselabels", from_name="e"), "ellipse"),
        (rectangle(type="brushlabels", from_name="b"), "brush"),
        (rectangle(type="keypointlabels", from_name="k"), "keypoint"),
        (rectangle(type="rectangle", from_name="r"), "rectangle"),
        (rectangle(original_width=0), "no image size"),
        ("text", "no region"),
    ],
)
def test_what_is_dropped(odd: Any, reason: str) -> None:
    regions, oddities = read(odd, rectangle(id="fine"))
    assert [region.id for region in regions] == ["fine"]
    assert oddities.dropped == {reason: 1}
    assert oddities.first_task == 5


def test_a_repeated_id_is_dropped_and_a_missing_one_is_not() -> None:
    regions, oddities = read(rectangle(), rectangle(), rectangle(id=None), rectangle(id=None))
    assert [region.id for region in regions] == ["r1", None, None]
    assert oddities.dropped == {"region id used twice": 1}


@pytest.mark.parametrize("results", [None, "text", 3, {"value": {}}])
def test_results_that_are_no_list(results: Any) -> None:
    oddities = Oddities()
    assert list(read_regions(results, CONFIG, 5, oddities)) == []
    assert oddities.dropped == {"no list of results": 1}


def test_changed_boxes_are_counted_apart_and_the_warning_names_the_first_task() -> None:
    oddities = Oddities()
    for task, result in [
        (9, rectangle(value=labelled("cat", x=90))),
        (8, rectangle(value=labelled("cat", rotation=10))),
        (10, rectangle(value=labelled("bird"))),
    ]:
        list(read_regions([result], CONFIG, task, oddities))
    assert str(oddities) == (
        "dropped 1 (1 unknown label), changed 2 (1 clipped at the image's edge, "
        "1 rotated, now the upright box around it); the first in task 8"
    )


@pytest.mark.parametrize(
    ("results", "complete"),
    [
        ([], False),
        (None, False),
        ([{"from_name": "sparsedet_complete", "value": {"choices": [COMPLETE_CHOICE]}}], True),
        ([{"from_name": "sparsedet_complete", "value": {"choices": ["No"]}}], False),
        ([{"from_name": "sparsedet_complete", "value": None}], False),
        ([{"from_name": "other", "value": {"choices": [COMPLETE_CHOICE]}}], False),
        ([rectangle()], False),
    ],
)
def test_only_the_explicit_mark_makes_an_image_complete(results: Any, complete: bool) -> None:
    assert is_complete(results, CONFIG) is complete


def test_the_annotation_saved_last_counts_and_skipped_ones_do_not() -> None:
    annotations = [
        {"id": 1, "updated_at": "2026-01-03T00:00:00Z"},
        {"id": 2, "updated_at": "2026-01-01T00:00:00Z"},
        {"id": 3, "updated_at": "2026-01-04T00:00:00Z", "was_cancelled": True},
    ]
    assert newest(annotations) == annotations[0]
    assert newest(annotations[2:]) is None
