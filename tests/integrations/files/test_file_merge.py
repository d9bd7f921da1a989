"""Merging reviews into the project's annotations."""

import json
import re
from dataclasses import replace
from typing import Any

import pytest

from sparsedet.annotations import XYXY
from sparsedet.annotations.mined_boxes import MinedBox
from sparsedet.reviews import NOTHING_WRITTEN
from tests.integrations.files.conftest import Pulled
from tests.integrations.files.memory import counts, outcome, outcomes
from tests.integrations.files.samples import boxes_of, read, strip, write

DAY, NIGHT = "day/a.png", "night/b.png"
NEW: XYXY = (2, 60, 20, 78)


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


def test_keys_that_only_escapes_can_write_stay(judged: Pulled) -> None:
    content = read(judged.annotations)
    content["info"] = {"contributor": "half of a pair: \ud83d"}
    judged.annotations.write_text(json.dumps(content))
    judged.memory.merge()
    after = read(judged.annotations)
    assert after["info"] == content["info"]
    assert after["annotations"] != content["annotations"]


STYLES: list[tuple[dict[str, Any], str]] = [
    ({"indent": 4}, ""),
    ({"indent": 2, "ensure_ascii": False}, "\n"),
    ({"indent": "\t"}, "\r\n"),
    ({"separators": (",", ":")}, "\n"),
    ({}, ""),
]


@pytest.mark.parametrize(("style", "end"), STYLES)
def test_a_file_keeps_its_layout(style: dict[str, Any], end: str, judged: Pulled) -> None:
    file = judged.annotations
    newline = end or "\n"

    def dumped(content: Any) -> bytes:
        text = json.dumps(content, **style) + ("\n" if end else "")
        return text.replace("\n", newline).encode()

    file.write_bytes(before := dumped(read(file) | {"info": {"by": "Zoë"}}))
    judged.memory.merge()
    after = file.read_bytes()
    assert after != before
    assert after == dumped(read(file))
    judged.memory.restore()
    assert file.read_bytes() == dumped(read(file))


def test_boxes_in_one_line_each_are_not_spread_over_several(judged: Pulled) -> None:
    text = json.dumps(read(judged.annotations), indent=1)
    judged.annotations.write_text(re.sub(r"\[\s+([^\[\]{}]+?)\s+\]", r"[\1]", text))
    judged.memory.merge()
    assert len(judged.annotations.read_text().splitlines()) == 1


@pytest.mark.parametrize(
    ("mask", "area"), [([], 600), (None, 600), ([[82, 40, 102, 40, 102, 70]], 300)]
)
def test_the_area_of_a_moved_box_is_its_own_unless_it_has_a_mask(
    judged: Pulled, mask: Any, area: float
) -> None:
    content = read(judged.annotations)
    for entry in content["annotations"]:
        entry |= {"segmentation": mask, "area": 300}
    write(judged.annotations, content)
    judged.memory.merge()
    left = next(e for e in read(judged.annotations)["annotations"] if e.get("tool_id") == "left")
    assert (left["bbox"], left["area"]) == ([82, 40, 20, 30], area)


def test_a_linked_file_is_changed_where_it_is(judged: Pulled) -> None:
    shared = judged.folder.parent / "shared.json"
    judged.annotations.rename(shared)
    judged.annotations.symlink_to(shared)
    before = read(shared)
    judged.memory.merge()
    assert judged.annotations.is_symlink()
    assert read(shared) != before
    judged.memory.restore()
    assert judged.annotations.is_symlink()
    assert boxes_of(shared, DAY).keys() == {"11", "left"}


def test_who_may_write_the_file_stays(judged: Pulled) -> None:
    judged.annotations.chmod(0o660)
    judged.memory.merge()
    assert judged.annotations.stat().st_mode & 0o777 == 0o660


@pytest.mark.parametrize("remember", [True, False])
def test_a_second_merge_finds_nothing_to_do(judged: Pulled, remember: bool) -> None:
    judged.memory.merge(remember=remember)
    after = judged.annotations.read_bytes()
    assert set(outcomes(judged.memory).values()) == {"same"}
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
    assert set(outcomes(judged.memory).values()) == {"changed"}


def test_an_image_that_is_gone(judged: Pulled) -> None:
    content = read(judged.annotations)
    content["images"].pop(0)
    content["annotations"] = [e for e in content["annotations"] if e["image_id"] != 4]
    write(judged.annotations, content)
    assert outcomes(judged.memory) == {DAY: "gone", NIGHT: "changed"}


def test_unsure_boxes_are_left_out(pulled: Pulled) -> None:
    pulled.push()
    for review in pulled.tool.open_reviews("cars/review"):
        review.submit([replace(region, unsure=True) for region in review.regions])
    before = pulled.annotations.read_bytes()
    assert set(outcomes(pulled.memory).values()) == {"same"}
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
    assert outcomes(pulled.memory) == {NIGHT: "same"}
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
    assert set(outcomes(judged.memory).values()) == {"same"}
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
    assert outcomes(judged.memory)[DAY] == "same"
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
    assert outcomes(pulled.memory) == {DAY: "changed", NIGHT: "same"}
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
    assert outcomes(judged.memory)[DAY] == "same"
