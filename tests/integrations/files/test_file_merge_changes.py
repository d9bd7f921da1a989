"""Merging into a changed project: categories, image sizes, simultaneous saves; undo."""

import json
import os
from dataclasses import replace
from typing import Any

import pytest

from sparsedet.annotations import XYXY
from sparsedet.errors import SparseDetError
from sparsedet.integrations.files import FilesTool
from sparsedet.reviews import scaled
from sparsedet.tool import ToolOptions
from tests.integrations.files.conftest import Pulled
from tests.integrations.files.memory import counts, outcome, outcomes
from tests.integrations.files.samples import boxes_of, read, write

DAY, NIGHT = "day/a.png", "night/b.png"
NEW: XYXY = (2, 60, 20, 78)


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


def renumber_classes(content: dict[str, Any]) -> None:
    for category in content["categories"]:
        category["id"] += 10
    for entry in [*content["annotations"], *content["background"]]:
        entry["category_id"] += 10


def test_what_a_merge_replaced_comes_back(judged: Pulled) -> None:
    before = read(judged.annotations)
    judged.memory.merge()
    assert json.loads(json.dumps(judged.memory.kept[DAY].content))["exhaustive"] is False
    content = read(judged.annotations)
    content["images"].append({"id": 5, "file_name": "new.png", "width": 120, "height": 80})
    # Somebody draws a box that gets the number of one that was deleted, and renumbers the classes.
    content["annotations"].append({"id": 11, "image_id": 5, "category_id": 1, "bbox": [1, 1, 9, 9]})
    renumber_classes(content)
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


@pytest.mark.parametrize("order", [1, -1])
def test_an_undo_restores_the_file_itself(judged: Pulled, order: int) -> None:
    """The boxes of an image may be anywhere in it."""
    content = read(judged.annotations)
    boxes = [*content["annotations"][::order]]
    other = {"id": 77, "image_id": 5, "category_id": 1, "bbox": [1, 1, 9, 9]}
    content["images"].append({"id": 5, "file_name": "new.png", "width": 120, "height": 80})
    content["annotations"] = [boxes[0], other, *boxes[1:], {**other, "id": 78}]
    write(judged.annotations, content)
    before = judged.annotations.read_bytes()
    judged.memory.merge()
    assert judged.annotations.read_bytes() != before
    assert judged.memory.restore() == {}
    assert judged.annotations.read_bytes() == before


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
    # A merge that was cut off could not note how it left an image; the other one is restored.
    judged.memory.versions = dict.fromkeys(judged.memory.versions, None)
    assert judged.memory.restore().keys() == {NIGHT}


def test_a_merge_that_was_killed_before_it_recorded_can_be_undone(judged: Pulled) -> None:
    before = {name: boxes_of(judged.annotations, name) for name in (DAY, NIGHT)}
    judged.memory.merge(remember=False)
    assert before != {name: boxes_of(judged.annotations, name) for name in (DAY, NIGHT)}
    judged.memory.versions = dict.fromkeys(judged.memory.versions, None)
    # Other images may change in the meantime.
    content = read(judged.annotations)
    content["annotations"].append({"id": 77, "image_id": 2, "category_id": 1, "bbox": [1, 1, 9, 9]})
    write(judged.annotations, content)
    assert judged.memory.restore() == {}
    assert before == {name: boxes_of(judged.annotations, name) for name in (DAY, NIGHT)}


def test_an_undo_that_was_killed_is_completed_under_other_ids(judged: Pulled) -> None:
    judged.memory.merge()
    content = read(judged.annotations)
    content["annotations"].append({"id": 11, "image_id": 2, "category_id": 1, "bbox": [1, 1, 9, 9]})
    renumber_classes(content)
    write(judged.annotations, content)
    assert judged.memory.restore() == {}
    after = judged.annotations.read_bytes()
    assert judged.memory.restore() == {}
    assert judged.annotations.read_bytes() == after


def test_records_of_earlier_versions_have_no_intent(judged: Pulled) -> None:
    judged.memory.merge()
    judged.memory.versions = dict.fromkeys(judged.memory.versions, None)
    for one in judged.memory.kept.values():
        del one.content["written"]
    left = judged.memory.restore()
    assert set(left) == {DAY, NIGHT}
    assert "interrupted before it recorded" in left[DAY]


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
        assert set(outcomes(judged.memory).values()) == {"changed"}
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
    assert outcomes(judged.memory)[DAY] == "same"


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
