"""Which annotations of a task count; without a server."""

import logging
from typing import Any

import pytest

from sparsedet.integrations.label_studio.annotation_choice import (
    Alternatives,
    TaskBoxes,
    read_task,
    that_count,
    with_task_date,
)
from sparsedet.integrations.label_studio.demo.project_setup import labelling_config
from sparsedet.integrations.label_studio.labelling_config.label_config import parse_config
from sparsedet.integrations.label_studio.regions import Oddities
from sparsedet.reviews import AnnotationRule
from tests.integrations.label_studio.samples import PLACE, complete_mark, rectangle

CONFIG = parse_config(labelling_config(["cat", "dog"]), "7")


def box(id: str, x: float = 10.0, **more: Any) -> dict[str, Any]:
    return rectangle(id=id, value={**PLACE, "x": x, "rectanglelabels": ["cat"]}, **more)


def annotation(id: int, *results: dict[str, Any], day: int, **more: Any) -> dict[str, Any]:
    """An annotation that a person saved on this day."""
    saved = f"2026-01-{day:02}T00:00:00Z"
    return {"id": id, "result": list(results), "updated_at": saved, "updated_by": 1, **more}


FIRST = annotation(1, box("a"), day=3)
SECOND = annotation(2, box("b", 50.0), box("c", 11.0), day=2)
EMPTY = annotation(3, day=4)
STARRED = annotation(4, box("s"), day=1, ground_truth=True)
SKIPPED = annotation(5, box("k"), day=9, was_cancelled=True)


@pytest.mark.parametrize(
    ("rule", "annotations", "expected"),
    [
        ("ground-truth-first", [FIRST, SECOND], [1]),
        ("ground-truth-first", [FIRST, SECOND, EMPTY], [1]),
        ("ground-truth-first", [EMPTY, STARRED, FIRST], [4]),
        ("ground-truth-first", [FIRST, SKIPPED], [1]),
        ("ground-truth-first", [SKIPPED], []),
        ("newest", [STARRED, FIRST, EMPTY, SKIPPED], [3]),
        ("union", [FIRST, SECOND, SKIPPED], [2, 1]),
        ("union", [FIRST, SECOND, STARRED], [4]),
        ("majority", [FIRST, SECOND, EMPTY], [2, 1, 3]),
    ],
)
def test_what_counts(rule: AnnotationRule, annotations: list[Any], expected: list[int]) -> None:
    assert [a["id"] for a in that_count(annotations, rule)] == expected


def test_a_star_that_every_imported_annotation_has_says_nothing() -> None:
    imported = {**STARRED, "updated_by": None}
    assert that_count([imported, FIRST], "ground-truth-first") == [FIRST]
    assert that_count([imported], "ground-truth-first") == [imported]
    # The import said which.
    plain = {**SECOND, "updated_by": None, "ground_truth": False}
    assert that_count([imported, plain, FIRST], "ground-truth-first") == [imported]


@pytest.mark.parametrize(
    ("more", "counts"),
    [
        ({"lead_time": 3.5}, False),  # saved in the editor
        ({"lead_time": None}, True),  # starred through the API
        ({"lead_time": 3.5, "created_at": "2026-01-01T00:02:00Z"}, True),  # made by a person
        ({"lead_time": 3.5, "created_at": None}, True),
        ({"last_action": "imported"}, False),  # after a merge was taken back
    ],
)
def test_a_save_makes_no_star_of_that_of_an_import(more: dict[str, Any], counts: bool) -> None:
    task = {"created_at": "2026-01-01T00:00:00Z"}
    saved = {**STARRED, "created_at": "2026-01-01T00:00:01.5Z", **more}
    chosen = that_count(with_task_date([saved, FIRST], task), "ground-truth-first")
    assert [a["id"] for a in chosen] == [4 if counts else 1]


def read(rule: AnnotationRule, *annotations: dict[str, Any]) -> TaskBoxes:
    return read_task(annotations, CONFIG, rule, 5, Oddities(), (100, 100))


def test_several_peoples_boxes_are_combined() -> None:
    union = read("union", FIRST, SECOND)
    # The first and the third are one object; the last person's box stands for it.
    assert {box.region_id for box in union.boxes} == {"a", "b"}
    assert [box.region_id for box in read("majority", FIRST, SECOND).boxes] == ["a"]
    assert union.version == "2@2026-01-02T00:00:00Z+1@2026-01-03T00:00:00Z"
    assert read("union", SECOND, FIRST).version == union.version
    assert read("union").version is None


def test_an_image_is_complete_when_everybody_who_counts_says_so() -> None:
    marked = annotation(6, box("m"), complete_mark(), day=5)
    assert read("union", marked).complete
    assert not read("union", marked, FIRST).complete
    assert read("newest", marked, FIRST).complete
    assert not read("newest").complete


def test_a_models_box_that_is_marked_as_unsure_is_left_out() -> None:
    unsure: dict[str, Any] = {"meta": {"text": ["unsure"]}}
    oddities = Oddities()
    drawn, mined = box("d", **unsure), box("m", 50.0, score=0.5, **unsure)
    found = read_task([annotation(1, drawn, mined, day=1)], CONFIG, "newest", 5, oddities)
    assert [box.region_id for box in found.boxes] == ["d"]
    assert oddities.dropped == {"marked unsure": 1}


@pytest.mark.parametrize(
    ("rule", "taken"),
    [
        ("ground-truth-first", "1 newest, 1 starred"),
        ("newest", "2 newest"),
        ("union", "1 combined, 1 starred"),
    ],
)
def test_one_line_says_what_was_taken(
    rule: AnnotationRule, taken: str, caplog: pytest.LogCaptureFixture
) -> None:
    alternatives = Alternatives(rule)
    for annotations in ([FIRST], [FIRST, SKIPPED], [FIRST, SECOND], [FIRST, STARRED]):
        alternatives.add(annotations, read(rule, *annotations))
    with caplog.at_level(logging.WARNING):
        alternatives.warn("project 7")
        Alternatives(rule).warn("project 8")
    assert [record.getMessage() for record in caplog.records] == [
        f"project 7: 2 of 4 tasks have several annotations; used by [source] annotations = "
        f'"{rule}": {taken}'
    ]
