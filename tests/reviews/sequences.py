"""Sequences of pushes, reviews, changes of the source and merges, for tests of any adapter.

They describe what happens to one image of `SIZE`, in numbers alone; an adapter's test plays them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from hypothesis import strategies as st

from sparsedet.annotations import XYXY
from sparsedet.reviews import ReviewedRegion

SIZE = 120, 80
"""Width and height of the image in pixels."""
CATEGORIES = "car", "bus"

Action = Literal["move", "nudge", "rename", "delete", "unsure"]

# Few places, so that boxes often overlap or are the same.
_LEFT, _TOP, _SIDE = (5, 8, 40, 44, 80), (5, 7, 40), (16, 20)
_STEPS: dict[Action, float] = {"move": 6.0, "nudge": 0.5}
"""Pixels; a box that moved by the second counts as unmoved."""


@dataclass(frozen=True, slots=True)
class NewBox:
    """A box of a category, XYXY in pixels."""

    category: str
    xyxy: XYXY


@dataclass(frozen=True, slots=True)
class Edit:
    """Something that a person does to a box: the one at `place`, counted around."""

    action: Action
    place: int


@dataclass(frozen=True, slots=True)
class Person:
    """What one person does to the boxes in front of them."""

    edits: tuple[Edit, ...]
    drawn: tuple[NewBox, ...]
    complete: bool = False


@dataclass(frozen=True, slots=True)
class Round:
    """One push, and what happens until the next."""

    mined: tuple[NewBox, ...]
    people: tuple[Person, ...]
    """Who reviews it, side by side; each sees what was pushed."""
    source: Person
    """What somebody does to the annotations meanwhile."""
    merges: bool
    is_remembered: bool
    """Else the merge was cut off after it wrote."""


@dataclass(frozen=True, slots=True)
class Story:
    """What happens to an image."""

    boxes: tuple[NewBox, ...]
    """Annotations at the beginning."""
    rounds: tuple[Round, ...]


def stories() -> st.SearchStrategy[Story]:
    """Return what may happen in up to three rounds."""
    boxes = st.builds(NewBox, st.sampled_from(CATEGORIES), st.builds(_xyxy, *_places()))
    few = st.lists(boxes, max_size=2).map(tuple)
    nobody = st.just(Person((), ()))
    rounds = st.builds(
        Round,
        mined=st.lists(boxes, min_size=1, max_size=3).map(tuple),
        people=st.lists(
            _people(few, ("move", "nudge", "rename", "delete", "unsure")), max_size=2
        ).map(tuple),
        source=nobody | _people(few, ("move", "nudge", "rename", "delete")),
        merges=st.booleans(),
        is_remembered=st.booleans(),
    )
    return st.builds(
        Story,
        boxes=st.lists(boxes, max_size=3).map(tuple),
        rounds=st.lists(rounds, min_size=1, max_size=3).map(tuple),
    )


def left_by(person: Person, shown: Sequence[ReviewedRegion]) -> list[ReviewedRegion]:
    """Return the boxes that a person leaves of those they see; drawn ones have ids of their own."""
    left: list[ReviewedRegion | None] = list(shown)
    for edit in person.edits:
        place = edit.place % len(left) if left else 0
        if left and (box := left[place]) is not None:
            left[place] = _edited(box, edit.action)
    drawn = [
        ReviewedRegion(f"drawn-{number}", box.category, box.xyxy)
        for number, box in enumerate(person.drawn)
    ]
    return [box for box in left if box is not None] + drawn


def _edited(box: ReviewedRegion, action: Action) -> ReviewedRegion | None:
    if action == "delete":
        return None
    if action == "unsure":
        return replace(box, unsure=True)
    if action == "rename":
        other = CATEGORIES[1 - CATEGORIES.index(box.category)]
        return replace(box, category=other)
    step = _STEPS[action]
    left, top, right, bottom = box.xyxy
    # Inwards at the right edge, where a box may be after many moves.
    step = -step if right + step > SIZE[0] else step
    return replace(box, xyxy=(left + step, top, right + step, bottom))


def _people(
    drawn: st.SearchStrategy[tuple[NewBox, ...]], actions: Sequence[Action]
) -> st.SearchStrategy[Person]:
    edits = st.builds(Edit, st.sampled_from(actions), st.integers(0, 5))
    return st.builds(Person, st.lists(edits, max_size=3).map(tuple), drawn, st.booleans())


def _places() -> list[st.SearchStrategy[int]]:
    return [st.sampled_from(values) for values in (_LEFT, _TOP, _SIDE, _SIDE)]


def _xyxy(left: int, top: int, width: int, height: int) -> XYXY:
    return float(left), float(top), float(left + width), float(top + height)
