"""`sparsedet review`."""

from contextlib import closing, nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sparsedet.errors import SparseDetError
from sparsedet.loop.workspace import Workspace, owner_id
from sparsedet.tool import OUTCOMES, shown_outcomes
from sparsedet.wording import one_of

from ..display import progress_bar
from ..options import Json
from ..output import REVIEWED, check_replaceable, echo, emit_json, say, table
from .merge_results import (
    SIDES,
    ConflictResult,
    MergeResult,
    UndoneLotResult,
    UndoResult,
    merge_reviews,
    resolve,
)

if TYPE_CHECKING:
    from sparsedet.ledger import Ledger, LedgerBox
    from sparsedet.loop.merging import Merging
    from sparsedet.reviews import AnnotationRule


def review(
    folder: Annotated[Path, typer.Argument(metavar="WORKSPACE", help="Workspace folder.")] = Path(),
    ledger: Annotated[
        Path | None, typer.Option("--ledger", help="Ledger file. Default: the workspace's.")
    ] = None,
    merge: Annotated[
        bool,
        typer.Option(
            "--merge",
            help="Merge reviews into the source annotations. Without --write, only lists the "
            "changes.",
        ),
    ] = False,
    write: Annotated[
        bool,
        typer.Option("--write", help="With --merge: write the changes to the source annotations."),
    ] = False,
    empty: Annotated[
        bool,
        typer.Option(
            "--empty",
            help="With --merge --write: also change images whose last box was deleted in review, "
            "without asking.",
        ),
    ] = False,
    undo_merge: Annotated[
        bool,
        typer.Option(
            "--undo-merge",
            help="Undo the latest merge, except on images that were changed since.",
        ),
    ] = False,
    undo_lot: Annotated[
        str | None,
        typer.Option(
            "--undo-lot",
            metavar="LOT",
            help="Undo the acceptance of this lot, for example 3-1; `sparsedet status` lists lots.",
        ),
    ] = None,
    conflicts: Annotated[
        bool,
        typer.Option(
            "--conflicts", help="List boxes that the source and reviews changed differently."
        ),
    ] = False,
    take: Annotated[
        str | None,
        typer.Option(
            "--take",
            help="Resolve conflicts: `source` keeps the annotations as they are, `review` writes "
            "the reviews.",
            autocompletion=lambda: list(SIDES),
        ),
    ] = None,
    image: Annotated[
        list[str] | None,
        typer.Option("--image", help="With --take: only this image. Repeatable."),
    ] = None,
    url: Annotated[
        str | None,
        typer.Option("--url", help="URL of the annotation tool. Default: the one pushed to."),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="Write the outcomes to this JSON file; overwrites only an older one.",
        ),
    ] = None,
    json_output: Json = False,
) -> None:
    """Collect the reviews of mined boxes.

    Outcomes are accepted, edited, rejected, pending, withdrawn (before anybody saw the box) and
    sampled (accepted by the sample of its lot, see [review] accept in sparsedet.toml). A box is
    edited if its label changed or an edge moved by more than a pixel, and rejected if it was
    deleted in a submitted review. A box with the note `unsure` stays pending.

    --merge writes the reviews to the source annotations, those of your project; rounds train on
    reviews with or without a merge. A box that the source and reviews changed differently is a
    conflict, and its image is left alone: see --conflicts and --take. --undo-merge restores the
    annotations that the merge replaced.
    """
    from sparsedet.atomic_io import write_json
    from sparsedet.ledger import Ledger
    from sparsedet.loop.ledger_rebuild import rebuild
    from sparsedet.loop.lots import collect_and_settle
    from sparsedet.loop.merge_undo import mark_undo_reported
    from sparsedet.loop.merging import Merging
    from sparsedet.loop.reviews import Connections
    from sparsedet.loop.standing import write_estimate
    from sparsedet.loop.suspicions import count_suspicions

    _check_options(merge=merge, write=write, empty=empty, take=take, image=image)
    _check_one_of(
        merge=merge,
        undo_merge=undo_merge,
        undo_lot=undo_lot is not None,
        conflicts=conflicts,
        take=take is not None,
    )
    if output is not None:
        check_replaceable(output, REVIEWED)
    workspace = Workspace(folder)
    known = workspace.settings() if workspace.settings_file.exists() else None
    file = ledger or workspace.ledger
    connections = Connections(known, url=url, owner=owner_id(file.parent) if known else None)
    suspicions = None
    rule: AnnotationRule = known.source.annotations if known else "ground-truth-first"
    with workspace.lock() if known else nullcontext(), progress_bar() as progress:
        if known and ledger is None and (rebuilt := rebuild(workspace, known)):
            say(rebuilt)
        with closing(Ledger(file, must_exist=True)) as record:
            if not record.pushes():
                raise SparseDetError(
                    f"{record.path}: nothing has been pushed yet; see `sparsedet push`"
                )
            own = workspace if ledger is None else None
            collect_and_settle(own, record, connections, rule, say=say, progress=progress)
            # What merges replace is kept next to the ledger, wherever the command runs.
            merging = Merging(record, connections, Workspace(file.parent), rule, progress)
            result = _merged(
                merging,
                merge=merge,
                write=write,
                empty=empty,
                undo=undo_merge,
                lot=undo_lot,
                conflicts=conflicts,
                take=take,
                images=image,
            )
            outcomes = _outcomes(record, rule)
            if known and ledger is None:
                write_estimate(workspace, known, record)
                outcomes["estimate"] = _estimate(workspace)
                suspicions = count_suspicions(workspace, record, rule)
                outcomes["suspicions"] = asdict(suspicions)
    if result is not None:
        outcomes["merge" if undo_lot is None else "undone_lot"] = result.as_json()
    if output:
        write_json(output, outcomes, indent=1)
    if json_output:
        emit_json(outcomes)
    else:
        shown = (*shown_outcomes(outcomes["sampled"]), "drawn")
        rows = [(name, *(c[o] for o in shown)) for name, c in outcomes["by_category"].items()]
        total = ("all", *(outcomes[name] for name in shown))
        table(f"Mined boxes in {record.path}", ("class", *shown), [*sorted(rows), total])
        if outcomes.get("estimate"):
            echo(outcomes["estimate"]["text"])
        if suspicions is not None and suspicions.marked:
            echo(suspicions.in_words())
        if result is not None:
            result.show(folder)
    if undo_merge:
        mark_undo_reported(merging.workspace)


def _check_options(
    *, merge: bool, write: bool, empty: bool, take: str | None, image: list[str] | None
) -> None:
    if write and not merge:
        raise SparseDetError("--write needs --merge")
    if empty and not write:
        raise SparseDetError("--empty needs --merge --write")
    if image and take is None:
        raise SparseDetError("--image needs --take")
    if take is not None and take not in SIDES:
        raise SparseDetError(f"--take {take}: expected {one_of(SIDES)}")


def _check_one_of(**given: bool) -> None:
    """Refuse options that exclude each other."""
    names = [f"--{name.replace('_', '-')}" for name, is_given in given.items() if is_given]
    if len(names) > 1:
        raise SparseDetError(f"{' and '.join(names)} can't be combined; pass one at a time")


def _merged(
    merging: "Merging",
    *,
    merge: bool,
    write: bool,
    empty: bool,
    undo: bool,
    lot: str | None,
    conflicts: bool,
    take: str | None,
    images: list[str] | None,
) -> "MergeResult | UndoResult | UndoneLotResult | ConflictResult | None":
    """Run the requested operation after collecting reviews; None if there is none."""
    from sparsedet.loop.lots import undo_lot
    from sparsedet.loop.merge_undo import undo_merge

    if undo:
        return UndoResult(undo_merge(merging.ledger, merging.connections, merging.workspace))
    if lot is not None:
        undone = undo_lot(merging.workspace, merging.ledger, lot, merging.rule)
        return UndoneLotResult(undone)
    if take is not None:
        return resolve(merging, take, images)
    if conflicts:
        return ConflictResult([i for i in merging.merge(write=False) if i.outcome == "conflict"])
    return merge_reviews(merging, write=write, empty=empty) if merge else None


def _outcomes(record: "Ledger", rule: "AnnotationRule") -> dict[str, Any]:
    counts = record.counts(rule)
    versions = {push.id: push.model_version for push in record.pushes()}
    return {
        **{name: getattr(counts, name) for name in (*OUTCOMES, "drawn")},
        "by_category": counts.by_category,
        "boxes": [_entry(box, versions[box.push_id]) for box in record.boxes()],
    }


def _estimate(workspace: Workspace) -> dict[str, Any] | None:
    from sparsedet.loop.status import read_status

    found = read_status(workspace).estimate
    return None if found is None else asdict(found)


def _entry(box: "LedgerBox", model_version: str) -> dict[str, Any]:
    """Return a box as JSON values; coordinates are left, top, right, bottom in pixels."""
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
