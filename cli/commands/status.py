"""`sparsedet status`."""

from contextlib import closing
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sparsedet.errors import ToolError
from sparsedet.loop.workspace import Workspace
from sparsedet.tool import OUTCOMES, shown_outcomes
from sparsedet.wording import counted

from ..options import Json
from ..output import CSV, check_replaceable, command, echo, emit_json, say, table
from .round_results import show_next

if TYPE_CHECKING:
    from sparsedet.ledger import OutcomeCounts
    from sparsedet.loop.status import WorkspaceStatus


def status(
    folder: Annotated[Path, typer.Argument(metavar="WORKSPACE", help="Workspace folder.")] = Path(),
    csv: Annotated[
        Path | None,
        typer.Option(
            "--csv",
            help="Write every mined box and its outcome to this CSV file; overwrites only an older "
            "one.",
        ),
    ] = None,
    check: Annotated[
        bool,
        typer.Option(
            "--check",
            help="Also check, with one request to the annotation tool, whether anybody has "
            "reviewed since.",
        ),
    ] = False,
    json_output: Json = False,
) -> None:
    """Show the progress of a workspace: boxes, reviews, completeness.

    Reviews since the last `sparsedet review` or `sparsedet round` are not included; the output says
    when that was. Without --check, no connection is needed.
    """
    from sparsedet.ledger import Ledger
    from sparsedet.ledger.export import write_csv
    from sparsedet.loop.status import read_status, skipped_line

    if csv is not None:
        check_replaceable(csv, CSV, "--csv")
    workspace = Workspace(folder)
    found = read_status(workspace)
    if found.ledger_is_lost:
        say(
            f"{workspace.ledger} is missing or empty although rounds were pushed, so their "
            f"boxes are not counted; {command('review', folder)} rebuilds it"
        )
    newer = _newer_reviews(workspace, found) if check else None
    if csv:
        with closing(Ledger(workspace.ledger, must_exist=True)) as ledger:
            written = write_csv(ledger.boxes(), csv)
        say(f"{counted(written, 'mined box')} written to {csv}")
    if json_output:
        emit_json(_as_json(found) | {"newer_reviews": newer})
        return
    figures = ("mined", *shown_outcomes(found.outcomes.sampled), "precision %", "drawn")
    table(
        f"Rounds in {folder}",
        ("round", "annotations", *figures, "review time", "complete %", "AP50"),
        _round_rows(found),
    )
    if found.choice:
        echo(f"Selected: {found.choice}")
    if found.estimate:
        echo(found.estimate.text)
    if found.marks and found.marks.complete + found.marks.in_part:
        echo(found.marks.in_words())
    if found.suspicions.marked:
        echo(found.suspicions.in_words())
    if found.ap_takes:
        say(found.ap_takes)
    for entry in found.rounds:
        if entry.next_step:
            say(
                f"round {entry.round} is not finished (next step: {entry.next_step}); "
                f"{command('round', folder)} resumes it"
            )
    if found.outcomes.by_category:
        table(
            "Boxes by class",
            ("class", *figures),
            [
                (name, *_figures(counts, found.outcomes.sampled))
                for name, counts in found.outcomes.categories().items()
            ],
        )
    if found.lots:
        table(
            "Lots: boxes accepted by sampling",
            ("lot", "class", "boxes", "expected %", "sample", "wrong", "allowed", "state"),
            [
                (
                    *(lot.id, lot.category, len(lot.boxes), f"{100 * lot.expected:.1f}"),
                    *(len(lot.sample), lot.wrong, lot.allowed, lot.state),
                )
                for lot in found.lots
            ],
        )
    if found.estimate:
        table(
            "Objects by class, estimated",
            ("class", "with a box", "without", "90% interval"),
            [
                (name, own.boxes, round(own.missing), _bounds(own.interval))
                for name, own in found.estimate.by_class.items()
            ],
        )
    if found.reviewers:
        table(
            "Reviewers",
            (
                *("reviewer", "images", "review time", "judged", "accepted %", "edited %"),
                *("rejected %", "agreement %", "compared"),
            ),
            _reviewer_rows(found),
        )
    if found.skipped_images:
        say(skipped_line(found.skipped_images))
    if found.was_pushed:
        say(_age_line(found, newer, command("review", folder)))
    if found.up:
        show_next(found.up, folder, workspace.settings().rounds.stop_at)


def _bounds(interval: tuple[float, float] | None) -> str:
    return f"{interval[0]:.0f} to {interval[1]:.0f}" if interval else "-"


def _newer_reviews(workspace: Workspace, found: "WorkspaceStatus") -> bool | None:
    """Check for reviews since the last reading, wherever boxes were pushed.

    Returns:
        None if nothing was pushed, or if the tool did not answer, which is reported.
    """
    from sparsedet.ledger import Ledger
    from sparsedet.loop.reviews import Connections, unread_places

    if not found.was_pushed:
        return None
    settings = workspace.settings() if workspace.settings_file.exists() else None
    with closing(Ledger(workspace.ledger)) as ledger:
        try:
            return bool(unread_places(ledger, Connections(settings), found.reading))
        except ToolError as error:
            say(f"not checked for newer reviews: {error}")
            return None


def _age_line(found: "WorkspaceStatus", newer: bool | None, review: str) -> str:
    """Return how old the outcomes are, in words.

    Args:
        found: the status to show.
        newer: whether there are newer reviews; None if unknown.
        review: the command that reads reviews.
    """
    from sparsedet.loop.last_reading import reviews_as_of

    if found.reading is None:
        age = "it is not known when reviews were last read"
    else:
        age = reviews_as_of(found.reading.at, datetime.now().astimezone())
    if newer is None:
        return f"{age}; to update: {review}"
    if newer:
        return f"{age}; there are newer reviews: {review} reads them"
    return f"{age}; nobody has reviewed since"


def _round_rows(found: "WorkspaceStatus") -> list[tuple[object, ...]]:
    from sparsedet.loop.status import clock

    rows: list[tuple[object, ...]] = [
        (
            _or_dash(entry.round),
            _or_dash(entry.annotations),
            *_figures(entry.outcomes, found.outcomes.sampled),
            clock(entry.seconds),
            _percent(entry.estimate.share if entry.estimate else None),
            "-" if entry.ap50 is None else f"{entry.ap50:.1f}",
        )
        for entry in found.rounds
    ]
    total = _figures(found.outcomes, found.outcomes.sampled)
    return [*rows, ("all", "", *total, clock(found.seconds), "", "")]


def _reviewer_rows(found: "WorkspaceStatus") -> list[tuple[object, ...]]:
    from sparsedet.loop.status import clock

    return [
        (
            entry.name,
            entry.images,
            clock(entry.seconds),
            entry.judged,
            *(_percent(entry.share(name)) for name in ("accepted", "edited", "rejected")),
            _percent(entry.agreement),
            entry.compared,
        )
        for entry in found.reviewers
    ]


def _figures(counts: "OutcomeCounts", sampled: int) -> tuple[object, ...]:
    """Return table cells, with precision in percent; `sampled` as for `shown_outcomes`."""
    outcomes = (getattr(counts, name) for name in shown_outcomes(sampled))
    return counts.total, *outcomes, _percent(counts.precision), counts.drawn


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f}"


def _or_dash(value: int | None) -> int | str:
    return "-" if value is None else value


def _as_json(found: "WorkspaceStatus") -> dict[str, Any]:
    """Return the status as JSON values; precision and agreement are 0 to 1, AP50 0 to 100."""
    return {
        "rounds": [
            {
                "round": entry.round,
                "annotations": entry.annotations,
                **_outcomes_json(entry.outcomes),
                "reviewed_images": entry.reviewed_images,
                "seconds": entry.seconds,
                "AP50": entry.ap50,
                "complete": entry.estimate.share if entry.estimate else None,
                "next_step": entry.next_step,
            }
            for entry in found.rounds
        ],
        "all": {
            **_outcomes_json(found.outcomes),
            "reviewed_images": found.reviewed_images,
            "seconds": found.seconds,
        },
        "estimate": asdict(found.estimate) if found.estimate else None,
        "marks": asdict(found.marks) if found.marks else None,
        "ap_takes": found.ap_takes or None,
        "reviewers": [asdict(entry) for entry in found.reviewers],
        "lots": [
            {
                "lot": lot.id,
                "category": lot.category,
                "boxes": len(lot.boxes),
                "expected": lot.expected,
                "sample": len(lot.sample),
                "wrong": lot.wrong,
                "allowed": lot.allowed,
                "state": lot.state,
            }
            for lot in found.lots
        ],
        "suspicions": asdict(found.suspicions),
        "skipped_images": found.skipped_images,
        "choice": found.choice,
        "ledger_is_lost": found.ledger_is_lost,
        "reviews_read_at": found.reading.at.isoformat() if found.reading else None,
    }


def _outcomes_json(counts: "OutcomeCounts") -> dict[str, Any]:
    return {
        **_flat(counts),
        "by_category": {name: _flat(entry) for name, entry in counts.categories().items()},
    }


def _flat(counts: "OutcomeCounts") -> dict[str, Any]:
    outcomes: dict[str, int] = {name: getattr(counts, name) for name in OUTCOMES}
    return {
        "mined": counts.total,
        **outcomes,
        "precision": counts.precision,
        "drawn": counts.drawn,
    }
