"""Rebuild a lost ledger from the files of the rounds.

They record what was pushed and where; outcomes are read from the reviews, as always.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sparsedet.annotations import Dataset, Image, file_digest
from sparsedet.annotations.mined_boxes import MinedBox, read_mined
from sparsedet.atomic_io import atomic_path
from sparsedet.errors import SparseDetError
from sparsedet.ledger import Ledger, Place, Push, QueueEntry, Source, written_from_json
from sparsedet.ledger.checkup import LedgerCheckup
from sparsedet.loop.lot_file import RoundLot, read_lots, write_lot
from sparsedet.loop.lots import take_back
from sparsedet.loop.merge_folders import UNDONE
from sparsedet.loop.pulled_files import read_round
from sparsedet.loop.pushed_boxes import pushed_boxes
from sparsedet.loop.round_files import read_merged, read_push
from sparsedet.loop.round_folder import RoundFolder
from sparsedet.loop.workspace import Workspace
from sparsedet.reading import ODD_VALUES
from sparsedet.reviews import Written
from sparsedet.wording import counted

if TYPE_CHECKING:
    from sparsedet.loop.settings import Settings


def rebuild(workspace: Workspace, settings: "Settings") -> str | None:
    """Record the pushes of all rounds again if the workspace's ledger is missing or empty.

    The caller holds the workspace's lock. Boxes belong to the round that mined them; pushes outside
    of rounds are lost.

    Args:
        workspace: the workspace; its ledger is written whole or not at all.
        settings: where boxes went, if a round's own files don't say.

    Returns:
        A line for the user; None if there was nothing to do.

    Raises:
        SparseDetError: when the ledger's path holds something else, which is left alone.
    """
    pushed = _lost_rounds(workspace)
    if not pushed:
        return None
    if not workspace.ledger.exists():
        # SQLite would take a journal of the lost file for one of the new file, and roll it back.
        workspace.ledger.with_name(f"{workspace.ledger.name}-journal").unlink(missing_ok=True)
    images, counts, problems = set[tuple[Source, str]](), list[int](), list[str]()
    # Write to a separate file first: a partial ledger would pass for a complete one.
    with atomic_path(workspace.ledger) as temporary, closing(Ledger(temporary)) as ledger:
        for folder in pushed:
            try:
                counts.append(_record_push(ledger, folder, workspace.images, settings))
            except SparseDetError as error:
                problems.append(f"round {folder.number} is missing ({error})")
        for path in _merged_files(workspace):
            try:
                for source, tool_id, written, version in _written(path):
                    ledger.record_written(source, {tool_id: (written, version)})
                    images.add((source, tool_id))
            except SparseDetError as error:
                problems.append(f"a merge is missing ({error})")
    merged = f", {counted(len(images), 'merged image')}" if images else ""
    line = (
        f"{workspace.ledger} was missing or empty; rebuilt from {counted(len(counts), 'round')}: "
        f"{counted(sum(counts), 'mined box')}{merged}; outcomes are read from their reviews"
    )
    return "; ".join([line, *problems])


def is_lost(workspace: Workspace) -> bool:
    """Return whether rounds were pushed but the ledger is missing or empty.

    Raises:
        SparseDetError: when the ledger's path holds something else.
    """
    return bool(_lost_rounds(workspace))


def _lost_rounds(workspace: Workspace) -> list[RoundFolder]:
    """Return the rounds that were pushed, if the ledger has no push at all."""
    if workspace.ledger.exists():
        with closing(Ledger(workspace.ledger)) as ledger:
            if ledger.pushes():
                return []
    return [folder for folder in workspace.all_rounds() if has_pushed(folder)]


def has_pushed(folder: RoundFolder) -> bool:
    """Return whether a round pushed anything for review.

    Raises:
        SparseDetError: when its `push.json` can't be read.
    """
    return folder.push.is_file() and "model_version" in read_push(folder)


def restore_round(workspace: Workspace, folder: RoundFolder, settings: "Settings") -> int:
    """Add what the ledger lacks of a pushed round, and settle it by the stored reviews.

    The caller holds the workspace's lock. Existing entries stay as they are.

    Args:
        workspace: the round's workspace.
        folder: the round's folder.
        settings: which reviews count; and where boxes went, if the round's own files don't say.

    Returns:
        The number of boxes added.

    Raises:
        SparseDetError: when a file of the round is broken.
    """
    withdrawn = {
        id
        for later in workspace.all_rounds()
        if later.number >= folder.number and later.push.is_file()
        for id in read_push(later).get("withdrawn") or ()
    }
    dataset, mined, parts = _parts(folder, settings)
    with closing(LedgerCheckup(workspace.ledger)) as ledger:
        added = sum(
            ledger.restore_push(
                part.push,
                part.boxes,
                dataset,
                part.queue,
                skipped=part.skipped,
                withdrawn=withdrawn,
            )
            for part in parts
        )
        for lot in read_lots(folder):
            rest = [box for box in mined if box.region_id in lot.rest]
            push = _lot_push(lot, folder, parts[0].push)
            added += ledger.restore_push(push, rest, dataset, withdrawn=withdrawn)
        ledger.settle_again(settings.source.annotations)
    return added


@dataclass(frozen=True)
class _Part:
    """What a round pushed to one place."""

    push: Push
    boxes: list[MinedBox]
    queue: Sequence[QueueEntry]
    skipped: frozenset[str]
    """Tool ids of images that could not be pushed."""


def _parts(
    folder: RoundFolder, settings: "Settings"
) -> tuple[Dataset, tuple[MinedBox, ...], list[_Part]]:
    """Return the images of a round, its mined boxes, and what it pushed to each place."""
    record = read_push(folder)
    dataset = read_round(folder)
    mined = read_mined(folder.mined, dataset)
    dataset, queue = _queue(record, dataset, folder.push)
    parts = []
    for content, boxes in pushed_boxes(folder, record, dataset, mined):
        place = _place(content, settings, folder.push)
        skipped = frozenset(content.get("skipped") or ())
        push = _push(place, str(content["model_version"]), folder)
        parts.append(_Part(push, boxes, queue if content is record else (), skipped))
    return dataset, mined, parts


def _push(place: Place, model_version: str, folder: RoundFolder) -> Push:
    push = Push(
        tool=place.tool,
        url=place.url,
        project=place.project,
        review_project=place.review_project,
        mode=place.mode,
        model_version=model_version,
        round=folder.number,
    )
    # Rounds are distinguished by their start; a copied file may have a later time stamp.
    push.created_at = datetime.fromtimestamp(folder.push.stat().st_mtime, UTC)
    return push


def _lot_push(lot: RoundLot, folder: RoundFolder, first: Push) -> Push:
    """Return the push of a lot's held boxes, which have a place of their own."""
    place = replace(first.place, review_project=lot.place, mode="sampled")
    return _push(place, first.model_version, folder)


def _record_push(ledger: Ledger, folder: RoundFolder, images: Path, settings: "Settings") -> int:
    """Record the push of a round; return its number of boxes."""
    dataset, mined, parts = _parts(folder, settings)
    shown = {box.image_id for box in mined}
    shown |= {entry.image_id for part in parts for entry in part.queue}
    digests = {
        image.tool_id: file_digest(images / image.file_name)
        for image in (dataset.image_by_id[id] for id in shown)
        if image.tool_id is not None and (images / image.file_name).is_file()
    }
    new = 0
    for part in parts:
        new += ledger.record_push(part.push, part.boxes, dataset, part.skipped, digests, part.queue)
    for lot in read_lots(folder):
        rest = [box for box in mined if box.region_id in lot.rest]
        push = _lot_push(lot, folder, parts[0].push)
        new += _record_lot(ledger, lot, folder, rest, dataset, push, settings)
    ledger.withdraw(frozenset(read_push(folder).get("withdrawn") or ()))
    return new


def _record_lot(
    ledger: Ledger,
    lot: RoundLot,
    folder: RoundFolder,
    boxes: Sequence[MinedBox],
    dataset: Dataset,
    push: Push,
    settings: "Settings",
) -> int:
    """Record the held boxes of a lot; return their number.

    A lot that passed is settled by its sample again once the reviews are read.
    """
    new = ledger.record_push(push, boxes, dataset)
    if lot.state == "passed":
        write_lot(replace(lot, state="waiting", settled_at=""), folder)
    elif lot.state == "undone":
        # A merge may have written its boxes.
        take_back(ledger, lot, settings.source.annotations)
    elif lot.state == "withdrawn":
        ledger.withdraw(lot.rest)
    return new


def _queue(
    record: Mapping[str, Any], dataset: Dataset, path: Path
) -> tuple[Dataset, list[QueueEntry]]:
    """Return a round's queue, which older rounds lack, and the dataset with its images.

    Images imported again during the push appear under their later id.
    """
    ids = {image.tool_id: image.id for image in dataset.images}
    next_id = max((image.id for image in dataset.images), default=0) + 1
    added: list[Image] = []
    queue: list[QueueEntry] = []
    try:
        for entry in record.get("queue") or ():
            tool_id = str(entry["image_tool_id"])
            if tool_id not in ids:
                ids[tool_id] = next_id + len(added)
                size = int(entry["width"]), int(entry["height"])
                name = str(entry["file_name"])
                added.append(Image(ids[tool_id], name, *size, tool_id=tool_id))
            queue.append(
                QueueEntry(
                    image_id=ids[tool_id],
                    audit=bool(entry["audit"]),
                    judge_only=bool(entry.get("judge_only")),  # older rounds lack it
                    expected=float(entry["expected"]),
                    boxes=int(entry["boxes"]),
                    seconds=float(entry["seconds"]),
                )
            )
    except ODD_VALUES as error:
        raise SparseDetError(f"{path}: invalid queue ({error!r})") from error
    return replace(dataset, images=(*dataset.images, *added)), queue


def _place(record: Mapping[str, Any], settings: "Settings", path: Path) -> Place:
    """Return where a round's boxes went; older rounds left that to the settings."""
    source = settings.source
    try:
        review_project = str(record["review_project"])
        if "place" in record:
            return Place(**record["place"])
    except ODD_VALUES as error:
        raise SparseDetError(f"{path}: invalid review place ({error!r})") from error
    mode = settings.review.modes[0]
    place = Place(source.tool, source.url, source.project, review_project, mode)
    # Drafts are in the annotated project itself.
    return place if review_project == source.project else replace(place, mode="review-project")


def _merged_files(workspace: Workspace) -> list[Path]:
    """Return the files of all merges, in merge order."""
    roots = (workspace.root, *(folder.root for folder in workspace.all_rounds()))
    return [path for root in roots for path in sorted((root / "merged").glob("*/*.json"))]


def _written(path: Path) -> Iterator[tuple[Source, str, Written, str | None]]:
    """Yield an image as a merge (or its undo) left it, with its version; nothing if it did not."""
    record = read_merged(path)
    undone = path.parent.name.endswith(UNDONE)
    try:
        if record["written"] is not None:
            written = written_from_json(record["written_before" if undone else "written"])
            version = None if undone else record["version"]
            yield Source(**record["source"]), str(record["tool_id"]), written, version
    except (*ODD_VALUES, SparseDetError) as error:
        raise SparseDetError(f"{path}: {error}") from error
