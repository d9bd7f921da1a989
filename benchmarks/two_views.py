"""The gain of inference with two views, as published, over one view, on an end-to-end run.

    python benchmarks/two_views.py RUN --data DIR

RUN is the folder of a finished training with the method `end-to-end`; DIR contains `test.json` (a
COCO file) and `images/`. The model detects on the test images

- with one view, as sparsedet does: the original view's features are used for both halves of the
  common RPN's input;
- with two views, as published: the second half has the features of a jittered copy of the image,
  with a new jitter for every image and draw. Nothing is erased, as there are no labels to choose a
  box from. The ROI heads see the original view.

Prints AP, AP50 and the seconds per image of both, without decoding, and writes them to
`benchmarks/results/speed/two_views.json` and `two_views.md`.
"""

import argparse
import sys
import time
import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sparsedet.annotations import Dataset, read_coco
from sparsedet.atomic_io import write_json, write_text
from sparsedet.config.training_config import TrainingConfig, read_config
from sparsedet.errors import SparseDetError
from sparsedet.mining.detect import detect
from sparsedet.modeling import SparseDetRCNN
from sparsedet.modeling.checkpoint import build_for_inference
from sparsedet.modeling.inputs import to_tensor
from sparsedet.run_folder import RunFolder, class_ids
from sparsedet.training.augmentation.color_jitter import draw_augmented_view
from sparsedet.training.evaluation.average_precision import evaluate

RESULTS = Path(__file__).parent / "results" / "speed"


@dataclass(frozen=True)
class Figures:
    """The result of one pass over the test images."""

    ap: float
    ap50: float
    seconds: float
    """Per image."""


class Timed(nn.Module):
    """A model that sums the seconds of its calls."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self.seconds = 0.0

    def forward(self, inputs: list[dict[str, Any]]) -> Any:
        """Detect as the model does."""
        start = time.perf_counter()
        detections = self.model(inputs)
        self.seconds += time.perf_counter() - start
        return detections


class TwoViews(nn.Module):
    """SparseDet's published inference, for one image at a time."""

    def __init__(self, model: SparseDetRCNN, config: TrainingConfig, seed: int) -> None:
        super().__init__()
        self.model = model
        self.colour_order = config.input.format
        self.view = config.augmented_view
        self.rng = np.random.default_rng(seed)

    def forward(self, inputs: list[dict[str, Any]]) -> Any:
        """Return what detectron2's models return for one input."""
        (item,) = inputs
        model = self.model
        both = model.preprocess_image([item, {"image": self._jittered(item["image"])}])
        features: dict[str, Tensor] = model.backbone(both.tensor)
        common = {name: torch.cat([maps[:1], maps[1:]], dim=1) for name, maps in features.items()}
        original = {name: maps[:1] for name, maps in features.items()}
        image = model.preprocess_image([item])
        proposals, _ = model.proposal_generator(image, common, None)
        detections, _ = model.roi_heads(image, original, proposals, None)
        return model._postprocess(detections, inputs, image.image_sizes)

    def _jittered(self, image: Tensor) -> Tensor:
        planes = image.flip(0) if self.colour_order == "RGB" else image
        pixels = np.ascontiguousarray(planes.permute(1, 2, 0).numpy())
        no_labels = np.zeros((0, 4), dtype=np.float32)
        view = draw_augmented_view(no_labels, self.view, self.rng)
        return to_tensor(view.apply_image(pixels), self.colour_order)


def figures(
    model: nn.Module, config: TrainingConfig, test: Dataset, images: Path, ids: Sequence[int]
) -> Figures:
    """Detect on the test images and evaluate."""
    timed = Timed(model)
    result = evaluate(list(detect(timed, config, test.images, images, ids)), test)
    return Figures(result.ap, result.ap50, timed.seconds / len(test.images))


def report(one: Figures, two: Sequence[Figures], title: str) -> str:
    """Return the figures as a Markdown table."""
    seconds = mean(draw.seconds for draw in two)
    lines = [
        f"# {title}",
        "",
        "| | AP | AP50 | ms per image |",
        "|---|---|---|---|",
        f"| one view | {one.ap:.2f} | {one.ap50:.2f} | {1000 * one.seconds:.1f} |",
        f"| two views, mean of {len(two)} draws | {_spread([draw.ap for draw in two])} "
        f"| {_spread([draw.ap50 for draw in two])} | {1000 * seconds:.1f} |",
    ]
    return "\n".join(lines) + "\n"


def _spread(values: Sequence[float]) -> str:
    """Return mean and standard deviation."""
    return f"{mean(values):.2f} ± {stdev(values):.2f}"


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the figures of one run."""
    # Deprecations inside torch and detectron2 don't affect the figures.
    warnings.filterwarnings("ignore", module=r"torch|detectron2")
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path, metavar="RUN")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--draws", type=int, default=3)
    parser.add_argument("--results", type=Path, default=RESULTS)
    options = parser.parse_args(arguments)
    try:
        compare(options)
    except SparseDetError as error:
        sys.exit(f"error: {error}")


def compare(options: argparse.Namespace) -> None:
    """Evaluate with one view, then with two.

    Raises:
        SparseDetError: when the run is of another method or not finished, or the data are missing.
    """
    if options.draws < 2:
        raise SparseDetError(f"--draws {options.draws}: a spread takes at least 2")
    run = RunFolder(options.run)
    info = run.info()
    if info.method != "end-to-end":
        raise SparseDetError(f"{options.run}: trained by {info.method}; only end-to-end has views")
    config = read_config(run.config)
    test, images = read_coco(options.data / "test.json"), options.data / "images"
    ids = class_ids(info, test)
    model = build_for_inference(config.node, run.finished_model(), "cpu")
    assert isinstance(model, SparseDetRCNN)
    # The first images take longer.
    list(detect(model, config, test.images[:3], images, ids))
    one = figures(model, config, test, images, ids)
    two = [
        figures(TwoViews(model, config, seed), config, test, images, ids)
        for seed in range(1, options.draws + 1)
    ]
    name = options.data.resolve().name
    text = report(
        one, two, f"{name}: {len(test.images)} test images, {torch.get_num_threads()} threads"
    )
    print(text)
    write_text(options.results / "two_views.md", text)
    found = {"data": name, "run": info.run_id, "one view": asdict(one)}
    found["two views"] = [asdict(draw) for draw in two]
    write_json(options.results / "two_views.json", found, indent=1)


if __name__ == "__main__":
    main()
