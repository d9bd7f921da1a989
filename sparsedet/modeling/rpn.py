"""The RPN for sparsely labelled images, and the head of SparseDet's common RPN (ICCV 2023)."""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from detectron2.config import CfgNode, configurable
from detectron2.layers import Conv2d, ShapeSpec
from detectron2.modeling.proposal_generator import (
    PROPOSAL_GENERATOR_REGISTRY,
    RPN,
    RPN_HEAD_REGISTRY,
)
from detectron2.modeling.proposal_generator.proposal_utils import find_top_rpn_proposals
from detectron2.modeling.proposal_generator.rpn import StandardRPNHead
from detectron2.structures import Boxes, Instances, pairwise_iou
from torch import Tensor, nn

from sparsedet.modeling.targets import MORE_LIKELY_THAN_NOT, Targets, overlaps, split_targets
from sparsedet.runtime import processes

_IGNORE, _NEGATIVE = -1, 0


@PROPOSAL_GENERATOR_REGISTRY.register()
class SparseRPN(RPN):
    """detectron2's RPN, with these differences:

    - anchors on ignore regions, and on mined labels that are less likely than not, are never
      negative, and only sampled if positive;
    - with `labelled_images_only`, images that nobody annotated give proposals but no loss, and the
      loss is normalised by the number of the others;
    - non-finite proposals are dropped in training, too: then the losses reveal the divergence, with
      the images and in all processes alike.
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

        All anchors of an image excluded from the loss are -1.
        """
        all_anchors = Boxes.cat(anchors)
        gt_labels, matched_boxes = [], []
        for instances in gt_instances:
            targets = split_targets(instances)
            objects, ignore_regions = _objects(targets)
            matches, anchor_labels = self.anchor_matcher(pairwise_iou(objects, all_anchors))
            if len(objects):
                matched_boxes.append(objects.tensor[matches])
            else:
                matched_boxes.append(torch.zeros_like(all_anchors.tensor))
            if self.labelled_images_only and not targets.annotated:
                anchor_labels.fill_(_IGNORE)
            if len(ignore_regions):
                ignored = overlaps(all_anchors, ignore_regions, self.ignore_iou)
                anchor_labels[ignored & (anchor_labels == _NEGATIVE)] = _IGNORE
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


def _objects(targets: Targets) -> tuple[Boxes, Boxes]:
    """Return an image's labels and ignore regions: labels that are less likely are regions, too."""
    objects, ignore_regions = targets.labels.gt_boxes, targets.ignore_regions
    if not targets.labels.has("gt_weights"):
        return objects, ignore_regions
    likely = targets.labels.gt_weights >= MORE_LIKELY_THAN_NOT
    return objects[likely], Boxes.cat([ignore_regions, objects[~likely]])


@RPN_HEAD_REGISTRY.register()
class CommonRPNHead(StandardRPNHead):
    """detectron2's head with a `CommonConv` as hidden convolution; parameter names are
    unchanged."""

    def _get_rpn_conv(self, in_channels: int, out_channels: int) -> Conv2d:
        return CommonConv(in_channels, out_channels)


def convolve(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Convolve with a 3 x 3 kernel, (N, C, H, W) to (N, O, H, W)."""
    return F.conv2d(x, weight, bias, padding=1)


class CommonConv(Conv2d):
    """A 3 x 3 convolution of both views' features, concatenated along the channels.

    In inference there is one view, used for both halves of the input. The convolution is linear:
    with the sum of both halves' weights it gives the same result at half the cost.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(
            in_channels, out_channels, kernel_size=3, padding=1, activation=nn.ReLU(inplace=True)
        )
        self.convolve: Callable[[Tensor, Tensor, Tensor], Tensor] = convolve
        """Replaced by `sparsedet.modeling.cpu`."""

    def forward(self, x: Tensor) -> Tensor:
        """Return the activated maps, shape (N, out_channels, H, W).

        Args:
            x: shape (N, in_channels, H, W), or (N, in_channels / 2, H, W) of one view.
        """
        weight = self.weight
        if x.shape[1] * 2 == self.in_channels:
            first, second = weight.chunk(2, dim=1)
            weight = first + second
        maps: Tensor = self.activation(self.convolve(x, weight, self.bias))
        return maps
