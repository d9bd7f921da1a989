"""The pictures of each round in a report: images with human boxes and outcomes of mined ones.

They are small JPEGs in data URIs, embedded in the page.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sparsedet.annotations import Dataset, Image, read_coco, read_image
from sparsedet.annotations.image_names import original_name
from sparsedet.ledger import LedgerBox
from sparsedet.loop.workspace import Workspace
from sparsedet.reporting.links import TaskLinks
from sparsedet.reporting.pictures import HUMAN, OUTCOME_STYLES, DrawnBox, draw_boxes, jpeg_uri

MAX_WIDTH = 640
"""Pixels; larger images are scaled down."""
MAX_HEIGHT = 480
"""Pixels: pages show pictures in rows of one height, in which portrait images are narrow."""
PICTURED_ROUNDS = 8
"""Number of newest rounds shown: the page stays small regardless of their number."""
_QUALITY = 80


@dataclass(frozen=True, slots=True)
class PagePicture:
    """A picture embedded in a page."""

    data_uri: str
    width: int
    """Pixels."""
    height: int
    """Pixels."""
    file_name: str
    """The image's original name."""
    link: str
    """Link to the image; empty: none."""
    summary: str
    """Summary of its boxes: `4 human, 2 accepted, 1 rejected`."""

    @property
    def ratio(self) -> float:
        """Width relative to height."""
        return self.width / self.height


@dataclass(frozen=True, slots=True)
class Section:
    """The pictures of one round."""

    heading: str
    remark: str
    pictures: tuple[PagePicture, ...]


def round_sections(
    workspace: Workspace,
    newest: Dataset,
    mined: Sequence[LedgerBox],
    shown_images: int,
    links: TaskLinks,
) -> list[Section]:
    """Return a section for each of the newest rounds, oldest of them first.

    Args:
        workspace: The images' workspace.
        newest: Its annotations, for boxes mined outside of rounds.
        mined: All boxes of its ledger.
        shown_images: Maximum number of pictures per section.
        links: Links to images.

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
            links,
        )
        for number in sorted(numbers)[-PICTURED_ROUNDS:]
    ]
    if single := [box for box in mined if box.round is None]:
        sections.append(
            _section("Outside of rounds", newest, single, workspace, shown_images, links)
        )
    if not sections:
        pictures = _annotated_pictures(newest, workspace.images, shown_images, links)
        remark = "" if pictures else "No image has a box yet."
        sections.append(Section("Annotations", remark, pictures))
    return sections


def _annotations(workspace: Workspace, number: int, newest: Dataset) -> Dataset:
    """Return the annotations that the round began with."""
    file = workspace.round(number).annotations
    return read_coco(file) if file.exists() else newest


def _section(
    heading: str,
    dataset: Dataset,
    mined: Sequence[LedgerBox],
    workspace: Workspace,
    shown_images: int,
    links: TaskLinks,
) -> Section:
    pictures = _round_pictures(dataset, mined, workspace.images, shown_images, links)
    images = len({box.image_tool_id for box in mined})
    if not mined:
        remark = "Nothing has been pushed for review yet."
    elif len(pictures) < images:
        remark = f"{len(pictures)} of {images} images with mined boxes: those with the most."
    else:
        remark = "All images with mined boxes."
    return Section(heading, remark, pictures)


def _round_pictures(
    dataset: Dataset, mined: Iterable[LedgerBox], folder: Path, count: int, links: TaskLinks
) -> tuple[PagePicture, ...]:
    """Draw the images with the most mined boxes; ignores boxes of images that `dataset` lacks.

    Args:
        dataset: The annotations before the round's review.
        mined: Boxes of one round.
        folder: The image folder.
        count: Maximum number of pictures.
        links: Links to images.

    Raises:
        AnnotationError: when one of the images can't be read.
    """
    by_tool_id = {image.tool_id: image.id for image in dataset.images if image.tool_id is not None}
    by_image: dict[int, list[LedgerBox]] = {}
    for box in mined:
        if box.image_tool_id in by_tool_id:
            by_image.setdefault(by_tool_id[box.image_tool_id], []).append(box)
    return tuple(
        _picture(dataset, dataset.image_by_id[image_id], by_image[image_id], folder, links)
        for image_id in _fullest(by_image, count)
    )


def _annotated_pictures(
    dataset: Dataset, folder: Path, count: int, links: TaskLinks
) -> tuple[PagePicture, ...]:
    """Draw the images with the most annotations."""
    boxed = {image_id: boxes for image_id, boxes in dataset.boxes_by_image.items() if boxes}
    return tuple(
        _picture(dataset, dataset.image_by_id[image_id], (), folder, links)
        for image_id in _fullest(boxed, count)
    )


def _fullest(by_image: Mapping[int, Sequence[object]], count: int) -> list[int]:
    return sorted(by_image, key=lambda image_id: (-len(by_image[image_id]), image_id))[:count]


def _picture(
    dataset: Dataset, image: Image, mined: Sequence[LedgerBox], folder: Path, links: TaskLinks
) -> PagePicture:
    # Annotations pulled later include accepted boxes of this round.
    mined_ids = {box.region_id for box in mined}
    human = [
        DrawnBox(box.xyxy, dataset.category_by_id[box.category_id].name, HUMAN)
        for box in dataset.boxes_by_image[image.id]
        if box.tool_id not in mined_ids
    ]
    # The most confident box comes last, on top.
    judged = [_mined_box(box) for box in sorted(mined, key=lambda box: (box.score, box.region_id))]
    drawn = draw_boxes(
        read_image(image, folder),
        [*human, *judged],
        max_width=MAX_WIDTH,
        max_height=MAX_HEIGHT,
    )
    counts = Counter(box.outcome for box in mined)
    parts = [(len(human), HUMAN.name), *((counts[name], name) for name in OUTCOME_STYLES)]
    return PagePicture(
        data_uri=jpeg_uri(drawn, _QUALITY),
        width=drawn.shape[1],
        height=drawn.shape[0],
        file_name=original_name(image.file_name, image.tool_id),
        link=links.of_box(mined[0]) if mined else links.of_image(image.tool_id),
        summary=", ".join(f"{number} {name}" for number, name in parts if number) or "no boxes",
    )


def _mined_box(box: LedgerBox) -> DrawnBox:
    """Return the box where the reviewer left it; if renamed, with its old name too."""
    name = box.category
    if box.final_category not in (None, box.category):
        name = f"{box.final_category} (was {box.category})"
    style = OUTCOME_STYLES[box.outcome]
    return DrawnBox(box.final_xyxy or box.xyxy, f"{name} {box.score:.2f}", style)
