"""The command line of the value benchmark."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from sparsedet.errors import SparseDetError
from sparsedet.loop.settings import AcceptSettings

from .arms import by_hand, cleanlab, plain, plain_detections
from .curves import Curve
from .former_arm import former
from .loop_arm import WITHOUT_BUDGETS, loop
from .report import ARMS, write_results
from .setting import Setting, make_setting

_RESULTS = Path(__file__).parents[1] / "results" / "value"


def main(description: str) -> None:
    """Compute missing curves, then the table and the picture."""
    parser = argparse.ArgumentParser(description=description.splitlines()[0])
    parser.add_argument("--data", required=True, help="a folder, digits or digit")
    parser.add_argument("--drop", type=float, default=0.7)
    parser.add_argument("--recipe", default="random", help="what removes boxes")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--iterations", type=int, default=800, help="of each training")
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=list(ARMS))
    parser.add_argument("--work", type=Path, default=Path("artifacts/value"))
    parser.add_argument("--results", type=Path, default=_RESULTS)
    options = parser.parse_args()
    try:
        setting = make_setting(
            options.data,
            options.work,
            drop=options.drop,
            seed=options.seed,
            iterations=options.iterations,
            recipe=options.recipe,
        )
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
        "auto": lambda: loop(setting, "auto", figures, say, mode="auto"),
        "sure-first": lambda: loop(
            setting,
            "sure-first",
            figures,
            say,
            plan=WITHOUT_BUDGETS,
            mode="auto",
            sure_first=True,
        ),
        "sure-first-sample": lambda: loop(
            setting,
            "sure-first-sample",
            figures,
            say,
            plan=WITHOUT_BUDGETS,
            mode="auto",
            accept=AcceptSettings(precision=0.98, confidence=0.95),
            sure_first=True,
        ),
        "auto-sample": lambda: loop(
            setting,
            "auto-sample",
            figures,
            say,
            mode="auto",
            accept=AcceptSettings(precision=0.98, confidence=0.95),
        ),
        "sheets": lambda: loop(setting, "sheets", figures, say, mode="sheets"),
    }
    makers[arm]().write(curves)
    say("done")
