"""For any reviews in any order, training sees exactly what a merge writes."""

import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from sparsedet.annotations import XYXY
from sparsedet.integrations.label_studio.demo.local_server import LocalServer
from sparsedet.reviews import ReviewedRegion
from tests.loop.small_project import FREE, LABELS, NAMES, SIZE, SmallProject, boxes_of

PUSHES = 3
ACTIONS = ("leave", "leave", "move", "rename", "delete", "unsure", "nudge")


def changed(regions: Sequence[ReviewedRegion], draws: random.Random) -> list[ReviewedRegion]:
    """What a reviewer may leave of what was shown."""
    left: list[ReviewedRegion] = []
    for region in regions:
        action = draws.choice(ACTIONS)
        if action == "move":
            region = replace(region, xyxy=place(draws))
        elif action == "rename":
            region = replace(region, category=draws.choice(LABELS))
        elif action == "unsure":
            region = replace(region, unsure=True)
        elif action == "nudge":
            left_edge, top, right, bottom = region.xyxy
            region = replace(region, xyxy=(left_edge + 0.6, top, right, bottom))
        if action != "delete":
            left.append(region)
    drawn = [place(draws) for _ in range(draws.choice((0, 0, 1, 2)))]
    return [
        *left,
        *(
            ReviewedRegion(f"drawn-{draws.random():.8f}", draws.choice(LABELS), xyxy)
            for xyxy in drawn
        ),
    ]


def place(draws: random.Random) -> XYXY:
    left, top = draws.randrange(0, SIZE[0] - 60, 5), draws.randrange(0, SIZE[1] - 60, 5)
    return float(left), float(top), left + draws.choice((20.0, 50.0)), top + 40.0


def play(project: SmallProject, draws: random.Random) -> None:
    """Push, review, and change the project itself, a few times over."""
    for number in range(PUSHES):
        project.push(f"v{number}", [
            replace(box, xyxy=place(draws)) for box in project.mined(f"v{number}")
        ])  # fmt: skip
        for review in project.open_reviews().values():
            if draws.random() < 0.7:
                complete = draws.random() < 0.2
                review.submit(changed(review.regions, draws), complete=complete)
        if draws.random() < 0.3:
            name = draws.choice(NAMES)
            if any(
                box.tool_id == f"own-{name}"
                for box in project.tool.pull(project.project, project.folder / "cache").boxes
            ):
                project.edit_source(name, place(draws))
        if draws.random() < 0.4:
            project.merge(empty=True)
        if draws.random() < 0.8:
            project.refresh()


def check(project: SmallProject) -> None:
    seen = project.pull()
    merged = project.merge(empty=True)
    assert boxes_of(seen.dataset) == project.source_boxes()
    assert seen.conflicts == sum(one.outcome == "conflict" for one in merged.values())
    after = project.pull()
    assert boxes_of(after.dataset) == boxes_of(seen.dataset)
    again = project.merge(empty=True)
    assert {one.outcome for one in again.values()} <= {"same", "conflict"}
    marks = {i.tool_id for i in seen.dataset.images if i.exhaustive}
    written = project.tool.pull(project.project, project.folder / "cache")
    assert {i.tool_id for i in written.images if i.exhaustive} == marks


@pytest.mark.parametrize("seed", range(40))
def test_training_sees_what_a_merge_of_files_writes(seed: int, tmp_path: Path) -> None:
    project = SmallProject(tmp_path)
    play(project, random.Random(seed))
    check(project)


@pytest.mark.parametrize("seed", [1])
def test_training_sees_what_a_merge_into_label_studio_writes(
    seed: int, label_studio: LocalServer, tmp_path: Path
) -> None:
    project = SmallProject(tmp_path, label_studio)
    play(project, random.Random(seed))
    check(project)


def test_the_sequences_hold_every_kind_of_change() -> None:
    """Else the tests above would show little."""
    shown = [ReviewedRegion(f"b{number}", "cat", FREE) for number in range(60)]
    left = {r.region_id: r for r in changed(shown, random.Random(1))}
    kept = [left.get(region.region_id) for region in shown]
    assert None in kept
    assert any(r and r.unsure for r in kept)
    assert any(r and r.category == "dog" for r in kept)
    assert any(r and r.xyxy != FREE for r in kept)
    assert any(r == region for r, region in zip(kept, shown, strict=True))
