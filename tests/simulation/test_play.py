"""Playing the reviewer through a tool: real projects of the files integration."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image as Picture

from sparsedet.annotations import XYXY, Box, Category, Dataset, Image, read_coco, write_coco
from sparsedet.annotations.mined_boxes import MinedBox
from sparsedet.errors import SparseDetError
from sparsedet.integrations.files import FilesTool
from sparsedet.push_modes import ToReview, no_progress
from sparsedet.reviews import Review, ReviewedRegion
from sparsedet.simulation import Reviewer, SimulationReport, plan_reviews

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
        progress = options.pop("progress", no_progress)
        planned = plan_reviews(self.tool, self.review_project, self.pulled, reviewer, **options)
        return planned.submit(progress)

    @property
    def to_review(self) -> Path:
        """The file of what is up."""
        return Path(self.tool.url) / self.review_project / "run" / "to_review.json"

    def offer(self, images: Sequence[tuple[str, Sequence[str]]]) -> None:
        """Have these images up alone, in this order, each with its mined boxes of these ids."""
        shown = read_coco(self.to_review)
        by_name = {image.file_name: image for image in shown.images}
        mined = {box for _, boxes in images for box in boxes}
        kept = {by_name[name].id for name, _ in images}
        boxes = [
            box
            for box in shown.boxes
            if box.image_id in kept and (box.origin != "mined" or box.tool_id in mined)
        ]
        chosen = tuple(by_name[name] for name, _ in images)
        write_coco(replace(shown, images=chosen, boxes=tuple(boxes)), self.to_review)

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
    push = tool.push_modes["review-project"].push(project, ToReview(pulled, MINED, "run"))
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
        images=3, reviewed=3, boxes=4, accepted=1, edited=1, rejected=1, unsure=1, drawn=0,
        complete=3, seconds=report.seconds,
    )  # fmt: skip
    assert report.seconds == pytest.approx(13.8)
    reviewed = put_up.reviewed()
    assert {id: image.regions for id, image in reviewed.items()} == {
        "a.png": (cat("right", RIGHT),),
        "b.png": (cat("human", RIGHT), cat("neutral", NEUTRAL, unsure=True)),
        "c.png": (cat("half", RIGHT),),
    }
    assert {id: image.seconds for id, image in reviewed.items()} == {
        "a.png": pytest.approx(2 + 2 * 0.7 + 2.5),
        "b.png": pytest.approx(2 + 0.7),
        "c.png": pytest.approx(2 + 0.7 + 2.5),
    }
    assert all(image.complete for image in reviewed.values())
    assert seen[-1] == ("reviewing", 3, 3)
    again = put_up.simulate(reviewer)
    assert (again.images, again.reviewed, again.boxes, again.seconds) == (0, 0, 0, 0)
    assert put_up.reviewed() == reviewed


def test_images_without_mined_boxes_are_reviewed_in_the_order_of_the_tool(put_up: PutUp) -> None:
    put_up.offer([("c.png", []), ("b.png", []), ("a.png", ["wrong"])])
    report = put_up.simulate(Reviewer(TRUTH))
    submitted = read_coco(put_up.to_review.with_name("reviewed.json"))
    assert [image.file_name for image in submitted.images] == ["c.png", "b.png", "a.png"]
    assert report == SimulationReport(
        images=3, reviewed=3, boxes=1, accepted=0, edited=0, rejected=1, unsure=0, drawn=2,
        complete=3, seconds=report.seconds,
    )  # fmt: skip
    assert report.seconds == pytest.approx((2 + 7) + 2 + (2 + 0.7 + 2.5 + 7))
    reviewed = put_up.reviewed()
    boxes = {
        id: [(region.category, region.xyxy) for region in review.regions]
        for id, review in reviewed.items()
    }
    assert boxes == {f"{name}.png": [("cat", RIGHT)] for name in "abc"}
    assert reviewed["c.png"].shown == {}, "the box in it is a drawn one"
    assert reviewed["b.png"].shown.keys() == {"human"}
    assert all(review.complete for review in reviewed.values())


@pytest.mark.parametrize(
    ("limits", "names"),
    [
        pytest.param({"budget": 0.0}, "", id="no time"),
        pytest.param({"budget": 5.89}, "", id="too little for the first"),
        pytest.param({"budget": 5.9}, "a", id="just enough for the first"),
        pytest.param({"budget": 8.59}, "a", id="almost enough for two"),
        pytest.param({"budget": 8.6}, "ab", id="just enough for two"),
        pytest.param({"budget": 1000.0}, "abc", id="more than enough"),
        pytest.param({"images": 0}, "", id="no images"),
        pytest.param({"images": 2}, "ab", id="two images"),
        pytest.param({"images": 9}, "abc", id="more than there are"),
        pytest.param({"images": 2, "budget": 5.9}, "a", id="the time is less"),
        pytest.param({"images": 1, "budget": 8.6}, "a", id="the number is less"),
        pytest.param({"leave": 2, "budget": 1000.0}, "a", id="the others are left"),
    ],
)
def test_a_budget_ends_before_the_image_that_exceeds_it(
    limits: Mapping[str, float], names: str, put_up: PutUp
) -> None:
    """a takes 5.9 s (see above), b 2.7 s, c 5.2 s."""
    reviewer = Reviewer(TRUTH, [Box(1, 2, 1, NEUTRAL)])
    report = put_up.simulate(reviewer, **limits)
    assert (report.images, report.reviewed) == (3, len(names))
    assert set(put_up.reviewed()) == {f"{name}.png" for name in names}
    assert report.seconds <= limits.get("budget", 1000.0) + 1e-6
    rest = put_up.simulate(reviewer)
    assert (rest.images, rest.reviewed) == (3 - len(names), 3 - len(names))


def test_what_is_dear_is_not_skipped_for_what_is_cheap(put_up: PutUp) -> None:
    put_up.offer([("a.png", ["wrong"]), ("b.png", [])])
    assert put_up.simulate(Reviewer(TRUTH), budget=3.0).reviewed == 0


def test_a_plan_submits_nothing_before_it_is_asked_to(put_up: PutUp) -> None:
    planned = plan_reviews(put_up.tool, put_up.review_project, put_up.pulled, Reviewer(TRUTH))
    assert (planned.open, len(planned.reviews)) == (3, 3)
    assert put_up.reviewed() == {}
    assert planned.submit().reviewed == 3
    assert set(put_up.reviewed()) == {"a.png", "b.png", "c.png"}


def test_the_last_images_are_left_for_a_person(put_up: PutUp) -> None:
    reviewer = Reviewer(TRUTH)
    report = put_up.simulate(reviewer, leave=2)
    assert (report.images, report.reviewed) == (3, 1)
    assert set(put_up.reviewed()) == {"a.png"}
    again = put_up.simulate(reviewer, leave=2)
    assert (again.images, again.reviewed) == (2, 0)
    assert put_up.simulate(reviewer, leave=3).reviewed == 0
    assert set(put_up.reviewed()) == {"a.png"}


@pytest.mark.parametrize(
    ("pulled", "truth", "message"),
    [
        pytest.param(
            {"images": 2}, TRUTH, r"tool id c\.png is up for review but missing",
            id="not pulled",
        ),
        pytest.param(
            {}, TRUTH.with_images(TRUTH.images[:2]), r"c\.png: no image of that name",
            id="not in the full annotations",
        ),
        pytest.param(
            {"width": 320}, TRUTH,
            r"image 13-0a1b2c3d-c\.png: 320 x 480 pixels, but c\.png .* 640 x 480",
            id="another size",
        ),
        pytest.param(
            {},
            replace(TRUTH, categories=(*TRUTH.categories, Category(2, "bird")), boxes=(
                *TRUTH.boxes, Box(4, 3, 2, WRONG)
            )),
            r"image c\.png: a missing 'bird' can't be drawn: .* \(it has cat, dog\)",
            id="a label to draw that the project lacks",
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


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        ({"leave": -1}, "leave is -1, expected a number of images, 0 or more"),
        ({"images": -2}, "images is -2, expected a number of images, 0 or more"),
        ({"budget": -0.5}, "budget is -0.5, expected seconds, 0 or more"),
        ({"budget": float("nan")}, "budget is nan, expected seconds"),
    ],
)
def test_a_limit_below_zero_is_refused(
    limits: Mapping[str, float], message: str, put_up: PutUp
) -> None:
    with pytest.raises(SparseDetError, match=message):
        put_up.simulate(Reviewer(TRUTH), **limits)
    assert put_up.reviewed() == {}
