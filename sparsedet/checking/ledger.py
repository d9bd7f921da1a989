"""Check that the ledger is intact, and agrees with its reviews."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from sparsedet.checking.checked import Checked
from sparsedet.checking.finding import Finding, LostAndFound, one_line
from sparsedet.checking.ledger_copy import damage, orphans
from sparsedet.checking.ledger_repair import (
    drop_rows,
    join_pushes,
    rebuild_ledger,
    settle_again,
)
from sparsedet.errors import SparseDetError
from sparsedet.ledger.checkup import LedgerCheckup
from sparsedet.loop.last_reading import last_reading, reading_file
from sparsedet.wording import counted


def check_ledger_file(checked: Checked, copy: Path) -> Iterator[Finding]:
    """Check the file: that it exists, is a ledger of this version, and is undamaged.

    After an error here, the ledger can't be checked further.

    Args:
        checked: the workspace.
        copy: of its ledger; missing if that is.
    """
    ledger = checked.workspace.ledger
    where, review = checked.name(ledger), checked.command("review")

    def rebuild(lost: LostAndFound) -> str:
        return rebuild_ledger(checked, lost)

    pushed = checked.rounds_pushed
    if not ledger.exists():
        if pushed:
            what = f"missing, though {counted(len(pushed), 'round')} pushed boxes"
            yield Finding("ledger-missing", where, what, review, repair=rebuild)
        return
    if not ledger.is_file():
        yield Finding("ledger-broken", where, "not a file", review, repair=rebuild)
        return
    if problems := damage(copy):
        what = "damaged: " + "; ".join(problems)
        yield Finding("ledger-broken", where, what, review, repair=rebuild)
        return
    try:
        with closing(LedgerCheckup(copy)) as opened:
            if pushed and not opened.has_pushes():
                what = f"has no push, though {counted(len(pushed), 'round')} pushed boxes"
                yield Finding("ledger-missing", where, what, review, repair=rebuild)
    except SparseDetError as error:
        yield Finding("ledger-broken", where, one_line(error, copy))


def check_ledger(checked: Checked, copy: Path) -> Iterator[Finding]:
    """Check the ledger's content: orphaned and duplicate rows, outcomes that contradict reviews."""
    where, review = checked.name(checked.workspace.ledger), checked.command("review")
    for table, rows in orphans(copy).items():
        rows_of = counted(len(rows), f"row of {table} belongs", f"rows of {table} belong")
        what = f"{rows_of} to a missing push"
        yield Finding("ledger-orphans", where, what, review, repair=drop_rows(checked, table, rows))
    with closing(LedgerCheckup(copy)) as ledger:
        if unreadable := ledger.unreadable_rows():
            for table, rows in unreadable.items():
                what = f"{counted(len(rows), 'row')} of {table} can't be read"
                repair = drop_rows(checked, table, rows)
                yield Finding("ledger-rows", where, what, review, repair=repair)
            return
        if doubled := ledger.doubled_reviews():
            what = f"{counted(len(doubled), 'review is', 'reviews are')} stored twice"
            repair = drop_rows(checked, "reviews", doubled)
            yield Finding("ledger-doubles", where, what, review, repair=repair)
        for push in ledger.doubled_pushes():
            what = f"the push of {push.model_version} to {push.review_project} is recorded twice"
            yield Finding("ledger-doubles", where, what, review, repair=join_pushes(checked))
        again = settle_again(checked)
        for one in ledger.contradictions():
            yield Finding(
                "outcome",
                f"{where}: {one.region_id}",
                f"{one.outcome} on {one.file_name}, but {one.reviews}",
                review,
                repair=None if one.is_lost else again,
            )
        yield from _unread(checked, ledger)
    yield from _reading(checked)


def _unread(checked: Checked, ledger: LedgerCheckup) -> Iterator[Finding]:
    """Find a rebuilt ledger whose reviews have not been read since."""
    if ledger.has_reviews() or reading_file(checked.workspace.ledger).exists():
        return
    judged = {id for folder in checked.rounds_pushed for id in _judged(folder.push)}
    if judged:
        boxes = counted(len(judged), "box was", "boxes were")
        yield Finding(
            "reviews-unread",
            checked.name(checked.workspace.ledger),
            f"has no reviews, though {boxes} judged when rounds were pushed",
            checked.command("review"),
        )


def _judged(push: Path) -> list[str]:
    from sparsedet.atomic_io import read_json

    judged = read_json(push).get("judged")
    return [str(id) for id in judged] if isinstance(judged, list) else []


def _reading(checked: Checked) -> Iterator[Finding]:
    """Check the file that records when reviews were last read."""
    file = reading_file(checked.workspace.ledger)
    try:
        last_reading(checked.workspace.ledger)
    except (SparseDetError, OSError) as error:

        def set_aside(lost: LostAndFound) -> str:
            lost.take(file)
            return f"{file.name} set aside; the next reading of reviews writes it again"

        what = one_line(error, file).partition("; remove it")[0]
        yield Finding(
            "reading-broken",
            checked.name(file),
            what,
            checked.command("review"),
            severity="warning",
            repair=set_aside,
        )
