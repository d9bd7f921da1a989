"""Rounds of sure boxes: nothing is drawn, and what is in doubt waits for a better model."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import ValidationError

from sparsedet.annotations import read_coco
from sparsedet.annotations.mined_boxes import read_mined, write_mined
from sparsedet.atomic_io import read_json
from sparsedet.loop.round_report import report_of
from sparsedet.loop.settings import AcceptSettings, ReviewSettings
from tests.loop.killed_push import killed_push
from tests.loop.lot_project import IMAGES, MISSING, LotProject

NO_LOTS = AcceptSettings()


def with_doubt(project: LotProject, doubtful: int) -> Callable[[], None]:
    """Return what makes the first boxes of each image doubtful, between mining and pushing."""

    def make() -> None:
        folder = project.workspace.all_rounds()[-1]
        mined = read_mined(folder.mined, read_coco(folder.annotations))
        seen: dict[int, int] = {}
        changed = []
        for box in mined:
            seen[box.image_id] = seen.get(box.image_id, 0) + 1
            if seen[box.image_id] <= doubtful:
                box = replace(box, expected_precision=0.4, object_chance=0.4)
            changed.append(box)
        write_mined(changed, {"run_id": read_json(folder.run.info_file)["run_id"]}, folder.mined)

    return make


def test_doubtful_boxes_wait_for_the_next_round(tmp_path: Path) -> None:
    project = LotProject(tmp_path, NO_LOTS, sure_first=True)
    folder = project.round(1, before_push=with_doubt(project, 3))
    (reviews,) = project.open_reviews().values()
    shown = [review for review in reviews if review.scores]
    assert {len(review.scores) for review in shown} == {MISSING - 3}
    record = read_json(folder.push)
    assert len(record["left_out"]) == 3 * IMAGES
    assert report_of(folder, "pushed").sure_only
    assert all(entry["judge_only"] for entry in record["queue"] if not entry["audit"])
    (said,) = [line for line in project.said if "sure boxes first" in line]
    assert f", {3 * IMAGES} left to later rounds; " in said
    assert ("blind sample" in said) == any(entry["audit"] for entry in record["queue"])
    # Files and ledger agree on what was shown; the run is a stand-in.
    found = project.command("check", "work").out
    assert "model.pth: damaged" in found
    assert "config.yaml: missing" in found
    assert "2 things are wrong" in found

    project.review(draw_share=0.0)
    project.rounds.collect(folder)
    accepted = len(project.boxes(lambda box: box.outcome == "accepted"))
    assert accepted == (MISSING - 3) * len(shown)
    # The next model is sure of them.
    project.round(2)
    (reviews,) = project.open_reviews().values()
    assert sum(len(review.scores) for review in reviews) >= 3 * len(shown)


def test_where_all_boxes_are_sure_none_are_left_to_later_rounds(tmp_path: Path) -> None:
    project = LotProject(tmp_path, NO_LOTS, sure_first=True)
    project.round(1)
    (said,) = [line for line in project.said if "sure boxes first" in line]
    assert "left to later rounds" not in said


@pytest.mark.parametrize("is_pushed", [False, True])
def test_an_interrupted_push_keeps_its_plan(is_pushed: bool, tmp_path: Path) -> None:
    project = LotProject(tmp_path, NO_LOTS, sure_first=True)
    with killed_push(after=int(is_pushed)):
        project.round(1, before_push=with_doubt(project, 3))
    # What people do meanwhile, and settings changed since, are for the next round.
    if is_pushed:
        project.review(draw_share=0.0, leave=IMAGES // 2)
    else:
        project.sure_first = False
        project.use_mode("review-project")
    report = project.rounds.advance(force=True, push_anyway=True)
    folder = project.workspace.round(1)
    assert report.sure_only
    assert len(read_json(folder.push)["left_out"]) == 3 * IMAGES
    shown = [review.scores for review in project.open_reviews()["review-project"]]
    assert {len(scores) for scores in shown if scores} == {MISSING - 3}
    assert len(read_json(folder.push)["queue"]) == IMAGES
    assert "ledger.sqlite" not in project.command("check", "work").out
    # Reviews made meanwhile are reviews of this round.
    project.review(draw_share=0.0)
    assert project.rounds.collect(folder).reviewed == IMAGES


@pytest.mark.parametrize("again", ["mined", "mode"])
def test_a_plan_for_other_boxes_or_another_mode_is_made_again(again: str, tmp_path: Path) -> None:
    project = LotProject(tmp_path, NO_LOTS, sure_first=True)

    with killed_push():
        project.round(1, before_push=with_doubt(project, 3))
    if again == "mined":
        with_doubt(project, 2)()
        folder = project.workspace.round(1)
        boxes = read_mined(folder.mined, read_coco(folder.annotations))
        write_mined(boxes[1:], {"run_id": "run-1"}, folder.mined)
    else:
        project.sure_first = False
        project.use_mode("auto")
    report = project.rounds.advance(force=True, push_anyway=True)
    assert report.sure_only == (again == "mined")
    shown = sum(
        len(review.scores) for reviews in project.open_reviews().values() for review in reviews
    )
    assert shown == report.up_for_review


def test_where_sure_boxes_bring_too_little_all_are_shown(tmp_path: Path) -> None:
    project = LotProject(tmp_path, NO_LOTS, sure_first=True)
    folder = project.round(1, before_push=with_doubt(project, MISSING - 1))
    (reviews,) = project.open_reviews().values()
    assert {len(review.scores) for review in reviews if review.scores} == {MISSING}
    assert read_json(folder.push)["left_out"] == []
    assert not report_of(folder, "pushed").sure_only
    assert not any("sure boxes first" in line for line in project.said)


def test_people_draw_once_little_is_missing(tmp_path: Path) -> None:
    project = LotProject(tmp_path, NO_LOTS, sure_first=True)
    first = project.round(1, before_push=with_doubt(project, 1))
    project.review(draw_share=0.0)
    project.rounds.collect(first)
    second = project.round(2)
    assert report_of(first, "pushed").sure_only
    assert not report_of(second, "pushed").sure_only


def test_of_a_lot_of_sure_boxes_only_the_sample_is_shown(tmp_path: Path) -> None:
    # So low a promise would be kept with the doubtful boxes, too.
    project = LotProject(tmp_path, AcceptSettings(precision=0.7, confidence=0.9), sure_first=True)
    folder = project.round(1, before_push=with_doubt(project, 1))
    assert report_of(folder, "pushed").sure_only
    lot = project.lot()
    doubtful = set(read_json(folder.push)["left_out"])
    assert len(doubtful) == IMAGES
    assert not doubtful & set(lot.boxes)
    shown = {id for review in project.open_reviews()["review-project"] for id in review.scores}
    assert shown >= set(lot.sample)
    assert not shown & (lot.rest | doubtful)

    project.review(draw_share=0.0)
    project.rounds.collect(folder)
    assert project.lot().state == "passed"
    assert project.outcomes(lot.rest) == {"sampled": len(lot.rest)}


def test_a_mode_without_a_queue_is_refused() -> None:
    with pytest.raises(ValidationError, match="sure_first needs mode"):
        ReviewSettings(sure_first=True, mode="sheets")
