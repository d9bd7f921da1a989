"""Rounds on contact sheets: mode changes, interrupted pushes, failed lots."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from sparsedet.annotations import read_coco
from sparsedet.atomic_io import read_json
from sparsedet.loop.round_sheets import stored_sheets
from sparsedet.loop.settings import AcceptSettings, ReviewMode
from sparsedet.sheets.arrangement import CROPS
from sparsedet.simulation import Behaviour, Reviewer, plan_reviews
from tests.loop.killed_push import killed_push
from tests.loop.lot_project import ACCEPT, LotProject

NO_LOTS = AcceptSettings()


def up(project: LotProject) -> Counter[str]:
    """Return how often each mined box is up."""
    reviews = [review for place in project.open_reviews().values() for review in place]
    return Counter(id for review in reviews for id in review.scores)


def waiting(project: LotProject) -> set[str]:
    """Return the ids of the boxes that should be up."""
    boxes = project.boxes(lambda box: box.outcome == "pending" and not box.is_held)
    return {box.region_id for box in boxes}


@pytest.mark.parametrize(
    "modes",
    [("review-project", "auto", "sheets", "review-project"), ("sheets", "review-project", "auto")],
)
def test_whatever_the_mode_each_waiting_box_is_up_once(
    modes: tuple[ReviewMode, ...], tmp_path: Path
) -> None:
    project = LotProject(tmp_path, NO_LOTS)
    for number, mode in enumerate(modes, start=1):
        project.use_mode(mode)
        folder = project.round(number, wrong=1)
        assert up(project) == dict.fromkeys(waiting(project), 1)
        record = read_json(folder.push)
        # Where something is up is what people are sent to.
        assert record["place"]["mode"] == ("sheets" if mode == "sheets" else "review-project")


def test_what_sheets_leave_undecided_is_up_on_images_where_only_sheets_are_wanted(
    tmp_path: Path,
) -> None:
    project = LotProject(tmp_path, NO_LOTS, mode="sheets")
    project.round(1)
    sheet = project.open_reviews()["sheets"][0]
    undecided = {region.region_id for region in sheet.regions[:3]}
    sheet.submit([replace(r, unsure=r.region_id in undecided) for r in sheet.regions])
    folder = project.round(2)
    images = project.open_reviews()["review-project"]
    assert {id for image in images for id in image.scores} == undecided
    assert up(project) == dict.fromkeys(waiting(project), 1)

    # The files of the rounds say where to look.
    for image in images:
        image.submit(image.regions)
    project.rounds.collect(folder)
    assert project.outcomes(undecided) == {"accepted": 3}
    for file in project.workspace.root.glob("ledger.sqlite*"):
        file.unlink()
    project.rounds.collect(folder)
    assert project.outcomes(undecided) == {"accepted": 3}


def test_boxes_on_images_that_can_not_be_read_are_on_no_sheet(tmp_path: Path) -> None:
    """An empty crop would be accepted along with the others, seen by nobody."""
    project = LotProject(tmp_path, NO_LOTS, mode="sheets")
    project.rounds.refresh()
    image = read_coco(project.workspace.annotations).images[0]
    path = project.workspace.images / image.file_name
    assert path.is_file()

    folder = project.round(1, before_push=lambda: path.write_bytes(b"no image"))
    shown = {crop.tool_id for sheet in stored_sheets(folder) for crop in sheet.crops}
    assert shown
    assert image.tool_id not in shown


@pytest.mark.parametrize("pushes", [1, 2])
def test_a_push_that_was_cut_off_between_images_and_sheets_takes_old_sheets_down(
    pushes: int, tmp_path: Path
) -> None:
    project = LotProject(tmp_path, NO_LOTS, mode="auto")
    project.round(1, wrong=1)
    with killed_push(after=pushes):
        project.round(2, wrong=1)
    project.rounds.advance(force=True, push_anyway=True)
    assert project.workspace.round(2).push.exists()
    assert up(project) == dict.fromkeys(waiting(project), 1)


def test_boxes_of_a_lot_that_failed_go_up_where_only_sheets_are_wanted(tmp_path: Path) -> None:
    project = LotProject(tmp_path, ACCEPT, mode="auto")
    project.round(1)
    reviewer = Reviewer(project.full, behaviour=Behaviour(wrong_clicks=0.5, draw_share=0.0))
    dataset = read_coco(project.workspace.annotations)
    plan_reviews(project.tool, str(project.tool.url + "/cells/sheets"), dataset, reviewer).submit()
    project.rounds.collect(project.workspace.round(1))
    rest = project.lot().rest
    assert project.lot().state == "failed"
    project.use_mode("sheets")
    project.round(2, found=0)
    assert up(project).keys() & rest == rest


def sizes(project: LotProject) -> list[int]:
    """Return the number of crops of each open sheet."""
    return [len(sheet.regions) for sheet in project.open_reviews()["sheets"]]


def test_a_budget_limits_the_sheets(tmp_path: Path) -> None:
    project = LotProject(tmp_path, NO_LOTS, mode="sheets", budget="2-images")
    folder = project.round(1)
    assert sizes(project) == [CROPS, CROPS]
    assert project.open_reviews().keys() == {"sheets"}
    assert up(project) == dict.fromkeys(waiting(project), 1)
    assert "ledger.sqlite" not in project.command("check", "work").out

    # Undecided boxes go to images, whose reviews say nothing about what was left out.
    sheet, other = project.open_reviews()["sheets"]
    sheet.submit([replace(region, unsure=True) for region in sheet.regions])
    other.submit(other.regions)
    folder = project.round(2)
    for image in project.open_reviews()["review-project"]:
        image.submit(image.regions)
    project.rounds.collect(folder)
    before = Counter(box.outcome for box in project.boxes())
    assert before == {"accepted": 2 * CROPS, "pending": 2 * CROPS}
    for file in project.workspace.root.glob("ledger.sqlite*"):
        file.unlink()
    project.rounds.collect(folder)
    assert Counter(box.outcome for box in project.boxes()) == before


def test_an_interrupted_push_keeps_its_sheets_without_the_budget(tmp_path: Path) -> None:
    """`--budget` may be missing in the second call."""
    project = LotProject(tmp_path, NO_LOTS, mode="sheets", budget="2-images")

    with killed_push():
        project.round(1)
    project.budget = ""
    project.use_mode("sheets")
    project.rounds.advance(force=True, push_anyway=True)
    assert project.open_reviews().keys() == {"sheets"}
    assert sizes(project) == [CROPS, CROPS]
