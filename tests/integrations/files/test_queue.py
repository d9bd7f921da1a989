"""Images that people are asked to open, in order, with or without mined boxes."""

from dataclasses import replace

import pytest

from sparsedet.annotations import read_coco
from sparsedet.annotations.mined_boxes import MinedBox
from sparsedet.errors import ToolError
from sparsedet.push_modes import PushReport, ToReview
from sparsedet.reviews import ReviewedRegion
from tests.integrations.files.conftest import Pulled
from tests.integrations.files.samples import mined_boxes, read, strip, write
from tests.integrations.files.up_for_review import DAY, NEWER, NIGHT, snapshot, up

EMPTY = "empty.png"
DAY_ID, NIGHT_ID, EMPTY_ID = 4, 9, 2


def of(pulled: Pulled, *names: str) -> list[MinedBox]:
    """The mined boxes of these ids."""
    return [box for box in mined_boxes(pulled.dataset) if box.region_id in names]


def push(
    pulled: Pulled,
    mined: list[MinedBox],
    queue: list[int],
    version: str = "run-1",
    withdrawn: frozenset[str] = frozenset(),
) -> PushReport:
    return pulled.memory.push(pulled.dataset, mined, version, withdrawn, queue)


def test_the_queue_is_the_order_and_the_rest_follows_surest_first(pulled: Pulled) -> None:
    report = push(pulled, of(pulled, "good", "wrong", "near"), [EMPTY_ID, DAY_ID])
    assert (report.images, report.boxes, report.created) == (3, 3, 3)
    assert up(pulled) == {EMPTY: set(), DAY: {"good", "wrong"}, NIGHT: {"near"}}
    assert [review.tool_id for review in pulled.tool.open_reviews("cars/review")] == [
        EMPTY,
        DAY,
        NIGHT,
    ]
    instructions = (pulled.version() / "README.txt").read_text(encoding="utf-8")
    assert "draw missing ones" in instructions
    assert '"exhaustive": true' in instructions


def test_reviewers_are_shown_where_drawing_can_wait(pulled: Pulled) -> None:
    pulled.memory.mode.push(
        pulled.memory.project,
        ToReview(
            pulled.dataset,
            of(pulled, "good", "near"),
            "run-1",
            queue=[DAY_ID, NIGHT_ID, EMPTY_ID],
            judge_only=frozenset({NIGHT_ID}),
        ),
    )
    waiting = pulled.tool.open_reviews("cars/review")
    assert {review.tool_id: review.judge_only for review in waiting} == {
        DAY: False,
        NIGHT: True,
        EMPTY: False,
    }
    shown = read_coco(pulled.version() / "to_review.json")
    assert [image.extra.get("judge_only") for image in shown.images] == [None, True, None]
    waiting[1].submit(waiting[1].regions)
    reviews = pulled.memory.mode.reviews("cars/review", []).reviews
    assert [(review.tool_id, review.complete) for review in reviews] == [(NIGHT, False)]


def test_an_image_without_mined_boxes_shows_what_people_drew(pulled: Pulled) -> None:
    report = push(pulled, [], [DAY_ID, EMPTY_ID])
    assert (report.images, report.boxes, report.created) == (2, 0, 2)
    day, empty = pulled.tool.open_reviews("cars/review")
    assert [region.region_id for region in day.regions] == ["11", "left"]
    assert (day.scores, empty.regions) == ({}, [])
    drawn = ReviewedRegion("mine", "bus", (90, 5, 110, 15))
    day.submit([*day.regions, drawn], seconds=9.0, complete=True)
    (review,) = pulled.memory.read().reviews
    assert review.complete
    assert review.shown.keys() == {"11", "left"}
    (new,) = [region for region in review.regions if region.region_id not in review.shown]
    assert (new.category, new.xyxy) == ("bus", drawn.xyxy)
    verdict = pulled.memory.verdicts()[DAY]
    assert new.region_id in verdict.drawn


def test_a_second_push_changes_nothing_even_after_a_review(pulled: Pulled) -> None:
    first = push(pulled, of(pulled, "near"), [DAY_ID, NIGHT_ID])
    path = pulled.version() / "to_review.json"
    before = snapshot(pulled.folder)
    again = push(pulled, of(pulled, "near"), [DAY_ID, NIGHT_ID])
    assert again == replace(first, created=0)
    assert snapshot(pulled.folder) == before
    review = read(path)
    review["images"] = [i for i in review["images"] if i["file_name"] == DAY]
    ids = {image["id"] for image in review["images"]}
    review["annotations"] = [a for a in review["annotations"] if a["image_id"] in ids]
    write(pulled.version() / "reviewed.json", strip(review))
    before = snapshot(pulled.folder)
    again = push(pulled, of(pulled, "near"), [DAY_ID, NIGHT_ID])
    assert (again.images, again.created, again.deleted, again.skipped) == (1, 0, 0, {})
    assert snapshot(pulled.folder) == before
    # Another model may ask for it once more.
    newer = push(pulled, [], [DAY_ID], "run-2")
    assert (newer.images, newer.created) == (1, 1)
    assert up(pulled, "run-2") == {DAY: set()}


def test_an_image_that_a_push_no_longer_names_is_taken_down(pulled: Pulled) -> None:
    push(pulled, of(pulled, "near"), [EMPTY_ID, DAY_ID])
    reviewed, _ = (r for r in pulled.tool.open_reviews("cars/review") if not r.scores)
    assert reviewed.tool_id == EMPTY
    reviewed.submit([])
    report = push(pulled, of(pulled, "near"), [], "run-1")
    assert (report.images, report.deleted) == (1, 1)
    assert up(pulled) == {EMPTY: set(), NIGHT: {"near"}}
    assert pulled.memory.read().waiting == {NIGHT}
    assert [review.tool_id for review in pulled.memory.read().reviews] == [EMPTY]
    # It can go up again.
    assert push(pulled, of(pulled, "near"), [DAY_ID]).created == 1
    # A newer version takes its place.
    newer = push(pulled, of(pulled, "near"), [DAY_ID], "run-2")
    assert (newer.created, newer.deleted) == (2, 2)
    assert (up(pulled), up(pulled, "run-2")) == ({EMPTY: set()}, {DAY: set(), NIGHT: {"near"}})


def test_an_image_whose_boxes_are_withdrawn_stays_up_where_it_is_queued(pulled: Pulled) -> None:
    push(pulled, of(pulled, "good", "wrong", "near"), [DAY_ID, NIGHT_ID])
    gone = frozenset({"good", "wrong", "near"})
    report = push(pulled, [], [DAY_ID], withdrawn=gone)
    assert (report.images, report.boxes, report.created, report.deleted) == (1, 0, 0, 2)
    assert up(pulled) == {DAY: set()}
    (day,) = pulled.tool.open_reviews("cars/review")
    assert [region.region_id for region in day.regions] == ["11", "left"]
    assert push(pulled, [], [DAY_ID], withdrawn=gone) == replace(report, deleted=0)


def test_nothing_gives_an_audit_image_away(pulled: Pulled) -> None:
    """Its boxes were up before, or a model has some that are held back: both look plain."""
    push(pulled, of(pulled, "good", "wrong"), [DAY_ID])
    push(pulled, [], [DAY_ID, NIGHT_ID], "run-2", frozenset({"good", "wrong"}))
    content = read(pulled.version("run-2") / "to_review.json")
    audit, plain = content["images"]
    known = {"id", "file_name", "width", "height", "tool_id", "tool_version", "exhaustive"}
    assert audit.keys() - {"camera"} == plain.keys()
    assert plain.keys() <= known
    keys = {entry["image_id"]: entry.keys() for entry in content["annotations"]}
    assert keys[audit["id"]] <= {*keys[plain["id"]], "occluded"}
    shown = read_coco(pulled.version("run-2") / "to_review.json")
    assert {box.origin for box in shown.boxes} == {"human", "accepted"}


def test_undo_leaves_no_image_behind(pulled: Pulled) -> None:
    push(pulled, of(pulled, "good", "near"), [EMPTY_ID, DAY_ID, NIGHT_ID])
    mode = pulled.memory.mode
    # As long as a mined box of the version is up, so are its images without.
    part = mode.undo("cars", "cars/review", frozenset({"near"}))
    assert (part.tasks, up(pulled)) == (1, {EMPTY: set(), DAY: {"good"}})
    planned = mode.undo("cars", "cars/review", frozenset({"good", "near"}), dry_run=True)
    done = mode.undo("cars", "cars/review", frozenset({"good", "near"}))
    assert planned == done
    assert (done.tasks, done.region_ids) == (2, frozenset({"good"}))
    assert not pulled.version().exists()
    push(pulled, [], [EMPTY_ID])
    assert mode.undo("cars", "cars/review", frozenset()).tasks == 1
    assert not pulled.version().exists()


def test_undo_keeps_reviewed_images(pulled: Pulled) -> None:
    push(pulled, [], [EMPTY_ID, DAY_ID])
    pulled.tool.open_reviews("cars/review")[0].submit([], complete=True)
    assert pulled.memory.mode.undo("cars", "cars/review", frozenset()).tasks == 1
    assert up(pulled) == {EMPTY: set()}
    (review,) = pulled.memory.read().reviews
    assert (review.tool_id, review.complete) == (EMPTY, True)


def test_boxes_that_come_later_wait_for_the_next_version(pulled: Pulled) -> None:
    """Who has opened the file already has not seen them."""
    push(pulled, [], [DAY_ID])
    report = push(pulled, [NEWER[0]], [DAY_ID])
    assert "shows the image with other boxes" in report.skipped[DAY]
    assert push(pulled, [NEWER[0]], [DAY_ID], "run-2").boxes == 1


def test_a_queue_of_unknown_images_is_refused(pulled: Pulled) -> None:
    with pytest.raises(ToolError, match="the queue names image id 77, which the dataset does not"):
        push(pulled, mined_boxes(pulled.dataset), [DAY_ID, 77])
    assert not (pulled.folder / "review").exists()
