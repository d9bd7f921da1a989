"""The command line: makes the crowds, detects, and writes the table."""

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from sparsedet.annotations import Dataset, check_images, read_coco
from sparsedet.atomic_io import write_json, write_text
from sparsedet.config.training_config import read_config
from sparsedet.errors import SparseDetError
from sparsedet.mining.detect import detect
from sparsedet.modeling.checkpoint import build_for_inference
from sparsedet.run_folder import RunFolder, class_ids
from sparsedet.training.engine.train import choose_device
from sparsedet.training.evaluation.average_precision import evaluate

from .recall import recall
from .scenes import crowded, make_crowds

_RESULTS = Path(__file__).parents[1] / "results" / "crowds"
KINDS: Mapping[str, Mapping[str, object]] = {
    "NMS": {"SPARSEDET.SOFT_NMS.ENABLED": False},
    "soft-NMS": {"SPARSEDET.SOFT_NMS.ENABLED": True},
}
_COLUMNS = {
    "crowded": "recall, crowded",
    "others": "others",
    "crowded_when_precise": "recall, crowded, 80 % right",
    "others_when_precise": "others, 80 % right",
    "ap": "AP with crowds",
    "ap50": "AP50",
    "plain_ap": "AP without",
}


def main(description: str | None = None, arguments: Sequence[str] | None = None) -> int:
    """Measure the runs; return the exit code."""
    options = _options(description, arguments)
    try:
        name = options.data.resolve().name
        test, images = read_coco(options.data / "test.json"), options.data / "images"
        check_images(test, images)
        with TemporaryDirectory() as folder:
            crowds = make_crowds(test, images, Path(folder), options.seed)
            rows = [
                _measured(run, kind, (test, images), (crowds, Path(folder)), options.device)
                for run in options.run
                for kind in KINDS
            ]
        found = {
            "data": name,
            "seed": options.seed,
            "images": len(crowds.images),
            "objects": len(crowds.boxes),
            "crowded": len(crowded(crowds)),
            "crowded in the set itself": len(crowded(test)),
            "rows": rows,
        }
        write_json(options.results / f"{name}.json", found, indent=1)
        text = report(found)
        write_text(options.results / f"{name}.md", text)
        print(text)
    except SparseDetError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _options(description: str | None, arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, metavar="DIR")
    parser.add_argument("--run", type=Path, required=True, action="append", metavar="RUN")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda")
    parser.add_argument("--results", type=Path, default=_RESULTS, metavar="DIR")
    return parser.parse_args(arguments)


def _measured(
    folder: Path,
    kind: str,
    test: tuple[Dataset, Path],
    crowds: tuple[Dataset, Path],
    device: str,
) -> dict[str, Any]:
    """Return the figures of a run on both sets, each with its images."""
    run = RunFolder(folder)
    info, config = run.info(), read_config(run.config).with_values(KINDS[kind])
    model = build_for_inference(config.node, run.finished_model(), choose_device(device))

    def found(dataset: Dataset, images: Path) -> list[Any]:
        return list(detect(model, config, dataset.images, images, class_ids(info, dataset)))

    in_crowds = found(*crowds)
    result = evaluate(in_crowds, crowds[0])
    return {
        "run": folder.name,
        "method": info.method,
        "kind": kind,
        **asdict(recall(in_crowds, crowds[0], crowded(crowds[0]))),
        "ap": result.ap,
        "ap50": result.ap50,
        "plain_ap": evaluate(found(*test), test[0]).ap,
    }


def report(found: Mapping[str, Any]) -> str:
    """Return the figures as a Markdown table."""
    lines = [
        f"# Crowds: {found['data']}",
        "",
        f"{found['images']} test images, groups pasted into each (seed {found['seed']}): "
        f"{found['crowded']} of {found['objects']} objects are crowded "
        f"({found['crowded in the set itself']} in the set itself). All figures 0 to 100.",
        "",
        f"| run | | {' | '.join(_COLUMNS.values())} |",
        "|---|---|" + "---|" * len(_COLUMNS),
    ]
    for row in found["rows"]:
        figures = " | ".join(f"{row[name]:.1f}" for name in _COLUMNS)
        lines.append(f"| {row['run']} (`{row['method']}`) | {row['kind']} | {figures} |")
    return "\n".join(lines) + "\n"
