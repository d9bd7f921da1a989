"""Acceptance by sample, from push to merge, and its undo."""

import json
from collections.abc import Collection
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from sparsedet.annotations import read_coco, write_coco
from sparsedet.atomic_io import read_json
from sparsedet.ledger import Ledger
from sparsedet.loop.live_reviews import collect_now
from sparsedet.loop.settings import AcceptSettings
from sparsedet.loop.standing import assess_round
from tests.loop.lot_project import IMAGES, MISSING, LotProject


@pytest.fixture
def project(tmp_path: Path) -> LotProject:
    return LotProject(tmp_path)


def passed(project: LotProject) -> int:
    """Run a round whose lot passes; return how many boxes a reviewer accepted."""
    project.round(1)
    reviewed = project.review(draw_share=0.0)
    project.rounds.collect(project.workspace.round(1))
    assert project.lot().state == "passed"
    return reviewed.accepted


def seen_by_all(project: LotProject, number: int, ids: Collection[str]) -> set[str]:
    """Return those of the boxes that are not on an image of a round's blind sample."""
    queue = read_json(project.workspace.round(number).push)["queue"]
    blind = {entry["image_tool_id"] for entry in queue if entry["audit"]}
    boxes = project.boxes(lambda box: box.region_id in ids and box.image_tool_id not in blind)
    assert boxes
    return {box.region_id for box in boxes}


def test_the_rest_of_a_lot_is_held(project: LotProject) -> None:
    folder = project.round(1)
    lot = project.lot()
    shown = project.shown_ids()
    assert set(lot.sample) <= shown
    assert not lot.rest & shown
    assert 0 < len(lot.sample) < len(lot.rest)
    assert project.outcomes(lot.rest) == {"pending": len(lot.rest)}
    # Those of the blind sample form no lot, and are shown nowhere.
    record = read_json(folder.push)
    assert record["held"] == len(lot.rest)
    audited = sum(entry["audit"] for entry in record["queue"])
    assert audited > 0
    assert len(lot.boxes) <= (IMAGES - audited) * MISSING
    # Drawing waits where boxes are held, and no image is opened for it.
    waiting = {box.image_tool_id for box in project.boxes(lambda box: box.region_id in lot.rest)}
    for entry in record["queue"]:
        if entry["image_tool_id"] in waiting:
            assert entry["boxes"] > 0
            assert entry["judge_only"]


def test_a_lot_waits_until_its_whole_sample_is_reviewed(project: LotProject) -> None:
    folder = project.round(1)
    project.review(leave=2, draw_share=0.0)
    project.rounds.collect(folder)
    assert project.lot().state == "waiting"
    assert project.outcomes(project.lot().rest) == {"pending": len(project.lot().rest)}


def test_a_live_backend_settles_lots_too(project: LotProject) -> None:
    project.round(1)
    project.review(draw_share=0.0)
    assert collect_now(project.workspace, project.tool)
    assert project.lot().state == "passed"
    assert project.outcomes(project.lot().rest) == {"sampled": len(project.lot().rest)}


def test_a_lot_that_passes_is_accepted_trained_on_and_merged(project: LotProject) -> None:
    project.round(1)
    lot = project.lot()
    reviewed = project.review(draw_share=0.0)
    status = project.command("review", "work", "--json").json()
    assert project.lot().state == "passed"
    assert project.outcomes(lot.rest) == {"sampled": len(lot.rest)}
    assert (status["sampled"], status["accepted"]) == (len(lot.rest), reviewed.accepted)

    seen = read_coco(project.rounds.refresh())
    origins = [box.origin for box in seen.boxes]
    assert origins.count("sampled") == len(lot.rest)
    assert origins.count("accepted") == reviewed.accepted

    before = project.source_boxes()
    preview = project.command("review", "work", "--merge")
    assert f"{len(lot.rest)} of the added boxes were accepted by sampling" in preview.err
    assert project.source_boxes() == before
    assert project.command("review", "work", "--merge", "--write").status == 0
    assert project.source_boxes() == len(seen.boxes)
    assert all(box.in_source for box in project.boxes(lambda box: box.region_id in lot.rest))
    again = project.command("review", "work", "--merge", "--json").json()
    assert {image["outcome"] for image in again["merge"]["images"]} == {"same"}
    # Merged, they are still known for what they are.
    merged = read_coco(project.rounds.refresh())
    assert [box.origin for box in merged.boxes].count("sampled") == len(lot.rest)


def test_status_and_report_show_it_and_nobody_s_time_is_spent(project: LotProject) -> None:
    project.round(1)
    reviewed = project.review(draw_share=0.0)
    project.rounds.collect(project.workspace.round(1))
    lot = project.lot()
    status = project.command("status", "work")
    assert "sampled" in status.out
    assert "1-1" in status.out
    assert "passed" in status.out
    found = project.command("status", "work", "--json").json()
    assert found["all"]["sampled"] == len(lot.rest)
    assert found["all"]["seconds"] == pytest.approx(reviewed.seconds)
    assert found["all"]["reviewed_images"] == reviewed.reviewed
    assert found["reviewers"] == []
    assert project.command("report", "work", "-o", "page.html").status == 0
    page = (project.folder / "page.html").read_text()
    assert '<th scope="col">sampled</th>' in page
    assert "mined, accepted by sample" in page


def test_the_estimate_counts_them_and_does_not_learn_from_them(project: LotProject) -> None:
    reviewed = passed(project)
    annotations = read_coco(project.rounds.refresh())
    folder = project.workspace.round(1)
    audited = sum(entry["audit"] for entry in read_json(folder.push)["queue"])
    with closing(Ledger(project.workspace.ledger)) as ledger:
        found = assess_round(folder, annotations, project.workspace.settings(), ledger)
        assert len(ledger.reviewed_ids()) == reviewed
    assert found.completeness.boxes == len(annotations.boxes)
    # Those of the lot are neither judged nor missing; nobody drew on the blind sample.
    assert found.fitted.judged == reviewed
    assert len(found.candidates) == audited * MISSING


def test_a_lot_is_taken_back_as_one_before_a_merge(project: LotProject) -> None:
    passed(project)
    lot = project.lot()
    trained = len(read_coco(project.rounds.refresh()).boxes)
    undone = project.command("review", "work", "--undo-lot", "1-1", "--json").json()["undone_lot"]
    assert undone == {"lot": "1-1", "pending": len(lot.rest), "kept": 0, "merged": 0}
    assert project.lot().state == "undone"
    assert project.outcomes(lot.rest) == {"pending": len(lot.rest)}
    assert len(read_coco(project.rounds.refresh()).boxes) == trained - len(lot.rest)
    # It stays so, and goes up with the next round: as it is where the new model finds nothing.
    project.round(2, found=0)
    assert not project.workspace.round(2).lots.exists()
    assert seen_by_all(project, 2, lot.rest) <= project.shown_ids()


def test_a_merged_lot_is_taken_out_of_the_source_where_nobody_touched_it(
    project: LotProject,
) -> None:
    passed(project)
    lot = project.lot()
    before = project.source_boxes()
    assert project.command("review", "work", "--merge", "--write").status == 0
    merged = project.source_boxes()
    path = project.folder / project.project / "annotations.json"
    source = read_coco(path)
    # Somebody removes one in the project itself.
    gone = next(box for box in source.boxes if box.tool_id in lot.rest)
    write_without(path, gone.tool_id)
    result = project.command("review", "work", "--undo-lot", "1-1")
    assert result.status == 0, result.err
    assert f"{len(lot.rest)} are already merged" in result.err
    assert "--merge --write" in result.err
    assert project.command("review", "work", "--merge", "--write").status == 0
    assert project.source_boxes() == merged - len(lot.rest)
    assert project.source_boxes() > before


def write_without(path: Path, tool_id: str | None) -> None:
    dataset = read_coco(path)
    write_coco(dataset.with_boxes(box for box in dataset.boxes if box.tool_id != tool_id), path)


def test_what_a_person_decided_since_stays_when_a_lot_is_taken_back(project: LotProject) -> None:
    passed(project)
    lot = project.lot()
    project.round(2, wrong=1)
    # The next round's images show the boxes as annotations; one image has two of them deleted.
    review = next(
        review
        for review in project.tool.open_reviews(project.review_project)
        if sum(region.region_id in lot.rest for region in review.regions) > 1
    )
    first, second = [r for r in review.regions if r.region_id in lot.rest][:2]
    left = [r for r in review.regions if r not in (first, second)]
    review.submit(left, seconds=1.0, complete=False)
    project.rounds.collect(project.workspace.round(2))
    assert project.outcomes([first.region_id, second.region_id]) == {"rejected": 2}
    undone = project.command("review", "work", "--undo-lot", "1-1", "--json").json()["undone_lot"]
    assert undone["kept"] >= 2
    assert project.outcomes([first.region_id, second.region_id]) == {"rejected": 2}


def test_a_lot_that_fails_is_reviewed_as_usual(project: LotProject) -> None:
    folder = project.round(1, wrong=4)
    lot = project.lot()
    project.review(draw_share=0.0)
    project.rounds.collect(folder)
    failed = project.lot()
    assert failed.state == "failed"
    assert failed.wrong > failed.allowed
    assert project.outcomes(lot.rest) == {"pending": len(lot.rest)}
    assert "sampled" not in [box.origin for box in read_coco(project.rounds.refresh()).boxes]
    # Of what the next model does not find the old boxes go up; the class forms no lot.
    second = project.round(2, wrong=4, found=0)
    assert not second.lots.exists()
    shown = project.shown_ids()
    right = project.boxes(lambda box: box.region_id in lot.rest and box.top < 30)
    up = seen_by_all(project, 2, [box.region_id for box in right])
    assert up <= shown
    project.review(draw_share=0.0)
    project.rounds.collect(second)
    assert project.outcomes(up) == {"accepted": len(up)}


def test_a_lot_fails_as_soon_as_too_many_of_its_sample_are_wrong(project: LotProject) -> None:
    folder = project.round(1, wrong=8)
    project.review(leave=5, draw_share=0.0)
    project.rounds.collect(folder)
    assert project.lot().state == "failed"


def test_undecided_boxes_are_not_right(project: LotProject) -> None:
    folder = project.round(1)
    sample = set(project.lot().sample)
    for review in project.tool.open_reviews(project.review_project):
        left = [replace(r, unsure=r.region_id in sample) for r in review.regions]
        review.submit(left, seconds=1.0, complete=False)
    project.rounds.collect(folder)
    assert (project.lot().state, project.lot().wrong > project.lot().allowed) == ("failed", True)


def test_the_next_round_takes_back_a_lot_that_still_waits(project: LotProject) -> None:
    project.round(1)
    lot = project.lot()
    project.review(leave=3, draw_share=0.0)
    project.round(2)
    project.rounds.collect(project.workspace.round(2))
    assert project.lot(1).state == "withdrawn"
    assert project.outcomes(lot.rest) == {"withdrawn": len(lot.rest)}


def test_a_push_that_is_taken_back_takes_its_lots_along(project: LotProject) -> None:
    folder = project.round(1)
    lot = project.lot()
    result = project.command("push", "--undo", "--data", "work")
    assert result.status == 0, result.err
    assert project.outcomes(lot.boxes) == {"withdrawn": len(lot.boxes)}
    project.rounds.collect(folder)
    assert project.lot().state == "withdrawn"


def test_a_push_that_was_cut_off_shows_the_same_sample(project: LotProject) -> None:
    folder = project.round(1)
    lot, shown = project.lot(), project.shown_ids()
    folder.push.unlink()
    project.rounds.advance(push_anyway=True)
    assert project.lot() == lot
    assert project.shown_ids() == shown
    assert project.outcomes(lot.rest) == {"pending": len(lot.rest)}


def test_a_lost_ledger_is_made_again_with_its_lots(project: LotProject) -> None:
    passed(project)
    lot = project.lot()
    project.workspace.ledger.unlink()
    result = project.command("review", "work")
    assert result.status == 0, result.err
    assert project.lot().state == "passed"
    assert project.outcomes(lot.rest) == {"sampled": len(lot.rest)}


def test_boxes_whose_lots_are_lost_are_not_passed_over(project: LotProject) -> None:
    folder = project.round(1)
    lot = project.lot()
    folder.lots.unlink()
    result = project.command("review", "work")
    assert result.status == 0
    assert f"lots.json is missing, so {len(lot.rest)} boxes wait" in result.err
    assert project.outcomes(lot.rest) == {"pending": len(lot.rest)}


def test_the_sample_comes_first_and_has_to_fit_into_the_budget(tmp_path: Path) -> None:
    for name, budget in (("few", "5-images"), ("enough", "30-images")):
        (tmp_path / name).mkdir()
        project = LotProject(tmp_path / name, budget=budget)
        folder = project.round(1)
        assert folder.lots.exists() == (name == "enough")
        if folder.lots.exists():
            assert set(project.lot().sample) <= project.shown_ids()


def test_without_the_setting_there_are_no_lots(tmp_path: Path) -> None:
    project = LotProject(tmp_path, accept=AcceptSettings())
    folder = project.round(1)
    assert not folder.lots.exists()
    record = read_json(folder.push)
    audited = sum(entry["audit"] for entry in record["queue"])
    assert record["boxes"] == (IMAGES - audited) * MISSING


def test_an_unknown_lot_is_one_clear_line(project: LotProject) -> None:
    project.round(1)
    refused = project.command("review", "work", "--undo-lot", "7-1")
    assert "no lot 7-1; there are 1-1 (waiting)" in refused.error()
    waiting = project.command("review", "work", "--undo-lot", "1-1")
    assert "lot 1-1 (cell) is waiting: only a lot that passed can be undone" in waiting.error()


@pytest.mark.parametrize("mode", ["draft", "sheets"])
def test_drafts_and_sheets_alone_have_no_lots(project: LotProject, mode: str) -> None:
    file = project.workspace.settings_file
    file.write_text(file.read_text().replace('mode = "review-project"', f'mode = "{mode}"'))
    assert 'accept needs mode = "review-project"' in project.command("round", "work").error()


def test_the_estimate_knows_images_that_were_imported_again(project: LotProject) -> None:
    project.round(1)
    before = project.command("review", "work", "--json").json()["estimate"]
    assert before["share"] < 0.5
    folder = project.folder / project.project
    content = json.loads((folder / "annotations.json").read_text())
    for image in content["images"]:
        old, new = folder / "images" / image["file_name"], f"again-{image['file_name']}"
        old.rename(old.with_name(new))
        image["file_name"] = new
    (folder / "annotations.json").write_text(json.dumps(content))
    project.rounds.refresh()
    assert project.command("review", "work", "--json").json()["estimate"] == before


def test_withdrawing_a_push_settles_lots_first(project: LotProject) -> None:
    """A sample that was just reviewed decides on its lot, whichever command reads it."""
    project.round(1)
    project.review(draw_share=0.0)
    assert project.command("push", "--undo", "--data", "work").status == 0
    assert project.lot().state == "passed"
    assert project.outcomes(project.lot().rest) == {"sampled": len(project.lot().rest)}
