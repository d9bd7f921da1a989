"""Our loop, in files: rounds with a budget of images, reviewed by the scripted reviewer."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from sparsedet.annotations import read_coco
from sparsedet.atomic_io import read_json, write_json
from sparsedet.completeness.budget import Budget
from sparsedet.integrations.files import FilesTool
from sparsedet.loop.rounds import Rounds
from sparsedet.loop.settings import (
    RoundSettings,
    Settings,
    Source,
    TrainingSettings,
)
from sparsedet.loop.workspace import Workspace
from sparsedet.seeds import stable_rank

from .curves import Curve, shown_objects
from .figures import write_figures
from .setting import Setting

Plan = Sequence[tuple[float, float]]
"""Of each round: share of the images in its queue, and `rounds.stop_at`."""
ROUNDS: Plan = ((0.2, 0.95), (0.25, 0.95), (0.55, 0.95), (1.0, 0.99))
"""The first model has seen least. The last round is for the curve beyond the default goal."""


def loop(
    setting: Setting,
    arm: str,
    figures: Path,
    say: Callable[[str], None],
    plan: Plan = ROUNDS,
) -> Curve:
    """Run rounds until nearly everything has a box; images are opened in the order of the queue.

    Args:
        setting: what the arms start from.
        arm: `ours`, or `random` for the same images in random order.
        figures: the folder for what rounds promised.
        say: receives the loop's messages.
        plan: the rounds.
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
        for number, (share, goal) in enumerate(plan, start=1):
            goals = RoundSettings(stop_at=goal)
            workspace.write_settings(Settings(source=source, rounds=goals, training=training))
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
    return curve


def _review(
    setting: Setting, rounds: Rounds, tool: FilesTool, number: int, arm: str, log: Path
) -> None:
    """Review what is open, writing down what each image took and brought."""
    folder = rounds.workspace.round(number)
    if log.exists():
        return
    pulled = read_coco(folder.annotations)
    names = {image.tool_id: image.file_name for image in pulled.images}
    objects = setting.objects
    events: list[dict[str, Any]] = []
    record = read_json(folder.push)
    waiting = list(tool.open_reviews(record["review_project"])) if record["images"] else []
    if arm == "random":
        waiting.sort(key=lambda shown: stable_rank(setting.seed, "order", shown.tool_id))
    for shown in waiting:
        name = names[shown.tool_id]
        done = setting.reviewer.review(
            name, shown.regions, shown.scores, judge_only=shown.judge_only
        )
        truth = objects[name]
        own = [region for region in shown.regions if region.region_id not in shown.scores]
        shown.submit(done.regions, seconds=done.seconds, complete=done.complete)
        events.append(
            {
                "image": name,
                "seconds": done.seconds,
                "found": shown_objects(done.regions, truth) - shown_objects(own, truth),
                "shown": len(shown.scores),
                "accepted": done.accepted,
                "drawn": done.drawn,
                "complete": done.complete,
            }
        )
    rounds.collect(folder)
    rounds.refresh()
    write_json(log, events, indent=1)
