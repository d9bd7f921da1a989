"""Suspicious boxes stand out in a review project; merges never write that."""

from dataclasses import replace
from typing import Any

import pytest

from sparsedet.annotations import Dataset
from sparsedet.annotations.suspicions import Suspicion
from sparsedet.integrations.label_studio import LabelStudioTool
from sparsedet.integrations.label_studio.suspicion_notes import without_suspicion
from sparsedet.reviews import decide
from tests.integrations.label_studio.conftest import Pulled
from tests.integrations.label_studio.merging import Pushed
from tests.integrations.label_studio.review_project.review_helpers import mode_of, predictions, push
from tests.integrations.label_studio.review_project.test_review_queue import queue, sized


def suspicions(dataset: Dataset) -> list[Suspicion]:
    """The orange of the first three images: another class, badly placed, drawn twice."""
    first, second, third = (image.id for image in dataset.images)
    (parcel,) = (category.id for category in dataset.categories if category.name == "parcel")
    return [
        Suspicion(first, "human-orange", "class", 0.9, category_id=parcel),
        Suspicion(second, "human-orange", "place", 0.8),
        Suspicion(third, "human-orange", "double", 0.7, twin="human-parcel"),
    ]


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("suspected: queen?", None),
        ("suspected: who? me?", None),
        ("suspected: queen?unsure", ["unsure"]),
        ("suspected: queen? \n unsure ", ["unsure"]),
        ("a nice box?", ["a nice box?"]),
        ("unsure", ["unsure"]),
    ],
)
def test_what_a_reviewer_writes_behind_our_note_stays(text: str, left: list[str] | None) -> None:
    region = {"id": "a", "meta": {"text": [text]}}
    expected = {"id": "a"} if left is None else {"id": "a", "meta": {"text": left}}
    assert without_suspicion(region) == expected
    assert without_suspicion({"id": "a", "meta": {"lead": 3}}) == {"id": "a", "meta": {"lead": 3}}


@pytest.mark.label_studio
def test_reviewers_see_what_is_suspected_and_leaving_it_writes_nothing(
    tool: LabelStudioTool, pulled: Pulled
) -> None:
    marked: dict[str, Any] = {
        "queue": queue(pulled, 1, 2, 3),
        "suspicions": suspicions(pulled.dataset),
    }
    report = push(tool, pulled, [], **marked)
    assert push(tool, pulled, [], **marked) == replace(report, created=0)
    shown = [
        {
            region["id"]: (region["value"]["rectanglelabels"][0], region.get("meta"))
            for region in prediction["result"]
        }
        for prediction in predictions(tool, report)
    ]
    pale = ("parcel ✓", None)
    assert shown == [
        {"human-orange": ("orange ?", {"text": [f"suspected: {why}"]}), "human-parcel": pale}
        for why in ("parcel?", "badly placed?", "drawn twice?")
    ]

    kept, corrected, unsure = tool.open_reviews(report.review_project)
    kept.submit(kept.regions)
    orange, parcel = corrected.regions
    left, top, right, bottom = orange.xyxy
    corrected.submit([replace(orange, xyxy=(left, top, right, bottom + 12)), parcel])
    unsure.submit([replace(unsure.regions[0], unsure=True), unsure.regions[1]])
    before = {image.id: pulled.dataset.boxes_by_image[image.id] for image in pulled.dataset.images}
    found = mode_of(tool).reviews(report.review_project, sized(pulled)).reviews
    assert [region.unsure for review in found for region in review.regions] == [
        *(False, False, False, False, True, False),
    ]
    assert {region.category for review in found for region in review.regions} == {
        "orange",
        "parcel",
    }
    assert "suspected" not in str([region.content for r in found for region in r.regions])
    verdicts = {review.tool_id: decide([review], {}).decisions for review in found}
    assert verdicts[kept.tool_id] == verdicts[unsure.tool_id] == {}
    assert verdicts[corrected.tool_id].keys() == {"human-orange"}

    pushed = Pushed(tool, pulled.project, report.review_project, tuple(sized(pulled)))
    pushed.merge()
    for number, moved in enumerate((False, True, False)):
        (orange, _) = pushed.annotation(number)["result"]
        assert (orange["value"]["rectanglelabels"], orange.get("meta")) == (["orange"], None)
        own = before[pulled.dataset.images[number].id][0]
        height = (own.xyxy[3] - own.xyxy[1] + 12 * moved) / orange["original_height"] * 100
        assert orange["value"]["height"] == pytest.approx(height, abs=0.01)


@pytest.mark.label_studio
def test_a_mark_goes_with_the_next_push_that_does_not_suspect_the_box(
    tool: LabelStudioTool, pulled: Pulled
) -> None:
    names = queue(pulled, 1, 2, 3)
    push(tool, pulled, [], queue=names, suspicions=suspicions(pulled.dataset)[:1])
    report = push(tool, pulled, [], "run-2", queue=names)
    assert "orange ?" not in str(predictions(tool, report))
