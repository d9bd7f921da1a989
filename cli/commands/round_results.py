"""The result of `sparsedet round` in words, and what to do next."""

from pathlib import Path
from typing import TYPE_CHECKING

from sparsedet.wording import counted

from ..output import command, echo, say

if TYPE_CHECKING:
    from sparsedet.loop.round_report import RoundReport


def show_round(result: "RoundReport", folder: Path, stop_at: float) -> None:
    """Print how a round ended, the next step, and how complete the annotations are.

    Args:
        result: the result of the round.
        folder: the workspace.
        stop_at: share of the objects that should have a box, 0 to 1.
    """
    show_next(result, folder, stop_at)
    if result.estimate:
        echo(result.estimate)
    if result.suspicions:
        echo(result.suspicions)


def show_next(result: "RoundReport", folder: Path, stop_at: float) -> None:
    """Print how a round ended, or how far its reviews are, and the next step."""
    again = command("round", folder)
    sheets = f", some on contact sheets at {result.sheets_url}" if result.sheets_url else ""
    if result.state == "held":
        echo(f"round {result.round}: its boxes were not pushed: {result.reason}")
        say(
            f"train longer (--iterations, or SOLVER.MAX_ITER under [training.keys] in "
            f"sparsedet.toml) or label more images, then run: {again} --restart; to push them "
            f"anyway: {again} --push-anyway"
        )
    elif result.state == "finished":
        nothing = "nothing is left to review, and " if result.nothing_up else ""
        echo(
            f"round {result.round}: finished: {nothing}at least {stop_at:.0%} of the objects "
            "have a box, as [rounds] stop_at requires"
        )
        say(f"to write the reviews into the project: {command('review', folder)} --merge")
        say(f"to look for the rest anyway: {again} --next")
    elif result.nothing_up:
        echo(
            f"round {result.round}: nothing is left to review: no image is expected to be worth "
            "opening"
        )
        say(
            f"train longer (--iterations), label more images or raise --budget, then run: "
            f"{again} --next"
        )
        say(f"to stop here, and write the reviews: {command('review', folder)} --merge")
    elif result.state == "waiting":
        echo(
            f"round {result.round}: {result.reviewed} of {counted(result.images, 'image')} "
            f"reviewed since the last push, at {result.url}{sheets}"
        )
        if result.reviewed < result.images:
            say(f"next: review there, then: {again} (--next starts the next round anyway)")
        else:
            say(f"next: {again}")
    else:
        older = result.up_for_review - result.mined
        if result.up_for_review:
            echo(
                f"round {result.round}: {counted(result.up_for_review, 'mined box')}"
                + (f" ({older} of them from earlier rounds)" if older > 0 else "")
                + f" on {counted(result.images, 'image')} "
                + f"{'is' if result.up_for_review == 1 else 'are'} up for review at {result.url}"
                + sheets
            )
        else:
            echo(
                f"round {result.round}: no box is certain enough to show; "
                f"{counted(result.images, 'image to draw on is', 'images to draw on are')} up for "
                f"review at {result.url}"
            )
        where = "only on images without mined boxes" if result.sure_only else "what is missing"
        say(f"next: review them there, draw {where} and mark images as complete, then: {again}")
