"""List the files of detectron2 whose functions run in trainings and predictions.

    python -m docs.generate.detectron2_parts [--quick]

Prints the table of `docs/detectron2.md`; with `--quick`, that of the first training alone.
detectron2's compiled module is blocked, as if it were not there: what runs, runs without it.
"""

import importlib
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from inspect import CO_OPTIMIZED
from pathlib import Path
from tempfile import TemporaryDirectory
from types import CodeType, FrameType

from sparsedet.doctor.checks import DETECTRON2_MODULES

COMPILED = "detectron2._C"
SHORT = (
    *("SOLVER.MAX_ITER", "4", "SOLVER.WARMUP_ITERS", "1", "SOLVER.IMS_PER_BATCH", "2"),
    *("INPUT.MIN_SIZE_TRAIN", "120", "INPUT.MAX_SIZE_TRAIN", "160", "DATALOADER.NUM_WORKERS", "0"),
)
Run = tuple[str, str, tuple[str, ...]]
RUNS: tuple[Run, ...] = (
    ("lite0_fpn", "staged", ("SPARSEDET.STAGED.MIN_ITER", "0")),
    ("lite0_fpn", "end-to-end", ()),
    ("r50_fpn", "plain", ("SOLVER.MAX_ITER", "1", "MODEL.WEIGHTS", "")),
)
"""Configuration, method and keys of each training; together they run every part of the model."""


def main() -> None:
    """Train and predict, and print the table."""
    sys.modules[COMPILED] = None  # type: ignore[assignment]  # an import of it raises ImportError
    _import_all()  # first: what imports call is not recorded
    with TemporaryDirectory() as folder, recorded_calls() as codes:
        _train_and_predict(Path(folder), RUNS[:1] if "--quick" in sys.argv else RUNS)
    import detectron2

    root = Path(detectron2.__file__).parent
    functions: dict[str, set[CodeType]] = defaultdict(set)
    for code in codes:
        file = Path(code.co_filename)
        # Without the flag: modules and bodies of classes, which an import runs.
        if file.is_relative_to(root) and code.co_flags & CO_OPTIMIZED:
            functions[str(file.relative_to(root))].add(code)
    imported = [
        Path(module.__file__)
        for name, module in sys.modules.items()
        if name.partition(".")[0] == "detectron2" and getattr(module, "__file__", None)
    ]
    print("| file | its lines | functions that run | their lines |\n|---|---|---|---|")
    for name, found in sorted(functions.items()):
        print(f"| `{name}` | {_lines(root / name)} | {len(found)} | {_span(found)} |")
    total = sum(map(_span, functions.values()))
    print(
        f"\n{len(imported)} files with {sum(map(_lines, imported))} lines are imported; "
        f"functions of {len(functions)} run, with {total} lines."
    )


@contextmanager
def recorded_calls() -> Iterator[set[CodeType]]:
    """Collect the code of every Python function that is called in this thread."""
    codes: set[CodeType] = set()

    def note(frame: FrameType, event: str, _argument: object) -> None:
        if event == "call":
            codes.add(frame.f_code)

    sys.setprofile(note)
    try:
        yield codes
    finally:
        sys.setprofile(None)


def _train_and_predict(folder: Path, runs: Sequence[Run]) -> None:
    import sparsedet
    from sparsedet.annotations import write_coco
    from sparsedet.simulation.scenes import make_scenes

    write_coco(make_scenes(6, folder / "images", seed=1), folder / "train.json")
    picture = next((folder / "images").iterdir())
    for config, method, overrides in runs:
        run = folder / f"{config}-{method}"
        sparsedet.train(
            folder / "train.json",
            run,
            config=config,
            method=method,
            overrides=(*SHORT, *overrides),
            device="cpu",
        )
        sparsedet.load(run, "cpu").predict(picture)


def _import_all() -> None:
    """Import all that trainings and predictions do."""
    for name in (
        "modeling",
        "prediction.detector",
        "training.engine.train",
        "training.engine.stage",
    ):
        importlib.import_module(f"sparsedet.{name}")
    for name in DETECTRON2_MODULES:
        importlib.import_module(name)


def _lines(file: Path) -> int:
    return len(file.read_text(encoding="utf-8").splitlines())


def _span(functions: set[CodeType]) -> int:
    """Return how many lines the functions of a file have together, docstrings included."""
    lines: set[int] = set()
    for code in functions:
        last = max((line for _, _, line in code.co_lines() if line), default=code.co_firstlineno)
        lines.update(range(code.co_firstlineno, last + 1))
    return len(lines)


if __name__ == "__main__":
    main()
