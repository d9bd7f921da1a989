"""Playing the reviewer through a tool."""

from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from sparsedet.annotations import XYXY, Box, Category, Dataset, Image
from sparsedet.errors import SparseDetError
from sparsedet.simulation import Reviewer, SimulationReport, simulate_reviews
from sparsedet.tool import ScriptableTool
from tests.simulation.review_folder import (
    Offer,
    ReviewFolder,
    make_review_project,
    reviews_in,
)

RIGHT: XYXY = (100, 100, 200, 200)
WRONG: XYXY = (400, 300, 500, 400)
NEUTRAL: XYXY = (300, 0, 400, 100)

NAMES = ("a.jpg", "b.jpg", "c.jpg")
TRUTH = Dataset(
    images=tuple(Image(id, name, 640, 480) for id, name in enumerate(NAMES, start=1)),
    boxes=tuple(Box(id, id, 1, RIGHT) for id in (1, 2, 3)),
    categories=(Category(1, "cat"),),
)
PULLED = Dataset(
    images=tuple(
        Image(10 + id, f"{10 + id}-0a1b2c3d-{name}", 640, 480, tool_id=str(10 + id))
        for id, name in enumerate(NAMES, start=1)
    ),
    boxes=(),
    categories=(Category(1, "dog"), Category(2, "cat")),
)
SHOWN: dict[str, list[Offer]] = {
    "11": [("right", "cat", RIGHT, 0.9), ("wrong", "cat", WRONG, 0.8)],
    "12": [("human", "cat", RIGHT, None), ("neutral", "cat", NEUTRAL, 0.7)],
    "13": [("half", "cat", (145, 100, 245, 200), 0.6)],
}
TOOL = cast(ScriptableTool, ReviewFolder(complete_control="done"))


@pytest.fixture
def project(tmp_path: Path) -> str:
    return make_review_project(tmp_path / "review", SHOWN)


def box(region_id: str, xyxy: XYXY, **more: Any) -> dict[str, Any]:
    return {"region_id": region_id, "category": "cat", "xyxy": [*xyxy], "unsure": False, **more}


def test_everything_open_is_reviewed_once(project: str) -> None:
    reviewer = Reviewer(TRUTH, [Box(1, 2, 1, NEUTRAL)])
    seen: list[tuple[str, int, int]] = []
    report = simulate_reviews(
        TOOL, project, PULLED, reviewer, progress=lambda *step: seen.append(step)
    )
    assert report == SimulationReport(
        images=3, reviewed=3, boxes=4, accepted=1, edited=1, rejected=1, unsure=1, complete=2,
        seconds=9.0,
    )  # fmt: skip
    assert reviews_in(Path(project)) == {
        "11": {"boxes": [box("right", RIGHT)], "seconds": 3.5, "complete": "done"},
        "12": {
            "boxes": [box("human", RIGHT), box("neutral", NEUTRAL, unsure=True)],
            "seconds": 2.0,
            "complete": None,
        },
        "13": {"boxes": [box("half", RIGHT)], "seconds": 3.5, "complete": "done"},
    }
    assert seen[-1] == ("reviewing", 3, 3)
    again = simulate_reviews(TOOL, project, PULLED, reviewer)
    assert (again.images, again.reviewed, again.boxes, again.seconds) == (0, 0, 0, 0)


def test_the_last_images_are_left_for_a_person(project: str) -> None:
    reviewer = Reviewer(TRUTH)
    report = simulate_reviews(TOOL, project, PULLED, reviewer, leave=2)
    assert (report.images, report.reviewed) == (3, 1)
    assert set(reviews_in(Path(project))) == {"11"}
    again = simulate_reviews(TOOL, project, PULLED, reviewer, leave=2)
    assert (again.images, again.reviewed) == (2, 0)
    assert simulate_reviews(TOOL, project, PULLED, reviewer, leave=5).reviewed == 0


@pytest.mark.parametrize(
    ("pulled", "truth", "message"),
    [
        pytest.param(
            PULLED.with_images(PULLED.images[:2]), TRUTH, "tool's id 13 is up for review, but is",
            id="not pulled",
        ),
        pytest.param(
            PULLED, TRUTH.with_images(TRUTH.images[:2]), "image 13-0a1b2c3d-c.jpg: the full",
            id="not in the full annotations",
        ),
        pytest.param(
            replace(PULLED, images=(*PULLED.images[:2], replace(PULLED.images[2], width=320))),
            TRUTH, "image 13-0a1b2c3d-c.jpg: it has 320 x 480 pixels, but c.jpg .* 640 x 480",
            id="another size",
        ),
        pytest.param(
            PULLED, replace(TRUTH, categories=(Category(1, "Cat"),)),
            r"mined box right: .* no category 'cat' \(they have Cat\)",
            id="another label",
        ),
    ],
)  # fmt: skip
def test_nothing_is_submitted_when_the_truth_does_not_fit(
    pulled: Dataset, truth: Dataset, message: str, project: str
) -> None:
    with pytest.raises(SparseDetError, match=message):
        simulate_reviews(TOOL, project, pulled, Reviewer(truth))
    assert reviews_in(Path(project)) == {}


def test_less_than_nothing_can_not_be_left(project: str) -> None:
    with pytest.raises(SparseDetError, match="leave is -1"):
        simulate_reviews(TOOL, project, PULLED, Reviewer(TRUTH), leave=-1)
