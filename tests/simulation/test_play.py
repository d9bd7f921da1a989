"""Playing the reviewer through a tool: real projects of the files integration."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image as Picture

from sparsedet.annotations import XYXY, Box, Category, Dataset, Image
from sparsedet.annotations.mined_boxes import MinedBox
from sparsedet.errors import SparseDetError
from sparsedet.integrations.files import FilesTool
from sparsedet.reviews import Review, ReviewedRegion
from sparsedet.simulation import Reviewer, SimulationReport, simulate_reviews

RIGHT: XYXY = (100, 100, 200, 200)
WRONG: XYXY = (400, 300, 500, 400)
NEUTRAL: XYXY = (300, 0, 400, 100)
HALF: XYXY = (145, 100, 245, 200)

TRUTH = Dataset(
    images=tuple(Image(id, f"{name}.png", 640, 480) for id, name in enumerate("abc", start=1)),
    boxes=tuple(Box(id, id, 1, RIGHT) for id in (1, 2, 3)),
    categories=(Category(1, "cat"),),
)
DRAWN = Dataset(
    TRUTH.images,
    (Box(1, 2, 2, RIGHT, tool_id="human"),),
    (Category(1, "dog"), Category(2, "cat")),
)
MINED = [
    MinedBox("right", 1, 2, RIGHT, 0.9, 0.5),
    MinedBox("wrong", 1, 2, WRONG, 0.8, 0.5),
    MinedBox("neutral", 2, 2, NEUTRAL, 0.7, 0.5),
    MinedBox("half", 3, 2, HALF, 0.6, 0.5),
]


@dataclass(frozen=True)
class PutUp:
    """The mined boxes, up for review; a, b and c wait in this order."""

    tool: FilesTool
    review_project: str
    pulled: Dataset
    """Its file names have the prefixes of another tool; the tool's ids have not."""

    def simulate(self, reviewer: Reviewer, **options: Any) -> SimulationReport:
        return simulate_reviews(self.tool, self.review_project, self.pulled, reviewer, **options)

    def reviewed(self) -> Mapping[str, Review]:
        """Return the submitted reviews, by tool id."""
        found = self.tool.push_modes["review-project"].reviews(self.review_project, ())
        return {review.tool_id: review for review in found.reviews}


@pytest.fixture
def put_up(tmp_path: Path) -> PutUp:
    for image in DRAWN.images:
        Picture.new("L", (image.width, image.height)).save(tmp_path / image.file_name)
    tool = FilesTool(str(tmp_path))
    project = tool.set_up_project("To review", DRAWN, tmp_path)
    pulled = tool.pull(project, tmp_path / "images")
    push = tool.push_modes["review-project"].push(project, pulled, MINED, model_version="run")
    prefixed = [
        replace(image, file_name=f"1{image.id}-0a1b2c3d-{image.file_name}")
        for image in pulled.images
    ]
    return PutUp(tool, push.review_project, pulled.with_images(prefixed))


def cat(region_id: str, xyxy: XYXY, *, unsure: bool = False) -> ReviewedRegion:
    return ReviewedRegion(region_id, "cat", xyxy, unsure)


def test_everything_open_is_reviewed_once(put_up: PutUp) -> None:
    reviewer = Reviewer(TRUTH, [Box(1, 2, 1, NEUTRAL)])
    seen: list[tuple[str, int, int]] = []
    report = put_up.simulate(reviewer, progress=lambda *step: seen.append(step))
    assert report == SimulationReport(
        images=3, reviewed=3, boxes=4, accepted=1, edited=1, rejected=1, unsure=1, complete=2,
        seconds=9.0,
    )  # fmt: skip
    reviewed = put_up.reviewed()
    assert {id: image.regions for id, image in reviewed.items()} == {
        "a.png": (cat("right", RIGHT),),
        "b.png": (cat("human", RIGHT), cat("neutral", NEUTRAL, unsure=True)),
        "c.png": (cat("half", RIGHT),),
    }
    assert {id: (image.seconds, image.complete) for id, image in reviewed.items()} == {
        "a.png": (3.5, True),
        "b.png": (2.0, False),
        "c.png": (3.5, True),
    }
    assert seen[-1] == ("reviewing", 3, 3)
    again = put_up.simulate(reviewer)
    assert (again.images, again.reviewed, again.boxes, again.seconds) == (0, 0, 0, 0)
    assert put_up.reviewed() == reviewed


def test_the_last_images_are_left_for_a_person(put_up: PutUp) -> None:
    reviewer = Reviewer(TRUTH)
    report = put_up.simulate(reviewer, leave=2)
    assert (report.images, report.reviewed) == (3, 1)
    assert set(put_up.reviewed()) == {"a.png"}
    again = put_up.simulate(reviewer, leave=2)
    assert (again.images, again.reviewed) == (2, 0)
    assert put_up.simulate(reviewer, leave=3).reviewed == 0
    assert set(put_up.reviewed()) == {"a.png"}


def test_no_image_is_marked_complete_where_that_is_not_wanted(put_up: PutUp) -> None:
    report = put_up.simulate(Reviewer(TRUTH), mark_complete=False)
    assert (report.reviewed, report.complete) == (3, 0)
    assert not any(image.complete for image in put_up.reviewed().values())


@pytest.mark.parametrize(
    ("pulled", "truth", "message"),
    [
        pytest.param(
            {"images": 2}, TRUTH, r"tool's id c\.png is up for review, but is",
            id="not pulled",
        ),
        pytest.param(
            {}, TRUTH.with_images(TRUTH.images[:2]), r"image 13-0a1b2c3d-c\.png: the full",
            id="not in the full annotations",
        ),
        pytest.param(
            {"width": 320}, TRUTH,
            r"image 13-0a1b2c3d-c\.png: it has 320 x 480 pixels, but c\.png .* 640 x 480",
            id="another size",
        ),
        pytest.param(
            {}, replace(TRUTH, categories=(Category(1, "Cat"),)),
            r"mined box right: .* no category 'cat' \(they have Cat\)",
            id="another label",
        ),
    ],
)  # fmt: skip
def test_nothing_is_submitted_when_the_truth_does_not_fit(
    pulled: Mapping[str, int], truth: Dataset, message: str, put_up: PutUp
) -> None:
    *others, last = put_up.pulled.images
    changed = [*others, replace(last, width=pulled.get("width", last.width))]
    images = changed[: pulled.get("images")]
    broken = replace(put_up, pulled=put_up.pulled.with_images(images))
    with pytest.raises(SparseDetError, match=message):
        broken.simulate(Reviewer(truth))
    assert put_up.reviewed() == {}


def test_less_than_nothing_can_not_be_left(put_up: PutUp) -> None:
    with pytest.raises(SparseDetError, match="leave is -1"):
        put_up.simulate(Reviewer(TRUTH), leave=-1)
    assert put_up.reviewed() == {}
