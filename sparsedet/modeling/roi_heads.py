"""ROI heads for images whose labels are not all there, with the parts that two views need."""

from collections.abc import Sequence
from typing import Any

import torch
from detectron2.config import CfgNode, configurable
from detectron2.layers import ShapeSpec
from detectron2.modeling.roi_heads import (
    ROI_HEADS_REGISTRY,
    FastRCNNOutputLayers,
    StandardROIHeads,
)
from detectron2.structures import Boxes, Instances
from torch import Tensor

from sparsedet.modeling.ignored import overlaps, split_ignored

Predictions = tuple[Tensor, Tensor]
"""Class logits, shape (R, classes + 1), and box deltas, shape (R, 4 x classes), of R proposals."""


class ObjectScoreOutputLayers(FastRCNNOutputLayers):
    """detectron2's output layers; detections also tell how sure it is that there is an object.

    That may be sure while its class is not.
    """

    def inference(
        self, predictions: Predictions, proposals: list[Instances]
    ) -> tuple[list[Instances], list[Tensor]]:
        """Add `object_scores`, shape (N,): the probability that a detection is not background."""
        detections, rows = super().inference(predictions, proposals)
        probabilities = self.predict_probs(predictions, proposals)
        for image, image_probabilities, kept in zip(detections, probabilities, rows, strict=True):
            image.object_scores = 1 - image_probabilities[kept, -1]
        return detections, rows


@ROI_HEADS_REGISTRY.register()
class SparseROIHeads(StandardROIHeads):
    """detectron2's ROI heads, except that

    - proposals on boxes to ignore are never sampled as background;
    - detections carry `object_scores`;
    - pooling, prediction and loss can be called apart, for training on two views.
    """

    @configurable
    def __init__(self, *, ignore_iou: float = 0.3, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.ignore_iou = ignore_iou
        self._foreground_iou = self.proposal_matcher.thresholds[1]

    @classmethod
    def from_config(cls, cfg: CfgNode, input_shape: dict[str, ShapeSpec]) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {
            **super().from_config(cfg, input_shape),
            "ignore_iou": cfg.SPARSEDET.STAGED.IGNORE_IOU,
        }

    @classmethod
    def _init_box_head(cls, cfg: CfgNode, input_shape: dict[str, ShapeSpec]) -> dict[str, Any]:
        parts: dict[str, Any] = super()._init_box_head(cfg, input_shape)
        parts["box_predictor"] = ObjectScoreOutputLayers(cfg, parts["box_head"].output_shape)
        return parts

    @torch.no_grad()
    def label_and_sample_proposals(
        self, proposals: Sequence[Instances], targets: Sequence[Instances]
    ) -> list[Instances]:
        """Sample as the parent does, without would-be background on boxes to ignore."""
        kept, all_labels = [], []
        for image_proposals, image_targets in zip(proposals, targets, strict=True):
            labels, ignored = split_ignored(image_targets)
            if len(ignored):
                boxes = image_proposals.proposal_boxes
                foreground = overlaps(boxes, labels.gt_boxes, self._foreground_iou)
                drop = overlaps(boxes, ignored, self.ignore_iou) & ~foreground
                image_proposals = image_proposals[~drop]
            kept.append(image_proposals)
            all_labels.append(labels)
        sampled: list[Instances] = super().label_and_sample_proposals(kept, all_labels)
        return sampled

    def box_features(self, features: dict[str, Tensor], boxes: list[Boxes]) -> Tensor:
        """Return what the box head makes of each box: shape (sum of boxes, FC_DIM)."""
        pooled = self.box_pooler([features[name] for name in self.box_in_features], boxes)
        result: Tensor = self.box_head(pooled)
        return result

    def predict(self, features: dict[str, Tensor], proposals: Sequence[Instances]) -> Predictions:
        """Return class logits and box deltas of the images' proposals, in their order."""
        box_features = self.box_features(features, [image.proposal_boxes for image in proposals])
        predictions: Predictions = self.box_predictor(box_features)
        return predictions

    @torch.no_grad()
    def detect(self, predictions: Predictions, proposals: list[Instances]) -> list[Instances]:
        """Return detectron2's detections for predictions that exist already, without gradients."""
        logits, deltas = predictions
        detections: list[Instances] = self.box_predictor.inference(
            (logits.detach(), deltas.detach()), proposals
        )[0]
        return detections
