"""A region proposal network for images whose labels are not all there."""

from typing import Any

import torch
from detectron2.config import CfgNode, configurable
from detectron2.layers import ShapeSpec
from detectron2.modeling.proposal_generator import PROPOSAL_GENERATOR_REGISTRY, RPN
from detectron2.modeling.proposal_generator.proposal_utils import find_top_rpn_proposals
from detectron2.structures import Boxes, Instances, pairwise_iou
from torch import Tensor

from sparsedet.modeling.targets import overlaps, split_targets
from sparsedet.runtime import processes

_IGNORE, _NEGATIVE = -1, 0


@PROPOSAL_GENERATOR_REGISTRY.register()
class SparseRPN(RPN):
    """detectron2's RPN, except that

    - anchors on boxes to ignore are not negative, and in no sample unless they are positive;
    - with `labelled_images_only`, images that nobody annotated give proposals but no loss, and the
      loss is normalised by the number of the others;
    - proposals that are not finite are left out in training, too: the losses tell that it diverges,
      with the images and in all processes alike.
    """

    @configurable
    def __init__(
        self, *, ignore_iou: float = 0.3, labelled_images_only: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.ignore_iou = ignore_iou
        self.labelled_images_only = labelled_images_only

    @classmethod
    def from_config(cls, cfg: CfgNode, input_shape: dict[str, ShapeSpec]) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {
            **super().from_config(cfg, input_shape),
            "ignore_iou": cfg.SPARSEDET.STAGED.IGNORE_IOU,
            "labelled_images_only": cfg.MODEL.RPN.LABELLED_IMAGES_ONLY,
        }

    @torch.no_grad()
    def label_and_sample_anchors(
        self, anchors: list[Boxes], gt_instances: list[Instances]
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Label anchors as the parent does: -1 ignored, 0 negative, 1 positive, then sample.

        All anchors of an image that has to stay out of the loss are -1.
        """
        all_anchors = Boxes.cat(anchors)
        gt_labels, matched_boxes = [], []
        for targets in gt_instances:
            parted = split_targets(targets)
            objects, ignored = parted.labels.gt_boxes, parted.ignored
            matches, anchor_labels = self.anchor_matcher(pairwise_iou(objects, all_anchors))
            if len(objects):
                matched_boxes.append(objects.tensor[matches])
            else:
                matched_boxes.append(torch.zeros_like(all_anchors.tensor))
            if self.labelled_images_only and not parted.annotated:
                anchor_labels.fill_(_IGNORE)
            if len(ignored):
                on_ignored = overlaps(all_anchors, ignored, self.ignore_iou)
                anchor_labels[on_ignored & (anchor_labels == _NEGATIVE)] = _IGNORE
            gt_labels.append(self._subsample_labels(anchor_labels))
        return gt_labels, matched_boxes

    @torch.no_grad()
    def predict_proposals(
        self,
        anchors: list[Boxes],
        pred_objectness_logits: list[Tensor],
        pred_anchor_deltas: list[Tensor],
        image_sizes: list[tuple[int, int]],
    ) -> list[Instances]:
        """Return each image's best proposals after NMS, in descending order of objectness."""
        proposals: list[Instances] = find_top_rpn_proposals(
            self._decode_proposals(anchors, pred_anchor_deltas),
            pred_objectness_logits,
            image_sizes,
            self.nms_thresh,
            self.pre_nms_topk[self.training],
            self.post_nms_topk[self.training],
            self.min_box_size,
            training=False,
        )
        return proposals

    def losses(
        self,
        anchors: list[Boxes],
        pred_objectness_logits: list[Tensor],
        gt_labels: list[Tensor],
        pred_anchor_deltas: list[Tensor],
        gt_boxes: list[Tensor],
    ) -> dict[str, Tensor]:
        """Return the parent's losses; with `labelled_images_only` per annotated image."""
        losses: dict[str, Tensor] = super().losses(
            anchors, pred_objectness_logits, gt_labels, pred_anchor_deltas, gt_boxes
        )
        if not self.labelled_images_only:
            return losses
        # The parent divides by all images of the batch; gradients are averaged over processes.
        annotated = sum(bool((labels != _IGNORE).any()) for labels in gt_labels)
        annotated_anywhere = processes.total(annotated, gt_labels[0].device)
        scale = len(gt_labels) * processes.ranks() / max(annotated_anywhere, 1)
        return {name: loss * scale for name, loss in losses.items()}
