"""Rounds mark suspicious annotations, count reviewers' decisions, and don't ask twice."""

import json
import shutil
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sparsedet.annotations import Dataset, read_coco
from sparsedet.annotations.suspicions import Suspicion, box_name, read_suspicions, write_suspicions
from sparsedet.errors import SparseDetError
from sparsedet.integrations.files import FilesTool
from sparsedet.ledger import Ledger, QueueEntry
from sparsedet.loop.settings import TrainingSettings, ValidationSettings
from sparsedet.loop.suspicions import SuspicionCounts, answers, count_suspicions, to_mark
from sparsedet.loop.workspace import Workspace
from sparsedet.reviews import ReviewedRegion
from tests.cli.command import sparsedet_here
from tests.loop.test_rounds import KEYS, make_workspace


@pytest.fixture(scope="module")
def mined(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder whose first round has mined, and not pushed."""
    folder = tmp_path_factory.mktemp("mined")
    make_workspace(folder)
    workspace = Workspace(folder / "work")
    # Long enough for a queue.
    short = TrainingSettings(device="cpu", method="plain", keys={**KEYS, "SOLVER.MAX_ITER": 30})
    settings = workspace.settings()
    workspace.write_settings(
        settings.model_copy(update={"training": short, "validation": ValidationSettings()})
    )
    result = sparsedet_here("round", "work", "--push-anyway", "--json", cwd=folder)
    assert result.status == 0, result.err
    queue = json.loads(workspace.round(1).push.read_text())["queue"]
    (folder / "queue.json").write_text(json.dumps([entry["image_tool_id"] for entry in queue]))
    for path in (workspace.round(1).push, workspace.ledger):
        path.unlink()
    shutil.rmtree(folder / "digits" / "review")
    return folder


@pytest.fixture
def folder(mined: Path, tmp_path: Path) -> Path:
    """A copy of it, in which four annotations look wrong."""
    copy = tmp_path / "all"
    shutil.copytree(mined, copy)
    workspace = Workspace(copy / "work")
    text = workspace.settings_file.read_text().replace(str(mined), str(copy))
    workspace.settings_file.write_text(text)
    first = workspace.round(1)
    queue = json.loads((copy / "queue.json").read_text())
    write_suspicions(suspicions(read_coco(first.annotations), queue), first.suspicions)
    return copy


def suspicions(dataset: Dataset, queue: list[str]) -> list[Suspicion]:
    """One annotation on each of four images of the queue; one of them was drawn twice."""
    ids = [image.id for image in dataset.images if image.tool_id in queue]
    crowded = [own for id in ids if len(own := dataset.boxes_by_image[id]) > 1][:4]
    assert len(crowded) == 4
    found = [
        Suspicion(own[0].image_id, box_name(own[0]), "place", 0.9 - 0.1 * number)
        for number, own in enumerate(crowded)
    ]
    found[1] = replace(found[1], kind="double", twin=box_name(crowded[1][1]))
    return found


def push(folder: Path) -> dict[str, Any]:
    """Have the round push, with every image in its queue."""
    result = sparsedet_here("round", "work", "--push-anyway", "--json", cwd=folder)
    assert result.status == 0, result.err
    report: dict[str, Any] = result.json()
    assert report["state"] in ("pushed", "waiting")
    return report


def marked(folder: Path) -> dict[str, str]:
    """Box -> what is suspected of it, as reviewers are shown it."""
    (path,) = (folder / "digits" / "review").glob("*/to_review.json")
    entries = json.loads(path.read_text())["annotations"]
    return {entry["tool_id"]: entry["suspected"] for entry in entries if "suspected" in entry}


def test_mining_leaves_what_looks_wrong(mined: Path) -> None:
    first = Workspace(mined / "work").round(1)
    images = read_coco(first.annotations).image_by_id
    assert all(one.image_id in images for one in read_suspicions(first.suspicions))


def test_what_reviewers_make_of_marks_is_counted(folder: Path) -> None:
    report = push(folder)
    first = Workspace(folder / "work").round(1)
    found = read_suspicions(first.suspicions)
    assert report["suspicions"] == (
        "4 annotations that look wrong: 0 corrected by reviewers, 0 kept, 4 waiting"
    )
    assert marked(folder) == dict(
        zip(
            (one.box_id for one in found),
            ("badly placed?", "drawn twice?", "badly placed?", "badly placed?"),
            strict=True,
        )
    )
    names = {image.id: image.tool_id for image in read_coco(first.annotations).images}
    open_reviews = {
        review.tool_id: review
        for review in FilesTool(str(folder)).open_reviews(
            json.loads(first.push.read_text())["review_project"]
        )
    }
    moved, doubled, kept, unsure = (open_reviews[names[one.image_id] or ""] for one in found)
    moved.submit([changed(region, found[0].box_id) for region in moved.regions])
    doubled.submit([r for r in doubled.regions if r.region_id != found[1].twin])
    kept.submit(kept.regions)
    unsure.submit([replace(r, unsure=r.region_id == found[3].box_id) for r in unsure.regions])

    line = "4 annotations that look wrong: 2 corrected by reviewers, 1 kept, 1 waiting"
    result = sparsedet_here("review", "work", cwd=folder)
    assert result.out.splitlines()[-1] == line
    status = sparsedet_here("status", "work", cwd=folder)
    assert line in status.out.splitlines()
    counts = {"corrected": 2, "kept": 1, "waiting": 1}
    for command in ("review", "status"):
        assert sparsedet_here(command, "work", "--json", cwd=folder).json()["suspicions"] == counts

    # What somebody has decided on is not asked again.
    workspace = Workspace(folder / "work")
    dataset = read_coco(first.annotations)
    queue = [QueueEntry(image.id) for image in dataset.images]
    with closing(Ledger(workspace.ledger)) as ledger:
        said = answers(workspace, ledger, "newest")
    decided = {box for box, answer in said.items() if answer != "waiting"}
    assert to_mark(first, dataset, queue, decided, 50) == (found[3],)
    assert to_mark(first, dataset, queue, set(), 2) == found[:2]
    assert to_mark(first, dataset, queue[:0], set(), 50) == ()


def changed(region: ReviewedRegion, box: str) -> ReviewedRegion:
    left, top, right, bottom = region.xyxy
    place = (left, top, right - 4, bottom)
    return replace(region, xyxy=place) if region.region_id == box else region


def test_the_settings_say_how_many_are_marked(folder: Path) -> None:
    settings = Workspace(folder / "work").settings_file
    settings.write_text(settings.read_text().replace("suspicions = 50", "suspicions = 0"))
    assert push(folder)["suspicions"] == ""
    assert marked(folder) == {}


def test_a_round_of_an_older_version_has_none(folder: Path) -> None:
    workspace = Workspace(folder / "work")
    workspace.round(1).suspicions.unlink()
    assert push(folder)["suspicions"] == ""
    assert marked(folder) == {}
    path = workspace.round(1).push
    record = json.loads(path.read_text())
    del record["suspicions"]
    path.write_text(json.dumps(record))
    with closing(Ledger(workspace.ledger)) as ledger:
        assert count_suspicions(workspace, ledger) == SuspicionCounts()
        path.write_text(json.dumps({**record, "suspicions": [{"box_id": "a"}]}))
        with pytest.raises(SparseDetError, match=r"push\.json: invalid suspicions"):
            count_suspicions(workspace, ledger)
