"""Reviews into the annotations of the project."""

import json
import os
from dataclasses import replace
from typing import Any

import pytest

from sparsedet.annotations import XYXY
from sparsedet.annotations.mined_boxes import MinedBox
from sparsedet.errors import SparseDetError
from sparsedet.integrations.files import FilesTool
from sparsedet.reviews import NOTHING_WRITTEN, ReviewedRegion, scaled
from sparsedet.tool import ToolOptions
from tests.integrations.files.conftest import Pulled
from tests.integrations.files.memory import counts, outcome
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
    day.submit([left, by_id["good"], drawn], complete=True)
    near = replace(by_id["near"], category="bus")
    night.submit([by_id["30"], near], seconds=2.0)
    return pulled


def outcomes(pulled: Pulled, *, write: bool = True, remember: bool = True) -> dict[str, str]:
    """Merge; return what became of the images."""
    merged = pulled.memory.merge(write=write, remember=remember)
    return {id: outcome(one) for id, one in merged.items()}


def test_a_dry_merge_writes_nothing_and_agrees_with_the_real_one(judged: Pulled) -> None:
    before = judged.annotations.read_bytes()
    planned = judged.memory.merge(write=False)
    assert judged.annotations.read_bytes() == before
    assert {id: counts(one) for id, one in planned.items()} == {DAY: (2, 1, 1), NIGHT: (1, 0, 0)}
    assert {id: one.changes.marks_complete for id, one in planned.items()} == {
        DAY: True,
        NIGHT: False,
    }
    assert {one.version for one in planned.values()} == {None}

    written = judged.memory.merge()
    assert {name: replace(one, version=None) for name, one in written.items()} == planned
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
        name: one.version for name, one in written.items()
    }


def test_everything_else_in_the_file_stays(judged: Pulled) -> None:
    before = read(judged.annotations)
    judged.memory.merge()
    after = read(judged.annotations)
    assert after["annotations"][0]["id"] == 12
    assert after["annotations"][1] == before["annotations"][2]
    assert len({entry["id"] for entry in after["annotations"]}) == 5
    assert after["images"] == [{**before["images"][0], "exhaustive": True}, *before["images"][1:]]
    for key in ("info", "categories", "background"):
        assert after[key] == before[key]


@pytest.mark.parametrize("remember", [True, False])
def test_a_second_merge_finds_nothing_to_do(judged: Pulled, remember: bool) -> None:
    judged.memory.merge(remember=remember)
    after = judged.annotations.read_bytes()
    assert set(outcomes(judged).values()) == {"same"}
    assert judged.annotations.read_bytes() == after


def test_only_a_change_of_the_same_box_is_a_conflict(judged: Pulled) -> None:
    content = read(judged.annotations)
    content["annotations"][0]["bbox"] = [14, 10, 20, 20]  # the review deleted it
    content["annotations"][2]["bbox"] = [9, 5, 30, 30]  # the review left it alone
    write(judged.annotations, content)
    merged = judged.memory.merge()
    assert {id: outcome(one) for id, one in merged.items()} == {DAY: "conflict", NIGHT: "changed"}
    assert merged[DAY].changes.conflicts == {"11": "changed there, deleted in the review"}
    state = merged[DAY].state
    assert state is not None
    assert state.saved.startswith(f"{judged.annotations} saved 20")
    assert set(boxes_of(judged.annotations, DAY)) == {"11", "left"}
    assert boxes_of(judged.annotations, NIGHT)["30"][1] == [9, 5, 30, 30]


def test_saving_without_a_change_is_no_conflict(judged: Pulled) -> None:
    """Nor is an image that somebody marked as complete."""
    content = read(judged.annotations)
    content["images"][1]["exhaustive"] = True
    content["annotations"][0]["occluded"] = False
    write(judged.annotations, content)
    assert set(outcomes(judged).values()) == {"changed"}


def test_an_image_that_is_gone(judged: Pulled) -> None:
    content = read(judged.annotations)
    content["images"].pop(0)
    content["annotations"] = [e for e in content["annotations"] if e["image_id"] != 4]
    write(judged.annotations, content)
    assert outcomes(judged) == {DAY: "gone", NIGHT: "changed"}


def test_unsure_boxes_are_left_out(pulled: Pulled) -> None:
    pulled.push()
    for review in pulled.tool.open_reviews("cars/review"):
        review.submit([replace(region, unsure=True) for region in review.regions])
    before = pulled.annotations.read_bytes()
    assert set(outcomes(pulled).values()) == {"same"}
    assert pulled.annotations.read_bytes() == before


def test_overlapping_boxes_that_one_reviewer_accepted(pulled: Pulled) -> None:
    """Two cars behind each other are two cars, and the merge knows its own work again."""
    mined = [
        MinedBox("front", 9, 1, (60, 40, 100, 70), 0.9, 0.5),
        MinedBox("behind", 9, 1, (64, 40, 104, 70), 0.8, 0.5),
    ]
    pulled.memory.push(pulled.dataset, mined)
    (night,) = pulled.tool.open_reviews("cars/review")
    night.submit(night.regions)
    assert counts(pulled.memory.merge(remember=False)[NIGHT]) == (2, 0, 0)
    assert set(boxes_of(pulled.annotations, NIGHT)) == {"30", "front", "behind"}
    before = pulled.annotations.read_bytes()
    assert outcomes(pulled) == {NIGHT: "same"}
    assert pulled.annotations.read_bytes() == before


def next_round(judged: Pulled, content: Any) -> Pulled:
    """Pull the project as another tool left it, and push a new box."""
    write(judged.annotations, content)
    pulled = replace(judged, dataset=judged.tool.pull("cars", judged.images))
    (day,) = (image for image in pulled.dataset.images if image.file_name == DAY)
    (car,) = (category for category in pulled.dataset.categories if category.name == "car")
    mined = MinedBox("new", day.id, car.id, NEW, 0.8, threshold=0.5)
    assert judged.memory.push(pulled.dataset, [mined], "run-2").created == 1
    return pulled


def merged_and_stripped(judged: Pulled) -> Any:
    """The merged project after it went through a tool that renumbers boxes and drops ids."""
    judged.memory.merge()
    content = strip(read(judged.annotations))
    for image in content["images"]:
        image["exhaustive"] = image["file_name"] == DAY
    return content


@pytest.mark.parametrize("remember", [True, False])
def test_nothing_is_merged_twice_after_another_tool(judged: Pulled, remember: bool) -> None:
    content = merged_and_stripped(judged)
    if not remember:
        judged.memory.pushed = {
            id: replace(image, written=NOTHING_WRITTEN)
            for id, image in judged.memory.pushed.items()
        }
    pulled = next_round(judged, content)
    before = judged.annotations.read_bytes()
    assert set(outcomes(judged).values()) == {"same"}
    assert judged.annotations.read_bytes() == before
    (review,) = pulled.tool.open_reviews("cars/review")
    review.submit(review.regions)
    day = judged.memory.merge()[DAY]
    assert (outcome(day), counts(day)) == ("changed", (1, 0, 0))
    assert boxes_of(judged.annotations, DAY)["new"] == ("car", [2, 60, 18, 18], "accepted")


def test_what_was_deleted_after_a_merge_does_not_come_back(judged: Pulled) -> None:
    content = merged_and_stripped(judged)
    good = [40, 10, 20, 20]
    content["annotations"] = [e for e in content["annotations"] if e["bbox"] != good]
    pulled = next_round(judged, content)
    before = judged.annotations.read_bytes()
    assert outcomes(judged)[DAY] == "same"
    (review,) = pulled.tool.open_reviews("cars/review")
    review.submit(review.regions)
    assert counts(judged.memory.merge()[DAY]) == (1, 0, 0)
    assert judged.annotations.read_bytes() != before
    assert good not in [box[1] for box in boxes_of(judged.annotations, DAY).values()]


def test_a_deletion_is_made_when_ids_changed(pulled: Pulled) -> None:
    pulled.push()
    for review in pulled.tool.open_reviews("cars/review"):
        review.submit([r for r in review.regions if r.region_id in {"left", "30"}])
    write(pulled.annotations, strip(read(pulled.annotations)))
    assert outcomes(pulled) == {DAY: "changed", NIGHT: "same"}
    (left,) = boxes_of(pulled.annotations, DAY).values()
    assert left == ("bus", [80, 40, 20, 30], None)


def test_reviews_of_two_versions_add_up(judged: Pulled) -> None:
    """The second was pushed from the same annotations, before the first was merged."""
    next_round(judged, read(judged.annotations))
    (review,) = judged.tool.open_reviews("cars/review")
    assert {region.region_id for region in review.regions} == {"11", "left", "new"}
    review.submit(review.regions)
    day = judged.memory.merge()[DAY]
    assert (outcome(day), counts(day)) == ("changed", (3, 1, 1))
    after = boxes_of(judged.annotations, DAY)
    # The first review deleted 11 and moved left; to the second they were as before.
    assert {"left", "good", "new"} < set(after)
    assert after["left"][1] == [82, 40, 20, 30]


def test_what_was_drawn_and_mined_as_well_is_added_once(judged: Pulled) -> None:
    twice = MinedBox("twice", 4, 2, (91, 5, 111, 15), 0.9, 0.5)
    judged.memory.push(judged.dataset, [twice], "run-2")
    (again,) = judged.tool.open_reviews("cars/review")
    assert list(again.scores) == ["twice"]
    again.submit(again.regions)
    judged.memory.merge()
    buses = [box for box in boxes_of(judged.annotations, DAY).values() if box[0] == "bus"]
    assert [box[1] for box in buses] == [[82, 40, 20, 30], [90, 5, 20, 10]]
    assert outcomes(judged)[DAY] == "same"


def test_a_category_that_is_gone(judged: Pulled) -> None:
    content = read(judged.annotations)
    content["categories"].pop()
    content["annotations"] = [e for e in content["annotations"] if e["category_id"] == 1]
    content["background"] = []
    write(judged.annotations, content)
    merged = judged.memory.merge()
    # `near` was renamed to bus, one bus was moved and one drawn.
    assert set(merged[NIGHT].changes.unknown.values()) == {"bus"}
    assert set(merged[DAY].changes.unknown.values()) == {"bus"}
    assert boxes_of(judged.annotations, DAY) == {"good": ("car", [40, 10, 20, 20], "accepted")}
    assert set(boxes_of(judged.annotations, NIGHT)) == {"30"}
    assert {outcome(one) for one in judged.memory.merge().values()} == {"same"}


def test_what_a_merge_replaced_comes_back(judged: Pulled) -> None:
    before = read(judged.annotations)
    judged.memory.merge()
    assert json.loads(json.dumps(judged.memory.kept[DAY].content))["exhaustive"] is False
    content = read(judged.annotations)
    content["images"].append({"id": 5, "file_name": "new.png", "width": 120, "height": 80})
    # Somebody draws a box that gets the number of one that was deleted, and renumbers the classes.
    content["annotations"].append({"id": 11, "image_id": 5, "category_id": 1, "bbox": [1, 1, 9, 9]})
    for category in content["categories"]:
        category["id"] += 10
    for entry in [*content["annotations"], *content["background"]]:
        entry["category_id"] += 10
    write(judged.annotations, content)
    assert judged.memory.restore() == {}
    after = read(judged.annotations)
    assert after["images"] == [*before["images"], content["images"][-1]]
    entries = {entry["id"]: entry for entry in after["annotations"]}
    assert entries[11]["image_id"] == 5
    assert len(entries) == 4
    assert boxes_of(judged.annotations, DAY)["left"] == ("bus", [80, 40, 20, 30], None)
    assert ("car", [10, 10, 20, 20], None) in boxes_of(judged.annotations, DAY).values()
    assert boxes_of(judged.annotations, NIGHT) == {"30": ("car", [5, 5, 30, 30], "accepted")}


def test_what_somebody_changed_since_the_merge_stays(judged: Pulled) -> None:
    judged.memory.merge()
    content = read(judged.annotations)
    (entry,) = (e for e in content["annotations"] if e.get("tool_id") == "near")
    entry["bbox"] = [50, 40, 30, 30]
    write(judged.annotations, content)
    left = judged.memory.restore()
    assert list(left) == [NIGHT]
    assert f"in {judged.annotations} changed since the merge" in left[NIGHT]
    assert set(boxes_of(judged.annotations, DAY)) == {"11", "left"}
    assert boxes_of(judged.annotations, NIGHT)["near"][1] == [50, 40, 30, 30]
    # A merge that was cut off could not note how it left an image.
    judged.memory.versions = dict.fromkeys(judged.memory.versions, None)
    assert judged.memory.restore().keys() == {DAY, NIGHT}


@pytest.mark.parametrize("always", [False, True])
def test_what_somebody_saves_in_the_same_moment_is_not_lost(
    judged: Pulled, monkeypatch: pytest.MonkeyPatch, always: bool
) -> None:
    """A box is drawn by somebody after we read the file and before it is replaced."""
    real = os.fsync
    drawn: list[int] = []

    def save_meanwhile(file: int) -> None:
        real(file)
        if not drawn or always:
            drawn.append(len(drawn) + 100)
            content = read(judged.annotations)
            box = {"id": drawn[-1], "image_id": 2, "category_id": 1, "bbox": [50, 50, 10, 10]}
            content["annotations"].append(box)
            write(judged.annotations, content)

    monkeypatch.setattr(os, "fsync", save_meanwhile)
    if always:
        with pytest.raises(SparseDetError, match="changed while it was being written; try again"):
            judged.memory.merge()
    else:
        assert set(outcomes(judged).values()) == {"changed"}
    assert boxes_of(judged.annotations, "empty.png").keys() == {str(id) for id in drawn}
    assert ("good" in boxes_of(judged.annotations, DAY)) is not always


def test_an_image_that_was_replaced_by_a_larger_one(judged: Pulled) -> None:
    """Boxes of the review keep their place on the image, in training and in the file."""
    content = read(judged.annotations)
    image = content["images"][0]
    image |= {"width": 240, "height": 160}
    for entry in content["annotations"]:
        if entry["image_id"] == 4:
            entry["bbox"] = [2 * value for value in entry["bbox"]]
    write(judged.annotations, content)
    # The ledger was rescaled when the project was pulled.
    day = judged.memory.pushed[DAY]
    boxes = {
        id: replace(box, xyxy=scaled(box.xyxy, (1, 1), (2, 2))) for id, box in day.boxes.items()
    }
    judged.memory.pushed[DAY] = replace(day, size=(240, 160), boxes=boxes)
    (review,) = judged.memory.reviews()[DAY]
    assert review.shown["good"].xyxy == (80.0, 20.0, 120.0, 60.0)
    assert {region.xyxy for region in review.regions if region.region_id == "left"} == {
        (164, 80, 204, 140)
    }
    assert counts(judged.memory.merge()[DAY]) == (2, 1, 1)
    after = boxes_of(judged.annotations, DAY)
    assert [after[id] for id in ("good", "left")] == [
        ("car", [80, 20, 40, 40], "accepted"),
        ("bus", [164, 80, 40, 60], None),
    ]
    assert outcomes(judged)[DAY] == "same"


def test_a_merge_in_pixels_of_the_size_at_the_push(judged: Pulled) -> None:
    """The image was replaced by a larger one after the pull: the plan knows the old size."""
    content = read(judged.annotations)
    content["images"][0] |= {"width": 240, "height": 160}
    for entry in content["annotations"]:
        if entry["image_id"] == 4:
            entry["bbox"] = [2 * value for value in entry["bbox"]]
    write(judged.annotations, content)
    merged = judged.memory.merge()[DAY]
    assert merged.state is not None
    assert merged.state.boxes["left"].xyxy == (80.0, 40.0, 100.0, 70.0)
    assert counts(merged) == (2, 1, 1)
    after = boxes_of(judged.annotations, DAY)
    assert [after[id] for id in ("good", "left")] == [
        ("car", [80, 20, 40, 40], "accepted"),
        ("bus", [164, 80, 40, 60], None),
    ]


@pytest.mark.parametrize("in_the_file", [True, False])
def test_a_renamed_class(judged: Pulled, in_the_file: bool) -> None:
    """The project's class was renamed after the push, or a new one was added under the name."""
    content = read(judged.annotations)
    if in_the_file:
        content["categories"][1]["name"] = "coach"
    else:
        content["categories"].append({"id": 7, "name": "coach"})
    write(judged.annotations, content)
    tool = FilesTool(judged.tool.url, ToolOptions(rename={"bus": "coach"}))
    dataset = tool.pull("cars", judged.images)
    assert [(c.name, c.aliases) for c in dataset.categories] == [("car", ()), ("coach", ("bus",))]
    assert dataset.counts() == {"car": 2, "coach": 1}
    memory = replace(judged.memory, tool=tool)
    memory.pushed = {
        id: replace(
            image,
            boxes={
                box_id: replace(box, category=box.category.replace("bus", "coach"))
                for box_id, box in image.boxes.items()
            },
        )
        for id, image in memory.pushed.items()
    }
    assert {id: counts(one) for id, one in memory.merge().items()} == {
        DAY: (2, 1, 1),
        NIGHT: (1, 0, 0),
    }
    after = tool.pull("cars", judged.images)
    assert after.counts() == {"car": 2, "coach": 3}
    assert {outcome(one) for one in memory.merge().values()} == {"same"}


def test_a_class_that_has_no_present_name(judged: Pulled) -> None:
    """Its boxes are left out and left alone."""
    tool = FilesTool(judged.tool.url, ToolOptions(rename={"bus": ""}))
    assert tool.pull("cars", judged.images).counts() == {"car": 2}
    memory = replace(judged.memory, tool=tool)
    (day,) = memory.reviews()[DAY]
    assert set(day.shown) == {"11", "good"}
    assert {region.region_id for region in day.regions} == {"good"}
    memory.merge()
    assert boxes_of(judged.annotations, DAY) == {
        "left": ("bus", [80, 40, 20, 30], None),
        "good": ("car", [40, 10, 20, 20], "accepted"),
    }
