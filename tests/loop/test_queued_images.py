"""Reviews of images without mined boxes reach training and the annotated project."""

from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from sparsedet.ledger import Ledger, Push, QueueEntry
from sparsedet.loop.feedback import with_feedback
from sparsedet.loop.merging import MergedImage, Merging
from sparsedet.push_modes import PlaceReviews
from sparsedet.reviews import Review, ReviewedRegion
from tests.loop.small_project import FREE, HUMAN, SIZE, SmallProject, boxes_of


@pytest.fixture
def project(tmp_path: Path) -> SmallProject:
    """All images are queued, none has a mined box."""
    project = SmallProject(tmp_path)
    source = project.source
    push = Push(
        tool=source.tool,
        url=project.tool.url,
        project=source.project,
        review_project="review",
        model_version="v1",
        round=1,
    )
    queue = [QueueEntry(image.id) for image in project.dataset.images]
    with closing(Ledger(project.workspace.ledger)) as ledger:
        ledger.record_push(push, [], project.dataset, queue=queue)
    return project


def record(project: SmallProject, name: str, *drawn: ReviewedRegion, complete: bool) -> None:
    """Store a review of an image whose own box was shown and left."""
    own = ReviewedRegion(f"own-{name}", "cat", HUMAN)
    found = Review(
        project.id_of(name),
        f"r-{name}",
        shown={own.region_id: own},
        regions=(own, *drawn),
        complete=complete,
        offer=name,
        saved_at="2026-05-01T10:00:00Z",
    )
    with closing(Ledger(project.workspace.ledger)) as ledger:
        ledger.record_reviews(ledger.places()[0], PlaceReviews([found]))


def merge(project: SmallProject) -> MergedImage:
    with closing(Ledger(project.workspace.ledger)) as ledger:
        (merged,) = Merging(ledger, project.connections, project.workspace).merge(write=True)
        return merged


def test_a_drawn_box_is_trained_on_and_merged(project: SmallProject) -> None:
    record(project, "b.png", ReviewedRegion("drawn", "dog", FREE), complete=False)
    with closing(Ledger(project.workspace.ledger)) as ledger:
        (source,) = ledger.sources()
        seen = with_feedback(project.dataset, ledger.boxes(), ledger.image_reviews(source))
    assert boxes_of(seen.dataset)["b.png"] == {("cat", HUMAN), ("dog", FREE)}
    assert not any(image.exhaustive for image in seen.dataset.images)
    merged = merge(project)
    assert (merged.outcome, merged.added, merged.marked_complete) == ("changed", 1, False)
    assert project.source_boxes() == boxes_of(seen.dataset)
    assert merge(project).outcome == "same"


def test_a_mark_alone_is_trained_on_and_merged(project: SmallProject) -> None:
    record(project, "c.png", complete=True)
    with closing(Ledger(project.workspace.ledger)) as ledger:
        (source,) = ledger.sources()
        seen = with_feedback(project.dataset, ledger.boxes(), ledger.image_reviews(source))
    assert [image.exhaustive for image in seen.dataset.images] == [False, False, True]
    merged = merge(project)
    assert (merged.outcome, merged.added, merged.marked_complete) == ("changed", 0, True)
    pulled = project.tool.pull(project.project, project.folder / "cache")
    assert [image.exhaustive for image in pulled.images] == [False, False, True]


def test_boxes_drawn_on_an_image_of_another_size_are_merged_where_they_were(
    project: SmallProject,
) -> None:
    """Reviewed at twice the size that the source's image has."""
    width, height = SIZE
    large = [replace(i, width=2 * width, height=2 * height) for i in project.dataset.images]
    with closing(Ledger(project.workspace.ledger)) as ledger:
        ledger.resize({i.tool_id or "": (i.width, i.height) for i in large})
    left, top, right, bottom = (2.0 * edge for edge in FREE)
    drawn = ReviewedRegion("drawn", "dog", (left, top, right, bottom))
    record(project, "b.png", drawn, complete=False)
    with closing(Ledger(project.workspace.ledger)) as ledger:
        ledger.resize({i.tool_id or "": SIZE for i in large})
    merge(project)
    assert ("dog", FREE) in project.source_boxes()["b.png"]
