"""Merges into the annotated project, and conflicts."""

from pathlib import Path

import pytest

from sparsedet.reviews import ReviewedRegion
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


@pytest.fixture
def project(tmp_path: Path) -> SmallProject:
    project = SmallProject(tmp_path)
    project.push("v1")
    return project


def test_a_merge_writes_what_training_sees(project: SmallProject) -> None:
    project.review("a.png", without("wrong"), complete=True)
    project.review("b.png", move("own", FREE))
    seen = project.pull().dataset
    assert boxes_of(seen)["a.png"] == {("cat", HUMAN), ("cat", MINED)}
    assert [image.exhaustive for image in seen.images] == [True, False, False]
    merged = project.merge()
    assert {one.outcome for one in merged.values()} == {"changed"}
    assert project.source_boxes() == boxes_of(seen)
    assert {one.outcome for one in project.merge().values()} == {"same"}
    assert boxes_of(project.pull().dataset) == boxes_of(seen)


def test_without_write_nothing_is_written(project: SmallProject) -> None:
    project.review("a.png", draw(FREE))
    before = project.source_boxes()
    (merged,) = project.merge(write=False).values()
    assert (merged.outcome, merged.added) == ("changed", 3)
    assert project.source_boxes() == before
    assert not project.workspace.merged.exists()


def test_one_thing_at_a_time(project: SmallProject) -> None:
    refused = project.command("review", project.workspace.root, "--merge", "--take", "source")
    assert "--merge and --take can't be combined" in refused.error()


def conflict(project: SmallProject) -> None:
    """Move the box of a.png in the project, after a reviewer moved it elsewhere."""
    project.review("a.png", move("own", FREE))
    project.edit_source("a.png", (20, 20, 50, 50))


def test_conflicts_are_listed_and_left_alone(project: SmallProject) -> None:
    conflict(project)
    before = project.source_boxes()
    (found,) = project.merge().values()
    assert (found.outcome, list(found.boxes)) == ("conflict", ["own-a.png"])
    assert project.source_boxes() == before
    feedback = project.pull()
    assert feedback.conflicts == 1
    assert boxes_of(feedback.dataset) == project.source_boxes()
    listed = project.command("review", project.workspace.root, "--conflicts")
    assert listed.status == 0
    assert f"conflict: image {project.id_of('a.png')}" in listed.err
    assert "box own-a.png: changed there and in the review" in listed.err


@pytest.mark.parametrize("side", ["source", "review"])
def test_a_conflict_is_resolved_for_one_side(project: SmallProject, side: str) -> None:
    conflict(project)
    name = project.id_of("a.png")
    result = project.command("review", project.workspace.root, "--take", side, "--image", name)
    assert result.status == 0, result.err
    project.merge()
    place = (20.0, 20.0, 50.0, 50.0) if side == "source" else FREE
    expected = {("cat", place), ("cat", MINED), ("cat", WRONG)}
    assert project.source_boxes()["a.png"] == expected
    assert {one.outcome for one in project.merge().values()} == {"same"}
    assert boxes_of(project.pull().dataset)["a.png"] == expected


def test_taking_a_side_needs_a_conflict(project: SmallProject) -> None:
    conflict(project)
    work, name = project.workspace.root, project.id_of("b.png")
    refused = project.command("review", work, "--take", "source", "--image", name)
    assert f"image {name} has no conflict" in refused.error()
    unknown = project.command("review", work, "--take", "ours")
    assert "--take ours: expected source or review" in unknown.error()


def test_saving_the_source_without_a_change_is_no_conflict(project: SmallProject) -> None:
    project.review("a.png", without("wrong"))
    project.save_source("a.png")
    (merged,) = project.merge().values()
    assert merged.outcome == "changed"
    assert boxes_of(project.pull().dataset) == project.source_boxes()


def test_images_that_would_lose_every_box_are_asked_about(project: SmallProject) -> None:
    project.review("a.png", without("own", "right", "wrong"))
    project.review("b.png")
    merged = project.merge()
    a, b = project.id_of("a.png"), project.id_of("b.png")
    assert {id: one.outcome for id, one in merged.items()} == {a: "emptied", b: "changed"}
    assert project.source_boxes()["a.png"] == {("cat", HUMAN)}
    # Nobody is there to answer.
    work = project.workspace.root
    result = project.command("review", work, "--merge", "--write")
    assert "--merge --write --empty" in result.err
    assert project.merge(empty=True)[a].removed == 1
    assert project.source_boxes()["a.png"] == set()


def test_one_reviewer_s_overlapping_boxes_are_all_merged(project: SmallProject) -> None:
    left, top, right, bottom = MINED
    near = ReviewedRegion("near", "cat", (left + 4, top, right + 4, bottom))
    project.review("a.png", lambda regions: [*regions, near])
    project.merge()
    assert len(project.source_boxes()["a.png"]) == 4
    assert {one.outcome for one in project.merge().values()} == {"same"}
