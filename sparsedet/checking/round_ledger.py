"""Check that round files and ledger agree on what was pushed."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from sparsedet.annotations import Dataset
from sparsedet.annotations.mined_boxes import MinedBox, read_mined
from sparsedet.atomic_io import read_json
from sparsedet.checking.checked import Checked
from sparsedet.checking.finding import Finding, LostAndFound
from sparsedet.errors import SparseDetError
from sparsedet.ledger import Ledger, LedgerBox, Push
from sparsedet.loop.ledger_rebuild import restore_round
from sparsedet.loop.lot_file import read_lots
from sparsedet.loop.pushed_boxes import opened_images, pushed_boxes
from sparsedet.loop.round_folder import RoundFolder
from sparsedet.loop.round_report import pushed_parts
from sparsedet.wording import counted


@dataclass(frozen=True)
class _Round:
    """A pushed round, by its files."""

    folder: RoundFolder
    record: Mapping[str, Any]
    dataset: Dataset
    mined: Sequence[MinedBox]

    @property
    def versions(self) -> set[str]:
        """Names of the model under which its boxes were pushed."""
        return {str(part.get("model_version")) for part in pushed_parts(self.record)}

    @property
    def opened(self) -> set[str]:
        """Tool ids of images queued with their mined boxes, without skipped ones."""
        parts = pushed_parts(self.record)
        return opened_images(self.record).difference(*(part.get("skipped") or () for part in parts))

    @property
    def expected(self) -> set[str]:
        """Region ids that must be in the ledger: boxes that were pushed, and those held by lots."""
        parts = pushed_boxes(self.folder, self.record, self.dataset, self.mined)
        pushed = {box.region_id for _, boxes in parts for box in boxes}
        held = {id for lot in read_lots(self.folder) for id in lot.rest}
        return pushed | (held & {box.region_id for box in self.mined})


def check_rounds_against_ledger(checked: Checked, copy: Path) -> Iterator[Finding]:
    """Compare every pushed round with the ledger, in both directions.

    Rounds with unreadable files are skipped: that is a finding of its own.
    """
    with closing(Ledger(copy)) as ledger:
        boxes, pushes = ledger.boxes(), ledger.pushes()
        queued = {image.push.round for image in ledger.queued()}
    known = {box.region_id for box in boxes}
    for folder in checked.rounds_pushed:
        round = _read(checked, folder)
        if round is not None:
            yield from _against_run(checked, round)
            yield from _against_ledger(checked, round, known, pushes, queued)
            yield from _other_way_round(checked, round, boxes)
    numbers = {folder.number for folder in checked.rounds}
    for number in sorted({push.round for push in pushes if push.round is not None} - numbers):
        where = checked.name(checked.workspace.round(number).root)
        what = "missing, though the ledger has its push; restore it from a backup"
        yield Finding("round-missing", where, what)


def _read(checked: Checked, folder: RoundFolder) -> _Round | None:
    dataset = checked.round_annotations(folder)
    if dataset is None:
        return None
    try:
        round = _Round(folder, read_json(folder.push), dataset, read_mined(folder.mined, dataset))
        _ = round.expected
    except (SparseDetError, OSError, LookupError, TypeError, AttributeError):
        return None
    return round


def _against_run(checked: Checked, round: _Round) -> Iterator[Finding]:
    """Check that a round's push, mined boxes and model belong together."""
    folder = round.folder
    try:
        run = folder.run.info().run_id
    except (SparseDetError, OSError):
        return
    if strange := round.versions - {run}:
        what = f"names model {min(strange)} for the push; the round's own is {run}"
        yield Finding("push-of-another-round", checked.name(folder.push), _from_backup(what))
    meta = folder.mined.with_suffix(".meta.json")
    try:
        mined_by = read_json(meta).get("run_id", run) if meta.exists() else run
    except (SparseDetError, OSError, AttributeError):
        return
    if mined_by != run:
        what = f"names model {mined_by} for the mined boxes; the round's own is {run}"
        yield Finding("mined-by-another-round", checked.name(meta), _from_backup(what))


def _against_ledger(
    checked: Checked,
    round: _Round,
    known: Collection[str],
    pushes: Sequence[Push],
    queued: Collection[int | None],
) -> Iterator[Finding]:
    """Check that the ledger has a round's push, all of its boxes, and its queue.

    Args:
        checked: the workspace.
        round: its files.
        known: ids of the ledger's boxes.
        pushes: the ledger's pushes.
        queued: rounds with a queue in the ledger.
    """
    where, number = checked.name(checked.workspace.ledger), round.folder.number
    recorded = {push.model_version for push in pushes if push.round == number}
    lacking = round.versions - recorded
    missing = round.expected - set(known)
    if missing:
        boxes = counted(len(missing), "box")
        what = f"lacks {boxes} that round {number} pushed, such as {min(missing)}"
    elif lacking:
        what = f"lacks the push of round {number}, of model {min(lacking)}"
    elif round.opened and number not in queued:
        what = f"lacks the queue of round {number}"
    else:
        return
    repair = partial(_restore, checked, round.folder)
    yield Finding("boxes-not-in-ledger", where, what, checked.command("review"), repair=repair)


def _other_way_round(
    checked: Checked, round: _Round, boxes: Sequence[LedgerBox]
) -> Iterator[Finding]:
    """Check that a round mined the boxes that the ledger has of it.

    Boxes that a restarted round pushed before have another model.
    """
    mined = {box.region_id for box in round.mined}
    number = round.folder.number
    strange = {
        box.region_id
        for box in boxes
        if box.round == number
        and box.push.round == number
        and box.push.model_version in round.versions
        and box.region_id not in mined
    }
    if strange:
        lacking = counted(len(strange), "box")
        what = f"lacks {lacking} that the ledger has of it, such as {min(strange)}"
        yield Finding("boxes-not-mined", checked.name(round.folder.mined), _from_backup(what))


def _restore(checked: Checked, folder: RoundFolder, lost: LostAndFound) -> str:
    settings = checked.settings
    if settings is None:
        raise SparseDetError(
            f"{checked.workspace.settings_file}: needed to repair the ledger: repair it first"
        )
    lost.copy(checked.workspace.ledger)
    added = restore_round(checked.workspace, folder, settings)
    return (
        f"{checked.workspace.ledger.name}: {counted(added, 'box')} of round {folder.number} added"
    )


def _from_backup(what: str) -> str:
    return f"{what}; restore the round's files from a backup"
