"""Everyday events over a year of work on a real server, none of which may lose anything."""

from pathlib import Path
from typing import Any
from unittest.mock import patch

import cv2
import pytest

from sparsedet.annotations import XYXY, write_coco
from sparsedet.errors import ToolError
from sparsedet.integrations.label_studio.demo.local_server import LocalServer
from sparsedet.ledger import Ledger
from sparsedet.loop.settings import Settings
from tests.loop.small_project import (
    FREE,
    HUMAN,
    MINED,
    WRONG,
    SmallProject,
    boxes_of,
    draw,
    move,
    without,
)
from tests.loop.test_pushing import (  # noqa: F401 - run here with the project below
    test_a_dry_run_changes_nothing,
    test_a_newer_model_s_boxes_replace_unreviewed_ones,
    test_an_undo_takes_back_what_nobody_reviewed,
    test_pushing_again_changes_nothing,
)


@pytest.fixture
def project(label_studio: LocalServer, tmp_path: Path) -> SmallProject:
    project = SmallProject(tmp_path, label_studio)
    project.push("v1")
    return project


def import_boxes(project: SmallProject, name: str, *places: XYXY) -> None:
    """Replace the annotation of an image by one whose boxes have no region ids."""
    (annotation,) = project.annotations_of(name)
    (own, *_) = annotation["result"]
    result = []
    for left, top, right, bottom in places:
        region = {key: value for key, value in own.items() if key != "id"}
        region["value"] = own["value"] | {
            "x": left / 2, "y": top / 1.6, "width": (right - left) / 2,
            "height": (bottom - top) / 1.6,
        }  # fmt: skip
        result.append(region)
    project.save(annotation | {"result": result})


def test_boxes_imported_without_ids(label_studio: LocalServer, tmp_path: Path) -> None:
    """A review deletes one; somebody draws on an earlier image; a second review follows."""
    project = SmallProject(tmp_path, label_studio)
    for name in ("a.png", "b.png", "c.png"):
        import_boxes(project, name, HUMAN, FREE)
    project.refresh()
    project.push("v1", [box for box in project.mined("v1") if "c.png" not in box.region_id])
    project.review("b.png", lambda regions: [r for r in regions if r.xyxy[0] < FREE[0] - 1])
    seen = boxes_of(project.refresh())
    assert seen["b.png"] == {("cat", HUMAN), ("cat", MINED), ("cat", WRONG)}
    import_boxes(project, "a.png", HUMAN, FREE, WRONG)
    project.refresh()
    project.push("v2", project.mined("v2", names=["c.png"]))
    project.review("c.png")
    seen = boxes_of(project.refresh())
    assert seen["c.png"] == {("cat", HUMAN), ("cat", FREE), ("cat", MINED), ("cat", WRONG)}
    project.merge()
    assert project.source_boxes() == seen
    assert seen["a.png"] == {("cat", HUMAN), ("cat", FREE), ("cat", WRONG)}


def test_an_image_of_another_size(project: SmallProject) -> None:
    project.review("a.png", move("own", FREE))
    task = int(project.id_of("a.png"))
    picture = cv2.imread(str(project.folder / "raw" / "a.png"))
    assert picture is not None
    large = project.folder / "large-a.png"
    cv2.imwrite(str(large), cv2.resize(picture, None, fx=2, fy=2))
    with large.open("rb") as file:
        project.api.post_files(
            f"api/projects/{project.project}/import",
            {"return_task_ids": True, "commit_to_project": False},
            {"file": ("large-a.png", file, "image/png")},
            "uploading",
        )
    uploads = project.api.get_json(
        f"api/projects/{project.project}/file-uploads", {"all": True}, "it"
    )
    address = next(u["file"] for u in uploads if u["file"].endswith("large-a.png"))
    data = project.api.get_json(f"api/tasks/{task}/", {}, "it")["data"]
    (key,) = data
    project.api.patch_json(f"api/tasks/{task}/", {"data": {key: f"/data/{address}"}}, "it")

    def doubled(xyxy: XYXY) -> tuple[str, Any]:
        return "cat", tuple(2 * edge for edge in xyxy)

    expected = {doubled(FREE), doubled(MINED), doubled(WRONG)}
    seen = project.refresh()
    assert {i.width for i in seen.images if i.tool_id == str(task)} == {400}
    assert boxes_of(seen)["a.png"] == expected
    project.merge()
    assert project.source_boxes()["a.png"] == expected
    assert project.collect()["v1-right-a.png"].outcome == "accepted"


@pytest.mark.parametrize("mode", ["review-project", "sheets", "draft"])
def test_an_undo_takes_back_a_first_push_that_was_killed(
    mode: str, label_studio: LocalServer, tmp_path: Path
) -> None:
    project = SmallProject(tmp_path, label_studio)
    mined, data = project.write_mined("v1"), ("--data", project.workspace.root)
    with patch.object(Ledger, "record_push", side_effect=KeyboardInterrupt):
        project.command("push", mined, *data, "--mode", mode)
    taken = project.command("push", "--undo", *data, "--json")
    assert taken.status == 0, taken.err
    assert len(taken.json()["region_ids"]) == 6
    again = project.command("push", "--undo", *data, "--json").json()
    assert again["region_ids"] == []


def test_a_deleted_review_project(project: SmallProject) -> None:
    project.review("a.png", draw(FREE))
    project.outcomes()
    project.api.delete(f"api/projects/{project.review_project}/", "tidying up")
    outcomes = project.outcomes()
    assert outcomes["v1-right-a.png"] == "accepted"
    assert outcomes["v1-right-b.png"] == "pending"
    said = [line for line in project.said if "kept" in line]
    assert len(said) == 1
    assert project.outcomes() == outcomes
    assert [line for line in project.said if "kept" in line] == said
    assert ("dog", FREE) in boxes_of(project.refresh())["a.png"]
    assert project.merge()[project.id_of("a.png")].outcome == "changed"
    assert ("dog", FREE) in project.source_boxes()["a.png"]
    project.push("v1")
    assert set(project.open_reviews()) == {"b.png", "c.png"}


def test_review_tasks_that_were_deleted_keep_their_outcomes(project: SmallProject) -> None:
    project.review("a.png", without("wrong"))
    before = project.outcomes()
    tasks = project.api.get_json(
        "api/tasks/", {"project": project.review_project, "fields": "task_only"}, "it"
    )["tasks"]
    for task in tasks:
        project.api.delete(f"api/tasks/{task['id']}/", "it")
    assert project.outcomes() == before
    project.push("v1")
    assert set(project.open_reviews()) == {"b.png", "c.png"}


def test_a_withdrawn_review_withdraws_its_outcomes(project: SmallProject) -> None:
    project.review("a.png", without("wrong"))
    project.outcomes()
    tasks = project.api.get_json(
        f"api/projects/{project.review_project}/export",
        {"exportType": "JSON", "download_all_tasks": True}, "it",
    )  # fmt: skip
    for task in tasks:
        for annotation in task["annotations"]:
            project.api.delete(f"api/annotations/{annotation['id']}/", "it")
    assert set(project.outcomes().values()) == {"pending"}


def test_labels_that_were_renamed(project: SmallProject) -> None:
    project.review("a.png", without("wrong"))
    project.review("b.png", draw(FREE))
    project.outcomes()
    path = f"api/projects/{project.project}/"
    config = project.api.get_json(path, {}, "it")["label_config"]
    renamed = config.replace('value="cat"', 'value="kitten"')
    assert renamed != config
    project.api.patch_json(path, {"label_config": renamed}, "it")
    with pytest.raises(ToolError, match=r"cat.*\[labels\] rename"):
        project.pull()
    project.settings = Settings.model_validate(
        {"source": project.source, "labels": {"rename": {"cat": "kitten"}}}
    )
    seen = boxes_of(project.refresh())
    assert seen["a.png"] == {("kitten", HUMAN), ("kitten", MINED)}
    assert ("dog", FREE) in seen["b.png"]
    assert project.collect()["v1-right-a.png"].outcome == "accepted"
    project.push("v2")
    assert set(project.open_reviews()) == {"a.png", "b.png", "c.png"}
    project.merge()
    assert project.source_boxes()["a.png"] == {("kitten", HUMAN), ("kitten", MINED)}


def test_an_alias_that_was_added(project: SmallProject) -> None:
    project.review("a.png", without("wrong"))
    path = f"api/projects/{project.project}/"
    config = project.api.get_json(path, {}, "it")["label_config"]
    aliased = config.replace('value="cat"', 'value="A cat" alias="cat"')
    project.api.patch_json(path, {"label_config": aliased}, "it")
    seen = boxes_of(project.refresh())
    assert seen["a.png"] == {("A cat", HUMAN), ("A cat", MINED)}
    box = project.collect()["v1-right-a.png"]
    assert (box.outcome, box.category) == ("accepted", "A cat")
    project.push("v2")
    project.review("b.png")
    project.merge()
    assert project.source_boxes()["b.png"] >= {("A cat", HUMAN), ("A cat", MINED)}


def test_tasks_that_were_deleted_and_imported_again(project: SmallProject) -> None:
    project.review("a.png", without("wrong"))
    project.outcomes()
    old = project.id_of("a.png")
    task = project.api.get_json(f"api/tasks/{old}/", {}, "it")
    (annotation,) = project.annotations_of("a.png")
    project.api.delete(f"api/tasks/{old}/", "it")
    project.api.delete(f"api/tasks/{project.id_of('c.png')}/", "it")
    project.api.post_json(
        f"api/projects/{project.project}/import",
        [{"data": task["data"], "annotations": [{"result": annotation["result"]}]}],
        "it",
    )
    # The round that trained meanwhile still has the old ids.
    report = project.push("v2")
    assert len(report.gone) == 1
    assert any("imported again" in line for line in project.said)
    assert any("skipped 1 image " in line for line in project.said)
    seen = project.refresh()
    assert project.id_of("a.png") != old
    assert boxes_of(seen)["a.png"] == {("cat", HUMAN), ("cat", MINED)}
    assert project.collect()["v1-right-a.png"].outcome == "accepted"
    assert project.merge()[project.id_of("a.png")].outcome == "changed"
    assert project.source_boxes()["a.png"] == {("cat", HUMAN), ("cat", MINED)}
    assert set(project.open_reviews()) == {"a.png", "b.png"}


def test_images_that_can_not_be_read_for_a_while(project: SmallProject) -> None:
    """One that was reviewed; then one that is up for review."""
    project.review("a.png", without("wrong"))
    project.outcomes()
    for name, others in (("a.png", ["b.png", "c.png"]), ("b.png", ["a.png", "c.png"])):
        task = project.id_of(name)
        data = project.api.get_json(f"api/tasks/{task}/", {"resolve_uri": False}, "it")["data"]
        before = project.outcomes()
        gone = dict.fromkeys(data, f"/data/upload/1/gone-{name}")
        project.api.patch_json(f"api/tasks/{task}/", {"data": gone}, "it")
        unread = project.pull().dataset
        assert unread.unread == {task}
        assert set(boxes_of(unread)) == set(others)
        write_coco(unread, project.workspace.annotations)
        project.push("v2", project.mined("v2", names=others))
        outcomes = project.outcomes()
        for id, outcome in before.items():
            assert outcomes[id] == outcome or not id.endswith(name), outcomes
        project.api.patch_json(f"api/tasks/{task}/", {"data": data}, "it")
        project.refresh()
    assert not any("imported again" in line or "no longer" in line for line in project.said)
    project.push("v2")
    assert set(project.open_reviews()) == {"a.png", "b.png", "c.png"}
    project.merge()
    assert project.source_boxes()["a.png"] == {("cat", HUMAN), ("cat", MINED)}


def test_a_task_that_shows_another_image_gets_no_boxes(project: SmallProject) -> None:
    """A server on SQLite gives the id of a deleted task to the next import."""
    a, c = (project.id_of(name) for name in ("a.png", "c.png"))
    data = project.api.get_json(f"api/tasks/{a}/", {}, "it")["data"]
    project.api.patch_json(f"api/tasks/{c}/", {"data": data}, "it")
    report = project.push("v2")
    assert report.gone == {c}
    assert report.boxes == 4
    assert "shows another image" in report.skipped[c]
    outcomes = project.outcomes()
    assert "v2-right-a.png" in outcomes
    assert "v2-right-c.png" not in outcomes


@pytest.mark.parametrize("lost", ["deleted", "empty"])
def test_a_lost_ledger_is_rebuilt(project: SmallProject, lost: str) -> None:
    project.push_round(1, "v9")
    project.review("a.png", without("wrong"))
    before = project.outcomes()
    project.workspace.ledger.unlink()
    if lost == "empty":
        project.workspace.ledger.touch()
    result = project.command("review", project.workspace.root, "--json")
    assert result.status == 0, result.err
    assert "rebuilt" in result.err
    after = {box["region_id"]: box["outcome"] for box in result.json()["boxes"]}
    assert after == {id: outcome for id, outcome in before.items() if id.startswith("v9")}


def test_skipped_reviews_show_in_status(project: SmallProject) -> None:
    open_review: Any = project.open_reviews()["a.png"]
    project.api.post_json(
        f"api/tasks/{open_review.task.id}/annotations/",
        {"result": [], "was_cancelled": True, "lead_time": 1.0},
        "skipping",
    )
    assert set(project.outcomes().values()) == {"pending"}
    status = project.command("status", project.workspace.root)
    assert "1 image" in status.err + status.out
    assert "skipped" in status.err + status.out


def test_two_reviewers_of_one_task(project: SmallProject) -> None:
    """The second one's is empty and newer."""
    open_review: Any = project.open_reviews()["a.png"]
    open_review.submit(without("wrong")(open_review.regions))
    open_review.submit([])
    outcomes = project.outcomes()
    assert outcomes["v1-right-a.png"] == "accepted"
    assert outcomes["v1-wrong-a.png"] == "rejected"
    assert boxes_of(project.refresh())["a.png"] == {("cat", HUMAN), ("cat", MINED)}


def test_a_mined_box_that_got_a_second_label_is_not_rejected(project: SmallProject) -> None:
    open_review: Any = project.open_reviews()["a.png"]
    open_review.submit(open_review.regions)
    tasks = project.api.get_json(
        f"api/projects/{project.review_project}/export",
        {"exportType": "JSON", "download_all_tasks": True}, "it",
    )  # fmt: skip
    (annotation,) = [a for task in tasks for a in task["annotations"]]
    for region in annotation["result"]:
        if region["id"] == "v1-right-a.png":
            region["value"]["rectanglelabels"] = ["cat", "dog"]
    project.save(annotation)
    outcomes = project.outcomes()
    assert outcomes["v1-right-a.png"] == "pending"
    assert outcomes["v1-wrong-a.png"] == "accepted"
    assert not project.refresh().verified_negatives
