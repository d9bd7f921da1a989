"""The command line of the value benchmark."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from sparsedet.annotations import read_coco
from sparsedet.errors import SparseDetError
from sparsedet.simulation import Behaviour, Reviewer, read_neutral
from sparsedet.simulation.scenes import make_scenes
from sparsedet.sparsify import load_recipe, remove_boxes

from .arms import Setting, by_hand, cleanlab, plain, plain_detections
from .curves import Curve
from .former_arm import former
from .loop_arm import loop
from .report import ARMS, write_results

_RESULTS = Path(__file__).parents[1] / "results" / "value"
_SCENES = 100


def main(description: str) -> None:
    """Make the curves that are missing, then the table and the picture."""
    parser = argparse.ArgumentParser(description=description.splitlines()[0])
    parser.add_argument("--data", required=True, help="a folder, or digits")
    parser.add_argument("--drop", type=float, default=0.7)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--iterations", type=int, default=800, help="of each training")
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=list(ARMS))
    parser.add_argument("--work", type=Path, default=Path("artifacts/value"))
    parser.add_argument("--results", type=Path, default=_RESULTS)
    options = parser.parse_args()
    try:
        setting = _setting(options)
        for arm in options.arms:
            _make(arm, setting, options.results)
    except SparseDetError as error:
        sys.exit(f"error: {error}")
    files = sorted((options.results / "curves").glob("*.json"))
    print(write_results([Curve.read(file) for file in files], options.results))


def _make(arm: str, setting: Setting, results: Path) -> None:
    curves, figures = results / "curves", results / "figures"
    path = Curve.path(curves, setting.name, setting.drop, setting.seed, arm)
    if path.exists():
        return

    def say(line: str) -> None:
        print(f"[{setting.name} s{setting.seed} {arm}] {line}", flush=True)

    makers: dict[str, Callable[[], Curve]] = {
        "hand": lambda: by_hand(setting),
        "plain": lambda: plain(setting, plain_detections(setting, say)),
        "cleanlab": lambda: cleanlab(setting, plain_detections(setting, say)),
        "former": lambda: former(setting, say),
        "random": lambda: loop(setting, "random", figures, say),
        "ours": lambda: loop(setting, "ours", figures, say),
    }
    makers[arm]().write(curves)
    say("done")


def _setting(options: argparse.Namespace) -> Setting:
    if options.data == "digits":
        images = options.work / "digits-scenes"
        full, name, neutral = make_scenes(_SCENES, images, seed=1), "digits", ()
    else:
        folder = Path(options.data)
        full, name, images = (
            read_coco(folder / "train.json"),
            folder.resolve().name,
            folder / "images",
        )
        unlabelled = folder / "unlabelled_train.json"
        neutral = read_neutral(unlabelled, full) if unlabelled.exists() else ()
    sparse, _ = remove_boxes(full, load_recipe("random").with_drop(options.drop), options.seed)
    return Setting(
        name=name,
        full=full,
        sparse=sparse,
        images=images.resolve(),
        neutral=neutral,
        drop=options.drop,
        seed=options.seed,
        iterations=options.iterations,
        work=(options.work / f"{name}-{options.drop:g}-s{options.seed}").resolve(),
        reviewer=Reviewer(full, neutral, Behaviour(), options.seed),
    )
