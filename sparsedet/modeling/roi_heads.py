"""ROI heads for images whose labels are not all there, with the parts that two views need."""

from collections.abc import Sequence
from typing import Any

import torch
from detectron2.config import CfgNode, configurable
from detectron2.layers import ShapeSpec
from detectron2.modeling.roi_heads import ROI_HEADS_REGISTRY, StandardROIHeads
from detectron2.structures import Boxes, Instances
from torch import Tensor

from sparsedet.modeling.certain_negatives import append_certain_negatives, certain_negatives
from sparsedet.modeling.output_layers import NO_VERDICT, SparseOutputLayers
from sparsedet.modeling.targets import overlaps, split_targets


@ROI_HEADS_REGISTRY.register()
class SparseROIHeads(StandardROIHeads):
    """detectron2's ROI heads, except that

    - proposals on boxes to ignore are never sampled as background;
    - rejected boxes are certain negatives of every step, beside the sample;
    - proposals of an image that nobody annotated are without a verdict;
    - detections carry `object_scores`;
    - pooling can be called apart, for training on two views.
    """

    @configurable
    def __init__(self, *, ignore_iou: float = 0.3, max_negatives: int = 16, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.ignore_iou = ignore_iou
        self.max_negatives = max_negatives
        self._foreground_iou = self.proposal_matcher.thresholds[1]

    @classmethod
    def from_config(cls, cfg: CfgNode, input_shape: dict[str, ShapeSpec]) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {
            **super().from_config(cfg, input_shape),
            "ignore_iou": cfg.SPARSEDET.STAGED.IGNORE_IOU,
            "max_negatives": cfg.SPARSEDET.FEEDBACK.MAX_NEGATIVES,
        }

    @classmethod
    def _init_box_head(cls, cfg: CfgNode, input_shape: dict[str, ShapeSpec]) -> dict[str, Any]:
        parts: dict[str, Any] = super()._init_box_head(cfg, input_shape)
        parts["box_predictor"] = SparseOutputLayers(cfg, parts["box_head"].output_shape)
        return parts

    @torch.no_grad()
    def label_and_sample_proposals(
        self, proposals: Sequence[Instances], targets: Sequence[Instances]
    ) -> list[Instances]:
        """Sample as the parent does, without would-be background on boxes to ignore.

        Returns:
            As the parent's, and behind each image's sample its certain negatives. `gt_classes` is
            `NO_VERDICT` throughout the sample of an image that nobody annotated.
        """
        parted = [split_targets(image) for image in targets]
        kept = []
        for image_proposals, image in zip(proposals, parted, strict=True):
            if len(image.ignored):
                boxes = image_proposals.proposal_boxes
                foreground = overlaps(boxes, image.labels.gt_boxes, self._foreground_iou)
                drop = overlaps(boxes, image.ignored, self.ignore_iou) & ~foreground
                image_proposals = image_proposals[~drop]
            kept.append(image_proposals)
        samples = super().label_and_sample_proposals(kept, [image.labels for image in parted])
        result = []
        for sample, image in zip(samples, parted, strict=True):
            if not image.annotated:
                sample.gt_classes.fill_(NO_VERDICT)
            rejected = certain_negatives(
                image, label_iou=self._foreground_iou, limit=self.max_negatives
            )
            result.append(append_certain_negatives(sample, rejected, self.num_classes))
        return result

    def box_features(self, features: dict[str, Tensor], boxes: list[Boxes]) -> Tensor:
        """Return what the box head makes of each box: shape (sum of boxes, FC_DIM)."""
        pooled = self.box_pooler([features[name] for name in self.box_in_features], boxes)
        result: Tensor = self.box_head(pooled)
        return result
