"""Pseudo-positive mining and label merging of the published SparseDet.

S. Suri, S. Rambhatla, R. Chellappa, A. Shrivastava: "SparseDet: Improving Sparsely Annotated Object
Detection with Pseudo-positive Mining", ICCV 2023, sections 3.2 and 3.3. All boxes are XYXY in
absolute pixels of the network's input.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from detectron2.layers import batched_nms, nms
from detectron2.structures import Boxes, Instances, pairwise_iou
from torch import Tensor


@dataclass(frozen=True, slots=True)
class PseudoPositiveRule:
    """When a proposal is taken for an unlabelled object."""

    objectness_thresh: float
    """sigmoid(objectness) has to exceed this."""
    max_label_iou: float
    """IoU with every label has to be at most this."""
    nms_thresh: float
    """IoU of the NMS that thins the pseudo-positives for the self-supervised loss."""


@dataclass(frozen=True, slots=True)
class ConfidentDetectionRule:
    """When a detection joins the labels of the augmented view."""

    score_thresh: float
    """The score has to exceed this."""
    nms_thresh: float
    """IoU of the class-wise NMS over labels and detections together."""


@torch.no_grad()
def split_pseudo_positives(
    proposals: Sequence[Instances], labels: Sequence[Instances], rule: PseudoPositiveRule
) -> tuple[list[Instances], list[Boxes]]:
    """Part the proposals of each image into those for the ROI heads and the pseudo-positives.

    Args:
        proposals: per image, with `proposal_boxes` and `objectness_logits`.
        labels: per image, with `gt_boxes`; an image without labels is judged by score alone.

    Returns:
        Per image the remaining proposals, and the pseudo-positive boxes after NMS in descending
        order of objectness.
    """
    remaining, pseudo_positives = [], []
    for image_proposals, image_labels in zip(proposals, labels, strict=True):
        logits = image_proposals.objectness_logits
        pseudo = logits.sigmoid() > rule.objectness_thresh
        if len(image_labels):
            overlap = pairwise_iou(image_proposals.proposal_boxes, image_labels.gt_boxes)
            pseudo &= overlap.max(dim=1).values <= rule.max_label_iou
        boxes: Tensor = image_proposals.proposal_boxes.tensor[pseudo]
        pseudo_positives.append(Boxes(boxes[nms(boxes, logits[pseudo], rule.nms_thresh)]))
        remaining.append(image_proposals[~pseudo])
    return remaining, pseudo_positives


@torch.no_grad()
def merge_confident_detections(
    labels: Instances, detections: Instances, rule: ConfidentDetectionRule
) -> Instances:
    """Return an image's labels with its confident detections, duplicates removed.

    Labels come first and count as score 1, so that of a label and its detection the label stays.

    Args:
        labels: with `gt_boxes` and `gt_classes`.
        detections: with `pred_boxes`, `pred_classes` and `scores`, of the same image.

    Returns:
        Instances with `gt_boxes` (clipped to the image) and `gt_classes`, in descending score.
    """
    confident = detections[detections.scores > rule.score_thresh]
    boxes = Boxes.cat([labels.gt_boxes, confident.pred_boxes])
    boxes.clip(labels.image_size)
    classes = torch.cat([labels.gt_classes, confident.pred_classes])
    scores = torch.cat([confident.scores.new_ones(len(labels)), confident.scores])
    keep = batched_nms(boxes.tensor, scores, classes, rule.nms_thresh)
    merged = Instances(labels.image_size)
    merged.gt_boxes = boxes[keep]
    merged.gt_classes = classes[keep]
    return merged
