"""The report of a workspace, as a self-contained HTML page.

Curves, tables and pictures are embedded; the page loads nothing and runs no script. The same
workspace gives the same bytes.
"""

from collections.abc import Iterable, Sequence
from contextlib import closing
from pathlib import Path

from sparsedet import __version__
from sparsedet.annotations import XYXY, Dataset
from sparsedet.annotations.matching import SAME_OBJECT_IOU, iou_matrix
from sparsedet.atomic_io import write_text
from sparsedet.errors import SparseDetError
from sparsedet.ledger import DrawnBox, Ledger, LedgerBox, OutcomeCounts
from sparsedet.loop.pulled_files import read_pulled
from sparsedet.loop.status import (
    NothingYetError,
    WorkspaceStatus,
    annotation_rule,
    clock,
    read_status,
    skipped_line,
)
from sparsedet.loop.workspace import Workspace
from sparsedet.reporting import html_template
from sparsedet.reporting.crops import crop_section
from sparsedet.reporting.links import TaskLinks
from sparsedet.reporting.pictures import (
    HUMAN,
    OUTCOME_STYLES,
    SAMPLED,
    WITHDRAWN,
    BoxStyle,
)
from sparsedet.reporting.reliability import reliability
from sparsedet.reporting.round_curves import report_curves
from sparsedet.reporting.round_pictures import round_sections

_UNKNOWN = "-"


def write_report(
    workspace: Workspace,
    path: Path,
    *,
    title: str,
    shown_images: int = 6,
    shown_crops: int = 6,
    notes: Sequence[str] = (),
) -> None:
    """Write the report of a workspace, atomically.

    Args:
        workspace: A workspace with annotations; rounds and ledger are shown if they exist.
        path: The HTML file.
        title: Heading, as plain text.
        shown_images: Pictures per round; images with the most mined boxes come first.
        shown_crops: Number of crops per class for each of the most certain, the most doubtful and
            the rejected mined boxes.
        notes: Paragraphs of plain text below the summary.

    Raises:
        SparseDetError: when there are no annotations yet, or an image can't be read.
    """
    if not workspace.annotations.exists():
        raise SparseDetError(
            f"{workspace.root}: no annotations.json in this folder: run "
            f"`sparsedet round {workspace.root}` first"
        )
    dataset, (mined, drawn) = read_pulled(workspace), _reviewed_boxes(workspace)
    status = _status(workspace)
    now = annotations_now(dataset, mined, drawn)
    links = TaskLinks.of_workspace(workspace)
    bins = reliability(mined)
    counted = [entry.annotations for entry in status.rounds if entry.annotations is not None]
    page = html_template("report.html", number=_number, percent=_percent, clock=clock)
    read_at = status.reading.at.strftime("%Y-%m-%d %H:%M UTC") if status.reading else ""
    text = page.render(
        title=title,
        read_at=read_at,
        notes=notes,
        status=status,
        first=counted[0] if counted else len(dataset.boxes),
        now=now,
        images=len(dataset.images),
        curves=report_curves(status.rounds, now, bins),
        reliability=bins,
        crops=crop_section(mined, dataset, workspace.images, links, shown_crops),
        styles=OUTCOME_STYLES,
        sections=round_sections(workspace, dataset, mined, shown_images, links),
        skipped=skipped_line(status.skipped_images) if status.skipped_images else "",
        legend=_legend(status.outcomes),
        version=__version__,
    )
    write_text(path, text)


def annotations_now(
    dataset: Dataset, mined: Iterable[LedgerBox], drawn: Iterable[DrawnBox] = ()
) -> int:
    """Return the number of annotations, including boxes approved or drawn since the pull.

    A box is already among the annotations if one has its id, or its class and position, since not
    every tool preserves ids.
    """
    known = {box.tool_id for box in dataset.boxes}
    images = {image.tool_id: image.id for image in dataset.images}
    places: dict[tuple[int, str], list[XYXY]] = {}
    for box in dataset.boxes:
        category = dataset.category_by_id[box.category_id].name
        places.setdefault((box.image_id, category), []).append(box.xyxy)
    added = [
        *((box.image_tool_id, final) for box in mined if (final := box.final) is not None),
        *((box.tool_id, box.region) for box in drawn),
    ]
    count = len(dataset.boxes)
    for tool_id, region in added:
        image_id = images.get(tool_id)
        if image_id is not None and region.region_id not in known:
            same_class = places.get((image_id, region.category), [])
            count += not (iou_matrix([region.xyxy], same_class) >= SAME_OBJECT_IOU).any()
    return count


def _status(workspace: Workspace) -> WorkspaceStatus:
    try:
        return read_status(workspace)
    except NothingYetError:
        return WorkspaceStatus()


def _reviewed_boxes(workspace: Workspace) -> tuple[Sequence[LedgerBox], Sequence[DrawnBox]]:
    """Return all mined boxes, and the drawn ones."""
    if not workspace.ledger.is_file():
        return (), ()
    with closing(Ledger(workspace.ledger)) as ledger:
        return ledger.boxes(), ledger.drawn(annotation_rule(workspace))


def _legend(outcomes: OutcomeCounts) -> list[BoxStyle]:
    styles = OUTCOME_STYLES.values() if outcomes.total else ()
    # Most workspaces have no withdrawn or sampled boxes.
    rare = {WITHDRAWN.name: outcomes.withdrawn, SAMPLED.name: outcomes.sampled}
    return [HUMAN, *(style for style in styles if rare.get(style.name, 1))]


def _number(value: float | None, decimals: int = 0) -> str:
    return _UNKNOWN if value is None else f"{value:,.{decimals}f}"


def _percent(share: float | None) -> str:
    return _UNKNOWN if share is None else f"{100 * share:.1f} %"
