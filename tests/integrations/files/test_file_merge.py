"""Reviews into the annotations of the project."""

from dataclasses import replace
from typing import Any

import pytest

from sparsedet.annotations import XYXY
from sparsedet.annotations.mined_boxes import MinedBox
from sparsedet.errors import ToolError
from sparsedet.tool import MergedImage, PushedImage, ReviewedRegion
from tests.integrations.files.conftest import Pulled
from tests.integrations.files.samples import boxes_of, read, strip, write

DAY, NIGHT = "day/a.png", "night/b.png"
NEW: XYXY = (2, 60, 20, 78)


@pytest.fixture
def judged(pulled: Pulled) -> Pulled:
    """`good` and `near` stay, `near` moved; `wrong` and a human box are deleted; one is drawn."""
    pulled.push()
    night, day = pulled.tool.open_reviews("cars/review")
    by_id = {region.region_id: region for region in [*day.regions, *night.regions]}
    drawn = ReviewedRegion("mine", "bus", (90, 5, 110, 15))
    left = replace(by_id["left"], xyxy=(82, 40, 102, 70))
    pulled.tool.submit_review(day, [left, by_id["good"], drawn], complete=True)
    near = replace(by_id["near"], category="bus")
    pulled.tool.submit_review(night, [by_id["30"], near], seconds=2.0)
    return pulled


def merge(pulled: Pulled, pushed: list[PushedImage], *, write: bool) -> dict[str, MergedImage]:
    merged = pulled.tool.merge("cars", "cars/review", pushed, write=write)
    return {image.tool_id: image for image in merged}


def test_a_dry_merge_writes_nothing_and_agrees_with_the_real_one(judged: Pulled) -> None:
    before = judged.annotations.read_bytes()
    planned = merge(judged, judged.pushed(), write=False)
    assert judged.annotations.read_bytes() == before
    day, night = planned[DAY], planned[NIGHT]
    assert (day.outcome, day.added, day.edited, day.removed) == ("changed", 2, 1, 1)
    assert (night.outcome, night.added, night.edited, night.removed) == ("changed", 1, 0, 0)
    assert (day.marked_complete, night.marked_complete) == (True, False)
    assert (day.version, night.version) == (None, None)

    written = merge(judged, judged.pushed(), write=True)
    assert {name: replace(image, version=None) for name, image in written.items()} == planned
    after = boxes_of(judged.annotations, DAY)
    (drawn,) = (id for id in after if id.startswith("drawn-"))
    assert after == {
        "left": ("bus", [82, 40, 20, 30], None),
        "good": ("car", [40, 10, 20, 20], "accepted"),
        drawn: ("bus", [90, 5, 20, 10], "human"),
    }
    assert boxes_of(judged.annotations, NIGHT)["near"] == ("bus", [70, 40, 30, 30], "edited")
    again = judged.tool.pull("cars", judged.images)
    assert {i.tool_id: i.tool_version for i in again.images if i.tool_id in written} == {
        name: image.version for name, image in written.items()
    }


def test_everything_else_in_the_file_stays(judged: Pulled) -> None:
    before = read(judged.annotations)
    merge(judged, judged.pushed(), write=True)
    after = read(judged.annotations)
    assert after["annotations"][0]["id"] == 12
    assert after["annotations"][1] == before["annotations"][2]
    assert len({entry["id"] for entry in after["annotations"]}) == 5
    assert after["images"] == [{**before["images"][0], "exhaustive": True}, *before["images"][1:]]
    for key in ("info", "categories", "background"):
        assert after[key] == before[key]


@pytest.mark.parametrize("ledger_knows", [True, False])
def test_a_second_merge_finds_nothing_to_do(judged: Pulled, ledger_knows: bool) -> None:
    written = merge(judged, judged.pushed(), write=True)
    after = judged.annotations.read_bytes()
    pushed = judged.pushed()
    if ledger_knows:  # else the merge was cut off before it could be recorded
        pushed = [replace(image, version=written[image.tool_id].version) for image in pushed]
    again = merge(judged, pushed, write=True)
    assert {image.outcome for image in again.values()} == {"same"}
    assert judged.annotations.read_bytes() == after


def test_a_source_that_changed_is_a_conflict(judged: Pulled) -> None:
    content = read(judged.annotations)
    content["annotations"][0]["bbox"] = [12, 10, 20, 20]
    write(judged.annotations, content)
    merged = merge(judged, judged.pushed(), write=True)
    assert (merged[DAY].outcome, merged[NIGHT].outcome) == ("conflict", "changed")
    assert "changed since the push (saved 20" in merged[DAY].detail
    assert set(boxes_of(judged.annotations, DAY)) == {"11", "left"}


def test_an_image_that_is_gone_is_a_conflict(judged: Pulled) -> None:
    content = read(judged.annotations)
    content["images"].pop(0)
    content["annotations"] = [e for e in content["annotations"] if e["image_id"] != 4]
    write(judged.annotations, content)
    assert "no longer has the image" in merge(judged, judged.pushed(), write=True)[DAY].detail


def test_other_images_are_left_out(judged: Pulled) -> None:
    pushed = [image for image in judged.pushed() if image.tool_id == NIGHT]
    assert set(merge(judged, pushed, write=True)) == {NIGHT}
    assert set(boxes_of(judged.annotations, DAY)) == {"11", "left"}


def test_unsure_boxes_are_left_out(pulled: Pulled) -> None:
    pulled.push()
    for review in pulled.tool.open_reviews("cars/review"):
        pulled.tool.submit_review(
            review, [replace(region, unsure=True) for region in review.regions]
        )
    before = pulled.annotations.read_bytes()
    merged = merge(pulled, pulled.pushed(), write=True)
    assert {image.outcome for image in merged.values()} == {"same"}
    assert pulled.annotations.read_bytes() == before


def next_round(judged: Pulled, content: Any) -> tuple[Pulled, list[PushedImage]]:
    """Pull the project as another tool left it, and push a new box; return what is known then."""
    write(judged.annotations, content)
    pulled = replace(judged, dataset=judged.tool.pull("cars", judged.images))
    (day,) = (image for image in pulled.dataset.images if image.file_name == DAY)
    (car,) = (category for category in pulled.dataset.categories if category.name == "car")
    mined = MinedBox("new", day.id, car.id, NEW, 0.8, threshold=0.5)
    report = judged.tool.push("cars", pulled.dataset, [mined], model_version="run-2")
    assert report.created == 1
    versions = {image.file_name: image.tool_version for image in pulled.dataset.images}
    pushed = [replace(image, version=versions[image.tool_id]) for image in judged.pushed()]
    return pulled, pushed


def merged_and_stripped(judged: Pulled) -> Any:
    """The merged project after it went through a tool that renumbers boxes and drops ids."""
    merge(judged, judged.pushed(), write=True)
    content = strip(read(judged.annotations))
    for image in content["images"]:
        image["exhaustive"] = image["file_name"] == DAY
    return content


def test_nothing_is_merged_twice_after_another_tool(judged: Pulled) -> None:
    pulled, pushed = next_round(judged, merged_and_stripped(judged))
    before = judged.annotations.read_bytes()
    for known in (judged.pushed(), pushed):
        outcomes = {image.outcome for image in merge(judged, known, write=True).values()}
        assert outcomes == {"same"}
    assert judged.annotations.read_bytes() == before
    (review,) = pulled.tool.open_reviews("cars/review")
    pulled.tool.submit_review(review, review.regions)
    day = merge(judged, pushed, write=True)[DAY]
    assert (day.outcome, day.added, day.edited, day.removed) == ("changed", 1, 0, 0)
    assert boxes_of(judged.annotations, DAY)["new"] == ("car", [2, 60, 18, 18], "accepted")


def test_what_was_deleted_after_a_merge_does_not_come_back(judged: Pulled) -> None:
    content = merged_and_stripped(judged)
    good = [40, 10, 20, 20]
    content["annotations"] = [e for e in content["annotations"] if e["bbox"] != good]
    _, pushed = next_round(judged, content)
    assert merge(judged, pushed, write=True)[DAY].outcome == "conflict"


def test_a_deletion_is_not_there_already_when_ids_changed(pulled: Pulled) -> None:
    pulled.push()
    for review in pulled.tool.open_reviews("cars/review"):
        kept = [r for r in review.regions if r.region_id in {"left", "30"}]
        pulled.tool.submit_review(review, kept)
    write(pulled.annotations, strip(read(pulled.annotations)))
    merged = merge(pulled, pulled.pushed(), write=True)
    assert (merged[DAY].outcome, merged[NIGHT].outcome) == ("conflict", "same")


def test_reviews_of_two_versions_add_up(judged: Pulled) -> None:
    """The second was pushed from the same annotations, before the first was merged."""
    _, pushed = next_round(judged, read(judged.annotations))
    (review,) = judged.tool.open_reviews("cars/review")
    assert {region.region_id for region in review.regions} == {"11", "left", "new"}
    judged.tool.submit_review(review, review.regions)
    day = merge(judged, pushed, write=True)[DAY]
    assert (day.outcome, day.added, day.edited, day.removed) == ("changed", 3, 1, 1)
    after = boxes_of(judged.annotations, DAY)
    # The first review deleted 11 and moved left; to the second they were as before.
    assert {"left", "good", "new"} < set(after)
    assert "11" not in after
    assert after["left"][1] == [82, 40, 20, 30]


def test_what_was_drawn_and_mined_as_well_is_added_once(judged: Pulled) -> None:
    drawn = ReviewedRegion("mine", "bus", (90, 5, 110, 15))
    twice = MinedBox("twice", 4, 2, (91, 5, 111, 15), 0.9, 0.5)
    pushed = [*judged.pushed()]
    judged.tool.push("cars", judged.dataset, [twice], model_version="run-2")
    (again,) = judged.tool.open_reviews("cars/review")
    assert drawn.region_id not in again.scores
    judged.tool.submit_review(again, again.regions)
    merge(judged, pushed, write=True)
    buses = [box for box in boxes_of(judged.annotations, DAY).values() if box[0] == "bus"]
    assert [box[1] for box in buses] == [[82, 40, 20, 30], [90, 5, 20, 10]]
    assert merge(judged, pushed, write=True)[DAY].outcome == "same"


def test_a_category_that_is_gone(judged: Pulled) -> None:
    pushed = judged.pushed()
    content = read(judged.annotations)
    content["categories"].pop()
    content["annotations"] = [e for e in content["annotations"] if e["category_id"] == 1]
    content["background"] = []
    write(judged.annotations, content)
    with pytest.raises(ToolError, match="has no category 'bus'"):
        merge(judged, pushed, write=True)
