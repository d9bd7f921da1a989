"""`sparsedet review`."""

from collections.abc import Mapping, Sequence
from contextlib import closing, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sparsedet.errors import SparseDetError
from sparsedet.loop.workspace import Workspace
from sparsedet.tool import OUTCOMES

from .options import Json
from .output import REVIEWED, check_replaceable, command, emit_json, progress_bar, say, table

if TYPE_CHECKING:
    from sparsedet.ledger import Ledger, LedgerBox
    from sparsedet.loop.reviews import Connections


def review(
    folder: Annotated[
        Path, typer.Argument(metavar="WORKSPACE", help="Workspace folder whose ledger to settle.")
    ] = Path(),
    ledger: Annotated[
        Path | None, typer.Option("--ledger", help="Ledger file. Default: the workspace's.")
    ] = None,
    merge: Annotated[
        bool,
        typer.Option(
            "--merge",
            help="Bring the reviews into the source annotations. Without --write this only shows "
            "what would change.",
        ),
    ] = False,
    write: Annotated[
        bool, typer.Option("--write", help="With --merge: change the source annotations.")
    ] = False,
    url: Annotated[
        str | None,
        typer.Option("--url", help="The tool's address. Default: the one that was pushed to."),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="Write the outcomes to this JSON file; only replaces an older one.",
        ),
    ] = None,
    json_output: Json = False,
) -> None:
    """Collect what reviewers made of the mined boxes.

    Outcomes are accepted, edited, rejected and pending. A box is edited when its label changed or
    an edge moved by more than a pixel, and rejected when a submitted review was shown it and no
    longer holds it. A box with the note `unsure` stays pending.

    --merge brings the reviews of a review project into the source annotations; an image whose
    source changed since its boxes were pushed is a conflict, and left alone.
    """
    from sparsedet.atomic_io import write_json
    from sparsedet.ledger import Ledger
    from sparsedet.loop.reviews import Connections, collect_reviews

    if write and not merge:
        raise SparseDetError("--write needs --merge; without it nothing is ever written")
    if output is not None:
        check_replaceable(output, REVIEWED)
    workspace = Workspace(folder)
    known = workspace.settings() if workspace.settings_file.exists() else None
    connect = Connections(known, url=url)
    with (
        workspace.lock() if known else nullcontext(),
        closing(Ledger(ledger or workspace.ledger, must_exist=True)) as record,
    ):
        if not record.pushes():
            raise SparseDetError(
                f"{record.path}: nothing has been pushed yet; see `sparsedet push`"
            )
        collect_reviews(record, connect)
        merged = _merge(record, connect, write=write) if merge else []
        outcomes = _outcomes(record)
    if merge:
        outcomes["merge"] = {"written": write, "images": merged}
    if output:
        write_json(output, outcomes, indent=1)
    if json_output:
        emit_json(outcomes)
        return
    rows = [(name, *(c[o] for o in OUTCOMES)) for name, c in outcomes["by_category"].items()]
    total = ("all", *(outcomes[name] for name in OUTCOMES))
    table(f"Mined boxes in {record.path}", ("class", *OUTCOMES), [*sorted(rows), total])
    if merge:
        _show_merge(merged, command("review", folder, "--merge --write"), written=write)


def _merge(record: "Ledger", connect: "Connections", *, write: bool) -> Sequence[dict[str, Any]]:
    """Merge the reviews of every review project; return what became of each image."""
    from dataclasses import asdict

    merged = []
    for place in record.places():
        if place.mode == "draft":
            say(f"project {place.project}: drafts need no merge, saving one changes the annotation")
            continue
        with progress_bar() as progress:
            images = connect(place).merge(
                place.project,
                place.review_project,
                record.pushed_images(place),
                write=write,
                progress=progress,
            )
        if write:
            record.record_merge(place, images)
        merged += [asdict(image) for image in images]
    return merged


def _show_merge(images: Sequence[Mapping[str, Any]], command: str, *, written: bool) -> None:
    """Print what a merge did, or would do, and every conflict; `command` would write it."""
    changed = [image for image in images if image["outcome"] == "changed"]
    conflicts = [image for image in images if image["outcome"] == "conflict"]
    table(
        "Merged into the source annotations" if written else "A merge would change",
        ("", "images", "added", "edited", "removed", "marked complete"),
        [
            (
                "changed",
                len(changed),
                *(sum(image[key] for image in changed) for key in ("added", "edited", "removed")),
                sum(image["marked_complete"] for image in changed),
            ),
            ("the same already", len(images) - len(changed) - len(conflicts), "", "", "", ""),
            ("conflicts", len(conflicts), "", "", "", ""),
        ],
    )
    for image in conflicts:
        say(f"conflict: image {image['tool_id']}: {image['detail']}; left as it is")
    if not written and changed:
        say(f"nothing was written; to write it: {command}")


def _outcomes(record: "Ledger") -> dict[str, Any]:
    counts = record.counts()
    versions = {push.id: push.model_version for push in record.pushes()}
    return {
        **{name: getattr(counts, name) for name in OUTCOMES},
        "by_category": counts.by_category,
        "boxes": [_entry(box, versions[box.push_id]) for box in record.boxes()],
    }


def _entry(box: "LedgerBox", model_version: str) -> dict[str, Any]:
    """Return a box for machines; coordinates are left, top, right, bottom in pixels."""
    return {
        "region_id": box.region_id,
        "outcome": box.outcome,
        "round": box.round,
        "file_name": box.file_name,
        "image_tool_id": box.image_tool_id,
        "model_version": model_version,
        "category": box.category,
        "xyxy": list(box.xyxy),
        "score": box.score,
        "final_category": box.final_category,
        "final_xyxy": None if box.final_xyxy is None else list(box.final_xyxy),
        "reviewer": box.reviewer,
        "seconds": box.seconds,
    }
