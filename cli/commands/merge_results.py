"""Results of `sparsedet review` on source annotations: merges, conflicts, undone merges."""

import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from sparsedet.errors import SparseDetError
from sparsedet.wording import counted, first_of

from ..output import command, line, say, table

if TYPE_CHECKING:
    from sparsedet.loop.lots import UndoneLot
    from sparsedet.loop.merge_undo import UndoneMerge
    from sparsedet.loop.merging import MergedImage, Merging

SIDES = ("source", "review")
"""Values of --take."""

_LEFT_ALONE = {
    "overtaken": "saved by somebody at the same time",
    "conflict": "conflicts",
    "blocked": "with unsaved changes",
    "emptied": "that would lose every box",
    "gone": "no longer in the project",
}


@dataclass(frozen=True)
class MergeResult:
    """What a merge did, or would do."""

    images: "Sequence[MergedImage]"
    written: bool

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {"written": self.written, "images": [asdict(image) for image in self.images]}

    def show(self, folder: Path) -> None:
        """Print the counts, and images that were left alone or need a look."""
        changed = [image for image in self.images if image.outcome == "changed"]
        same = sum(image.outcome == "same" for image in self.images)
        rows: list[tuple[object, ...]] = [
            (
                "changed",
                len(changed),
                *(sum(getattr(image, key) for image in changed) for key in ("added", "edited")),
                sum(image.removed for image in changed),
                sum(image.marked_complete for image in changed),
            ),
            ("unchanged", same, "", "", "", ""),
        ]
        for outcome, name in _LEFT_ALONE.items():
            if found := sum(image.outcome == outcome for image in self.images):
                rows.append((name, found, "", "", "", ""))
        table(
            "Merged into the source annotations" if self.written else "A merge would change",
            ("", "images", "added", "edited", "removed", "marked complete"),
            rows,
        )
        if sampled := sum(image.sampled for image in changed):
            say(
                counted(
                    sampled,
                    "of the added boxes was accepted by sampling; nobody looked at it",
                    "of the added boxes were accepted by sampling; nobody looked at them",
                )
            )
        if in_part := [image for image in changed if image.completed_classes]:
            pairs = sum(len(image.completed_classes) for image in in_part)
            where = f"{counted(len(in_part), 'image')} ({counted(pairs, 'mark')})"
            say(f"complete in some classes: {where}")
        for image in self.images:
            if image.outcome in _LEFT_ALONE:
                say(_left_alone(image))
            elif image.detail:
                say(f"image {image.tool_id}: {image.detail} {image.url}".rstrip())
        if any(image.outcome == "conflict" for image in self.images):
            say(f"to resolve conflicts: {command('review', folder, '--take source')} (or review)")
        if any(image.outcome == "emptied" for image in self.images):
            say(f"to also write emptied images: {command('review', folder, _EMPTYING)}")
        if not self.written and changed:
            say(f"nothing was written; to write it: {command('review', folder, _WRITING)}")
        elif self.written and changed:
            say(f"to undo it: {command('review', folder, '--undo-merge')}")


_WRITING = "--merge --write"
_EMPTYING = f"{_WRITING} --empty"


@dataclass(frozen=True)
class ConflictResult:
    """Conflicts, or what resolving them did."""

    images: "Sequence[MergedImage]"
    taken: str | None = None
    boxes: int = 0
    """Boxes for which the source won."""

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {"taken": self.taken, "conflicts": [asdict(image) for image in self.images]}

    def show(self, folder: Path) -> None:
        """Print every conflict, or how they were resolved."""
        if self.taken == "source":
            where = counted(len(self.images), "image")
            stay = "stays as it is" if self.boxes == 1 else "stay as they are"
            line(f"{counted(self.boxes, 'box')} on {where} {stay}")
            return
        if self.taken == "review":
            left = [image for image in self.images if image.outcome in _LEFT_ALONE]
            line(
                counted(
                    len(self.images) - len(left),
                    "image now matches its reviews",
                    "images now match their reviews",
                )
            )
            for image in left:
                say(_left_alone(image))
            return
        line(counted(len(self.images), "conflict"))
        for image in self.images:
            say(_left_alone(image))
            for region_id, what in image.boxes.items():
                say(f"  box {region_id}: {what}")
        if self.images:
            say(
                f"next: {command('review', folder, '--take source')} or --take review, for all "
                "images or, with --image, for some"
            )


@dataclass(frozen=True)
class UndoResult:
    """A merge that was undone."""

    undone: "UndoneMerge"

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {"restored": list(self.undone.restored), "left": dict(self.undone.left)}

    def show(self, folder: Path) -> None:
        """Print how many images were restored, and why others were not."""
        restored = counted(
            len(self.undone.restored),
            "image is restored to its state",
            "images are restored to their state",
        )
        line(f"{restored} before the merge")
        for tool_id, reason in self.undone.left.items():
            say(f"image {tool_id} is left as it is: {reason}")


@dataclass(frozen=True)
class UndoneLotResult:
    """A lot whose acceptance was undone."""

    undone: "UndoneLot"

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return asdict(self.undone)

    def show(self, folder: Path) -> None:
        """Print what happened to its boxes, and what is left to do."""
        lot = self.undone.lot
        boxes = counted(
            self.undone.pending,
            f"box of lot {lot} is no longer accepted; it comes",
            f"boxes of lot {lot} are no longer accepted; they come",
        )
        line(f"{boxes} up for review in the next round")
        if self.undone.kept:
            say(
                counted(
                    self.undone.kept,
                    "is unchanged: somebody has reviewed it since",
                    "are unchanged: somebody has reviewed them since",
                )
            )
        if self.undone.merged:
            merged = counted(
                self.undone.merged,
                "is already merged; to remove it",
                "are already merged; to remove them",
            )
            say(f"{merged} from the source annotations: {command('review', folder, _WRITING)}")


def merge_reviews(merging: "Merging", *, write: bool, empty: bool) -> MergeResult:
    """Merge; ask before writing images whose last box was deleted in review."""
    if write and not empty and sys.stdin.isatty():
        emptied = [i for i in merging.merge(write=False) if i.outcome == "emptied"]
        if emptied:
            shown = first_of(image.tool_id for image in emptied)
            empty = typer.confirm(
                f"The reviews delete every box of {counted(len(emptied), 'image')} ({shown}). "
                "Write them too?",
                default=False,
                err=True,
            )
    return MergeResult(merging.merge(write=write, empty=empty), write)


def resolve(merging: "Merging", take: str, images: Sequence[str] | None) -> ConflictResult:
    """Resolve the conflicts of `images`, or all of them, in favour of one side.

    Raises:
        SparseDetError: if an image has no conflict.
    """
    found = [image for image in merging.merge(write=False) if image.outcome == "conflict"]
    if unknown := set(images or ()) - {image.tool_id for image in found}:
        raise SparseDetError(f"image {min(unknown)} has no conflict; see --conflicts")
    chosen = [image for image in found if not images or image.tool_id in images]
    ids = {image.tool_id for image in chosen}
    if take == "source":
        return ConflictResult(chosen, take, merging.take_source(ids))
    return ConflictResult(
        merging.merge(write=True, empty=True, take_review=ids) if ids else [], take
    )


def _left_alone(image: "MergedImage") -> str:
    names = {"conflict": "conflict", "gone": "gone", "overtaken": "look at this one"}
    what = names.get(image.outcome, "left as it is")
    return f"{what}: image {image.tool_id}: {image.detail} {image.url}".rstrip()
