"""What is up for review, what newer versions replace, and what still counts."""

import os
import shutil
from dataclasses import replace

import pytest

from sparsedet.annotations import read_coco
from sparsedet.annotations.mined_boxes import MinedBox
from sparsedet.errors import PlaceAwayError, PlaceGoneError
from sparsedet.integrations.files import FilesTool
from sparsedet.push_modes import ToReview
from sparsedet.tool import ToolOptions
from tests.integrations.files.conftest import Pulled
from tests.integrations.files.memory import outcome
from tests.integrations.files.samples import boxes_of, mined_boxes, read, strip, write
from tests.integrations.files.up_for_review import ALL, DAY, NEWER, NIGHT, snapshot, up


def test_a_dry_run_says_what_a_push_would_do(pulled: Pulled) -> None:
    before = snapshot(pulled.folder)
    boxes = mined_boxes(pulled.dataset)
    planned = pulled.memory.mode.push(
        "cars", ToReview(pulled.dataset, boxes, "run-1"), dry_run=True
    )
    assert snapshot(pulled.folder) == before
    assert (planned.review_project, planned.images, planned.boxes) == ("", 2, 3)
    report = pulled.push()
    assert (report.images, report.boxes, report.created) == (2, 3, planned.created)
    before = snapshot(pulled.folder)
    planned = pulled.memory.mode.push(
        "cars", ToReview(pulled.dataset, NEWER, "run-2", withdrawn=ALL), dry_run=True
    )
    assert snapshot(pulled.folder) == before
    assert (planned.review_project, planned.created, planned.deleted) == ("cars/review", 2, 2)


def test_a_newer_version_takes_the_place_of_an_older_one(pulled: Pulled) -> None:
    pulled.push()
    day = next(r for r in pulled.tool.open_reviews("cars/review") if r.tool_id == DAY)
    day.submit(day.regions)
    report = pulled.memory.push(pulled.dataset, NEWER, "run-2", frozenset({"near"}))
    assert (report.created, report.deleted) == (2, 1)
    assert up(pulled) == {DAY: {"good", "wrong"}}
    assert up(pulled, "run-2") == {DAY: {"new-day"}, NIGHT: {"new-night"}}
    assert [(r.tool_id, set(r.scores)) for r in pulled.tool.open_reviews("cars/review")] == [
        (DAY, {"new-day"}),
        (NIGHT, {"new-night"}),
    ]
    assert pulled.memory.read().waiting == {DAY, NIGHT}
    before = snapshot(pulled.folder)
    again = pulled.memory.push(pulled.dataset, NEWER, "run-2", frozenset({"near"}))
    assert (again.images, again.created, again.deleted) == (2, 0, 0)
    assert snapshot(pulled.folder) == before
    assert "newest folder" in (pulled.version() / "README.txt").read_text("utf-8")


def test_a_box_that_is_still_wanted_moves_to_the_newer_version(pulled: Pulled) -> None:
    pulled.push()
    boxes = [*mined_boxes(pulled.dataset), NEWER[1]]
    report = pulled.memory.push(pulled.dataset, boxes, "run-2")
    assert (report.images, report.boxes, report.created, report.deleted) == (2, 4, 2, 2)
    assert up(pulled) == {}
    assert up(pulled, "run-2") == {DAY: {"good", "wrong"}, NIGHT: {"near", "new-night"}}


@pytest.mark.parametrize("lose_keys", [False, True])
def test_a_review_of_what_was_withdrawn_still_counts(pulled: Pulled, lose_keys: bool) -> None:
    """Somebody had taken the older file into another tool."""
    pulled.push()
    theirs = read(pulled.version() / "to_review.json")
    (wrong,) = (e for e in theirs["annotations"] if e["tool_id"] == "wrong")
    theirs["annotations"].remove(wrong)
    pulled.memory.push(pulled.dataset, NEWER, "run-2", ALL)
    assert up(pulled) == {}
    assert pulled.memory.read() == replace(
        pulled.memory.read(), reviews=[], waiting=frozenset({DAY, NIGHT})
    )
    write(pulled.version() / "reviewed.json", strip(theirs) if lose_keys else theirs)
    reviews = {review.tool_id: review for review in pulled.memory.read().reviews}
    assert {id: (set(r.shown), {b.region_id for b in r.regions}) for id, r in reviews.items()} == {
        DAY: ({"11", "left", "good", "wrong"}, {"11", "left", "good"}),
        NIGHT: ({"30", "near"}, {"30", "near"}),
    }
    decisions = pulled.memory.verdicts()[DAY].decisions
    assert {id: decisions[id].fate for id in ("good", "wrong")} == {
        "good": "kept",
        "wrong": "deleted",
    }


def test_reviews_are_ordered_by_what_they_were_made_of(pulled: Pulled) -> None:
    """Saving the older version's file again doesn't make its old reviews the newest."""
    pulled.push()
    night = next(r for r in pulled.tool.open_reviews("cars/review") if r.tool_id == NIGHT)
    night.submit(night.regions)
    pulled.memory.push(pulled.dataset, NEWER, "run-0", frozenset())
    for review in pulled.tool.open_reviews("cars/review"):
        review.submit(review.regions)
    later = (pulled.version("run-0") / "reviewed.json").stat().st_mtime + 60
    os.utime(pulled.version() / "reviewed.json", (later, later))
    first, last = sorted(pulled.memory.reviews()[NIGHT], key=lambda review: review.saved_at)
    assert (first.offer, last.offer) == (f"run-1/{NIGHT}", f"run-0/{NIGHT}")
    (day,) = pulled.memory.reviews()[DAY]
    created = read(pulled.version("run-0") / "to_review.json")["info"]["date_created"]
    assert first.saved_at < created <= last.saved_at
    assert day.saved_at > created


def test_a_clock_that_was_ahead_changes_no_order(pulled: Pulled) -> None:
    """A reviewer keeps, with newer boxes, what was deleted with older ones."""
    pulled.push()
    file = pulled.version() / "to_review.json"
    content = read(file)
    content["info"]["date_created"] = "2090-01-01T00:00:00+00:00"
    write(file, content)
    day = next(r for r in pulled.tool.open_reviews("cars/review") if r.tool_id == DAY)
    day.submit([region for region in day.regions if region.region_id != "left"])
    assert pulled.memory.push(pulled.dataset, NEWER, "run-2").created == 2
    assert pulled.memory.push(pulled.dataset, NEWER, "run-2").created == 0
    day = next(r for r in pulled.tool.open_reviews("cars/review") if r.tool_id == DAY)
    assert "left" in {region.region_id for region in day.regions}
    day.submit(day.regions)
    first, last = sorted(pulled.memory.reviews()[DAY], key=lambda review: review.saved_at)
    assert (first.offer, last.offer) == (f"run-1/{DAY}", f"run-2/{DAY}")


def test_several_people_review_the_same_boxes(pulled: Pulled) -> None:
    pulled.push()
    content = read(pulled.version() / "to_review.json")
    write(pulled.version() / "reviewed.json", content)
    kept = [entry for entry in content["annotations"] if entry["tool_id"] != "good"]
    write(pulled.version() / "reviewed-ann.json", {**content, "annotations": kept})
    day = pulled.memory.reviews()[DAY]
    assert {(r.review_id, r.offer, r.reviewer, len(r.regions)) for r in day} == {
        ("run-1/day/a.png", "run-1/day/a.png", None, 4),
        ("run-1/day/a.png/ann", "run-1/day/a.png", "ann", 3),
    }
    assert pulled.memory.read().waiting == frozenset()
    assert pulled.push().images == 0


def test_boxes_of_an_unknown_category_are_not_judged(
    pulled: Pulled, caplog: pytest.LogCaptureFixture
) -> None:
    pulled.push()
    content = read(pulled.version() / "to_review.json")
    content["categories"].append({"id": 50, "name": "coach"})
    for entry in content["annotations"]:
        if entry["tool_id"] in ("left", "good"):
            entry["category_id"] = 50
    write(pulled.version() / "reviewed.json", content)
    (day,) = pulled.memory.reviews()[DAY]
    assert set(day.shown) == {region.region_id for region in day.regions} == {"11", "wrong"}
    assert "2 boxes with a category that was not pushed (first: 'coach')" in caplog.text
    assert pulled.memory.verdicts()[DAY].decisions.keys() == {"wrong"}


def test_an_image_that_is_gone_is_skipped(pulled: Pulled) -> None:
    content = read(pulled.annotations)
    content["images"].pop(0)
    content["annotations"] = content["annotations"][2:]
    write(pulled.annotations, content)
    report = pulled.push()
    assert (report.images, report.gone, list(report.skipped)) == (1, frozenset({DAY}), [DAY])
    assert report.skipped_lines() == [
        "skipped 1 image (day/a.png): the project no longer has the image"
    ]
    assert up(pulled) == {NIGHT: {"near"}}


def test_an_image_of_another_size_is_not_shown_with_old_boxes(pulled: Pulled) -> None:
    pulled.push()
    larger = [replace(i, width=240, height=160) for i in pulled.dataset.images if i.id == 4]
    others = [i for i in pulled.dataset.images if i.id != 4]
    again = replace(pulled, dataset=replace(pulled.dataset, images=(*larger, *others)))
    report = again.push()
    assert (report.images, report.created) == (1, 0)
    assert "now 240 x 160 pixels, but was 120 x 80" in report.skipped[DAY]


def test_a_renamed_image_keeps_its_reviews(pulled: Pulled) -> None:
    pulled.push()
    theirs = strip(read(pulled.version() / "to_review.json"))
    drawn = {"id": 99, "image_id": 1, "category_id": 1, "bbox": [1, 1, 9, 9]}
    theirs["annotations"].append(drawn)
    write(pulled.version() / "reviewed.json", theirs)
    before = pulled.memory.reviews()[DAY]
    pulled.memory.mode.rename_images("cars/review", {DAY: "noon/c.png"})
    pulled.memory.mode.rename_images("cars/review", {"noon/c.png": "evening/d.png"})
    shown = read_coco(pulled.version() / "to_review.json")
    assert {image.file_name for image in shown.images} == {"evening/d.png", NIGHT}
    assert {image.tool_id for image in shown.images} == {"evening/d.png", NIGHT}
    pulled.memory.pushed["evening/d.png"] = pulled.memory.pushed.pop(DAY)
    after = pulled.memory.reviews()
    assert after.keys() == {"evening/d.png", NIGHT}
    assert [replace(r, tool_id=DAY) for r in after["evening/d.png"]] == before
    # And under the new name, as somebody exports it who imports the file now.
    theirs["images"][0]["file_name"] = "evening/d.png"
    write(pulled.version() / "reviewed.json", theirs)
    (again,) = pulled.memory.reviews()["evening/d.png"]
    assert again.regions == before[0].regions
    assert pulled.memory.read().waiting == frozenset()


def test_a_review_folder_that_is_gone(pulled: Pulled) -> None:
    assert pulled.memory.read().waiting == frozenset()  # nothing was pushed
    pulled.push()
    shutil.rmtree(pulled.folder / "review")
    with pytest.raises(PlaceGoneError, match="review: the folder was deleted"):
        pulled.memory.read()
    assert pulled.push().created == 2


@pytest.mark.parametrize("is_there", [True, False])
def test_a_project_on_a_drive_that_is_not_mounted(pulled: Pulled, is_there: bool) -> None:
    pulled.push()
    pulled.folder.rename(pulled.folder.with_name("elsewhere"))
    if is_there:
        pulled.folder.mkdir()
    with pytest.raises(PlaceAwayError, match=r"cars: .* missing or empty: is its drive mounted"):
        pulled.memory.read()


def test_a_version_that_was_deleted_takes_no_review_back(pulled: Pulled) -> None:
    """The place no longer knows what was reviewed there, though a newer version has an image."""
    pulled.push()
    for review in pulled.tool.open_reviews("cars/review"):
        review.submit(review.regions)
    pulled.memory.push(pulled.dataset, [NEWER[0]], "run-2")
    assert pulled.memory.read().waiting == {DAY}
    first = {f"run-1/{DAY}", f"run-1/{NIGHT}"}
    assert {review.offer for review in pulled.memory.read().reviews} == first
    assert pulled.memory.read().offers == {*first, f"run-2/{DAY}"}
    shutil.rmtree(pulled.version())
    read = pulled.memory.read()
    assert (list(read.reviews), read.waiting) == ([], frozenset({DAY}))
    assert read.offers == {f"run-2/{DAY}"}
    (review,) = pulled.tool.open_reviews("cars/review")
    review.submit(review.regions)
    assert {review.offer for review in pulled.memory.read().reviews} == {f"run-2/{DAY}"}


def test_categories_that_were_renamed(pulled: Pulled) -> None:
    """What was pushed under the old name is read under the present one, and pushed again to."""
    pulled.memory.push(pulled.dataset, mined_boxes(pulled.dataset)[2:])
    content = read(pulled.annotations)
    content["categories"] = [{"id": 1, "name": "lorry"}, *content["categories"]]
    content["categories"][1]["id"], content["categories"][2]["id"] = 4, 9
    content["categories"][2]["name"] = "coach"
    for entry in [*content["annotations"], *content["background"]]:
        entry["category_id"] = {1: 4, 2: 9}[entry["category_id"]]
    write(pulled.annotations, content)
    tool = FilesTool(pulled.tool.url, ToolOptions(rename={"bus": "coach"}))
    dataset = tool.pull("cars", pulled.images)
    memory = replace(pulled.memory, tool=tool)
    mined = [
        MinedBox("near", 9, 4, (70, 40, 100, 70), 0.95, 0.5),
        MinedBox("wrong", 4, 9, (40, 50, 60, 70), 0.6, 0.5),
    ]
    report = memory.push(dataset, mined)
    assert (report.images, report.created, report.skipped) == (2, 1, {})
    reviews = {review.tool_id: review for review in tool.open_reviews("cars/review")}
    assert {r.region_id: r.category for r in reviews[DAY].regions} == {
        "11": "car",
        "left": "coach",
        "wrong": "coach",
    }
    for review in reviews.values():
        review.submit(review.regions)
    assert {id: outcome(one) for id, one in memory.merge().items()} == {
        DAY: "changed",
        NIGHT: "changed",
    }
    assert boxes_of(pulled.annotations, DAY)["wrong"] == ("coach", [40, 50, 20, 20], "accepted")


def test_where_a_person_opens_an_image(pulled: Pulled) -> None:
    assert pulled.tool.image_url("cars", DAY) == str(pulled.folder / "images" / DAY)
