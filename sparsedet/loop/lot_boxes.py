"""Which boxes of a round form lots, and which boxes of lots need a review after all."""

from collections.abc import Sequence

from sparsedet.annotations import Dataset
from sparsedet.annotations.mined_boxes import MinedBox
from sparsedet.completeness.lots import Lot, Promise, form_lots
from sparsedet.ledger import Ledger, as_mined
from sparsedet.loop.lot_file import all_lots, read_lots
from sparsedet.loop.lots import overlaps_any, waits
from sparsedet.loop.round_folder import RoundFolder
from sparsedet.loop.settings import Settings
from sparsedet.loop.workspace import Workspace
from sparsedet.mining.mine import without_pending


def lots_of_round(
    workspace: Workspace,
    folder: RoundFolder,
    dataset: Dataset,
    boxes: Sequence[MinedBox],
    settings: Settings,
) -> tuple[Lot, ...]:
    """Return the lots formed by a round's boxes, those that save most first.

    A class whose previous lot failed or was undone is reviewed as usual: retrying at once until
    one passes would be no test.
    """
    accept = settings.review.accept
    if not accept.is_on:
        return ()
    before = read_lots(workspace.round(folder.number - 1))
    tried = {lot.category for lot in before if lot.state in ("failed", "undone")}
    names = {category.id: category.name for category in dataset.categories}
    return form_lots(
        [box for box in boxes if names[box.category_id] not in tried],
        Promise(accept.precision, accept.confidence),
        seed=settings.training.seed,
        round=folder.number,
    )


def released_boxes(
    workspace: Workspace, ledger: Ledger, dataset: Dataset, new: Sequence[MinedBox]
) -> tuple[MinedBox, ...]:
    """Return boxes of failed or undone lots, to be reviewed as usual.

    Leaves out boxes whose object has got an annotation or a newer box since, and boxes of classes
    that are complete on their image.

    Args:
        workspace: the workspace with the rounds.
        ledger: the ledger with the boxes.
        dataset: the current annotations.
        new: the newest model's boxes on its images.
    """
    free = {
        id for _, lot in all_lots(workspace) if lot.state in ("failed", "undone") for id in lot.rest
    }
    waiting = [box for box in ledger.boxes() if box.region_id in free and waits(box)]
    boxes = [
        box
        for box in as_mined(waiting, dataset)
        if not dataset.image_by_id[box.image_id].is_complete(box.category_id)
        and not overlaps_any(
            box.xyxy,
            (
                other.xyxy
                for other in dataset.boxes_by_image[box.image_id]
                if other.category_id == box.category_id
            ),
        )
    ]
    return without_pending(boxes, new)
