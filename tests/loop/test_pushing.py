"""Pushes: newer models replace older boxes, withdrawn pushes, and deleted places."""

import json
import shutil
from contextlib import closing
from pathlib import Path
from unittest.mock import patch

import cv2
import pytest

from sparsedet.annotations import read_coco, write_coco
from sparsedet.errors import PlaceAwayError
from sparsedet.integrations.files.review_files import MARK
from sparsedet.ledger import Ledger
from sparsedet.loop.push_undo import undo_push
from sparsedet.loop.settings import ReviewSettings, Settings
from tests.loop.small_project import FREE, MINED, SmallProject, boxes_of, draw, without


@pytest.fixture
def project(tmp_path: Path) -> SmallProject:
    project = SmallProject(tmp_path)
    project.push("v1")
    return project


def open_boxes(project: SmallProject) -> dict[str, set[str]]:
    """Image -> mined boxes that wait there."""
    return {name: set(review.scores) for name, review in project.open_reviews().items()}


def test_a_newer_model_s_boxes_replace_unreviewed_ones(project: SmallProject) -> None:
    project.review("a.png", without("wrong"))
    report = project.push("v2", project.mined("v2", names=["b.png"]))
    assert open_boxes(project) == {"b.png": {"v2-right-b.png", "v2-wrong-b.png"}}
    assert report.deleted > 0
    outcomes = project.outcomes()
    assert outcomes["v1-right-a.png"] == "accepted"
    assert outcomes["v1-right-b.png"] == outcomes["v1-right-c.png"] == "withdrawn"
    assert outcomes["v2-right-b.png"] == "pending"


def test_pushing_again_changes_nothing(project: SmallProject) -> None:
    before = open_boxes(project)
    assert project.push("v1").created == 0
    assert open_boxes(project) == before


def test_the_next_step_names_the_workspace(project: SmallProject) -> None:
    """Not the file or folder with the annotations that were pushed from."""
    (project.workspace.root / "split").mkdir()
    data = project.workspace.root / "split" / "annotations.json"
    data.write_bytes(project.workspace.annotations.read_bytes())
    for pushed_from in (data, data.parent):
        result = project.command("push", project.write_mined("v2"), "--data", pushed_from)
        assert f"then: sparsedet review {project.workspace.root}\n" in result.err


def test_a_dry_run_changes_nothing(project: SmallProject) -> None:
    mined = project.write_mined("v2")
    before = open_boxes(project)
    result = project.command("push", mined, "--data", project.workspace.root, "--dry-run", "--json")
    assert result.status == 0, result.err
    assert (result.json()["boxes"], result.json()["images"]) == (6, 3)
    assert result.json()["deleted"] > 0
    assert open_boxes(project) == before
    assert set(project.outcomes().values()) == {"pending"}


def test_an_undo_takes_back_what_nobody_reviewed(project: SmallProject) -> None:
    project.review("a.png", without("wrong"))
    work = project.workspace.root
    dry = project.command("push", "--undo", "--data", work, "--dry-run", "--json").json()
    assert len(dry["region_ids"]) == 4
    assert len(open_boxes(project)) == 2
    result = project.command("push", "--undo", "--data", work, "--json")
    assert result.json()["region_ids"] == dry["region_ids"]
    assert open_boxes(project) == {}
    outcomes = project.outcomes()
    assert outcomes["v1-right-a.png"] == "accepted"
    assert outcomes["v1-right-b.png"] == "withdrawn"
    # They can go up again.
    project.push("v1", project.mined("v1", names=["b.png"]))
    assert project.outcomes()["v1-right-b.png"] == "pending"


def test_one_round_is_taken_back_alone(tmp_path: Path) -> None:
    project = SmallProject(tmp_path)
    project.push("v1", project.mined("v1", names=["a.png"]), round=1)
    project.review("a.png")
    project.push("v2", project.mined("v2", names=["b.png"]), round=2)
    work = project.workspace.root
    assert (
        project.command("push", "1", "--undo", "--data", work, "--json").json()["region_ids"] == []
    )
    taken = project.command("push", "2", "--undo", "--data", work, "--json").json()
    assert len(taken["region_ids"]) == 2
    unknown = project.command("push", "9", "--undo", "--data", work)
    assert "round 9 has no pushed boxes" in unknown.error()


def put_up_again(project: SmallProject) -> None:
    """Undo the push, before some of its requests arrive."""
    review, late = project.annotations.parent / "review", project.folder / "late"
    shutil.copytree(review, late)
    result = project.command("push", "--undo", "--data", project.workspace.root)
    assert result.status == 0, result.err
    assert open_boxes(project) == {}
    shutil.rmtree(review, ignore_errors=True)
    late.rename(review)
    assert set(open_boxes(project)) == {"a.png", "b.png", "c.png"}


def test_an_undo_that_was_killed_before_its_record_is_completed(project: SmallProject) -> None:
    project.review("a.png", without("wrong"))
    work = project.workspace.root
    with patch.object(Ledger, "withdraw", side_effect=KeyboardInterrupt):
        project.command("push", "--undo", "--data", work)
    assert open_boxes(project) == {}
    assert list(project.outcomes().values()).count("pending") == 4
    project.command("push", "--undo", "--data", work)
    outcomes = project.outcomes()
    assert outcomes.pop("v1-right-a.png") == "accepted"
    assert outcomes.pop("v1-wrong-a.png") == "rejected"
    assert set(outcomes.values()) == {"withdrawn"}


def test_an_undo_keeps_the_boxes_of_a_review_that_was_not_read(project: SmallProject) -> None:
    project.review("a.png", without("wrong"))
    with closing(Ledger(project.workspace.ledger)) as ledger:
        report = undo_push(ledger, project.connections, say=print)
        outcomes = {box.region_id: box.outcome for box in ledger.boxes()}
    assert list(report.kept) == [project.id_of("a.png")]
    assert outcomes["v1-right-a.png"] == outcomes["v1-wrong-a.png"] == "pending"
    assert outcomes["v1-right-b.png"] == "withdrawn"


def test_another_undo_takes_back_what_arrived_after_the_first(project: SmallProject) -> None:
    put_up_again(project)
    work = project.workspace.root
    dry = project.command("push", "--undo", "--data", work, "--dry-run", "--json").json()
    taken = project.command("push", "--undo", "--data", work, "--json").json()
    assert len(taken["region_ids"]) == len(dry["region_ids"]) == 6
    assert open_boxes(project) == {}
    assert set(project.outcomes().values()) == {"withdrawn"}


def test_the_next_push_takes_back_what_arrived_after_an_undo(project: SmallProject) -> None:
    put_up_again(project)
    project.push("v2", project.mined("v2", names=["b.png"]))
    assert open_boxes(project) == {"b.png": {"v2-right-b.png", "v2-wrong-b.png"}}


def test_an_undo_takes_back_a_push_that_was_killed_before_it_was_recorded(
    project: SmallProject,
) -> None:
    killed = patch.object(Ledger, "record_push", side_effect=KeyboardInterrupt)
    with killed, pytest.raises(KeyboardInterrupt):
        project.push("v2")
    assert any("v2-right-a.png" in boxes for boxes in open_boxes(project).values())
    project.command("push", "--undo", "--data", project.workspace.root)
    assert open_boxes(project) == {}


@pytest.mark.parametrize("mode", ["review-project", "sheets"])
def test_an_undo_takes_back_a_first_push_that_was_killed_before_it_was_recorded(
    mode: str, tmp_path: Path
) -> None:
    project = SmallProject(tmp_path)
    work, mined = project.workspace.root, project.write_mined("v1")
    with patch.object(Ledger, "record_push", side_effect=KeyboardInterrupt):
        project.command("push", mined, "--data", work, "--mode", mode)
    review = project.annotations.parent / ("sheets" if mode == "sheets" else "review")
    up = list(review.glob("*/to_review.json"))
    assert up
    with closing(Ledger(project.workspace.ledger)) as ledger:
        assert ledger.places() == []
    # Another workspace's boxes would be none of ours.
    mark = (review / MARK).read_text()
    (review / MARK).write_text(json.dumps({"workspace": "another"}))
    assert project.command("push", "--undo", "--data", work, "--json").json()["region_ids"] == []
    (review / MARK).write_text(mark)
    dry = project.command("push", "--undo", "--data", work, "--dry-run", "--json").json()
    taken = project.command("push", "--undo", "--data", work, "--json").json()
    assert len(taken["region_ids"]) == len(dry["region_ids"]) == 6
    assert not any(path.exists() for path in up)


@pytest.mark.parametrize("mode", ["auto", "draft"])
def test_an_undo_needs_neither_the_project_nor_a_mode_of_its_tool(
    mode: str, project: SmallProject
) -> None:
    """What the settings say now is only for pushes without a record."""
    review = ReviewSettings.model_validate({"mode": mode})
    project.workspace.write_settings(Settings(source=project.source, review=review))
    project.annotations.rename(project.annotations.with_suffix(".bak"))
    taken = project.command("push", "--undo", "--data", project.workspace.root, "--json")
    assert taken.status == 0, taken.err
    assert len(taken.json()["region_ids"]) == 6
    assert ("only recorded pushes are withdrawn" in taken.err) == (mode == "auto")


def test_an_undo_leaves_the_boxes_of_a_workspace_that_took_over(tmp_path: Path) -> None:
    project = SmallProject(tmp_path)
    project.push("v1")
    mark = project.annotations.parent / "review" / MARK
    mark.write_text(json.dumps({"workspace": "another"}))
    before = open_boxes(project)
    ledger = project.workspace.ledger
    with closing(Ledger(ledger)) as record:
        record.withdraw([box.region_id for box in record.boxes()])
    project.command("push", "--undo", "--data", project.workspace.root)
    assert open_boxes(project) == before


def test_a_deleted_review_project_keeps_its_outcomes(project: SmallProject) -> None:
    project.review("a.png", draw(FREE))
    project.outcomes()
    shutil.rmtree(project.folder / project.project / "review")
    outcomes = project.outcomes()
    assert outcomes["v1-right-a.png"] == "accepted"
    assert outcomes["v1-right-b.png"] == "pending"
    said = list(project.said)
    assert any("kept" in line for line in said)
    project.outcomes()
    assert project.said == said, "said once"
    # What was drawn there is not lost either, and what waited goes up again.
    assert ("dog", FREE) in boxes_of(project.pull().dataset)["a.png"]
    project.push("v1")
    assert set(open_boxes(project)) == {"b.png", "c.png"}
    assert project.merge()["a.png"].outcome == "changed"


def test_images_that_were_imported_again_keep_their_reviews(project: SmallProject) -> None:
    project.review("a.png", without("wrong"))
    project.outcomes()
    folder = project.folder / project.project
    content = json.loads(project.annotations.read_text())
    for image in content["images"]:
        if image["file_name"] == "a.png":
            image["file_name"] = "again-a.png"
    project.annotations.write_text(json.dumps(content))
    (folder / "images" / "a.png").rename(folder / "images" / "again-a.png")
    seen = project.pull()
    assert ("cat", MINED) in boxes_of(seen.dataset)["a.png"]
    assert seen.absent == 0
    assert any("imported again" in line for line in project.said)


def test_reviews_on_a_drive_that_was_not_mounted_are_read_later(project: SmallProject) -> None:
    project.review("a.png")
    folder = project.annotations.parent
    folder.rename(folder.with_name("away"))
    with pytest.raises(PlaceAwayError):
        project.collect()
    folder.with_name("away").rename(folder)
    assert project.outcomes()["v1-right-a.png"] == "accepted"
    # A workspace that has moved on to another project does without the reviews of its first one.
    shutil.rmtree(folder)
    other = project.source.model_copy(update={"project": "other"})
    project.settings = Settings(source=other)
    assert project.outcomes()["v1-right-a.png"] == "accepted"


def test_images_that_are_gone_are_skipped_and_said(project: SmallProject) -> None:
    dataset = read_coco(project.annotations)
    write_coco(dataset.with_images(dataset.images[:2]), project.annotations)
    report = project.push("v2")
    assert report.gone == {"c.png"}
    assert (report.images, report.boxes) == (2, 4)
    assert any("skipped 1 image (c.png)" in line for line in project.said)


def test_an_image_of_another_size_keeps_its_boxes_in_place(project: SmallProject) -> None:
    project.review("a.png", without("wrong"))
    path = project.folder / project.project / "images" / "a.png"
    picture = cv2.imread(str(path))
    assert picture is not None
    cv2.imwrite(str(path), cv2.resize(picture, None, fx=2, fy=2))
    content = json.loads(project.annotations.read_text())
    for image in content["images"]:
        if image["file_name"] == "a.png":
            image["width"], image["height"] = 2 * image["width"], 2 * image["height"]
    for box in content["annotations"]:
        if box["image_id"] == 1:
            box["bbox"] = [2 * edge for edge in box["bbox"]]
    project.annotations.write_text(json.dumps(content))
    (project.workspace.images / "a.png").unlink()
    doubled = {("cat", tuple(2 * edge for edge in MINED)), ("cat", (20.0, 20.0, 80.0, 80.0))}
    assert boxes_of(project.pull().dataset)["a.png"] == doubled
    project.merge()
    assert project.source_boxes()["a.png"] == doubled
    assert project.collect()["v1-right-a.png"].xyxy == tuple(2 * edge for edge in MINED)
