"""The report of a workspace."""

import base64
import re
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from sparsedet.annotations import Box, read_coco, write_coco
from sparsedet.errors import SparseDetError
from sparsedet.ledger import Ledger
from sparsedet.loop.workspace import Workspace
from sparsedet.reporting.pictures import REJECTED
from sparsedet.reporting.report import write_report
from sparsedet.reviews import ReviewedRegion
from tests.reporting.page import Page
from tests.reporting.workspaces import HOSTILE, add_round, make_workspace, mined_boxes, review

TITLE = "Cells & <others>"


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """Two rounds: 5 mined boxes of which 3 are accepted, 1 edited, 1 rejected; then 2 pending."""
    workspace = make_workspace(tmp_path / "workspace", larger=[2])
    first = read_coco(workspace.annotations)
    mined = [*mined_boxes(1, 1, 3), *mined_boxes(1, 2, 2)]
    reviews = [
        review(1, mined, rejected="r1i1b2"),
        review(2, mined, edited="r1i2b0"),
    ]
    add_round(workspace, 1, first, mined, reviews, ap50=41.25)
    approved = [
        Box(10 + number, box.image_id, box.category_id, box.xyxy, tool_id=box.region_id)
        for number, box in enumerate(mined)
        if box.region_id != "r1i1b2"
    ]
    second = replace(first, boxes=(*first.boxes, *approved))
    add_round(workspace, 2, second, mined_boxes(2, 3, 2), reviews, ap50=62.5)
    return workspace


def report(workspace: Workspace, shown_images: int = 6, notes: tuple[str, ...] = ()) -> Page:
    """Write a report; its crops have tests of their own."""
    path = workspace.root / "report.html"
    write_report(
        workspace, path, title=TITLE, shown_images=shown_images, shown_crops=0, notes=notes
    )
    return Page(path)


def test_tables_hold_the_figures(workspace: Workspace) -> None:
    page = report(workspace)

    assert page.tables["rounds"][1:] == [
        ["1", "4", "5", "3", "1", "1", "0", "0", "80.0 %", "0", "0:03:00", "-", "41.2"],
        ["2", "8", "2", "0", "0", "0", "2", "0", "-", "0", "0:00:00", "-", "62.5"],
        ["now, in all", "8", "7", "3", "1", "1", "2", "0", "80.0 %", "0", "0:03:00", "", ""],
    ]
    assert page.tables["classes"][1:] == [
        [HOSTILE, "3", "2", "0", "0", "1", "0", "100.0 %", "0"],
        ["cell", "4", "1", "1", "1", "1", "0", "66.7 %", "0"],
    ]
    assert "4 annotations at first, 8 now, on 4 images · 80.0 %" in page.text.replace(" ,", ",")


def test_reviewers_are_compared(workspace: Workspace) -> None:
    assert report(workspace).tables["reviewers"][1:] == [
        ["ann@example.com", "2", "0:03:00", "5", "60.0 %", "20.0 %", "20.0 %", "-", "0"],
    ]
    second = review(1, mined_boxes(1, 1, 3), rejected="r1i1b1 r1i1b2", reviewer=HOSTILE)
    first = review(1, mined_boxes(1, 1, 3), rejected="r1i1b2")
    add_round(workspace, 2, read_coco(workspace.annotations), [], [first, second])

    page = report(workspace)

    assert "script" not in page.tags
    assert [row[0:1] + row[3:] for row in page.tables["reviewers"][1:]] == [
        [HOSTILE, "3", "33.3 %", "0.0 %", "66.7 %", "66.7 %", "3"],
        ["ann@example.com", "5", "60.0 %", "20.0 %", "20.0 %", "66.7 %", "3"],
    ]


def test_drawn_boxes_are_counted_apart_from_mined_ones(workspace: Workspace) -> None:
    mined = [*mined_boxes(1, 1, 3), *mined_boxes(1, 2, 2)]
    drawn = ReviewedRegion("own", "cell", (100.0, 5.0, 120.0, 25.0))
    with_drawn = review(1, mined, rejected="r1i1b2")
    reviews = [
        replace(with_drawn, regions=(*with_drawn.regions, drawn)),
        review(2, mined, edited="r1i2b0"),
    ]
    add_round(workspace, 2, read_coco(workspace.annotations), [], reviews)

    page = report(workspace)

    assert [row[8:10] for row in page.tables["rounds"]] == [
        ["precision", "drawn"],
        ["80.0 %", "1"],
        ["-", "0"],
        ["80.0 %", "1"],
    ]
    assert page.tables["classes"][2] == ["cell", "4", "1", "1", "1", "1", "0", "66.7 %", "1"]
    # It is an annotation from now on, and no longer counted once the pull has brought it.
    assert page.tables["rounds"][-1][1] == "9"
    dataset = read_coco(workspace.annotations)
    pulled = Box(99, 1, 1, (5.0, 80.0, 30.0, 110.0), tool_id="own")
    write_coco(dataset.with_boxes([*dataset.boxes, pulled]), workspace.annotations)
    assert report(workspace).tables["rounds"][-1][1] == "9"


def test_a_workspace_where_reviewers_only_drew_has_classes(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path)
    region = ReviewedRegion("own", "cell", (100.0, 5.0, 120.0, 25.0))
    drawn = replace(review(1, []), regions=(region,))
    add_round(workspace, 1, read_coco(workspace.annotations), [], [drawn])

    assert report(workspace).tables["classes"][1:] == [
        ["cell", "0", "0", "0", "0", "0", "0", "-", "1"]
    ]


def test_without_named_reviewers_there_is_nothing_to_compare(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path)
    mined = mined_boxes(1, 1, 2)
    nameless = review(1, mined, reviewer="")
    add_round(workspace, 1, read_coco(workspace.annotations), mined, [nameless])

    page = report(workspace)

    assert "reviewers" not in page.tables
    assert page.tables["rounds"][1][3] == "2"
    assert "skipped" not in page.text


def test_skipped_images_and_withdrawn_boxes_are_shown(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path)
    mined = [*mined_boxes(1, 1, 2), *mined_boxes(1, 2, 1)]
    skipped = review(1, mined, skipped=True)
    add_round(workspace, 1, read_coco(workspace.annotations), mined, [skipped])
    legend = report(workspace).text.partition("Pictures")[2]
    assert "withdrawn unreviewed" not in legend
    with closing(Ledger(workspace.ledger)) as ledger:
        ledger.withdraw({"r1i2b0"})

    page = report(workspace)

    assert "1 image was skipped in review: mined boxes stay pending" in page.text
    assert page.tables["rounds"][1][6:8] == ["2", "1"]
    assert "withdrawn mined, withdrawn unreviewed" in page.text
    assert [image["alt"] for image in page.images] == [
        "1.png: 1 human, 2 pending",
        "2.png: 1 human, 1 withdrawn",
    ]


def test_now_counts_approved_boxes_that_are_not_pulled_yet(workspace: Workspace) -> None:
    # The pull before the review: its annotations lack the four approved boxes.
    workspace.annotations.write_bytes(workspace.round(1).annotations.read_bytes())

    assert report(workspace).tables["rounds"][-1][1] == "8"


def test_now_counts_no_object_twice_when_a_tool_renames_its_boxes(workspace: Workspace) -> None:
    text = workspace.annotations.read_text()
    workspace.annotations.write_text(re.sub('"tool_id": "r1', '"tool_id": "other', text))

    assert report(workspace).tables["rounds"][-1][1] == "8"


def test_now_counts_no_box_twice_that_was_moved_after_its_review(workspace: Workspace) -> None:
    dataset = read_coco(workspace.annotations)
    moved = [
        replace(box, xyxy=(100.0, 5.0, 130.0, 25.0)) if box.tool_id == "r1i1b0" else box
        for box in dataset.boxes
    ]
    write_coco(dataset.with_boxes(moved), workspace.annotations)

    assert report(workspace).tables["rounds"][-1][1] == "8"


def test_approved_boxes_are_no_human_boxes_of_their_own_round(workspace: Workspace) -> None:
    # Only the newest annotations are left, which hold what the round's review approved.
    workspace.round(1).annotations.unlink()

    assert report(workspace).images[0]["alt"] == "1.png: 1 human, 2 accepted, 1 rejected"


def test_what_comes_from_elsewhere_is_escaped(workspace: Workspace) -> None:
    page = report(workspace, notes=("1 < 2 <b>bold</b>",))

    assert "script" not in page.tags
    assert "b" not in page.tags
    assert "1 < 2 <b>bold</b>" in page.text
    assert TITLE in page.text


def test_every_round_has_its_pictures(workspace: Workspace) -> None:
    page = report(workspace)

    assert [image["alt"] for image in page.images] == [
        "1.png: 1 human, 2 accepted, 1 rejected",
        "2.png: 1 human, 1 accepted, 1 edited",
        "3.png: 1 human, 2 pending",
    ]
    assert len(report(workspace, shown_images=1).images) == 2


def test_pictures_are_part_of_the_page_and_small(workspace: Workspace) -> None:
    for image in report(workspace).images:
        head, data = image["src"].split(",")
        assert head == "data:image/jpeg;base64"
        pixels = cv2.imdecode(np.frombuffer(base64.b64decode(data), np.uint8), cv2.IMREAD_COLOR)
        assert pixels is not None
        assert pixels.shape[:2] == (int(image["height"]), int(image["width"]))
        assert pixels.shape[1] <= 640


def test_boxes_are_drawn_in_the_colour_of_their_outcome(workspace: Workspace) -> None:
    def has_red(image: dict[str, str]) -> bool:
        data = np.frombuffer(base64.b64decode(image["src"].split(",")[1]), np.uint8)
        pixels = np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), dtype=int)
        return bool((abs(pixels - REJECTED.colour).max(axis=-1) < 25).any())

    assert [has_red(image) for image in report(workspace).images] == [True, False, False]


def test_nothing_is_loaded_from_elsewhere(workspace: Workspace) -> None:
    page = report(workspace)
    text = page.path.read_text()

    namespaces = {"http://www.w3.org/1999/xlink", "http://www.w3.org/2000/svg"}
    assert set(re.findall(r"""https?://[^"'\s<]+""", text)) == namespaces
    assert not {"link", "script", "iframe", "object"} & page.tags
    assert "@import" not in text
    assert "url(" not in re.sub(r"url\(#", "", text)


def test_ids_are_unique(workspace: Workspace) -> None:
    page = report(workspace)

    assert len(page.ids) == len(set(page.ids))


def test_the_same_workspace_gives_the_same_bytes(workspace: Workspace, tmp_path: Path) -> None:
    write_report(workspace, tmp_path / "one.html", title=TITLE)
    write_report(workspace, tmp_path / "two.html", title=TITLE)

    assert (tmp_path / "one.html").read_bytes() == (tmp_path / "two.html").read_bytes()


def test_annotations_alone_make_a_report(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path)

    page = report(workspace, shown_images=3)

    assert "4 annotations on 4 images" in page.text
    assert [image["alt"] for image in page.images] == [f"{n}.png: 1 human" for n in (1, 2, 3)]
    assert page.tables == {}
    assert "svg" not in page.tags
    assert not workspace.ledger.exists()


def test_a_report_of_one_annotation_says_so(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path)
    dataset = read_coco(workspace.annotations)
    first = dataset.boxes[0]
    one = dataset.with_images(image for image in dataset.images if image.id == first.image_id)
    write_coco(one.with_boxes([first]), workspace.annotations)

    assert "1 annotation on 1 image " in f"{report(workspace).text} "


def test_a_round_that_has_pushed_nothing_yet_is_shown(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path)
    add_round(workspace, 1, read_coco(workspace.annotations), mined_boxes(1, 1, 1))
    (workspace.root / "rounds" / "002").mkdir()

    page = report(workspace)

    assert [row[:3] for row in page.tables["rounds"][1:3]] == [["1", "4", "1"], ["2", "-", "0"]]
    assert "Round 2 Nothing has been pushed for review yet." in page.text


def test_many_rounds_keep_the_page_small(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path)
    dataset = read_coco(workspace.annotations)
    for number in range(1, 16):
        add_round(workspace, number, dataset, mined_boxes(number, 1, 1))

    page = report(workspace)

    assert len(page.tables["rounds"]) == 1 + 15 + 1
    assert len(page.images) == 8
    assert "Of the newest 8 rounds." in page.text


def test_a_folder_without_annotations_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SparseDetError, match=r"run `sparsedet round .*` first"):
        write_report(Workspace(tmp_path), tmp_path / "report.html", title=TITLE)
    assert not (tmp_path / "report.html").exists()
