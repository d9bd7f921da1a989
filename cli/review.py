"""`sparsedet review`."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sparsedet.errors import SparseDetError
from sparsedet.workspace import Workspace

from .options import Json
from .output import emit_json, table

if TYPE_CHECKING:
    from sparsedet.ledger import Ledger, LedgerBox, Push
    from sparsedet.tool import AnnotationTool, ReviewedImage


def review(
    folder: Annotated[
        Path, typer.Argument(help="Workspace folder whose ledger to settle.")
    ] = Path(),
    ledger: Annotated[
        Path | None, typer.Option("--ledger", help="Ledger file. Default: the workspace's.")
    ] = None,
    url: Annotated[
        str | None,
        typer.Option("--url", help="The tool's address. Default: the one that was pushed to."),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write the outcomes to this JSON file.")
    ] = None,
    json_output: Json = False,
) -> None:
    """Collect what reviewers made of the mined boxes.

    Outcomes are accepted, edited, rejected and pending. A box is edited when its label changed or
    an edge moved by more than a pixel, and rejected when a submitted review was shown it and no
    longer holds it.
    """
    from sparsedet.files import write_json
    from sparsedet.ledger import Ledger

    record = Ledger(ledger or Workspace(folder).ledger, must_exist=True)
    pushes = record.pushes()
    if not pushes:
        raise SparseDetError(f"{record.path}: nothing has been pushed yet; see `sparsedet push`")
    _settle(record, pushes, url)
    outcomes = _outcomes(record, pushes)
    record.close()
    if output:
        write_json(output, outcomes, indent=1)
    if json_output:
        emit_json(outcomes)
        return
    names = ("accepted", "edited", "rejected", "pending")
    rows = [(name, *(c[o] for o in names)) for name, c in sorted(outcomes["by_category"].items())]
    total = ("all", *(outcomes[name] for name in names))
    table(f"Mined boxes in {record.path}", ("class", *names), [*rows, total])


def _settle(record: "Ledger", pushes: "Sequence[Push]", url: str | None) -> None:
    """Read every review project once and settle all pushes that went there."""
    from sparsedet.tool import load_integration

    connections: dict[tuple[str, str], AnnotationTool] = {}
    reviews: dict[tuple[str, str, str], Sequence[ReviewedImage]] = {}
    for push in pushes:
        server = push.tool, url or push.url
        place = *server, push.review_project
        if place not in reviews:
            if server not in connections:
                connections[server] = load_integration(push.tool)(url or push.url)
            reviews[place] = connections[server].reviewed(push.review_project)
        record.record_review(push, reviews[place])


def _outcomes(record: "Ledger", pushes: "Sequence[Push]") -> dict[str, Any]:
    counts = record.counts()
    versions = {push.id: push.model_version for push in pushes}
    return {
        "accepted": counts.accepted,
        "edited": counts.edited,
        "rejected": counts.rejected,
        "pending": counts.pending,
        "by_category": counts.by_category,
        "boxes": [_entry(box, versions[box.push_id]) for box in record.boxes()],
    }


def _entry(box: "LedgerBox", model_version: str) -> dict[str, Any]:
    """Return a box for machines; coordinates are left, top, right, bottom in pixels."""
    final = box.final_left, box.final_top, box.final_right, box.final_bottom
    return {
        "region_id": box.region_id,
        "outcome": box.outcome,
        "file_name": box.file_name,
        "image_tool_id": box.image_tool_id,
        "model_version": model_version,
        "category": box.category,
        "xyxy": list(box.xyxy),
        "score": box.score,
        "final_category": box.final_category,
        "final_xyxy": None if box.final_left is None else list(final),
        "reviewer": box.reviewer,
        "seconds": box.seconds,
    }
