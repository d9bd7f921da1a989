"""Rounds of active annotation on a fully labelled dataset, with and without rejected boxes.

    python benchmarks/rounds.py --data DIR --drop 0.7 --seed 1 --rounds 3

DIR contains `train.json`, `test.json` and `images/`. If it has `unlabelled_train.json` (a COCO
results list of objects that the published labels lack), mined boxes on these stay pending.

A share of the boxes is removed, the rest becomes a project of a real Label Studio, and a scripted
reviewer with the full labels reviews every round. This runs twice from the same start: with
rejected boxes as verified negatives in training, and without. (In both, mining never proposes a
rejected box again.) Prints the table of rounds, and writes it with a picture and the HTML report to
benchmarks/results/rounds. An interrupted call resumes.
"""

import argparse
import warnings
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from sparsedet.annotations import read_coco
from sparsedet.annotations.mined_boxes import read_mined
from sparsedet.atomic_io import read_json, write_json, write_text
from sparsedet.integrations.label_studio import LabelStudioTool
from sparsedet.loop.rounds import Rounds
from sparsedet.loop.settings import Settings, Source, TrainingSettings, ValidationSettings
from sparsedet.loop.workspace import Workspace
from sparsedet.reporting.pictures import before_and_after, write_picture
from sparsedet.reporting.report import write_report
from sparsedet.scriptable_tool import ScriptableTool
from sparsedet.simulation import Behaviour, Reviewer, read_neutral
from sparsedet.simulation.rehearsal import Rehearsal, RehearsedRound
from sparsedet.sparsify import load_recipe, remove_boxes

ARMS = {"with": True, "without": False}
"""Whether training uses rejected boxes."""


def main() -> None:
    """Print the rounds of both arms."""
    # Deprecations inside torch and detectron2 don't affect the figures.
    warnings.filterwarnings("ignore", module=r"torch|detectron2")
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, help="default: artifacts/rounds/<name of DIR>")
    parser.add_argument("--results", type=Path, default=Path("benchmarks/results/rounds"))
    parser.add_argument("--drop", type=float, default=0.7)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--iterations", type=int, default=800, help="of each training")
    options = parser.parse_args()
    name = options.data.resolve().name
    work = options.work or Path("artifacts/rounds") / name
    figures = {}
    with LabelStudioTool.local(work / "label-studio") as local:
        for arm in ARMS:
            figures[arm] = rehearse(arm, work, options, local.tool)
    objects = len(read_coco(options.data / "train.json").boxes)
    text = summary(name, options, objects, figures)
    print(text)
    write_text(options.results / f"{name}.md", text)
    write_json(
        options.results / f"{name}.json",
        {arm: [asdict(figure) for figure in rounds] for arm, rounds in figures.items()},
        indent=1,
    )
    first = Workspace(work / "with").round(1)
    annotations = read_coco(first.annotations)
    picture = before_and_after(
        annotations, read_mined(first.mined, annotations), Workspace(work / "with").images, 3
    )
    write_picture(picture, options.results / f"{name}.jpg")
    write_report(
        Workspace(work / "with"),
        options.results / f"{name}.html",
        title=f"{name}: rounds of active annotation",
        notes=[f"{objects} objects; {options.drop:.0%} of their boxes were removed."],
    )


def rehearse(
    arm: str, work: Path, options: argparse.Namespace, tool: ScriptableTool
) -> Sequence[RehearsedRound]:
    """Run or resume the rounds of one arm."""
    data = options.data.resolve()
    full = read_coco(data / "train.json")
    recipe = load_recipe("random").with_drop(options.drop)
    sparse, _ = remove_boxes(full, recipe, options.seed)
    project = work / f"{arm}-project.json"
    if not project.exists():
        number = tool.set_up_project(f"{data.name}: {arm} rejected boxes", sparse, data / "images")
        write_json(project, {"project": number})
    workspace = Workspace(work / arm)
    workspace.write_settings(
        Settings(
            source=Source(tool="label-studio", url=tool.url, project=read_json(project)["project"]),
            training=TrainingSettings(
                seed=options.seed,
                device="cpu",
                keys={
                    "SOLVER.MAX_ITER": options.iterations,
                    "SPARSEDET.FEEDBACK.REJECTED": ARMS[arm],
                },
            ),
            validation=ValidationSettings(
                data=str(data / "test.json"), images=str(data / "images")
            ),
        )
    )
    unlabelled = data / "unlabelled_train.json"
    neutral = read_neutral(unlabelled, full) if unlabelled.exists() else ()
    # Boxes drawn by people would hide what mining finds.
    reviewer = Reviewer(full, neutral, Behaviour(draw_share=0.0), options.seed)
    with workspace.lock():
        rounds = Rounds(workspace, tool, say=lambda line: print(f"[{arm}] {line}", flush=True))
        return Rehearsal(rounds, tool, full, reviewer).run(options.rounds)


def summary(
    name: str,
    options: argparse.Namespace,
    objects: int,
    figures: dict[str, Sequence[RehearsedRound]],
) -> str:
    """Return the rounds as a Markdown table."""
    lines = [
        f"# {name}: rounds of active annotation",
        "",
        f"{objects} objects, {options.drop:.0%} of their boxes removed, seed {options.seed}, "
        f"{options.iterations} iterations per round; AP on the test images, labels as published.",
        "",
        "| rejected boxes | round | boxes | missing | mined | accepted | edited | rejected "
        "| pending | precision | missing after | AP | AP50 |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for arm, rounds in figures.items():
        for figure in rounds:
            counts = figure.outcomes
            precision = "-" if counts.precision is None else f"{counts.precision:.1%}"
            cells = [
                f"{arm} feedback",
                figure.round,
                figure.annotations,
                figure.missing,
                counts.total,
                counts.accepted,
                counts.edited,
                counts.rejected,
                counts.pending,
                precision,
                figure.missing_after,
                *("-" if value is None else f"{value:.1f}" for value in (figure.ap, figure.ap50)),
            ]
            lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    main()
