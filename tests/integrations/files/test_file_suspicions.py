"""Suspicious annotations have a key in `to_review.json`, which merges never write."""

from dataclasses import replace

from sparsedet.annotations.suspicions import Suspicion
from sparsedet.push_modes import ToReview
from tests.integrations.files.conftest import Pulled
from tests.integrations.files.memory import outcomes
from tests.integrations.files.samples import read
from tests.integrations.files.up_for_review import DAY, snapshot

DAY_ID = 4
SUSPICIONS = (
    Suspicion(DAY_ID, "11", "class", 0.9, category_id=2),
    Suspicion(DAY_ID, "left", "sliver", 0.8),
)


def push(pulled: Pulled, suspicions: tuple[Suspicion, ...], version: str = "run-1") -> None:
    pulled.memory.push(pulled.dataset, [], version, queue=[DAY_ID])  # so that it is remembered
    pulled.memory.mode.undo(pulled.memory.project, pulled.memory.review_project, frozenset())
    pulled.memory.mode.push(
        pulled.memory.project,
        ToReview(pulled.dataset, [], version, queue=[DAY_ID], suspicions=suspicions),
    )


def suspected(pulled: Pulled, version: str = "run-1") -> dict[str, str | None]:
    content = read(pulled.version(version) / "to_review.json")
    return {entry["tool_id"]: entry.get("suspected") for entry in content["annotations"]}


def test_a_key_says_what_is_suspected(pulled: Pulled) -> None:
    push(pulled, SUSPICIONS)
    names = {category.id: category.name for category in pulled.dataset.categories}
    assert suspected(pulled) == {"11": f"{names[2]}?", "left": "a sliver?"}
    instructions = (pulled.version() / "README.txt").read_text(encoding="utf-8")
    assert 'Check boxes with "suspected"' in instructions
    before = snapshot(pulled.folder)
    pulled.memory.mode.push(
        pulled.memory.project,
        ToReview(pulled.dataset, [], "run-1", queue=[DAY_ID], suspicions=SUSPICIONS),
    )
    assert snapshot(pulled.folder) == before


def test_a_box_that_is_left_as_it_is_changes_nothing_in_the_project(pulled: Pulled) -> None:
    push(pulled, SUSPICIONS)
    source = pulled.folder / "annotations.json"
    before = source.read_bytes()
    (day,) = pulled.tool.open_reviews("cars/review")
    day.submit(day.regions)
    assert outcomes(pulled.memory) == {DAY: "same"}
    assert source.read_bytes() == before


def test_a_corrected_box_is_merged_without_the_key(pulled: Pulled) -> None:
    push(pulled, SUSPICIONS)
    (day,) = pulled.tool.open_reviews("cars/review")
    left, top, right, bottom = day.regions[1].xyxy
    day.submit([day.regions[0], replace(day.regions[1], xyxy=(left, top, right, bottom + 5))])
    assert outcomes(pulled.memory) == {DAY: "changed"}
    assert "suspected" not in (pulled.folder / "annotations.json").read_text()


def test_what_was_suspected_before_is_not_shown_by_the_next_version(pulled: Pulled) -> None:
    """Some tools keep unknown keys: the annotations may carry the key of an earlier review."""
    marked = [
        replace(box, extra={**box.extra, "suspected": "bus?"}) for box in pulled.dataset.boxes
    ]
    pulled = replace(pulled, dataset=pulled.dataset.with_boxes(marked))
    push(pulled, SUSPICIONS[1:])
    assert suspected(pulled) == {"11": None, "left": "a sliver?"}
