"""Small workspaces with real images, annotations and a ledger."""

from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from sparsedet.annotations import XYXY, Box, Category, Dataset, Image, write_coco
from sparsedet.annotations.mined_boxes import MinedBox
from sparsedet.atomic_io import write_json
from sparsedet.ledger import Ledger, Push
from sparsedet.loop.workspace import Workspace
from sparsedet.push_modes import PlaceReviews
from sparsedet.reporting.pictures import write_picture
from sparsedet.reviews import Review, ReviewedRegion

HOSTILE = "<script>alert(1)</script>"
"""A class name that a server may well deliver."""
CATEGORIES = (Category(1, "cell"), Category(2, HOSTILE))
SIZE = 160, 120
"""Width and height of the images, pixels."""
HUMAN: XYXY = (5.0, 30.0, 35.0, 60.0)
SECONDS = 90.0
"""Time spent on each reviewed image."""


def mined_place(number: int) -> XYXY:
    """Return the place of an image's n-th mined box, counted from 0."""
    left = 45.0 + 28 * number
    return left, 60.0, left + 24, 100.0


def mined_boxes(round_number: int, image_id: int, count: int) -> list[MinedBox]:
    return [
        MinedBox(f"r{round_number}i{image_id}b{n}", image_id, 1 + n % 2, mined_place(n), 0.9, 0.5)
        for n in range(count)
    ]


def make_workspace(root: Path, *, images: int = 4, larger: Sequence[int] = ()) -> Workspace:
    """Make a workspace with annotations, one box per image; images in `larger` are 10 x as wide."""
    workspace = Workspace(root)
    entries, boxes = [], []
    for number in range(1, images + 1):
        width, height = (edge * 10 if number in larger else edge for edge in SIZE)
        pixels = np.full((height, width, 3), 40 * number % 256, dtype=np.uint8)
        write_picture(pixels, workspace.images / f"{number}.png")
        entries.append(Image(number, f"{number}.png", width, height, tool_id=f"t{number}"))
        boxes.append(Box(number, number, 1, HUMAN))
    write_coco(Dataset(tuple(entries), tuple(boxes), CATEGORIES), workspace.annotations)
    return workspace


def add_round(
    workspace: Workspace,
    number: int,
    dataset: Dataset,
    mined: Sequence[MinedBox],
    reviews: Sequence[Review] = (),
    ap50: float | None = None,
    server: str = "",
) -> None:
    """Add what a round leaves: annotations, evaluation, a push, and reviews of all rounds.

    With a `server`, the push is one to its project 7, reviewed in project 8; else one to files.
    """
    folder = workspace.round(number)
    write_coco(dataset, folder.annotations)
    write_coco(dataset, workspace.annotations)
    if ap50 is not None:
        result: dict[str, Any] = {"AP": ap50 / 2, "AP50": ap50, "AP75": None, "per_class": {}}
        write_json(folder.evaluation, {**result, "images": 4, "annotations": 4})
    tool, project, review_project = ("label-studio", "7", "8") if server else ("files", "p", "p")
    push = Push(
        tool=tool,
        url=server,
        project=project,
        review_project=review_project,
        model_version=f"v{number}",
        round=number,
    )
    with closing(Ledger(workspace.ledger)) as ledger:
        ledger.record_push(push, mined, dataset)
        ledger.record_reviews(ledger.places()[0], PlaceReviews(reviews))


def review(
    image_id: int,
    mined: Sequence[MinedBox],
    *,
    edited: str = "",
    rejected: str = "",
    reviewer: str = "ann@example.com",
    skipped: bool = False,
) -> Review:
    """Review an image's boxes: everything is accepted but what `edited` and `rejected` name."""
    names = {category.id: category.name for category in CATEGORIES}
    shown = {
        box.region_id: ReviewedRegion(box.region_id, names[box.category_id], box.xyxy)
        for box in mined
        if box.image_id == image_id
    }
    regions = []
    for id, region in shown.items():
        left, top, right, bottom = region.xyxy
        moved = 8.0 if id in edited.split() else 0.0
        if id not in rejected.split():
            regions.append(replace(region, xyxy=(left, top + moved, right, bottom + moved)))
    return Review(
        f"t{image_id}",
        f"{reviewer} on {image_id}",
        shown=shown,
        regions=tuple(regions),
        reviewer=reviewer,
        seconds=SECONDS,
        offer=f"task {image_id}",
        skipped=skipped,
    )
