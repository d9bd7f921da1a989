"""Which prediction an annotation started from, without a server."""

from typing import Any

import pytest

from sparsedet.integrations.label_studio.predictions import StoredPrediction
from sparsedet.integrations.label_studio.started_from import started_from
from tests.integrations.label_studio.samples import rectangle

SHOWN = StoredPrediction.of(7, "old", [rectangle(id="human"), rectangle(id="mined", score=0.5)])
DRAFTED = "2026-11-30T22:14:50.723823Z"


def annotation(id: int = 1, *ids: str, **more: Any) -> dict[str, Any]:
    return {"id": id, "result": [rectangle(id=id) for id in ids], **more}


@pytest.mark.parametrize(
    ("reviews", "found"),
    [
        ([annotation(parent_prediction=7)], SHOWN),
        ([annotation(1, "human", parent_prediction=8, draft_created_at=DRAFTED)], None),
        ([annotation(1, "human", draft_created_at=DRAFTED)], SHOWN),
        ([annotation(1, "human")], None),
        ([annotation(1, "own", draft_created_at=DRAFTED)], None),
        ([annotation(parent_annotation=2), annotation(2, parent_prediction=7)], SHOWN),
        ([annotation(parent_annotation=2), annotation(2, parent_annotation=1)], None),
        ([annotation(parent_annotation=2)], None),
        ([annotation(1, "human", parent_annotation=2, draft_created_at=DRAFTED)], SHOWN),
    ],
)
def test_of_one_prediction(reviews: list[dict[str, Any]], found: StoredPrediction | None) -> None:
    assert started_from(reviews[0], reviews, [SHOWN]) == found


def test_the_prediction_with_most_of_the_boxes() -> None:
    less = StoredPrediction.of(8, "new", [rectangle(id="human")])
    backend = StoredPrediction.of(9, "live", SHOWN.result, by_backend=True)
    review = annotation(1, "human", "mined", draft_created_at=DRAFTED)
    assert started_from(review, [review], [SHOWN, less, backend]) == SHOWN
    assert started_from(review, [review], [less, backend]) == less
    copied = {**review, "result": [*SHOWN.result, rectangle(id="copy", score=0.5)]}
    assert started_from(copied, [copied], [SHOWN]) == SHOWN
    scored = {**review, "result": SHOWN.result}
    assert started_from(scored, [scored], [less, backend]) is None


def test_a_prediction_that_was_deleted_since() -> None:
    copy = {"id": 7, "model_version": "old", "result": SHOWN.result, "model": None}
    review = annotation(1, "human", prediction=copy)
    assert started_from(review, [review], []) == SHOWN
    assert started_from(review, [review], [SHOWN]) is None, "drawn from scratch"
    own = annotation(1, "own", prediction=copy)
    assert started_from(own, [own], []) is None
    for odd in (None, {}, {"id": "7"}, {**copy, "result": None}, {**copy, "model": 3}):
        review = annotation(1, "human", prediction=odd)
        assert started_from(review, [review], []) is None
