"""Reviews of contact sheets, read from their tasks."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from sparsedet.push_modes import PushedImage
from sparsedet.reviews import Review, ReviewedRegion
from sparsedet.sheets import Sheet
from sparsedet.sheets.as_images import LAYOUT
from sparsedet.sheets.layout import sheet_from_json
from sparsedet.sheets.reading import image_reviews
from sparsedet.tool import ToolOptions

from ..client.connection import Connection
from ..labelling_config.label_config import LabelConfig
from ..review_project.review_tasks import ReviewTask, review_config, reviews_of_tasks
from .sheet_config import unsure_label, with_unsure


def layouts_of(tasks: Iterable[ReviewTask]) -> dict[str, Sheet]:
    """Return the layouts of all sheets by name.

    Raises:
        SparseDetError: if somebody has changed one in the task's data.
    """
    return {
        task.source_task: sheet_from_json(task.data.get(LAYOUT), f"contact sheet, task {task.id}")
        for task in tasks
    }


def shown_regions(task: ReviewTask, sheet: Sheet) -> frozenset[str]:
    """Return the ids of the mined boxes shown on a sheet."""
    return task.mined_ids & sheet.by_region.keys()


def read_sheet_reviews(
    connection: Connection,
    review: int,
    tasks: Sequence[ReviewTask],
    layouts: Mapping[str, Sheet],
    pushed: Sequence[PushedImage],
    options: ToolOptions,
) -> list[Review]:
    """Return the reviews of sheets as reviews of the images that they show.

    Args:
        connection: to the server.
        review: number of the review project for sheets.
        tasks: all tasks of that project.
        layouts: layouts of all sheets, by name.
        pushed: mined boxes in pixels of their images.
        options: how labels are read.
    """
    boxes = {id: box for image in pushed for id, box in image.boxes.items()}
    sizes = {image.tool_id: image.size for image in pushed}
    config = with_unsure(review_config(connection, review, options))
    on_sheets = [_on_sheet(sheet, boxes) for sheet in layouts.values()]
    return [
        one
        for found in reviews_of_tasks(connection, review, tasks, config, on_sheets)
        for one in image_reviews(
            _with_undecided(found, config), layouts[found.tool_id], boxes, sizes
        )
    ]


def _on_sheet(sheet: Sheet, boxes: Mapping[str, ReviewedRegion]) -> PushedImage:
    """Return a sheet as an image with mined boxes, in pixels of the sheet."""
    shown = {
        crop.region_id: replace(
            boxes[crop.region_id], xyxy=crop.to_sheet(boxes[crop.region_id].xyxy)
        )
        for crop in sheet.crops
        if crop.region_id in boxes
    }
    return PushedImage(tool_id=sheet.name, version=None, boxes=shown, size=sheet.size)


def _with_undecided(review: Review, config: LabelConfig) -> Review:
    """Return a review in which boxes labelled as undecided are unsure and keep their class."""
    label = unsure_label(replace(config, labels=config.labels[:-1]))

    def read(region: ReviewedRegion) -> ReviewedRegion:
        if region.category != label:
            return region
        shown = review.shown.get(region.region_id, region)
        return replace(region, category=shown.category, unsure=True)

    # A drawn box without a class is ignored.
    drawn = {r.region_id for r in review.regions if r.region_id not in review.shown}
    left = (r for r in review.regions if not (r.region_id in drawn and r.category == label))
    return replace(review, regions=tuple(read(region) for region in left))
