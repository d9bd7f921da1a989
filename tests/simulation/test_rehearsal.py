"""Rehearsed rounds: real trainings on a few scenes, reviewed by script, measured by the truth."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from sparsedet.annotations import Category, Dataset, read_coco
from sparsedet.errors import SparseDetError
from sparsedet.integrations.files import FilesTool
from sparsedet.loop.rounds import Rounds
from sparsedet.loop.settings import (
    MiningSettings,
    Settings,
    Source,
    TrainingSettings,
    ValidationSettings,
)
from sparsedet.loop.workspace import Workspace
from sparsedet.push_modes import PushMode
from sparsedet.reviews import Review
from sparsedet.simulation import Behaviour, Reviewer
from sparsedet.simulation.rehearsal import Rehearsal, RehearsedRound
from sparsedet.simulation.scenes import make_scenes
from sparsedet.sparsify import load_recipe, remove_boxes

SIZES = (("MIN", 160), ("MAX", 213))
"""Of the scenes' sides: two thirds, in which digits are still as large as anchors."""


class PowerCut(Exception):
    """What ends the first rehearsal."""


@dataclass(frozen=True)
class Rehearsed:
    """Two rounds whose first review was interrupted and resumed."""

    workspace: Workspace
    tool: FilesTool
    full: Dataset
    rounds: Sequence[RehearsedRound]
    before_the_cut: int
    """Reviews that the interrupted call submitted."""

    def rehearsal(self) -> Rehearsal:
        return Rehearsal(
            Rounds(self.workspace, self.tool, say=lambda line: None),
            self.tool,
            self.full,
            Reviewer(self.full, behaviour=Behaviour(draw_share=0.3), seed=1),
        )

    def reviews(self) -> Sequence[Review]:
        """Return what was submitted, as the tool has it."""
        mode: PushMode = self.tool.push_modes["review-project"]
        return mode.reviews("digits/review", ()).reviews

    def after(self, number: int) -> Dataset:
        """Return the annotations with the reviews of a round."""
        following = self.workspace.round(number + 1).annotations
        return read_coco(following if following.exists() else self.workspace.annotations)


@pytest.fixture(scope="module")
def rehearsed(tmp_path_factory: pytest.TempPathFactory) -> Rehearsed:
    folder = tmp_path_factory.mktemp("rehearsed")
    scenes = make_scenes(16, folder / "scenes", seed=5)
    # Digits of any kind as one class: learned in seconds.
    boxes = tuple(replace(box, category_id=1) for box in scenes.boxes)
    full = replace(scenes, boxes=boxes, categories=(Category(1, "digit"),))
    sparse, _ = remove_boxes(full, load_recipe("random").with_drop(0.5), seed=1)
    tool = FilesTool(str(folder))
    project = tool.set_up_project("digits", sparse, folder / "scenes")
    workspace = Workspace(folder / "work")
    keys: dict[str, Any] = {
        "SOLVER.MAX_ITER": 40,
        "SPARSEDET.STAGED.MIN_ITER": 0,
        "SOLVER.WARMUP_ITERS": 5,
        "SOLVER.IMS_PER_BATCH": 2,
        **{f"INPUT.{side}_SIZE_{use}": size for side, size in SIZES for use in ("TRAIN", "TEST")},
    }
    workspace.write_settings(
        Settings(
            source=Source(tool="files", url=tool.url, project=project),
            training=TrainingSettings(device="cpu", keys=keys),
            # So few are shown that the first round leaves some for the second.
            mining=MiningSettings(target_precision=0.9),
            validation=ValidationSettings(share=0.2),
        )
    )
    begun = Rehearsed(workspace, tool, full, (), 0)

    def cut(what: str, done: int, total: int) -> None:
        if done == 3:
            raise PowerCut

    with pytest.raises(PowerCut):
        begun.rehearsal().run(2, progress=cut)
    submitted = len(begun.reviews())
    return replace(begun, rounds=begun.rehearsal().run(2), before_the_cut=submitted)


def test_the_figures_are_those_of_the_reviews(rehearsed: Rehearsed) -> None:
    reviews = rehearsed.reviews()
    assert rehearsed.before_the_cut == 3 < len(reviews)
    first, second = rehearsed.rounds
    assert first.drawn > 0
    assert first.complete_images > 0
    assert first.seconds + second.seconds == pytest.approx(sum(r.seconds or 0 for r in reviews))
    drawn = [id for review in reviews for id in _ids(review) if id.startswith("drawn-")]
    assert first.drawn + second.drawn == len(set(drawn))
    assert first.complete_images + second.complete_images == sum(r.complete for r in reviews)


def test_missing_objects_become_fewer_by_what_was_found_and_drawn(rehearsed: Rehearsed) -> None:
    for figures in rehearsed.rounds:
        outcomes = figures.outcomes
        found = outcomes.accepted + outcomes.edited + figures.drawn
        assert figures.missing - found == figures.missing_after
    first, second = rehearsed.rounds
    assert first.missing_after == second.missing > 0
    assert second.annotations == first.annotations + first.missing - first.missing_after


def test_a_rehearsal_that_is_over_tells_the_same_again(rehearsed: Rehearsed) -> None:
    before = len(rehearsed.reviews())
    assert rehearsed.rehearsal().run(2) == rehearsed.rounds
    assert rehearsed.rehearsal().run(1) == rehearsed.rounds[:1]
    assert len(rehearsed.reviews()) == before


def test_it_stops_as_soon_as_enough_objects_have_a_box(rehearsed: Rehearsed) -> None:
    objects = len(rehearsed.full.boxes)
    first, second = ((objects - figures.missing_after) / objects for figures in rehearsed.rounds)
    assert first < second
    assert rehearsed.rehearsal().run(5, until=first) == rehearsed.rounds[:1]
    assert rehearsed.rehearsal().run(5, until=(first + second) / 2) == rehearsed.rounds
    assert rehearsed.rehearsal().run(5, until=second) == rehearsed.rounds
    assert len(rehearsed.workspace.all_rounds()) == 2


def test_a_round_of_an_older_rehearsal_has_no_times(rehearsed: Rehearsed, tmp_path: Path) -> None:
    file = rehearsed.workspace.round(1).root / "rehearsed.json"
    kept = file.rename(tmp_path / file.name)
    try:
        (first,) = rehearsed.rehearsal().run(1)
    finally:
        kept.rename(file)
    assert first == replace(rehearsed.rounds[0], drawn=0, seconds=0.0, complete_images=0)


@pytest.mark.parametrize("until", [0.0, -0.5, 1.01, float("nan")])
def test_a_goal_that_is_no_share_is_refused(rehearsed: Rehearsed, until: float) -> None:
    with pytest.raises(SparseDetError, match=f"until is {until}, expected a share above 0"):
        rehearsed.rehearsal().run(1, until=until)


def _ids(review: Review) -> list[str]:
    return [region.region_id for region in review.regions if region.region_id not in review.shown]
