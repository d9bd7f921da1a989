"""Our loop, in files: rounds with an image budget, reviewed by the scripted reviewer."""

import math
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from sparsedet.annotations import Dataset, read_coco
from sparsedet.atomic_io import atomic_folder, read_json, write_json
from sparsedet.completeness.budget import Budget
from sparsedet.integrations.files import FilesTool
from sparsedet.loop.round_report import review_projects
from sparsedet.loop.rounds import Rounds
from sparsedet.loop.settings import (
    AcceptSettings,
    ReviewMode,
    ReviewSettings,
    RoundSettings,
    Settings,
    Source,
    TrainingSettings,
)
from sparsedet.loop.workspace import Workspace
from sparsedet.reviews import ReviewedRegion
from sparsedet.seeds import stable_rank
from sparsedet.sheets import Sheet
from sparsedet.simulation.play import annotated_regions, reviewed
from sparsedet.simulation.truth import TrueObject, true_objects

from .curves import Curve, count_wrong, regions_of, shown_objects
from .figures import write_figures
from .setting import Setting

Plan = Sequence[tuple[float, float]]
"""For each round: share of the images in its queue, and `rounds.stop_at`."""
NO_SAMPLES = AcceptSettings()
"""Every box is reviewed."""
ROUNDS: Plan = ((0.2, 0.95), (0.25, 0.95), (0.55, 0.95), (1.0, 0.99))
"""The first model has seen least. The last round extends the curve beyond the default goal."""
WITHOUT_BUDGETS: Plan = ((1.0, 0.95), (1.0, 0.95), (1.0, 0.95), (1.0, 0.99))
"""As rounds are by default, but for the last goal."""


def loop(
    setting: Setting,
    arm: str,
    figures: Path,
    say: Callable[[str], None],
    plan: Plan = ROUNDS,
    mode: ReviewMode = "review-project",
    accept: AcceptSettings = NO_SAMPLES,
    sure_first: bool = False,
) -> Curve:
    """Run rounds until nearly everything has a box; images are opened in queue order.

    Args:
        setting: the common start of all arms.
        arm: `ours`, or `random` for the same images in random order.
        figures: the folder for the rounds' predictions.
        say: receives the loop's messages.
        plan: the rounds.
        mode: how boxes are reviewed.
        accept: which boxes are accepted by sample.
        sure_first: whether rounds show only sure boxes as long as these bring enough.
    """
    root = setting.work / arm
    root.mkdir(parents=True, exist_ok=True)
    tool = FilesTool(str(root))
    project = root / "project.json"
    if not project.exists():
        name = tool.set_up_project("value", setting.sparse, setting.images)
        write_json(project, {"name": name})
    workspace = Workspace(root / "workspace")
    source = Source(tool="files", url=str(root), project=read_json(project)["name"])
    training = TrainingSettings(
        seed=setting.seed, device="cpu", keys={"SOLVER.MAX_ITER": setting.iterations}
    )
    curve = setting.curve(arm)
    with workspace.lock():
        share_first_run(setting, workspace)
        for number, (share, goal) in enumerate(plan, start=1):
            goals = RoundSettings(stop_at=goal)
            workspace.write_settings(
                Settings(
                    source=source,
                    rounds=goals,
                    training=training,
                    review=ReviewSettings(mode=mode, accept=accept, sure_first=sure_first),
                )
            )
            rounds = Rounds(workspace, tool, say=say)
            folder = workspace.round(number)
            budget = Budget(images=math.ceil(share * len(setting.sparse.images)))
            if not folder.push.exists():
                rounds.advance(force=True, push_anyway=True, budget=budget)
            _review(setting, rounds, tool, number, arm, root / f"events-{number}.json")
            for event in read_json(root / f"events-{number}.json"):
                curve.add(event["seconds"], event["found"])
            name = f"{setting.name}-{setting.drop:g}-s{setting.seed}-{arm}-r{number}.json"
            write_figures(setting, folder, curve.found[-1], figures / name)
            say(f"round {number}: {read_json(folder.estimate)['text']}")
            say(f"round {number}: {curve.found[-1]} of {curve.objects} after {curve.seconds[-1]} s")
        curve.got_in, curve.wrong = count_wrong(
            setting.sparse,
            read_coco(workspace.annotations),
            setting.objects,
            true_objects(setting.full.with_boxes(setting.neutral)),
        )
    return curve


def share_first_run(setting: Setting, workspace: Workspace) -> None:
    """Copy the first training from another arm that has it: arms differ only after reviews."""
    own = workspace.round(1)
    if own.root.exists():
        return
    for other in sorted(setting.work.glob("*/workspace")):
        folder = Workspace(other).round(1)
        if folder.mined.exists():
            with atomic_folder(own.run.root) as temporary:
                shutil.copytree(folder.run.root, temporary, dirs_exist_ok=True)
            return


def _review(
    setting: Setting, rounds: Rounds, tool: FilesTool, number: int, arm: str, log: Path
) -> None:
    """Review open images, recording each one's time and gain."""
    folder = rounds.workspace.round(number)
    if log.exists():
        return
    pulled = read_coco(folder.annotations)
    names = {image.tool_id or "": image.file_name for image in pulled.images}
    queued = {entry["image_tool_id"] for entry in read_json(folder.push).get("queue", ())}
    people = annotated_regions(pulled)
    objects = setting.objects
    events: list[dict[str, Any]] = []
    waiting = [
        shown
        for place in reversed(review_projects(folder))  # contact sheets come first
        for shown in tool.open_reviews(place)
        # Nobody has asked for more than the budget.
        if shown.sheet is not None or shown.tool_id in queued
    ]
    if arm == "random":
        waiting.sort(key=lambda shown: stable_rank(setting.seed, "order", shown.tool_id))
    for shown in waiting:
        done = reviewed(shown, setting.reviewer, names, people)
        if shown.sheet is None:
            truth = objects[names[shown.tool_id]]
            own = [region for region in shown.regions if region.region_id not in shown.scores]
            found = shown_objects(done.regions, truth) - shown_objects(own, truth)
        else:
            found = _found_on(shown.sheet, done.regions, objects, names, people)
        shown.submit(done.regions, seconds=done.seconds, complete=done.complete)
        events.append(
            {
                "image": names.get(shown.tool_id, shown.tool_id),
                "seconds": done.seconds,
                "found": found,
                "shown": len(shown.scores),
                "accepted": done.accepted,
                "drawn": done.drawn,
                "complete": done.complete,
            }
        )
        if shown.sheet is not None:
            _add(people, shown.sheet, done.regions)
    rounds.collect(folder)
    annotations = read_coco(rounds.refresh())
    if rounds.settings.review.accept.is_on:
        reviewed_now = sum(event["found"] for event in events)
        brought = _count(setting, annotations) - _count(setting, pulled) - reviewed_now
        events.append({"image": "lots", "seconds": 0.0, "found": brought})
    write_json(log, events, indent=1)


def _count(setting: Setting, dataset: Dataset) -> int:
    """Return how many objects have a box."""
    return sum(
        shown_objects(regions_of(dataset, image.id), setting.objects[image.file_name])
        for image in dataset.images
    )


def _found_on(
    sheet: Sheet,
    regions: Sequence[ReviewedRegion],
    objects: Mapping[str, Sequence[TrueObject]],
    names: Mapping[str, str],
    people: Mapping[str, Sequence[ReviewedRegion]],
) -> int:
    """Count the objects that got a box from a sheet."""
    found = 0
    for tool_id, boxes in _on_images(sheet, regions).items():
        truth, own = objects[names[tool_id]], people.get(tool_id, ())
        found += shown_objects([*own, *boxes], truth) - shown_objects(own, truth)
    return found


def _add(
    people: dict[str, list[ReviewedRegion]], sheet: Sheet, regions: Sequence[ReviewedRegion]
) -> None:
    """Add a sheet's boxes to those of the images."""
    for tool_id, boxes in _on_images(sheet, regions).items():
        people.setdefault(tool_id, []).extend(boxes)


def _on_images(
    sheet: Sheet, regions: Sequence[ReviewedRegion]
) -> Mapping[str, list[ReviewedRegion]]:
    """Return the boxes decided on a sheet, by image."""
    found: dict[str, list[ReviewedRegion]] = {}
    for region in regions:
        crop = sheet.by_region[region.region_id]
        if not region.unsure:
            on_image = replace(region, xyxy=crop.to_image(region.xyxy))
            found.setdefault(crop.tool_id, []).append(on_image)
    return found
