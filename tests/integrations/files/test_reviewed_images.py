"""Reviews returned by other tools, and the matching of their boxes."""

from pathlib import Path
from typing import Any

import pytest

from sparsedet.annotations import XYXY, Image
from sparsedet.errors import AnnotationError, ToolError
from sparsedet.integrations.files.review_files import Offer
from sparsedet.integrations.files.reviewed_images import FoundBox, recognise
from sparsedet.reviews import Review, ReviewedRegion
from tests.integrations.files.conftest import Pulled
from tests.integrations.files.samples import mined_boxes, read, strip, write


@pytest.fixture
def put_up(pulled: Pulled) -> Pulled:
    pulled.push()
    return pulled


def edited(put_up: Pulled) -> Any:
    """A review: `good` stays, `wrong` is deleted, `near` is moved and renamed, one box is drawn."""
    content = read(put_up.version() / "to_review.json")
    entries = {entry["tool_id"]: entry for entry in content["annotations"]}
    content["annotations"].remove(entries["wrong"])
    entries["near"] |= {"bbox": [75, 42, 30, 30], "category_id": 2}
    drawn = {"id": 99, "image_id": entries["good"]["image_id"], "category_id": 2}
    content["annotations"].append({**drawn, "bbox": [90, 5, 20, 10]})
    return content


def reviewed(put_up: Pulled, content: Any) -> dict[str, Review]:
    write(put_up.version() / "reviewed.json", content)
    return by_image(put_up)


def by_image(put_up: Pulled) -> dict[str, Review]:
    return {review.tool_id: review for review in put_up.memory.read().reviews}


@pytest.mark.parametrize("lose_keys", [False, True])
def test_outcomes_by_id_and_by_place(put_up: Pulled, lose_keys: bool) -> None:
    content = edited(put_up)
    images = reviewed(put_up, strip(content) if lose_keys else content)
    day = {region.region_id: region for region in images["day/a.png"].regions}
    (drawn,) = (id for id in day if id.startswith("drawn-"))
    assert set(day) == {"11", "left", "good", drawn}
    assert (day[drawn].category, day[drawn].xyxy) == ("bus", (90, 5, 110, 15))
    assert day["good"].xyxy == (40.0, 10.0, 60.0, 30.0)
    shown = images["day/a.png"].shown
    assert {id: (region.category, region.xyxy) for id, region in shown.items()} == {
        "11": ("car", (10, 10, 30, 30)),
        "left": ("bus", (80, 40, 100, 70)),
        "good": ("car", (40, 10, 60, 30)),
        "wrong": ("bus", (40, 50, 60, 70)),
    }
    night = {region.region_id: region for region in images["night/b.png"].regions}
    assert set(night) == {"30", "near"}
    assert (night["near"].category, night["near"].xyxy) == ("bus", (75, 42, 105, 72))
    assert by_image(put_up) == images


def test_ids_and_notes_among_the_attributes(put_up: Pulled) -> None:
    content = strip(edited(put_up))
    entry = next(e for e in content["annotations"] if e["bbox"] == [40, 10, 20, 20])
    entry |= {"bbox": [2, 60, 10, 10], "attributes": {"region_id": "good", "note": "Unsure"}}
    regions = {r.region_id: r for r in reviewed(put_up, content)["day/a.png"].regions}
    assert regions["good"].xyxy == (2.0, 60.0, 12.0, 70.0)
    assert {id for id, region in regions.items() if region.unsure} == {"good"}


def test_only_listed_images_are_reviewed_and_folders_may_change(
    put_up: Pulled, caplog: pytest.LogCaptureFixture
) -> None:
    content = strip(edited(put_up))
    assert content["images"][0]["file_name"] == "day/a.png"
    content["images"][0]["file_name"] = "task_7/a.png"
    gone = content["images"].pop(1)["id"]
    content["annotations"] = [e for e in content["annotations"] if e["image_id"] != gone]
    size = {"width": 120, "height": 80}
    for number, name in enumerate(["other.png", "task_7/b.png", "task_8/b.png"], start=70):
        content["images"].append({"id": number, "file_name": name, **size})
    assert set(reviewed(put_up, content)) == {"day/a.png"}
    assert "left out 3 images missing in to_review.json" in caplog.text


def test_images_without_a_size_have_the_one_that_was_pushed(put_up: Pulled) -> None:
    content = edited(put_up)
    expected = {id: one.regions for id, one in reviewed(put_up, content).items()}
    one, other = content["images"]
    del one["width"], one["height"]
    other |= {"file_name": f"photos/{other['file_name'].split('/')[-1]}", "width": 0, "height": 0}
    assert {id: one.regions for id, one in reviewed(put_up, content).items()} == expected


def test_what_else_a_review_may_hold(put_up: Pulled) -> None:
    content = edited(put_up)
    content["info"]["contributor"] = "ann"
    content["images"][0] |= {"seconds": 12.5, "reviewer": "bob", "exhaustive": True}
    images = reviewed(put_up, content)
    night, day = images["night/b.png"], images["day/a.png"]
    assert (night.reviewer, night.seconds, night.complete) == ("bob", 12.5, True)
    assert (day.reviewer, day.seconds, day.complete) == ("ann", None, False)


@pytest.mark.parametrize("seconds", [float("nan"), float("inf"), 1e308, -3, True, "7"])
def test_a_time_that_is_none_is_left_out(put_up: Pulled, seconds: object) -> None:
    content = edited(put_up)
    content["images"][0]["seconds"] = seconds
    assert reviewed(put_up, content)["night/b.png"].seconds is None


def _size(content: Any) -> None:
    content["images"][0]["width"] = 240


def _no_boxes(content: Any) -> None:
    del content["annotations"]


@pytest.mark.parametrize(
    ("break_it", "error", "message"),
    [
        (_size, ToolError, "images id 1: night/b.png has 240 x 80 pixels, but"),
        (_no_boxes, AnnotationError, "not a COCO annotation file"),
    ],
)
def test_broken_reviews_name_the_file(
    put_up: Pulled, break_it: Any, error: type[Exception], message: str
) -> None:
    content = read(put_up.version() / "to_review.json")
    content["categories"].reverse()  # so that the first annotation is of the last category
    break_it(content)
    with pytest.raises(error, match=message) as raised:
        reviewed(put_up, content)
    assert str(raised.value).startswith(str(put_up.version() / "reviewed.json"))


def test_a_replaced_image_does_not_hold_up_the_other_reviews(
    pulled: Pulled, caplog: pytest.LogCaptureFixture
) -> None:
    pulled.memory.push(
        pulled.dataset, mined_boxes(pulled.dataset), queue=[i.id for i in pulled.dataset.images]
    )
    content = strip(read(pulled.version() / "to_review.json"))
    assert len(content["images"]) == 3
    content["images"][0] |= {"width": 240, "height": 160}
    images = reviewed(pulled, content)
    assert set(images) == {image["file_name"] for image in content["images"][1:]}
    assert "has 240 x 160 pixels, but 120 x 80 in to_review.json" in caplog.text
    assert "left out reviews of 1 such image" in caplog.text


def test_a_review_without_what_was_shown(put_up: Pulled) -> None:
    write(put_up.version() / "reviewed.json", read(put_up.version() / "to_review.json"))
    (put_up.version() / "to_review.json").unlink()
    with pytest.raises(ToolError, match=r"to_review\.json is missing next to it"):
        put_up.memory.read()


def test_a_script_continues_a_review_that_another_tool_began(put_up: Pulled) -> None:
    content = strip(edited(put_up))
    content["images"] = content["images"][:1]
    content["annotations"] = [e for e in content["annotations"] if e["image_id"] == 1]
    write(put_up.version() / "reviewed.json", content)
    (left,) = put_up.tool.open_reviews("cars/review")
    assert left.tool_id == "night/b.png"
    left.submit(left.regions, seconds=3.0)
    images = by_image(put_up)
    assert {r.region_id for r in images["night/b.png"].regions} == {"30", "near"}
    assert {r.region_id for r in images["day/a.png"].regions} >= {"11", "left", "good"}
    assert put_up.tool.open_reviews("cars/review") == []


def test_no_review_folder_yet(pulled: Pulled, tmp_path: Path) -> None:
    read = pulled.memory.read()
    assert (list(read.reviews), read.waiting) == ([], frozenset())
    assert pulled.tool.open_reviews("cars/review") == []


PLACE: XYXY = (0, 0, 100, 100)


def shifted(pixels: float) -> XYXY:
    """`PLACE` moved right: by 5 an IoU of 0.90, by 10 0.82, by 20 0.67, by 30 0.54, by 40 0.43."""
    return pixels, 0, 100 + pixels, 100


def region(id: str, category: str, xyxy: XYXY) -> ReviewedRegion:
    return ReviewedRegion(id, category, xyxy)


def found(category: str, xyxy: XYXY, *ids: str) -> FoundBox:
    return FoundBox(category, xyxy, ids, unsure=False)


def offer(human: list[ReviewedRegion], mined: list[ReviewedRegion]) -> Offer:
    """Mined boxes are given surest first."""
    return Offer(
        image=Image(1, "a.png", 500, 500),
        human={box.region_id: box for box in human},
        mined={box.region_id: box for box in mined},
        scores={box.region_id: 0.9 - 0.1 * rank for rank, box in enumerate(mined)},
    )


@pytest.mark.parametrize(
    ("human", "mined", "reviewed", "expected"),
    [
        pytest.param(
            [],
            [region("deleted", "cat", PLACE), region("kept", "cat", shifted(20))],
            [found("cat", shifted(20))],
            ["kept"],
            id="a deleted box does not take its neighbour's place",
        ),
        pytest.param(
            [],
            [region("far", "cat", shifted(30)), region("near", "cat", shifted(-20))],
            [found("cat", PLACE)],
            ["near"],
            id="the best overlap of moved boxes",
        ),
        pytest.param(
            [],
            [region("sure", "cat", shifted(20)), region("unsure", "cat", shifted(-20))],
            [found("cat", PLACE)],
            ["sure"],
            id="the surest of equals",
        ),
        pytest.param(
            [],
            [region("deleted", "cat", shifted(20)), region("renamed", "dog", PLACE)],
            [found("cat", PLACE)],
            ["renamed"],
            id="unmoved and renamed before moved",
        ),
        pytest.param(
            [],
            [region("dog", "dog", PLACE), region("cat", "cat", PLACE)],
            [found("cat", PLACE)],
            ["cat"],
            id="the same class before the surer one",
        ),
        pytest.param(
            [region("human", "cat", shifted(30))],
            [region("mined", "cat", shifted(-20))],
            [found("cat", PLACE)],
            ["human"],
            id="of moved boxes people's come first",
        ),
        pytest.param(
            [],
            [region("box", "cat", shifted(40))],
            [found("cat", PLACE)],
            ["drawn"],
            id="too far away",
        ),
        pytest.param(
            [],
            [region("one", "cat", PLACE)],
            [found("cat", PLACE), found("cat", PLACE), found("cat", PLACE)],
            ["one", "drawn", "drawn"],
            id="one to one",
        ),
        pytest.param(
            [],
            [region("deleted", "cat", PLACE), region("moved", "cat", shifted(300))],
            [found("cat", PLACE, "moved")],
            ["moved"],
            id="an id counts more than the place",
        ),
        pytest.param(
            [],
            [region("one", "cat", PLACE)],
            [found("cat", shifted(200), "one"), found("cat", shifted(5), "one")],
            ["drawn", "one"],
            id="a copied box kept the key",
        ),
    ],
)
def test_who_is_who(
    human: list[ReviewedRegion],
    mined: list[ReviewedRegion],
    reviewed: list[FoundBox],
    expected: list[str],
) -> None:
    regions = recognise(offer(human, mined), reviewed)
    assert [
        "drawn" if r.region_id.startswith("drawn-") else r.region_id for r in regions
    ] == expected
    assert len({r.region_id for r in regions}) == len(regions)
    assert [r.xyxy for r in regions] == [box.xyxy for box in reviewed]


def test_a_bad_box_holds_back_its_image_alone(
    put_up: Pulled, caplog: pytest.LogCaptureFixture
) -> None:
    """It was not rejected, as a box that is missing would be."""
    content = edited(put_up)
    whole = reviewed(put_up, content)
    good = next(entry for entry in content["annotations"] if entry.get("tool_id") == "good")
    name = next(i["file_name"] for i in content["images"] if i["id"] == good["image_id"])
    for bbox in ([40, 10, 0, 0], [900, 10, 5, 5], None, [1, 2, 3]):
        good["bbox"] = bbox
        caplog.clear()
        images = reviewed(put_up, content)
        assert set(images) == set(whole) - {name}
        assert images["night/b.png"].regions == whole["night/b.png"].regions
        assert f"reviewed.json: not read until that is repaired: {name}" in caplog.text
