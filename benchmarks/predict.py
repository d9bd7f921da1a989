"""The cost of using a trained detector: against detectron2's own predictor, and exported.

    python benchmarks/predict.py --run RUN --images DIR

Four figures, ratios measured in one process, image by image in turns, so that other load on the
machine affects all alike:

- `Detector.predict` against detectron2's `DefaultPredictor` with the same weights, on arrays;
- ONNX Runtime with the exported file against `Detector.predict`, with the same number of threads;
- the largest differences between exported files (ONNX and TorchScript) and the original;
- the time of `import sparsedet`.

Writes `benchmarks/results/predict/predict.json` and `predict.md`; takes some minutes on two cores.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from detectron2.engine import DefaultPredictor

from sparsedet.atomic_io import write_json, write_text
from sparsedet.config.training_config import read_config
from sparsedet.export.exported import Difference, ExportedDetector, difference
from sparsedet.export.exporting import FORMATS, export_run
from sparsedet.prediction.detector import Detector
from sparsedet.prediction.sources import SourceImage, open_source
from sparsedet.run_folder import RunFolder

RESULTS = Path(__file__).parent / "results" / "predict"
WARM_UP = 3
IMPORTS = 7


def main() -> None:
    """Measure, and write the figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--run", type=Path, required=True, help="run folder of a training")
    parser.add_argument("--images", required=True, help="folder of images")
    parser.add_argument("--count", type=int, default=100, help="images")
    parser.add_argument("--results", type=Path, default=RESULTS)
    options = parser.parse_args()
    run = RunFolder(options.run)
    images = list(islice(open_source([options.images]), options.count))
    ours = Detector.load(run.root, "cpu")
    with tempfile.TemporaryDirectory() as folder:
        exported = {}
        for format in FORMATS:
            suffix = "onnx" if format == "onnx" else "pt"
            export_run(run, Path(folder) / f"model.{suffix}", format)
            exported[format] = ExportedDetector.load(
                Path(folder) / f"model.{suffix}", threads=torch.get_num_threads()
            )
        default = default_predictor(run)
        figures: dict[str, Any] = {
            "images": len(images),
            "threads": torch.get_num_threads(),
            "torch": torch.__version__,
            "against_default_predictor": ratio(
                images,
                lambda image: ours.predict(image.pixels, color_order="BGR"),
                lambda image: default(image.pixels),
            ),
            "onnx_against_ours": ratio(
                images,
                lambda image: exported["onnx"].predict(image.pixels, color_order="BGR"),
                lambda image: ours.predict(image.pixels, color_order="BGR"),
            ),
            "differences": {
                format: asdict(difference(ours, detector, images))
                for format, detector in exported.items()
            },
            "import_milliseconds": import_milliseconds(),
        }
    write_json(options.results / "predict.json", figures, indent=2)
    text = to_markdown(figures)
    write_text(options.results / "predict.md", text)
    print(text)


def default_predictor(run: RunFolder) -> DefaultPredictor:
    """Return detectron2's predictor with a run's weights."""
    cfg = read_config(run.config).node.clone()
    cfg.defrost()
    cfg.MODEL.WEIGHTS = str(run.finished_model())
    cfg.MODEL.DEVICE = "cpu"
    return DefaultPredictor(cfg)


def ratio(
    images: list[SourceImage],
    first: Callable[[SourceImage], object],
    second: Callable[[SourceImage], object],
) -> dict[str, float]:
    """Return the ratio of `first` to `second` in time: median and quartiles over images.

    They alternate, and alternate at being first.
    """
    for image in images[:WARM_UP]:
        first(image)
        second(image)
    shares = []
    for number, image in enumerate(images):
        seconds = {}
        for name in ("first", "second")[:: 1 if number % 2 else -1]:
            start = time.perf_counter()
            (first if name == "first" else second)(image)
            seconds[name] = time.perf_counter() - start
        shares.append(seconds["first"] / seconds["second"])
    low, middle, high = statistics.quantiles(shares, n=4)
    return {"median": round(middle, 3), "low": round(low, 3), "high": round(high, 3)}


def import_milliseconds() -> float:
    """Return the time of `import sparsedet` in a new process, without Python's own start."""
    code = (
        "import time; start = time.perf_counter(); import sparsedet; "
        "print(time.perf_counter() - start)"
    )
    times = [
        float(subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout)
        for _ in range(IMPORTS)
    ]
    return round(1000 * statistics.median(times), 1)


def to_markdown(figures: dict[str, Any]) -> str:
    """Return the figures as a page."""

    def shown(share: dict[str, float]) -> str:
        return f"{share['median']:.2f} ({share['low']:.2f} to {share['high']:.2f})"

    rows = [
        ("time, of detectron2's DefaultPredictor", shown(figures["against_default_predictor"])),
        ("ONNX Runtime's time, of ours", shown(figures["onnx_against_ours"])),
        ("`import sparsedet`", f"{figures['import_milliseconds']} ms"),
    ]
    for format, found in figures["differences"].items():
        apart = Difference(**found)
        rows.append(
            (
                f"{format}: largest difference",
                f"{apart.pixels:.5f} pixels, {apart.scores:.7f} of a score, {apart.unmatched} of "
                f"{apart.detections} detections in one of the two only",
            )
        )
    return "\n".join(
        [
            "# Using a trained detector",
            "",
            f"Made by `benchmarks/predict.py`, on {figures['images']} images with "
            f"{figures['threads']} threads (torch {figures['torch']}, CPU). Ratios are medians "
            "over images, with quartiles.",
            "",
            "| | |",
            "|---|---|",
            *(f"| {name} | {value} |" for name, value in rows),
            "",
        ]
    )


if __name__ == "__main__":
    warnings.filterwarnings("ignore", module=r"torch|detectron2")
    main()
