"""`sparsedet simulate`."""

from contextlib import closing
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sparsedet.errors import SparseDetError, ToolError
from sparsedet.loop.workspace import Workspace
from sparsedet.wording import counted

from ..display import progress_bar
from ..options import Json
from ..output import command, echo, emit_json, say

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sparsedet.completeness.budget import Budget
    from sparsedet.ledger import Place
    from sparsedet.scriptable_tool import ScriptableTool
    from sparsedet.simulation import Reviewer, SimulationReport
    from sparsedet.tool import ToolOptions

_REVIEWER = "Reviewer"


def simulate(
    truth: Annotated[
        Path,
        typer.Option(
            "--truth",
            help="The ground truth: complete annotations, a COCO file. Images are matched by file "
            "name, which may have a prefix in the annotation tool.",
        ),
    ],
    folder: Annotated[
        Path, typer.Argument(metavar="WORKSPACE", help="Workspace whose mined boxes to review.")
    ] = Path(),
    neutral: Annotated[
        Path | None,
        typer.Option(
            "--neutral",
            help="Objects that the ground truth lacks, as COCO results: mined boxes that match one "
            "stay pending.",
            rich_help_panel=_REVIEWER,
        ),
    ] = None,
    misses: Annotated[
        float,
        typer.Option(
            "--misses",
            help="Probability that a wrong box is overlooked and kept, 0 to 1.",
            rich_help_panel=_REVIEWER,
        ),
    ] = 0.0,
    wrong_clicks: Annotated[
        float,
        typer.Option(
            "--wrong-clicks",
            help="Probability that a correct box is deleted, 0 to 1.",
            rich_help_panel=_REVIEWER,
        ),
    ] = 0.0,
    jitter: Annotated[
        float,
        typer.Option(
            "--jitter",
            help="Standard deviation of the edges of a corrected or drawn box, as a share of its "
            "width or height, 0 to 0.2.",
            rich_help_panel=_REVIEWER,
        ),
    ] = 0.0,
    draw_share: Annotated[
        float,
        typer.Option(
            "--draw-share",
            help="Probability that an object without a box is noticed and drawn, 0 to 1.",
            rich_help_panel=_REVIEWER,
        ),
    ] = 1.0,
    seconds_per_image: Annotated[
        float,
        typer.Option(
            "--seconds-per-image", help="Seconds to open an image.", rich_help_panel=_REVIEWER
        ),
    ] = 2.0,
    seconds_per_box: Annotated[
        float,
        typer.Option(
            "--seconds-per-box", help="Seconds to look at a mined box.", rich_help_panel=_REVIEWER
        ),
    ] = 0.7,
    seconds_per_action: Annotated[
        float,
        typer.Option(
            "--seconds-per-action",
            help="Seconds to correct or delete a mined box.",
            rich_help_panel=_REVIEWER,
        ),
    ] = 2.5,
    seconds_per_drawn_box: Annotated[
        float,
        typer.Option(
            "--seconds-per-drawn-box",
            help="Seconds to draw a missing box.",
            rich_help_panel=_REVIEWER,
        ),
    ] = 7.0,
    budget: Annotated[
        str | None,
        typer.Option(
            "--budget",
            help="Stop after this much of the reviewer's time (90s, 30min, 1.5h), or after this "
            "many images (200-images). The rest stays open.",
        ),
    ] = None,
    leave: Annotated[
        int, typer.Option("--leave", help="Leave the last N open images to a person.")
    ] = 0,
    seed: Annotated[
        int,
        typer.Option("--seed", help="Seed of the reviewer's mistakes.", rich_help_panel=_REVIEWER),
    ] = 1,
    url: Annotated[
        str | None,
        typer.Option("--url", help="URL of the annotation tool. Default: the one pushed to."),
    ] = None,
    json_output: Json = False,
) -> None:
    """Review mined boxes by script, from complete annotations.

    Shows what rounds would achieve, on data with ground truth. Submits all open reviews in the
    workspace's review projects as a person would, from the API key's account: accepts boxes that
    show an object, corrects inaccurate boxes and wrong classes, deletes other boxes, draws missing
    ones, and marks an image as complete if every object has a box.
    """
    from sparsedet.annotations import read_coco
    from sparsedet.completeness.budget import Budget, parse_budget
    from sparsedet.simulation import Behaviour, Reviewer, read_neutral

    behaviour = Behaviour(
        misses=misses,
        wrong_clicks=wrong_clicks,
        jitter=jitter,
        draw_share=draw_share,
        seconds_per_image=seconds_per_image,
        seconds_per_box=seconds_per_box,
        seconds_per_action=seconds_per_action,
        seconds_per_drawn_box=seconds_per_drawn_box,
    )
    limit = Budget() if budget is None else parse_budget(budget)
    workspace = Workspace(folder)
    places = _review_projects(workspace)
    full = read_coco(truth)
    unlabelled = read_neutral(neutral, full) if neutral else ()
    reviewer = Reviewer(full, unlabelled, behaviour, seed)
    with workspace.lock():
        reports = _play(workspace, places, reviewer, limit, leave, url)
    if json_output:
        emit_json({"review_projects": [_entry(*report) for report in reports]})
        return
    for place, report in reports:
        what = "contact sheet" if place.mode == "sheets" else "image"
        echo(f"review project {place.review_project}: {_described(report, what)}")
    say(f"next: {command('round', folder)}")


def _review_projects(workspace: Workspace) -> "Sequence[Place]":
    """Return where mined boxes were pushed; refuse drafts, which can't be scripted."""
    from sparsedet.ledger import Ledger
    from sparsedet.loop.ledger_rebuild import is_lost

    if is_lost(workspace):
        raise SparseDetError(
            f"{workspace.ledger} is missing or empty although rounds were pushed; "
            f"{command('review', workspace.root)} rebuilds it"
        )
    with closing(Ledger(workspace.ledger, must_exist=True)) as ledger:
        # Boxes accepted by sampling need no review.
        places = [place for place in ledger.places() if place.mode != "sampled"]
    if not places:
        raise SparseDetError(
            f"{workspace.ledger}: nothing has been pushed yet; see `sparsedet push`"
        )
    for place in places:
        if place.mode == "draft":
            raise SparseDetError(
                f"project {place.project}: its mined boxes were pushed as drafts, which only a "
                "person can review; `simulate` needs a workspace with another mode"
            )
    # Sheets are the fastest.
    return sorted(places, key=lambda place: place.mode != "sheets")


def _play(
    workspace: Workspace,
    places: "Sequence[Place]",
    reviewer: "Reviewer",
    budget: "Budget",
    leave: int,
    url: str | None,
) -> "list[tuple[Place, SimulationReport]]":
    from sparsedet.annotations import read_coco
    from sparsedet.simulation import plan_reviews

    pulled = read_coco(workspace.annotations)
    options = workspace.settings().tool_options()
    tools = [_connect(place, url, options) for place in places]
    reports = []
    with progress_bar() as progress:
        for place, tool in zip(places, tools, strict=True):
            planned = plan_reviews(
                tool,
                place.review_project,
                pulled,
                reviewer,
                leave=leave,
                budget=budget.seconds,
                images=budget.images,
            )
            report = planned.submit(progress)
            budget = budget.less(report.seconds, report.reviewed)
            reports.append((place, report))
    return reports


def _connect(place: "Place", url: str | None, options: "ToolOptions") -> "ScriptableTool":
    from sparsedet.plugins import load_integration

    tool: Any = load_integration(place.tool)(
        url or place.url, replace(options, named_url=bool(url))
    )
    if not hasattr(tool, "open_reviews"):
        raise ToolError(
            f"the integration {place.tool!r} does not support scripted reviews: it lacks "
            "open_reviews"
        )
    scriptable: ScriptableTool = tool
    return scriptable


def _entry(place: "Place", report: "SimulationReport") -> dict[str, Any]:
    return {
        "tool": place.tool,
        "url": place.url,
        "project": place.project,
        "review_project": place.review_project,
        **asdict(report),
    }


def _described(report: "SimulationReport", what: str) -> str:
    """Return a summary of what was done."""
    text = (
        f"reviewed {report.reviewed} of {counted(report.images, f'open {what}')} in "
        f"{report.seconds:.0f} s of a reviewer's time; of {counted(report.boxes, 'mined box')} "
        f"{report.accepted} accepted, {report.edited} edited, {report.rejected} rejected"
    )
    if report.unsure:
        text += f", {report.unsure} left undecided"
    drawn = counted(report.drawn, "missing box")
    return f"{text}; {drawn} drawn; {counted(report.complete, 'image')} marked complete"
