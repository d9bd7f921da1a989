"""The rounds of a workspace in pictures."""

from collections.abc import Sequence
from dataclasses import dataclass

from sparsedet.annotations import Dataset, read_coco
from sparsedet.ledger import LedgerBox
from sparsedet.reporting.round_pictures import PagePicture, annotated_pictures, round_pictures
from sparsedet.workspace import Workspace

PICTURED_ROUNDS = 8
"""Only the newest rounds are shown: the page stays small however many there are."""


@dataclass(frozen=True, slots=True)
class Section:
    """The pictures of one round."""

    heading: str
    remark: str
    pictures: tuple[PagePicture, ...]


def round_sections(
    workspace: Workspace, newest: Dataset, mined: Sequence[LedgerBox], shown_images: int
) -> list[Section]:
    """Return a section for each of the newest rounds, the oldest of them first.

    Args:
        workspace: whose images are shown.
        newest: its annotations, for boxes that were mined outside of rounds.
        mined: all boxes of its ledger.
        shown_images: pictures per section, at most.

    Raises:
        AnnotationError: when an image or a round's annotations can't be read.
    """
    numbers = {folder.number for folder in workspace.all_rounds()}
    numbers |= {box.round for box in mined if box.round is not None}
    sections = [
        _section(
            f"Round {number}",
            _annotations(workspace, number, newest),
            [box for box in mined if box.round == number],
            workspace,
            shown_images,
        )
        for number in sorted(numbers)[-PICTURED_ROUNDS:]
    ]
    if single := [box for box in mined if box.round is None]:
        sections.append(_section("Outside of rounds", newest, single, workspace, shown_images))
    if not sections:
        pictures = annotated_pictures(newest, workspace.images, shown_images)
        remark = "" if pictures else "No image has a box yet."
        sections.append(Section("Annotations", remark, pictures))
    return sections


def _annotations(workspace: Workspace, number: int, newest: Dataset) -> Dataset:
    """Return what the round began with."""
    file = workspace.round(number).annotations
    return read_coco(file) if file.exists() else newest


def _section(
    heading: str,
    dataset: Dataset,
    mined: Sequence[LedgerBox],
    workspace: Workspace,
    shown_images: int,
) -> Section:
    pictures = round_pictures(dataset, mined, workspace.images, shown_images)
    images = len({box.image_tool_id for box in mined})
    if not mined:
        remark = "Nothing has been put up for review yet."
    elif len(pictures) < images:
        remark = f"{len(pictures)} of {images} images with mined boxes: those with the most."
    else:
        remark = "All images with mined boxes."
    return Section(heading, remark, pictures)
