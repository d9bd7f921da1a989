"""Pushing boxes for review."""

from dataclasses import replace

import pytest

from sparsedet.annotations import read_coco
from sparsedet.errors import ToolError
from tests.integrations.files.conftest import Pulled
from tests.integrations.files.samples import mined_boxes, read, strip, write
from tests.integrations.files.up_for_review import up


def test_what_is_put_up(pulled: Pulled) -> None:
    report = pulled.push()
    path = pulled.version() / "to_review.json"
    assert (report.review_project, report.url) == ("cars/review", str(path))
    assert (report.images, report.boxes, report.created, report.skipped) == (2, 3, 2, {})
    shown = read_coco(path)
    assert [image.file_name for image in shown.images] == ["night/b.png", "day/a.png"]
    assert [(box.tool_id, box.origin) for box in shown.boxes] == [
        ("30", "accepted"),
        ("near", "mined"),
        ("11", "human"),
        ("left", "human"),
        ("good", "mined"),
        ("wrong", "mined"),
    ]
    assert shown.boxes[1].extra == {"score": 0.95, "threshold": 0.5}
    assert shown.boxes[1].xyxy == (70.0, 40.0, 100.0, 70.0)
    assert len({box.id for box in shown.boxes}) == 6
    assert shown.verified_negatives == ()
    assert "contributor" not in shown.extra["info"]
    instructions = (pulled.version() / "README.txt").read_text(encoding="utf-8")
    assert str(pulled.folder / "images") in instructions
    assert "reviewed.json" in instructions


def test_a_second_push_changes_nothing(pulled: Pulled) -> None:
    pulled.push()
    path = pulled.version() / "to_review.json"
    before = path.read_bytes(), path.stat().st_mtime_ns
    report = pulled.push()
    assert (report.images, report.boxes, report.created) == (2, 3, 0)
    assert (path.read_bytes(), path.stat().st_mtime_ns) == before
    # Neither does it after the review, when nothing of it is open any more.
    write(pulled.version() / "reviewed.json", strip(read(path)))
    report = pulled.push()
    assert (report.images, report.boxes, report.created) == (0, 0, 0)
    assert (path.read_bytes(), path.stat().st_mtime_ns) == before


def test_what_a_killed_push_left_is_removed(pulled: Pulled) -> None:
    pulled.version().mkdir(parents=True)
    half_written = pulled.version() / ".README.txt.1.tmp"
    half_written.write_text("Boxes to rev", encoding="utf-8")
    pulled.push()
    assert sorted(path.name for path in pulled.version().iterdir()) == [
        "README.txt",
        "to_review.json",
    ]


def test_a_mined_box_is_put_up_once(pulled: Pulled) -> None:
    pulled.push()
    review = read(pulled.version() / "to_review.json")
    review["images"] = [i for i in review["images"] if i["file_name"] == "day/a.png"]
    review["annotations"] = [
        a for a in review["annotations"] if a["image_id"] == review["images"][0]["id"]
    ]
    write(pulled.version() / "reviewed.json", strip(review))
    report = pulled.push("run-2")
    assert (report.images, report.boxes, report.created) == (1, 1, 1)
    shown = read_coco(pulled.version("run-2") / "to_review.json")
    assert [image.file_name for image in shown.images] == ["night/b.png"]


def test_what_has_been_put_up_is_not_changed(pulled: Pulled) -> None:
    first = [box for box in mined_boxes(pulled.dataset) if box.region_id == "good"]
    pulled.memory.push(pulled.dataset, first)
    before = read(pulled.version() / "to_review.json")
    report = pulled.push()
    after = read(pulled.version() / "to_review.json")
    assert (report.images, report.boxes, report.created) == (1, 1, 1)
    assert list(report.skipped) == ["day/a.png"]
    assert "with other boxes" in report.skipped["day/a.png"]
    assert after["images"][:1] == before["images"]
    assert after["annotations"][: len(before["annotations"])] == before["annotations"]
    assert after["images"][1]["file_name"] == "night/b.png"


def test_images_that_go_up_stay_when_others_of_the_version_are_withdrawn(pulled: Pulled) -> None:
    boxes = {box.region_id: box for box in mined_boxes(pulled.dataset)}
    pulled.memory.push(pulled.dataset, [boxes["good"]])
    report = pulled.memory.push(pulled.dataset, [boxes["near"]], withdrawn=frozenset({"good"}))
    assert (report.images, report.created, report.deleted) == (1, 1, 1)
    assert up(pulled) == {"night/b.png": {"near"}}


def test_annotations_that_changed_since_leave_it_as_it_is(pulled: Pulled) -> None:
    pulled.push()
    path = pulled.version() / "to_review.json"
    before = path.read_bytes()
    content = read(pulled.annotations)
    content["annotations"].pop(0)
    write(pulled.annotations, content)
    again = replace(pulled, dataset=pulled.tool.pull("cars", pulled.images))
    report = again.push()
    assert (report.images, report.created, report.skipped) == (2, 0, {})
    assert path.read_bytes() == before


@pytest.mark.parametrize("version", ["", "..", "../x", "a/b", ".hidden", "a b", "x" * 101])
def test_a_version_that_is_no_folder_name(pulled: Pulled, version: str) -> None:
    with pytest.raises(ToolError, match="can't be the name of a folder"):
        pulled.push(version)
    assert not (pulled.folder / "review").exists()


def test_what_can_not_be_pushed(pulled: Pulled) -> None:
    boxes = mined_boxes(pulled.dataset)
    shared = [replace(boxes[0], region_id="left")]
    for mined, message in [
        ([], "no mined boxes"),
        ([boxes[0], boxes[0]], "its region id is not unique"),
        ([replace(boxes[0], score=float("nan"))], "score nan"),
        (shared, "already an annotation of image id 4"),
    ]:
        with pytest.raises(ToolError, match=message):
            pulled.memory.push(pulled.dataset, mined)
    assert not (pulled.folder / "review").exists()
