"""A first look at a fully labelled dataset: what sparse labels cost, and what mining brings back.

    python benchmarks/first_look.py --data DIR

DIR holds `train.json`, `test.json` and `images/`; `unlabelled_train.json` (a COCO results list), if
there, names objects that the published labels lack, which a mined box may rightly match.

Trains the default configuration with one seed: plain on all labels, then plain, staged and
end-to-end on half of them; prints AP and AP50 on the test images, and how many of the removed boxes
mining finds. An interrupted run goes on where it stopped.
"""

import argparse
import json
import sys
import time
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sparsedet.annotations import Dataset, read_coco, write_coco
from sparsedet.files import write_json
from sparsedet.mining.matching import iou_matrix, match
from sparsedet.mining.mine import mine
from sparsedet.mining.mined import MinedBox
from sparsedet.run_folder import RunFolder
from sparsedet.sparsify import load_recipe, remove_boxes
from sparsedet.training.evaluation import evaluate_run
from sparsedet.training.settings import load_config, read_config
from sparsedet.training.stage import StageProgress
from sparsedet.training.train import Listeners, run_training, start_run

MATCH_IOU = 0.5
SETTINGS = [("all", "plain"), ("half", "plain"), ("half", "staged"), ("half", "end-to-end")]


@dataclass(frozen=True)
class MiningScore:
    """How mined boxes compare with what is known to be missing."""

    removed: int
    mined: int
    found: int
    """Removed boxes that a mined box matches (class and IoU 0.5, one to one)."""
    unlabelled: int
    """Mined boxes that match an object which the published labels lack."""
    same_place: int
    """Mined boxes on a removed box whatever the class: the difference are wrong classes."""

    def line(self) -> str:
        """Return the score as a sentence."""
        false = self.mined - self.found - self.unlabelled
        return (
            f"mined {self.mined}: found {self.found} of {self.removed} removed boxes "
            f"({100 * self.found / max(self.removed, 1):.1f} %); {self.unlabelled} more on "
            f"unlabelled objects; false {false} ({100 * false / max(self.mined, 1):.1f} %); "
            f"on a removed box whatever the class {self.same_place}"
        )


def main() -> None:
    """Print the figures of one dataset."""
    # Deprecations inside torch and detectron2 say nothing about the figures.
    warnings.filterwarnings("ignore", module=r"torch|detectron2")
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, help="default: artifacts/first_look/<name of DIR>")
    parser.add_argument("--iterations", type=int, default=800, help="of each training")
    parser.add_argument("--drop", type=float, default=0.5)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    work = options.work or Path("artifacts/first_look") / options.data.resolve().name
    full = read_coco(options.data / "train.json")
    test = read_coco(options.data / "test.json")
    half, removed = remove_boxes(full, load_recipe("random").with_drop(options.drop), options.seed)
    write_coco(full, work / "all.json")
    write_coco(half, work / "half.json")
    print(
        f"{options.data.resolve().name}: {len(full.images)} training images, {len(full.boxes)} "
        f"boxes, {len(removed.boxes)} removed; {len(test.images)} test images; "
        f"{options.iterations} iterations each, seed {options.seed}"
    )
    figures: dict[str, Any] = {}
    for labels, method in SETTINGS:
        run = RunFolder(work / f"{labels}-{method}")
        seconds = train(run, work / f"{labels}.json", options, method)
        result = evaluate_run(
            run, read_config(run.config), test, options.data / "images", device="cpu"
        )
        figures[f"{method} on {labels}"] = result.as_json()
        print(
            f"{method:>10} on {labels:<4}  AP {result.ap:5.1f}  AP50 {result.ap50:5.1f}"
            f"  ({seconds:.0f} s)",
            flush=True,
        )
    score = score_mining(RunFolder(work / "half-staged"), half, removed, options.data)
    figures["mining"] = vars(score)
    print(score.line())
    write_json(work / "figures.json", figures, indent=2)


def train(run: RunFolder, labels: Path, options: argparse.Namespace, method: str) -> float:
    """Train, or go on with, one run; return the seconds that this call took."""
    start = time.monotonic()
    if not run.info_file.exists():
        cfg = load_config("lite0_fpn", ["SOLVER.MAX_ITER", str(options.iterations)])
        start_run(
            cfg,
            run,
            read_coco(labels),
            options.data / "images",
            source=labels,
            method=method,
            seed=options.seed,
            device="cpu",
        )
    run_training(run, listeners=Listeners(on_progress=show))
    return time.monotonic() - start


def show(progress: StageProgress) -> None:
    if sys.stderr.isatty():
        loss = progress.losses["total_loss"]
        end = "\n" if progress.iteration == progress.iterations else "\r"
        print(
            f"{progress.stage} {progress.iteration}/{progress.iterations} loss {loss:.3f} ",
            end=end,
            file=sys.stderr,
        )


def score_mining(run: RunFolder, sparse: Dataset, removed: Dataset, data: Path) -> MiningScore:
    """Mine the training images and compare with the removed and the unlabelled boxes."""
    result = mine(run, read_config(run.config), sparse, data / "images", device="cpu")
    truth = [(box.image_id, box.category_id, box.xyxy) for box in removed.boxes]
    unlabelled_file = data / "unlabelled_train.json"
    unlabelled = []
    if unlabelled_file.exists():
        for entry in json.loads(unlabelled_file.read_text()):
            x, y, width, height = entry["bbox"]
            box = (x, y, x + width, y + height)
            unlabelled.append((entry["image_id"], entry["category_id"], box))
    mined = sorted(result.mined, key=lambda box: -box.score)
    found = matched(mined, truth)
    rest = [box for box, hit in zip(mined, found, strict=True) if not hit]
    return MiningScore(
        removed=len(truth),
        mined=len(mined),
        found=int(found.sum()),
        unlabelled=int(matched(rest, unlabelled).sum()),
        same_place=int(matched(mined, truth, any_class=True).sum()),
    )


def matched(mined: list[MinedBox], others: list[Any], *, any_class: bool = False) -> Any:
    """Return which mined boxes match one of `others` (image, category, XYXY), one to one."""
    hits = np.zeros(len(mined), dtype=bool)
    groups: dict[Any, tuple[list[int], list[Any]]] = {}
    for index, box in enumerate(mined):
        key = (box.image_id, 0 if any_class else box.category_id)
        groups.setdefault(key, ([], []))[0].append(index)
    for image_id, category_id, xyxy in others:
        key = (image_id, 0 if any_class else category_id)
        if key in groups:
            groups[key][1].append(xyxy)
    for rows, boxes in groups.values():
        overlap = iou_matrix([mined[row].xyxy for row in rows], boxes)
        hits[rows] = match(overlap, MATCH_IOU) >= 0
    return hits


if __name__ == "__main__":
    main()
