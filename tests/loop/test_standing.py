"""Current annotations under a round's ids, and regions that the next training ignores."""

from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sparsedet.annotations import Box, Category, Dataset, Image, write_coco
from sparsedet.completeness.assessment import Assessment, assess
from sparsedet.completeness.candidate_file import CandidateFile, write_candidates
from sparsedet.completeness.costs import ReviewCosts
from sparsedet.completeness.selection import Selection
from sparsedet.completeness.unmarked import BoxesOnly
from sparsedet.ledger import Ledger, QueueEntry
from sparsedet.loop.reviews import collect_reviews
from sparsedet.loop.settings import AcceptSettings, LabelSettings, Settings
from sparsedet.loop.standing import (
    _boxes_only,
    assess_round,
    doubtful,
    present_annotations,
    with_ids_of,
)
from sparsedet.run_folder import RunFolder
from sparsedet.training.data.pseudo_labels import read_ignored, write_ignored
from tests.completeness.scenes import candidates, scene
from tests.loop.lot_project import LotProject
from tests.loop.small_project import FREE, WRONG, SmallProject, boxes_of, move


def image(id: int, tool_id: str, *, exhaustive: bool = False) -> Image:
    return Image(id, f"{tool_id}.png", 100, 100, exhaustive=exhaustive, tool_id=tool_id)


CAT, DOG = Category(1, "cat"), Category(2, "dog")
BEFORE = Dataset((image(0, "a"), image(1, "b")), (), (CAT, DOG))


def test_images_and_classes_that_were_renumbered_keep_the_round_s_ids() -> None:
    now = Dataset(
        (image(5, "b"), image(6, "a"), image(7, "new")),
        tuple(
            Box(n, owner, category, (0, 0, 9, 9))
            for n, (owner, category) in enumerate([(5, 8), (6, 9), (7, 8), (6, 10)], start=1)
        ),
        (Category(8, "dog"), Category(9, "cat"), Category(10, "bird")),
    )
    present = with_ids_of(BEFORE, now)
    assert [(i.id, i.tool_id) for i in present.images] == [(1, "b"), (0, "a"), (2, "new")]
    assert [(b.image_id, b.category_id) for b in present.boxes] == [(1, 2), (0, 1), (2, 2)]
    assert present.categories == BEFORE.categories


def test_ids_may_have_64_bits() -> None:
    before = replace(BEFORE, images=(image(2**63 - 1, "a"),))
    now = replace(BEFORE, images=(image(1, "new"), image(2, "a"), image(3, "newer")))
    assert [one.id for one in with_ids_of(before, now).images] == [1, 2**63 - 1, 2]


def assessed() -> tuple[Assessment, Dataset]:
    found = scene(images=30)
    content = CandidateFile("run", found.candidates, found.hidden)
    standing = assess(
        content,
        found.dataset,
        found.dataset,
        outcomes={},
        audit=(),
        selection=Selection(ReviewCosts()),
    )
    return standing, found.dataset


def test_places_that_may_hold_an_object_are_ignored_by_their_chance() -> None:
    standing, dataset = assessed()
    ignored = doubtful(standing, dataset, dataset)
    chances = standing.fitted.of_object(standing.candidates)
    assert 0 < len(ignored) == int(np.sum(chances >= 0.2)) < len(chances)


def test_nothing_is_ignored_on_complete_images_or_on_ones_that_are_not_trained_on() -> None:
    standing, dataset = assessed()
    half = tuple(replace(i, exhaustive=i.id <= 10) for i in dataset.images if i.id <= 20)
    ignored = doubtful(standing, dataset, replace(dataset, images=half, boxes=()))
    assert {box.image_id for box in ignored} <= set(range(11, 21))
    assert ignored


def test_nothing_is_ignored_of_a_class_that_is_complete_on_its_image() -> None:
    standing, dataset = assessed()
    images = tuple(
        replace(i, complete_classes=frozenset({1} if i.id <= 10 else {2})) for i in dataset.images
    )
    now = replace(dataset, images=images, categories=(*dataset.categories, Category(2, "other")))
    every = doubtful(standing, dataset, dataset)
    ignored = doubtful(standing, dataset, now)
    assert list(ignored) == [box for box in every if box.image_id > 10]
    assert len(ignored) < len(every)


def test_marks_of_classes_follow_their_ids() -> None:
    _, dataset = assessed()
    images = tuple(replace(i, complete_classes=frozenset({1, 2})) for i in dataset.images)
    categories = (Category(1, "other"), replace(dataset.categories[0], id=2))
    now = replace(dataset, images=images, boxes=(), categories=categories)
    assert {i.complete_classes for i in with_ids_of(dataset, now).images} == {frozenset({1})}


def test_a_run_reads_the_places_that_it_was_given(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    assert read_ignored(run) == ()
    write_ignored([Box(0, 4, 2, (1.25, 2.0, 30.0, 40.5))], run)
    (box,) = read_ignored(run)
    assert (box.image_id, box.category_id, box.xyxy) == (4, 2, (1.25, 2.0, 30.0, 40.5))


def test_which_images_were_judged_and_when(tmp_path: Path) -> None:
    project = SmallProject(tmp_path)
    a, b, c = (image.id for image in project.dataset.images)
    first = [QueueEntry(a, judge_only=True), QueueEntry(b, judge_only=True), QueueEntry(c)]
    project.push("v1", round=1, queue=first)
    for name in ("a.png", "c.png"):
        project.review(name)
    project.push("v2", [], round=2, queue=[QueueEntry(b, judge_only=True)])
    ids = {image.tool_id: image.id for image in project.dataset.images}
    with closing(Ledger(project.workspace.ledger)) as ledger:
        collect_reviews(ledger, project.connections, say=project.said.append)
        assert _boxes_only(1, ids, ledger) == BoxesOnly(
            asked=frozenset({a, b}), judged=frozenset({a})
        )
        assert _boxes_only(2, ids, ledger) == BoxesOnly(asked=frozenset({b}), before=frozenset({a}))


@pytest.mark.parametrize(
    ("names", "now", "counted"),
    [
        ({"cat": "Cat"}, ("Cat", "dog"), {"Cat": 3, "dog": 0}),
        ({"cat": "dog", "dog": "cat"}, ("dog", "cat"), {"dog": 3, "cat": 0}),
        ({"cat": "pet", "dog": "pet"}, ("pet",), {"pet": 3, "dog": 0}),
        ({"cat": "dog"}, ("dog",), {"cat": 0, "dog": 3}),
        ({"dog": ""}, ("cat",), {"cat": 3, "dog": 0}),
    ],
)
def test_boxes_of_renamed_classes_are_counted(
    tmp_path: Path, names: dict[str, str], now: tuple[str, ...], counted: dict[str, int]
) -> None:
    project = SmallProject(tmp_path)
    first = project.workspace.round(1)
    write_coco(project.dataset, first.annotations)
    write_candidates(CandidateFile("run", candidates([]), hidden=0), first.candidates)
    categories = tuple(Category(number, name) for number, name in enumerate(now, start=1))
    renamed = replace(project.dataset, categories=categories)
    settings = Settings(source=project.source, labels=LabelSettings(rename=names))
    with closing(Ledger(project.workspace.ledger)) as ledger:
        found = assess_round(first, renamed, settings, ledger).completeness
    assert found.boxes == 3
    assert {name: one.boxes for name, one in found.by_class.items()} == counted


def test_merges_and_their_undoing_leave_the_estimate_as_it_is(tmp_path: Path) -> None:
    """To the ledger, the source has the merged boxes, which older annotations lack."""
    project = LotProject(tmp_path, AcceptSettings())
    folder = project.round(1)
    project.review(draw_share=0.0, wrong_clicks=0.2, leave=5)
    project.rounds.collect(folder)

    def estimate(*arguments: str) -> dict[str, float]:
        found = project.command("review", "work", *arguments, "--json").json()
        return dict(found["estimate"])

    before = estimate()
    assert before["share"] > 0.7
    assert estimate("--merge", "--write") == before
    assert estimate() == before
    assert estimate("--undo-merge") == before
    # What people change in the project meanwhile counts from the next pull on.
    project.rounds.refresh()
    assert estimate("--merge", "--write") == before


def test_the_estimates_of_earlier_rounds_are_a_record(tmp_path: Path) -> None:
    """Also if the newest round has lost its candidates."""
    project = LotProject(tmp_path, AcceptSettings())
    first = project.round(1)
    project.review(leave=5)
    second = project.round(2)
    before = first.estimate.read_text()
    second.candidates.unlink()
    second.estimate.unlink()
    assert project.command("review", "work").status == 0
    assert first.estimate.read_text() == before
    assert second.estimate.exists()


def test_annotations_are_as_a_resolved_conflict_leaves_them(tmp_path: Path) -> None:
    project = SmallProject(tmp_path)
    project.push("v1")
    project.review("a.png", move("own", FREE))
    project.edit_source("a.png", WRONG)
    project.refresh()
    taken = project.command("review", project.workspace.root, "--take", "review")
    assert taken.status == 0, taken.err
    with closing(Ledger(project.workspace.ledger)) as ledger:
        present = present_annotations(project.workspace, "ground-truth-first", ledger)
    assert boxes_of(present) == project.source_boxes()
