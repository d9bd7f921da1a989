"""Planned changes of a push or an undo in a review project, computed without a server."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from sparsedet.integrations.label_studio.marks import Mark, read_mark, with_mark
from sparsedet.integrations.label_studio.offers import ImagePredictions
from sparsedet.integrations.label_studio.predictions import StoredPrediction
from sparsedet.integrations.label_studio.review_project.review_plan import plan_push, plan_undo
from sparsedet.integrations.label_studio.review_project.review_tasks import VERSION_KEY, ReviewTask
from tests.integrations.label_studio.samples import rectangle

HUMAN = rectangle(id="human")


def mined(*ids: str) -> dict[str, Mapping[str, Any]]:
    return {id: rectangle(id=id, score=0.5) for id in ids}


def image(*ids: str, source: str = "1") -> ImagePredictions:
    return ImagePredictions(source, (HUMAN,), mined(*ids))


def prediction(
    id: int, *ids: str, version: str = "old", by_backend: bool = False
) -> StoredPrediction:
    return StoredPrediction.of(id, version, [HUMAN, *mined(*ids).values()], by_backend)


def task(
    id: int,
    *predictions: StoredPrediction,
    annotations: tuple[Mapping[str, Any], ...] = (),
    drafts: tuple[Mapping[str, Any], ...] = (),
) -> ReviewTask:
    return ReviewTask(id, "1", predictions, annotations, drafts, {})


SKIP = {"id": 1, "was_cancelled": True, "result": []}


def test_a_task_that_a_late_request_made_twice_is_reduced_to_one() -> None:
    tasks = [task(1, prediction(1, "a")), task(2, prediction(2, "a"))]
    plan = plan_push([image("a")], tasks, (), "old")
    assert ([p.id for p in plan.outdated], plan.empty, plan.new) == ([2], [2], [])
    # Where somebody has touched one, it is the other that goes.
    tasks = [task(1, prediction(1, "a")), task(2, prediction(2, "a"), annotations=(SKIP,))]
    plan = plan_push([image("a")], tasks, (), "old")
    assert ([p.id for p in plan.outdated], plan.empty) == ([1], [1])


def test_predictions_of_a_backend_are_not_ours() -> None:
    theirs = prediction(1, "a", by_backend=True)
    plan = plan_push([image("b")], [task(1, theirs)], (), "new")
    assert (plan.outdated, [new.task for new in plan.new]) == ([], [1])
    assert plan_undo([task(1, theirs, prediction(2, "b"))], None).outdated == [prediction(2, "b")]


def test_a_task_without_prediction_that_a_cut_left_is_deleted_or_used() -> None:
    assert plan_push([image("a")], [task(1)], (), "new").new[0].task == 1
    assert plan_push([], [task(1)], (), "new").empty == [1]
    assert plan_push([], [task(1, annotations=(SKIP,))], (), "new").empty == []
    assert plan_undo([task(1)], {"a"}).empty == [1]


def test_what_any_of_several_reviews_has_judged_is_not_put_up_again() -> None:
    reviews = (
        {"id": 1, "parent_prediction": 1, "result": [HUMAN]},
        {"id": 2, "parent_prediction": None, "result": [HUMAN, *mined("c").values()]},
    )
    reviewed = task(1, prediction(1, "a", "b"), annotations=reviews)
    plan = plan_push([image("a", "b", "c", "d")], [reviewed], (), "new")
    assert (plan.images, plan.boxes) == (1, 1)
    assert [i.source_task for i in plan.without_task] == ["1"]
    assert plan_push([image("a", "b", "c")], [reviewed], (), "new").images == 0


def test_predictions_of_several_models_lose_what_is_taken_back_each() -> None:
    both = task(1, prediction(1, "a"), prediction(2, "b", "c", version="new"))
    plan = plan_undo([both], {"a", "b"})
    assert [p.id for p in plan.outdated] == [1, 2]
    (new,) = plan.new
    assert (new.model_version, [r["id"] for r in new.result]) == ("new", ["human", "c"])
    assert (plan.empty, plan.up) == ([], {"c"})
    # It was cut off after the import.
    both = task(1, prediction(2, "b", "c", version="new"), prediction(3, "c", version="new"))
    plan = plan_undo([both], {"a", "b"})
    assert ([p.id for p in plan.outdated], plan.new, plan.empty) == ([2], [], [])


def plain(*, human: bool = True) -> ImagePredictions:
    """A queued image without mined boxes."""
    return ImagePredictions("1", (HUMAN,) if human else (), {}, queued=True)


def shown(id: int, version: str = "old") -> StoredPrediction:
    """A prediction of annotations alone."""
    return StoredPrediction.of(id, version, [HUMAN])


def test_a_double_of_a_plain_task_is_deleted() -> None:
    plan = plan_push([plain()], [task(1, shown(1)), task(2, shown(2))], (), "old")
    assert ([p.id for p in plan.outdated], plan.empty, plan.images) == ([2], [2], 1)


def test_a_plain_image_is_handled_once_a_version_was_reviewed_or_skipped() -> None:
    done = {"id": 1, "result": [HUMAN]}
    for version, up in (("old", 0), ("new", 1)):
        plan = plan_push([plain()], [task(1, shown(1), annotations=(done,))], (), version)
        assert (plan.images, len(plan.without_task), plan.bare) == (up, up, set())
        skipped = plan_push([plain()], [task(1, shown(1), annotations=(SKIP,))], (), version)
        assert (skipped.images, skipped.without_task, skipped.empty) == (0, [], [])
    # With mined boxes it goes up in any case.
    assert plan_push([image("a")], [task(1, shown(1), annotations=(done,))], (), "old").images == 1


def test_a_bare_image_is_known_by_what_is_noted_on_its_task() -> None:
    noted = replace(task(1), data={VERSION_KEY: "old"})
    for version, notes in (("old", []), ("new", [(noted, "new")])):
        plan = plan_push([plain(human=False)], [noted], (), version)
        assert (plan.noted, plan.images, plan.empty, plan.new) == (notes, 1, [], [])
    reviewed = replace(noted, annotations=({"id": 1, "result": []},))
    assert plan_push([plain(human=False)], [reviewed], (), "old").images == 0
    again = plan_push([plain(human=False)], [reviewed], (), "new")
    assert ([i.source_task for i in again.without_task], again.bare) == (["1"], {"1"})


def test_plain_tasks_go_with_the_last_mined_box_of_their_version() -> None:
    tasks = [
        task(1, prediction(1, "a")),
        task(2, shown(2)),
        task(3, shown(3, "new")),
        replace(task(4), data={VERSION_KEY: "old"}),
        task(5, shown(5), drafts=({"id": 1},)),
    ]
    plan = plan_undo(tasks, {"b"})
    assert (plan.empty, plan.outdated, plan.kept) == ([3], [shown(3, "new")], {})
    plan = plan_undo(tasks, {"a"})
    assert (plan.empty, plan.kept.keys()) == ([1, 2, 3, 4], {"1"})
    assert [p.id for p in plan.outdated] == [1, 2, 3]


def test_a_cut_left_both_predictions_of_an_image_whose_boxes_were_withdrawn() -> None:
    both = task(1, prediction(1, "a"), shown(2, "new"))
    plan = plan_push([plain()], [both], {"a"}, "new")
    assert ([p.id for p in plan.outdated], plan.new, plan.empty) == ([1], [], [])
    plan = plan_undo([both], {"a"})
    assert ([p.id for p in plan.outdated], plan.empty) == ([1, 2], [1])


def test_marks_are_written_and_read() -> None:
    mark = Mark(3, "the label", "ab12")
    text = "[sparsedet review of project 3: control=the label workspace=ab12]"
    assert str(mark) == text
    assert read_mark(f"Before {text} after") == mark
    assert read_mark("[sparsedet review of project 3]") == Mark(3)
    assert read_mark("[sparsedet review of project 3: control=label]") == Mark(3, "label")
    assert read_mark("A project") is read_mark(None) is None
    assert with_mark("A [sparsedet review of project 3] B", mark) == f"A {text} B"
    assert with_mark("", mark) == text
    assert not mark.is_foreign(None)
    assert not mark.is_foreign("ab12")
    assert mark.is_foreign("cd34")
    assert mark.is_for(3, "the label")
    assert not mark.is_for(3, "other")
    assert not mark.is_for(33, "the label")


@pytest.mark.parametrize(
    "control",
    [
        "a]b",
        "[a]",
        'a"b',
        "it's",
        "a workspace=b",
        "a=b",
        "50%",
        "a%5Db",
        "a<b>&amp;",
        "a\nb",
        "ä b",
    ],
)
def test_marks_of_controls_with_odd_names(control: str) -> None:
    mark = Mark(3, control, "ab12")
    assert read_mark(f"Before {mark} after") == mark
    assert read_mark(str(Mark(3, control))) == Mark(3, control)
    newer = Mark(3, control, "cd34")
    assert with_mark(f"A {mark} B", newer) == f"A {newer} B"
