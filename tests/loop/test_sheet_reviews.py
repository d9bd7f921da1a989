"""Boxes reviewed on contact sheets: pushed, judged, merged, and withdrawn."""

import json
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from sparsedet.annotations import XYXY
from sparsedet.ledger import Ledger
from sparsedet.scriptable_tool import OpenReview
from tests.cli.command import Result
from tests.loop.small_project import HUMAN, MINED, NAMES, WRONG, SmallProject, boxes_of


@pytest.fixture
def project(tmp_path: Path) -> SmallProject:
    return SmallProject(tmp_path)


def push(project: SmallProject, version: str = "v1", *options: str) -> Result:
    mined = project.write_mined(version)
    result = project.command(
        "push", mined, "--data", project.workspace.root, "--mode", "sheets", "--json", *options
    )
    assert result.status == 0, result.err
    return result


def open_sheets(project: SmallProject) -> list[OpenReview]:
    with closing(Ledger(project.workspace.ledger)) as ledger:
        places = [place for place in ledger.places() if place.mode == "sheets"]
    return [sheet for place in places for sheet in project.tool.open_reviews(place.review_project)]


def test_a_person_s_work_on_a_sheet_lands_on_the_images(project: SmallProject) -> None:
    pushed = push(project).json()
    assert (pushed["boxes"], pushed["images"], pushed["created"]) == (6, 3, 1)
    (shown,) = open_sheets(project)
    assert shown.sheet is not None
    assert shown.sheet.category == "cat"
    assert set(shown.scores) == {f"v1-{kind}-{n}" for kind in ("right", "wrong") for n in NAMES}

    def left(id: str, xyxy: XYXY) -> XYXY | None:
        """Two are deleted, one is moved by 20 pixels of its image."""
        if id in ("v1-wrong-a.png", "v1-wrong-b.png"):
            return None
        crop = shown.sheet.by_region[id] if shown.sheet else None
        assert crop is not None
        on_image = crop.to_image(xyxy)
        if id == "v1-right-c.png":
            on_image = (on_image[0] + 20, *on_image[1:])
        return crop.to_sheet(on_image)

    regions = [
        replace(region, xyxy=place, category="dog" if "wrong" in region.region_id else "cat")
        for region in shown.regions
        for place in [left(region.region_id, region.xyxy)]
        if place is not None
    ]
    shown.submit(regions, seconds=30.0)

    boxes = project.collect()
    assert {id: box.outcome for id, box in boxes.items()} == {
        "v1-right-a.png": "accepted",
        "v1-right-b.png": "accepted",
        "v1-right-c.png": "edited",
        "v1-wrong-a.png": "rejected",
        "v1-wrong-b.png": "rejected",
        "v1-wrong-c.png": "edited",
    }
    assert boxes["v1-right-a.png"].final_xyxy == MINED
    moved = boxes["v1-right-c.png"].final_xyxy
    assert moved == pytest.approx((MINED[0] + 20, *MINED[1:]), abs=0.5)
    assert boxes["v1-wrong-c.png"].final_category == "dog"
    assert boxes["v1-wrong-c.png"].final_xyxy == WRONG

    trained_on = boxes_of(project.pull().dataset)
    assert trained_on["a.png"] == {("cat", HUMAN), ("cat", MINED)}
    project.merge()
    assert project.source_boxes() == trained_on


def test_a_sheet_is_pushed_once(project: SmallProject) -> None:
    push(project)
    before = [sheet.sheet for sheet in open_sheets(project)]
    again = push(project).json()
    assert (again["created"], again["deleted"], again["boxes"]) == (0, 0, 6)
    assert [sheet.sheet for sheet in open_sheets(project)] == before
    (shown,) = open_sheets(project)
    first, *others = shown.regions
    shown.submit([replace(first, unsure=True), *others])
    assert push(project).json()["created"] == 0
    assert open_sheets(project) == []


def test_boxes_on_images_that_can_not_be_read_are_on_no_sheet(project: SmallProject) -> None:
    """An empty crop would be accepted along with the others, seen by nobody."""
    push(project)
    (broken,) = project.workspace.images.glob("*b.png")
    broken.write_bytes(b"no image")
    again = push(project)
    assert (again.json()["boxes"], again.json()["images"]) == (4, 2)
    assert f"2 mined boxes on unreadable images left out ({broken.name})" in again.err
    (shown,) = open_sheets(project)
    assert {id.rpartition("-")[2] for id in shown.scores} == {"a.png", "c.png"}
    shown.submit(shown.regions)
    outcomes = {id: box.outcome for id, box in project.collect().items()}
    assert outcomes["v1-right-b.png"] == outcomes["v1-wrong-b.png"] == "withdrawn"


def test_a_newer_model_s_sheets_replace_those_that_nobody_reviewed(project: SmallProject) -> None:
    push(project)
    push(project, "v2")
    (shown,) = open_sheets(project)
    assert {id[:2] for id in shown.scores} == {"v2"}
    assert project.outcomes()["v1-right-a.png"] == "withdrawn"


def test_boxes_that_move_between_sheets_and_images_are_up_once(project: SmallProject) -> None:
    for version, mode in (("v1", "sheets"), ("v1", "images"), ("v1", "sheets"), ("v2", "images")):
        if mode == "sheets":
            push(project, version)
        else:
            mined = project.write_mined(version)
            pushed = project.command("push", mined, "--data", project.workspace.root, "--json")
            assert pushed.status == 0, pushed.err
            assert pushed.json()["deleted"] > 0
        with closing(Ledger(project.workspace.ledger)) as ledger:
            places = ledger.places()
        up = {
            place.mode: {
                id for one in project.tool.open_reviews(place.review_project) for id in one.scores
            }
            for place in places
        }
        assert up.pop("sheets" if mode == "sheets" else "review-project") == {
            f"{version}-{kind}-{name}" for kind in ("right", "wrong") for name in NAMES
        }
        assert not any(up.values())


def test_what_a_sheet_leaves_undecided_comes_up_on_its_image(project: SmallProject) -> None:
    push(project)
    (shown,) = open_sheets(project)
    undecided = "v1-wrong-b.png"
    shown.submit([replace(r, unsure=r.region_id == undecided) for r in shown.regions])
    assert project.outcomes()[undecided] == "pending"
    project.push("v1")  # in the review project
    assert {n: set(one.scores) for n, one in project.open_reviews().items()} == {
        "b.png": {undecided}
    }


def test_reviews_of_images_that_were_renamed_count_once(project: SmallProject) -> None:
    push(project)
    (shown,) = open_sheets(project)
    shown.submit(shown.regions, seconds=30.0)
    project.collect()
    images = project.annotations.parent / "images"
    for path in sorted(images.iterdir()):
        path.rename(images / f"new-{path.name}")
    content = json.loads(project.annotations.read_text())
    for image in content["images"]:
        image["file_name"] = f"new-{image['file_name']}"
    project.annotations.write_text(json.dumps(content))
    project.pull()
    assert any("imported again" in line for line in project.said)
    project.collect()
    with closing(Ledger(project.workspace.ledger)) as ledger:
        work = ledger.review_work()
    assert {done.tool_id for done in work} == {f"new-{name}" for name in NAMES}
    assert sum(done.seconds or 0.0 for done in work) == pytest.approx(30.0)


def test_a_sheet_is_known_by_its_file_name_whatever_its_layout_says(project: SmallProject) -> None:
    push(project)
    (file,) = project.annotations.parent.glob("sheets/*/to_review.json")
    content = json.loads(file.read_text())
    content["images"][0]["sparsedet_sheet"]["name"] = "../other"
    file.write_text(json.dumps(content))
    assert len(open_sheets(project)) == 1
    assert set(project.outcomes().values()) == {"pending"}


def test_an_undo_takes_back_the_sheets_that_nobody_reviewed(project: SmallProject) -> None:
    push(project)
    undo = project.command("push", "--undo", "--data", project.workspace.root, "--json")
    assert undo.status == 0, undo.err
    assert len(undo.json()["region_ids"]) == 6
    assert open_sheets(project) == []
    assert set(project.outcomes().values()) == {"withdrawn"}


def test_a_dry_run_pushes_no_sheet(project: SmallProject) -> None:
    said = push(project, "v1", "--dry-run").json()
    assert (said["boxes"], said["dry_run"]) == (6, True)
    assert open_sheets(project) == []
